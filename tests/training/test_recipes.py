"""Recipes: what the network sees, what it is held against, and that it can learn it."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.fields import FIELDS
from training.made_targets import stored_fields
from training.networks.depth_net import DepthOutput
from training.recipes import RECIPES
from training.tang_inputs import SURREAL_MEAN, SURREAL_STD, erode_cross

SIZE = 32
DEPTH_NET = RECIPES["depth-net"]
TINY = {"width": 1 / 32, "levels": 3}


def people(count: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch as shards give it: round people with a curved base, some wrinkles, and shading that shows both."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    images, masks, bases, details = [], [], [], []
    for _ in range(count):
        x, y, tilt, phase = rng.uniform(-1, 1, 4)
        mask = (u - 0.05 * x) ** 2 + (v - 0.05 * y) ** 2 < 0.4**2
        base_m = 0.4 * tilt * u + 0.8 * (u**2 + v**2) - 0.05
        detail_m = 0.015 * np.sin(40 * v + 3 * phase)
        rgb = np.stack([0.5 + base_m, 0.5 + 10 * detail_m, 0.5 + u], axis=-1)
        images.append(np.where(mask[..., None], 255 * rgb.clip(0, 1), rng.uniform(0, 255, (SIZE, SIZE, 3))))
        masks.append(mask)
        bases.append(base_m * mask)
        details.append(detail_m * mask)
    return {
        "image": torch.from_numpy(np.stack(images).astype(np.uint8)),
        "mask": torch.from_numpy(np.stack(masks)),
        "base_m": torch.from_numpy(np.stack(bases).astype(np.float32)),
        "detail_m": torch.from_numpy(np.stack(details).astype(np.float32)),
    }


def constant_answer(targets, *, base_m=0.0, detail_m=0.0) -> DepthOutput:
    """The truth with a constant added to base and detail."""
    base, detail = targets["base_m"] + base_m, targets["detail_m"] + detail_m
    return DepthOutput(torch.zeros(len(base), 19, SIZE, SIZE), base, detail, base + detail)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_real_fields_options_and_parts(recipe):
    assert RECIPES[recipe.name] is recipe
    assert all(FIELDS[name].shard for name in stored_fields(recipe.fields, FIELDS, where="here"))
    assert set(recipe.input_fields) <= set(recipe.fields)
    json.dumps([dict(recipe.defaults), dict(recipe.paper)], allow_nan=False)
    with torch.device("meta"):
        full, told = recipe.build({}), recipe.build(recipe.defaults)
    assert [p.shape for p in full.parameters()] == [p.shape for p in told.parameters()]
    owned = [id(p) for part in recipe.parts for p in getattr(full, part).parameters()]
    assert sorted(owned) == sorted(id(p) for p in full.parameters())


def test_the_network_sees_the_whitened_person_and_the_mask():
    batch = people()
    inputs = DEPTH_NET.inputs({name: batch[name] for name in DEPTH_NET.input_fields})
    assert inputs.shape == (2, 4, SIZE, SIZE) and inputs.dtype == torch.float32
    mask = batch["mask"]
    assert torch.equal(inputs[:, 3], mask.float())
    for channel, (mean, std) in enumerate(zip(SURREAL_MEAN, SURREAL_STD, strict=True)):
        back = (inputs[:, channel] * std + mean) * 255
        assert torch.allclose(back[mask], batch["image"][..., channel][mask].float(), atol=1e-3)
        assert not inputs[:, channel][~mask].any()


def test_what_stands_behind_the_person_changes_nothing():
    batch = people()
    other = dict(batch)
    other["image"] = torch.where(batch["mask"][..., None], batch["image"], 255 - batch["image"])
    outside = ~batch["mask"]
    for name in ("base_m", "detail_m"):
        other[name] = batch[name].masked_fill(outside, math.nan)
    torch.manual_seed(0)
    net = DEPTH_NET.build(TINY)
    losses = []
    for given in (batch, other):
        inputs, targets = DEPTH_NET.prepare(given)
        losses.append(DEPTH_NET.losses(net(inputs), targets))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


def test_preparing_changes_nothing_that_it_is_given_and_draws_no_number():
    batch = people()
    before = {name: value.clone() for name, value in batch.items()}
    state = torch.get_rng_state()
    (inputs, targets), (again, targets_again) = DEPTH_NET.prepare(batch), DEPTH_NET.prepare(batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(batch[name], before[name]) for name in batch)
    assert torch.equal(inputs, again) and torch.equal(inputs, DEPTH_NET.inputs(batch))
    assert targets.keys() == {"base_m", "detail_m", "composed_m", "mask"}
    assert all(torch.equal(targets[name], targets_again[name]) for name in targets)
    assert torch.equal(targets["composed_m"], batch["base_m"] + batch["detail_m"])


def test_the_targets_mask_is_eroded_once_by_a_cross():
    rng = np.random.default_rng(0)
    masks = rng.random((4, 9, 12)) < 0.9
    masks[0] = True
    cross = ndimage.generate_binary_structure(2, 1)
    expected = np.stack([ndimage.binary_erosion(mask, cross, border_value=1) for mask in masks])
    assert np.array_equal(erode_cross(torch.from_numpy(masks)).numpy(), expected)
    assert expected[0].all() and not expected[1:].all()
    batch = people()
    _, targets = DEPTH_NET.prepare(batch)
    assert torch.equal(targets["mask"], erode_cross(batch["mask"]))


def test_constant_errors_cost_what_the_papers_equations_say():
    _, targets = DEPTH_NET.prepare(people())
    losses = DEPTH_NET.losses(constant_answer(targets), targets)
    exact = {name: losses[name].item() for name in ("base", "detail", "composed", "composed_huber")}
    assert exact == dict.fromkeys(exact, 0)
    # Eq. (9), the ablation without separation, holds the base alone against the composed depth.
    detail_m = targets["detail_m"][targets["mask"]]
    assert losses["single"].item() == pytest.approx((detail_m**2).mean().item() / 2, rel=1e-4)
    losses = DEPTH_NET.losses(constant_answer(targets, base_m=0.3, detail_m=-0.1), targets)
    assert losses["base"].item() == pytest.approx(0.2 * (0.3 - 0.1), rel=1e-5)
    assert losses["detail"].item() == pytest.approx(0.05 * (0.1 - 0.025), rel=1e-5)
    assert losses["composed"].item() == pytest.approx(0.05, rel=1e-5)
    losses = DEPTH_NET.losses(constant_answer(targets, base_m=0.03, detail_m=-0.01), targets)
    assert losses["composed"].item() == pytest.approx(0.02, rel=1e-5)


def test_the_predicted_depth_is_base_and_detail_together():
    _, targets = DEPTH_NET.prepare(people())
    outputs = constant_answer(targets, base_m=0.1, detail_m=0.01)
    assert torch.allclose(DEPTH_NET.predict_depth(outputs), targets["composed_m"] + 0.11)


def test_a_base_beyond_the_bins_pulls_outwards_and_no_harder_than_alpha():
    batch = people()
    batch["base_m"] = torch.where(batch["mask"], 2.0, 0.0)
    _, targets = DEPTH_NET.prepare(batch)
    base_m = torch.full_like(targets["base_m"], 0.6, requires_grad=True)
    answer = DepthOutput(base_m, base_m, base_m, base_m)
    DEPTH_NET.losses(answer, targets)["base"].backward()
    pixels = targets["mask"].flatten(1).sum(dim=1)
    for gradient, mask, count in zip(base_m.grad, targets["mask"], pixels, strict=True):
        assert torch.allclose(gradient[mask] * count * len(pixels), torch.tensor(-0.2))


def test_a_batch_in_parts_gives_the_gradient_of_the_whole():
    torch.manual_seed(0)
    net = DEPTH_NET.build(TINY).double()
    inputs, targets = DEPTH_NET.prepare(people(2))

    def gradient(rows: slice) -> list[torch.Tensor]:
        net.zero_grad()
        rows_targets = {name: value[rows] for name, value in targets.items()}
        losses = DEPTH_NET.losses(net(inputs[rows].double()), rows_targets)
        (losses["base"] + losses["detail"] + 15 * losses["composed"]).backward()
        return [p.grad.clone() for p in net.parameters()]

    whole, first, second = gradient(slice(0, 2)), gradient(slice(0, 1)), gradient(slice(1, 2))
    for total, a, b in zip(whole, first, second, strict=True):
        assert torch.allclose(total, (a + b) / 2, rtol=1e-9, atol=1e-12)


def test_two_people_are_learnt_by_heart_in_the_papers_two_stages():
    torch.manual_seed(0)
    net = DEPTH_NET.build({"width": 1 / 16, "levels": 3})
    inputs, targets = DEPTH_NET.prepare(people(2))
    mask = targets["mask"]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

    def stage(steps: int, **weights: float) -> dict[str, float]:
        for _ in range(steps):
            losses = DEPTH_NET.losses(net(inputs), targets)
            optimizer.zero_grad()
            sum(weight * losses[name] for name, weight in weights.items()).backward()
            optimizer.step()
        outputs = net(inputs)
        found = {name: getattr(outputs, name).detach() for name in ("base_m", "detail_m", "composed_m")}
        return {name: (found[name] - targets[name])[mask].abs().mean().item() for name in found}

    first = stage(100, base=1, detail=1)
    second = stage(100, base=1, detail=1, composed=15)
    # The trivial answers, a flat plane at the median and no detail, are 57 mm and 9.6 mm off.
    assert targets["composed_m"][mask].abs().mean() > 0.05
    assert targets["detail_m"][mask].abs().mean() > 0.009
    assert first["base_m"] < 0.006 and first["detail_m"] < 0.005
    assert second["composed_m"] < 0.005 and second["composed_m"] < first["composed_m"]
