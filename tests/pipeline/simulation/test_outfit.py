"""Outfits: what is drawn from a seed, and that people in them differ."""

import dataclasses

import numpy as np

from pipeline.simulation.outfit import BOTTOMS, PATTERNS, TOPS, draw_outfit


def _flat(value: object) -> bytes:
    if dataclasses.is_dataclass(value):
        return b"".join(_flat(getattr(value, field.name)) for field in dataclasses.fields(value))
    return np.asarray(value).tobytes()


def test_the_same_seed_draws_the_same_outfit_to_the_bit() -> None:
    first, second = (_flat(draw_outfit(np.random.default_rng(3))) for _ in range(2))
    assert first == second
    assert _flat(draw_outfit(np.random.default_rng(4))) != first


def test_every_kind_and_pattern_is_met_among_many() -> None:
    outfits = [draw_outfit(np.random.default_rng(seed)) for seed in range(120)]
    assert {outfit.top.kind for outfit in outfits} == set(TOPS)
    assert {outfit.bottom.kind for outfit in outfits} == set(BOTTOMS)
    assert {outfit.top.cloth.pattern for outfit in outfits} == set(PATTERNS)


def test_lengths_fit_their_kind() -> None:
    for seed in range(120):
        outfit = draw_outfit(np.random.default_rng(seed))
        # 1 is the elbow or the knee, 2 the wrist or the ankle.
        assert (outfit.top.limb < 1) == (outfit.top.kind == "t-shirt")
        assert (outfit.bottom.limb < 1) == (outfit.bottom.kind == "shorts")
        assert outfit.top.limb < 2 and outfit.bottom.limb < 2


def test_cloth_stands_off_by_one_to_four_centimetres_and_more_at_its_edges() -> None:
    for seed in range(120):
        for garment in (
            draw_outfit(np.random.default_rng(seed)).top,
            draw_outfit(np.random.default_rng(seed)).bottom,
        ):
            rest_m, free_m = garment.ease_m
            assert 0.006 < rest_m < free_m < 0.045


def test_some_dark_cloth_swallows_infrared_and_all_reflectances_are_shares() -> None:
    swallowed = 0
    for seed in range(120):
        cloth = draw_outfit(np.random.default_rng(seed)).top.cloth
        assert (cloth.colors >= 0).all() and (cloth.colors <= 1).all()
        assert (cloth.infrared > 0).all() and (cloth.infrared < 1).all()
        dark = cloth.colors.mean(axis=1) < 0.06
        assert (cloth.infrared[~dark] >= 0.4).all()
        swallowed += int((cloth.infrared < 0.2).any())
    assert swallowed > 5
