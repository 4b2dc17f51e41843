"""The key-point and dense-map network: shapes, targets, losses by hand, and that it can learn."""

import numpy as np
import pytest
import torch

from pipeline.bodies.joints import BODY25, COCO17, MPII16
from training.landmark_joints import LANDMARK27, read_in, read_out
from training.landmark_losses import (
    UV_BETA,
    landmark_losses,
    place_distribution,
    place_targets,
    prepare_landmark_net,
)
from training.landmark_reading import peaks, read_outputs
from training.made_targets import UNKNOWN_PART
from training.networks.landmark_net import STRIDE, LandmarkOutput, build_landmark_net
from training.recipes import RECIPES

SMALL = {"depth": 18, "width": 0.125, "deconvolution": 24, "lateral": True, "size_px": 64}


def random_batch(count=8, size_px=64, seed=0):
    """Pictures of noise with random joints, one of them beyond the border and one unknown, and random parts."""
    rng = np.random.default_rng(seed)
    points = np.ones((count, 27, 3), np.float32)
    points[..., :2] = rng.uniform(0, size_px - 1, (count, 27, 2))
    points[:, 3, :2], points[:, 5] = -9, 0
    cells = size_px // STRIDE
    dense = np.zeros((count, cells, cells, 3), np.float32)
    dense[:, 4:12, 4:12, 0] = rng.integers(1, 25, (count, 1, 1))
    dense[:, 4:12, 4:12, 1:] = rng.uniform(0.2, 0.8, (count, 1, 1, 2))
    image = rng.integers(0, 256, (count, size_px // 8, size_px // 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return {
        "image": torch.from_numpy(image),
        "landmark_points": torch.from_numpy(points),
        "dense_map": torch.from_numpy(dense),
    }


def perfect(targets, *, sure=60.0):
    """Outputs that give just the targets."""
    places, part, uv = targets["places"], targets["part"], targets["uv"]
    logs = places.clamp(min=1e-30).log()
    height, width = part.shape[1:]
    known = torch.where(part == UNKNOWN_PART, 0, part)
    return LandmarkOutput(
        place_logits=logs[..., :-1].unflatten(2, (height, width)),
        nowhere_logits=logs[..., -1],
        part_logits=sure * torch.nn.functional.one_hot(known, 25).movedim(-1, 1).float(),
        uv=uv[:, None].expand(-1, 24, -1, -1, -1).contiguous(),
    )


def test_eight_samples_are_learnt_by_heart():
    batch = random_batch()
    torch.manual_seed(0)
    net = build_landmark_net(SMALL)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    inputs, targets = prepare_landmark_net(batch)
    first = None
    for _ in range(220):
        losses = landmark_losses(net(inputs), targets)
        first = first or {name: float(loss.detach()) for name, loss in losses.items()}
        optimizer.zero_grad()
        (losses["joints"] + losses["parts"] + losses["uv"]).backward()
        optimizer.step()
    assert all(float(loss.detach()) < 0.06 * first[name] for name, loss in losses.items()), losses
    net.eval()
    # Batch statistics of 220 steps are near the running ones: the eight are still recognised in evaluation.
    reading = read_outputs(net(inputs))[0]
    inside = [row for row in range(27) if row not in (3, 5)]
    apart = np.linalg.norm(reading.joints_px - batch["landmark_points"][0, :, :2].numpy(), axis=1)
    assert np.median(apart[inside]) < 1.0


def test_outputs_have_a_quarter_of_the_size_also_where_it_is_not_square():
    out = build_landmark_net(SMALL)(torch.zeros(2, 3, 64, 96))
    assert out.place_logits.shape == (2, 27, 16, 24) and out.nowhere_logits.shape == (2, 27)
    assert out.part_logits.shape == (2, 25, 16, 24) and out.uv.shape == (2, 24, 2, 16, 24)


def test_the_baseline_has_its_size():
    net = build_landmark_net({})
    trunk = sum(each.numel() for each in net.trunk.parameters())
    assert trunk == 23_508_032  # ResNet-50 without its classifier
    assert sum(each.numel() for each in net.upward.parameters()) == 4 * 4 * 256 * (2048 + 256 + 256) + 6 * 256
    held = [part for part in RECIPES["landmark-net"].parts]
    assert sum(each.numel() for part in held for each in net.get_submodule(part).parameters()) == sum(
        each.numel() for each in net.parameters()
    )


@pytest.mark.parametrize(
    "options", [{"depth": 34}, {"width": 0}, {"size_px": 100}, {"deconvolution": 0}, {"wdith": 0.5}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match="landmark-net"):
        build_landmark_net(options)


def test_perfect_outputs_have_no_loss():
    _, targets = prepare_landmark_net(random_batch())
    losses = landmark_losses(perfect(targets), targets)
    assert all(float(loss) == pytest.approx(0, abs=2e-6) for loss in losses.values()), losses


def test_losses_by_hand():
    places = torch.zeros(1, 27, 5)
    places[0, 0, 2], places[0, 1, 4] = 1.0, 1.0  # one joint in a cell, one nowhere, the others unknown
    part = torch.tensor([[[0, 3], [UNKNOWN_PART, 0]]])
    uv = torch.zeros(1, 2, 2, 2)
    uv[0, :, 0, 1] = torch.tensor([0.5, 0.25])
    found = torch.full((1, 24, 2, 2, 2), 9.0)  # what is said in other parts does not count
    found[0, 2, :, 0, 1] = torch.tensor([0.5 + 0.2, 0.25 - 0.02])
    out = LandmarkOutput(
        place_logits=torch.zeros(1, 27, 2, 2),
        nowhere_logits=torch.zeros(1, 27),
        part_logits=torch.zeros(1, 25, 2, 2),
        uv=found,
    )
    losses = landmark_losses(out, {"places": places, "part": part, "uv": uv})
    assert float(losses["joints"]) == pytest.approx(np.log(5))  # five places alike
    assert float(losses["parts"]) == pytest.approx(np.log(25))
    assert float(losses["uv"]) == pytest.approx((0.2 - UV_BETA / 2) + 0.02**2 / (2 * UV_BETA), rel=1e-5)


def test_unknown_joints_and_parts_have_no_gradient():
    batch = random_batch(count=2)
    batch["landmark_points"][:] = 0
    batch["dense_map"][..., 0] = UNKNOWN_PART
    net = build_landmark_net(SMALL)
    inputs, targets = prepare_landmark_net(batch)
    losses = landmark_losses(net(inputs), targets)
    assert {name: float(loss.detach()) for name, loss in losses.items()} == {"joints": 0, "parts": 0, "uv": 0}
    sum(losses.values()).backward()
    assert all(not each.grad.any() for each in net.parameters() if each.grad is not None)


def test_every_parameter_learns():
    net = build_landmark_net(SMALL)
    inputs, targets = prepare_landmark_net(random_batch(count=2))
    sum(landmark_losses(net(inputs), targets).values()).backward()
    assert len(net.upward.laterals) == 3
    assert all(each.grad is not None and each.grad.any() for each in net.parameters())


def test_places_are_distributions_and_what_is_outside_is_nowhere():
    points = torch.tensor([[[10.0, 20.0, 1.0], [-2.0, 5.0, 1.0], [10.0, 20.0, 0.0], [63.4, 0.0, 1.0]]])
    places = place_targets(points, (16, 16))
    assert places.sum(dim=-1).tolist() == [[pytest.approx(1), 1, 0, pytest.approx(1)]]
    assert places[0, 1, -1] == 1 and places[0, 0, -1] == 0 and places[0, 3, -1] == 0
    row, column = divmod(int(places[0, 0].argmax()), 16)
    assert (column, row) == (round((10 - 1.5) / 4), round((20 - 1.5) / 4))


@pytest.mark.parametrize("place", [(5.0, 7.0), (5.3, 6.8), (8.49, 3.51)])
def test_peaks_of_gaussians_are_read_between_cells(place):
    v, u = np.mgrid[:16, :20]
    logs = -0.5 * ((u - place[0]) ** 2 + (v - place[1]) ** 2)
    logs = (logs - np.log(np.exp(logs).sum()))[None]
    places, mass = peaks(logs)
    np.testing.assert_allclose(places[0], place, atol=1e-12)
    assert 0.95 < mass[0] < 1  # within 2 cells, that is 2 sigma, of the peak along both axes


def test_peaks_at_the_border_stay_in_the_picture():
    logs = np.log(np.full((1, 6, 6), 1e-9))
    logs[0, 0, 5] = np.log(0.9)
    places, mass = peaks(logs)
    assert places.tolist() == [[5, 0]] and mass[0] == pytest.approx(0.9, abs=1e-6)


def test_readings_stand_at_the_pixels_of_the_picture():
    batch = random_batch()
    _, targets = prepare_landmark_net(batch)
    readings = read_outputs(perfect(targets))
    for sample, reading in enumerate(readings):
        points, dense = batch["landmark_points"][sample].numpy(), batch["dense_map"][sample].numpy()
        inside = (points[:, 2] > 0) & (points[:, :2] > 8).all(1) & (points[:, :2] < 55).all(1)
        # The parabola is that of the Gaussian; float32 and its smallest numbers leave a hundredth of a pixel.
        np.testing.assert_allclose(reading.joints_px[inside], points[inside, :2], atol=0.02)
        assert reading.mass[3] < 1e-6  # nowhere
        middle = 4 * np.arange(16) + 1
        assert (reading.part[np.ix_(middle, middle)] == dense[..., 0]).mean() > 0.99
        np.testing.assert_allclose(reading.uv[30, 30], dense[7, 7, 1:], atol=1e-6)
        assert reading.body[30, 30] > 0.99 and reading.body[2, 2] < 0.01


def test_nowhere_is_held_against_the_cells():
    out = perfect(prepare_landmark_net(random_batch(count=1))[1])
    total = place_distribution(out).exp().sum(dim=-1)
    assert torch.allclose(total, torch.ones_like(total))


@pytest.mark.parametrize("joint_set", [COCO17, MPII16, BODY25])
def test_joint_sets_are_read_out(joint_set):
    rng = np.random.default_rng(0)
    places, sure = rng.uniform(0, 99, (27, 2)), rng.uniform(0.1, 1, 27)
    found, confidence = read_out(places, sure, joint_set)
    assert (confidence > 0).all()
    for row, sources in enumerate(joint_set.sources):
        rows = [LANDMARK27.sources.index((source,)) for source in sources]
        np.testing.assert_allclose(found[row], places[rows].mean(axis=0))
        assert confidence[row] == sure[rows].min()
    again, known = read_in(found, confidence, joint_set)
    there = known > 0
    assert there.sum() == sum(len(sources) == 1 for sources in joint_set.sources)
    np.testing.assert_allclose(again[there], places[there])
    flipped = read_out(places[list(LANDMARK27.flip)], sure[list(LANDMARK27.flip)], joint_set)[0]
    np.testing.assert_allclose(flipped, found[list(joint_set.flip)])
