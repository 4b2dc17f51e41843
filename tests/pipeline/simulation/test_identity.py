"""Identities: adults from a seed, with colours that hair and skin have."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.simulation.identity import HAIR_STYLES, draw_identity


def _many(count: int) -> list:
    return [draw_identity(np.random.default_rng(seed)) for seed in range(count)]


def test_the_same_seed_draws_the_same_person_to_the_bit() -> None:
    first, second = (draw_identity(np.random.default_rng(7)) for _ in range(2))
    for name in ("betas", "skin_rgb", "lips_rgb", "iris_rgb", "hair_rgb"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert (first.hair_style, first.seed) == (second.hair_style, second.seed)
    assert draw_identity(np.random.default_rng(8)).betas.tobytes() != first.betas.tobytes()


def test_people_are_as_tall_as_adults_are() -> None:
    body = default_body()
    still = np.zeros((1, 24, 3))
    heights_m = [
        np.ptp(body.posed(still, person.betas, np.zeros(3)).vertices_m[0, :, 1]) for person in _many(40)
    ]
    # 40 people of 1.69 m +/- 0.09 m * 0.85: within four standard deviations, and the mean within 5 cm.
    assert min(heights_m) > 1.38 and max(heights_m) < 2.0
    assert abs(np.mean(heights_m) - 1.69) < 0.05
    assert np.std(heights_m) > 0.04


def test_colours_are_reflectances_and_skin_is_redder_than_blue() -> None:
    for person in _many(100):
        for rgb in (person.skin_rgb, person.lips_rgb, person.iris_rgb, person.hair_rgb):
            assert (rgb >= 0).all() and (rgb <= 1).all()
        assert person.skin_rgb[0] > person.skin_rgb[1] > person.skin_rgb[2]
        assert 0.05 < person.hair_infrared < 0.7
        assert 0.35 < person.skin_infrared < 0.65


def test_every_hair_style_is_met_among_many() -> None:
    assert {person.hair_style for person in _many(100)} == set(HAIR_STYLES)


@pytest.mark.parametrize("betas", [0, 3, 10])
def test_a_person_has_as_many_betas_as_asked_for(betas: int) -> None:
    assert draw_identity(np.random.default_rng(0), betas=betas).betas.shape == (betas,)
