"""Losses, inputs and targets of the networks of Tang et al.: by hand, by gradient, and what is not read."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.depth_net import DepthOutput
from training.networks.segmentation_net import SegmentationOutput
from training.networks.skeleton_net import SkeletonOutput
from training.networks.tang_net import TangOutput
from training.recipes import RECIPES
from training.tang_inputs import (
    SURREAL_MEAN,
    SURREAL_STD,
    depth_targets,
    image_inputs,
    prepare_normal_net,
    prepare_segmentation_net,
    prepare_skeleton_net,
    prepare_tang_net,
    whitened,
    with_mask,
)
from training.tang_losses import (
    angular,
    depth_losses,
    normal_net_losses,
    segmentation_net_losses,
    skeleton_net_losses,
    tang_net_losses,
)


def batch(size: int = 16) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.zeros(2, size, size, dtype=torch.bool)
    mask[:, 2:-2, 4:-4] = True
    normal = torch.nn.functional.normalize(torch.randn(2, size, size, 3) - torch.tensor([0, 0, 5.0]), dim=-1)
    return {
        "image": torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8),
        "mask": mask,
        "base_m": torch.randn(2, size, size),
        "detail_m": torch.randn(2, size, size) / 50,
        "normal": torch.where(mask[..., None], normal, 0),
        "joint_places": torch.rand(2, 16, 3),
        "joint_seen": torch.rand(2, 16) < 0.8,
        "part_target": torch.randint(0, 15, (2, 64, 64), dtype=torch.uint8),
    }


# inputs and targets


def test_networks_that_find_the_person_see_the_background_and_depth_net_does_not():
    given_ = batch()
    rgb, four, blank = whitened(given_), with_mask(given_), image_inputs(given_)
    mean, std = (torch.tensor(each)[:, None, None] for each in (SURREAL_MEAN, SURREAL_STD))
    assert torch.allclose(rgb * std + mean, given_["image"].movedim(-1, 1) / 255, atol=1e-6)
    assert torch.equal(four[:, :3], rgb) and torch.equal(four[:, 3] > 0, given_["mask"])
    outside = ~given_["mask"][:, None].expand(-1, 3, -1, -1)
    assert rgb[outside].any() and not blank[:, :3][outside].any()
    assert torch.equal(blank[:, 3], four[:, 3]) and torch.equal(blank[:, :3][~outside], rgb[~outside])


def test_targets_are_the_fields_and_masks_lose_their_outline():
    given_ = batch()
    given_["normal"][0, 8, 8] = 0  # a fit that found no plane
    inner = torch.zeros_like(given_["mask"])
    inner[:, 3:-3, 5:-5] = True
    _, normals = prepare_normal_net(given_)
    assert torch.equal(normals["normal"].movedim(1, -1), given_["normal"])
    assert not normals["normal_mask"][0, 8, 8]
    inner[0, 8, 8] = False
    assert torch.equal(normals["normal_mask"], inner)
    images, all_targets = prepare_tang_net(given_)
    assert images.shape == (2, 4, 16, 16)
    assert set(all_targets) == {"base_m", "detail_m", "composed_m", "mask", "normal", "normal_mask"}
    assert torch.equal(all_targets["composed_m"], given_["base_m"] + given_["detail_m"])
    inner[0, 8, 8] = True
    assert torch.equal(depth_targets(given_)["mask"], inner)
    assert prepare_skeleton_net(given_)[1]["places"] is given_["joint_places"]
    part = prepare_segmentation_net(given_)[1]["part"]
    assert part.dtype == torch.int64 and torch.equal(part.to(torch.uint8), given_["part_target"])


# joints


def sure(places: list[list[int]]) -> torch.Tensor:
    """Volumes (1 16 19 8 10) of which each of some joints is sure of one voxel; the others are even."""
    volumes = torch.zeros(1, 16, 19, 8, 10, dtype=torch.float64)
    for joint, (column, row, depth) in enumerate(places):
        volumes[0, joint, depth, row, column] = 1e3
    return volumes


def test_joint_loss_by_hand():
    volumes = sure([[3, 2, 9], [4, 4, 4]])
    places = torch.zeros(1, 16, 3, dtype=torch.float64)
    places[0, 0] = torch.tensor([3 + 2.0, 2 - 1.0, 9 + 3.8])
    places[0, 1] = torch.tensor([4.0, 4.0, 4.0])
    seen = torch.zeros(1, 16, dtype=torch.bool)
    seen[0, :2] = True
    loss = skeleton_net_losses(SkeletonOutput((volumes,)), {"places": places, "seen": seen})["joints"]
    assert float(loss) == pytest.approx((2 / 10 + 1 / 8 + 3.8 / 19) / 2)
    # A stack of which both are sure has none: two stacks, half of it.
    places[0, 0] = torch.tensor([3.0, 2.0, 9.0])
    both = SkeletonOutput((sure([[3, 2, 9], [9, 4, 4]]), volumes))
    loss = skeleton_net_losses(both, {"places": places, "seen": seen})["joints"]
    assert float(loss) == pytest.approx((5 / 10) / 2 / 2)


def test_unseen_joints_are_not_read():
    volumes = torch.randn(1, 16, 19, 4, 4, dtype=torch.float64, requires_grad=True)
    places, seen = torch.full((1, 16, 3), math.nan, dtype=torch.float64), torch.zeros(1, 16).bool()
    places[0, 3], seen[0, 3] = 1.0, True
    skeleton_net_losses(SkeletonOutput((volumes,)), {"places": places, "seen": seen})["joints"].backward()
    touched = volumes.grad.flatten(2).abs().amax(dim=-1)[0] > 0
    assert volumes.grad.isfinite().all() and touched.tolist() == [joint == 3 for joint in range(16)]


def test_joint_and_part_losses_have_the_gradients_of_differences():
    torch.manual_seed(0)
    volumes = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    places, seen = 2 * torch.rand(2, 2, 3, dtype=torch.float64), torch.tensor([[True, True], [False, True]])
    targets = {"places": places, "seen": seen}
    assert torch.autograd.gradcheck(
        lambda v: skeleton_net_losses(SkeletonOutput((v, v * 2)), targets)["joints"], volumes
    )
    logits = torch.randn(2, 15, 2, 3, dtype=torch.float64, requires_grad=True)
    part = {"part": torch.randint(0, 15, (2, 2, 3))}
    assert torch.autograd.gradcheck(
        lambda s: segmentation_net_losses(SegmentationOutput((s,)), part)["parts"], logits
    )


# parts


def test_part_loss_by_hand():
    logits = torch.zeros(1, 15, 1, 2, dtype=torch.float64)
    logits[0, 4, 0, 1] = math.log(6.0)  # of 14 others with 1: a probability of 0.3
    part = torch.tensor([[[7, 4]]])
    loss = segmentation_net_losses(SegmentationOutput((logits,)), {"part": part})["parts"]
    assert float(loss) == pytest.approx((math.log(15) - math.log(0.3)) / 2)
    twice = segmentation_net_losses(SegmentationOutput((logits, torch.zeros_like(logits))), {"part": part})[
        "parts"
    ]
    assert float(twice) == pytest.approx(((math.log(15) - math.log(0.3)) / 2 + math.log(15)) / 2)


# normals


def tilted(angle_rad: float) -> torch.Tensor:
    return torch.tensor([math.sin(angle_rad), 0.0, -math.cos(angle_rad)], dtype=torch.float64).view(
        1, 3, 1, 1
    )


FACING = tilted(0.0)
ONE = torch.ones(1, 1, 1, dtype=torch.bool)


@pytest.mark.parametrize("angle_rad", [0.0, 1e-7, 0.01, 1.0, math.pi / 2, 3.0, math.pi])
def test_the_angle_is_the_angle_however_small(angle_rad):
    for length in (1.0, 0.1, 7.0):
        loss = angular(length * tilted(angle_rad), FACING, ONE)
        assert float(loss) == pytest.approx(angle_rad, rel=1e-9, abs=1e-15)


@given(angle_rad=st.floats(0, 0.1) | st.floats(math.pi - 0.1, math.pi))
@settings(max_examples=40, deadline=None)
def test_no_angle_has_a_gradient_beyond_one(angle_rad):
    normal = tilted(angle_rad).requires_grad_()
    angular(normal, FACING, ONE).backward()
    assert normal.grad.isfinite().all() and normal.grad.norm() <= 1 + 1e-9


def test_the_angles_gradient_is_that_of_differences():
    torch.manual_seed(0)
    normal = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    mask = torch.rand(2, 3, 3) < 0.7
    assert torch.autograd.gradcheck(lambda n: angular(n, truth, mask), normal)


def test_normals_outside_of_the_mask_are_not_read():
    normal, truth = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    mask = torch.tensor([[[True, False], [True, False]]])
    clean = float(normal_net_losses(normal, {"normal": truth, "normal_mask": mask})["normal"])
    for bad in (math.nan, 0.0):
        mine, true = (torch.where(mask[:, None], each, bad).requires_grad_() for each in (normal, truth))
        loss = normal_net_losses(mine, {"normal": true, "normal_mask": mask})["normal"]
        loss.backward()
        assert loss.item() == clean and mine.grad.isfinite().all()
    nothing = normal_net_losses(normal, {"normal": truth, "normal_mask": torch.zeros_like(mask)})["normal"]
    assert float(nothing) == 0


# depth


def test_depth_losses_by_hand():
    zero = torch.zeros(1, 1, 2, dtype=torch.float64)
    base_m, detail_m = zero + 0.3, zero + 0.03
    targets = {"base_m": zero, "detail_m": zero, "composed_m": zero, "mask": zero == 0}
    outputs = DepthOutput(zero[:, None], base_m, detail_m, base_m + detail_m)
    losses = {name: float(value) for name, value in depth_losses(outputs, targets).items()}
    assert losses == {
        "base": pytest.approx(0.2 * (0.3 - 0.1)),
        "detail": pytest.approx(0.5 * 0.03**2),
        "composed": pytest.approx(0.05),
        "composed_huber": pytest.approx(0.2 * (0.33 - 0.1)),
        "single": pytest.approx(0.2 * (0.3 - 0.1)),
    }


def test_the_single_branch_is_held_against_the_whole_depth():
    zero = torch.zeros(1, 1, 2, dtype=torch.float64)
    targets = {"base_m": zero, "detail_m": zero + 0.04, "composed_m": zero + 0.04, "mask": zero == 0}
    outputs = DepthOutput(zero[:, None], zero + 0.1, zero + 9, zero + 9)
    assert float(depth_losses(outputs, targets)["single"]) == pytest.approx(0.5 * 0.06**2)


def test_the_recipe_trains_depth_by_the_same_losses():
    torch.manual_seed(0)
    base_m, detail_m = torch.randn(2, 2, 4, 4)
    outputs = DepthOutput(base_m[:, None], base_m, detail_m, base_m + detail_m)
    mask = torch.rand(2, 4, 4) < 0.7
    targets = {"base_m": detail_m, "detail_m": base_m, "composed_m": base_m * 2, "mask": mask}
    ours = depth_losses(outputs, targets)
    assert all(
        torch.equal(ours[name], loss) for name, loss in RECIPES["depth-net"].losses(outputs, targets).items()
    )


def test_the_whole_networks_losses_are_those_of_depth_and_normals():
    zero = torch.zeros(1, 1, 2)
    depth = DepthOutput(zero[:, None], zero, zero, zero)
    outputs = TangOutput(SkeletonOutput(()), SegmentationOutput(()), depth, torch.ones(1, 3, 1, 2), zero == 0)
    targets = {
        **{name: zero for name in ("base_m", "detail_m", "composed_m")},
        "mask": zero == 0,
        "normal": torch.ones(1, 3, 1, 2),
        "normal_mask": zero == 0,
    }
    losses = tang_net_losses(outputs, targets)
    assert set(losses) == {"base", "detail", "composed", "composed_huber", "single", "normal"}
    assert not any(float(loss) for loss in losses.values())
