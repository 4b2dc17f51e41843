"""Each network of Tang et al. learns eight samples by heart: what cannot has a broken path from loss to weights."""

import math

import pytest
import torch

from training.networks.normal_net import build_normal_net
from training.networks.segmentation_net import build_segmentation_net
from training.networks.skeleton_net import build_skeleton_net
from training.networks.tang_net import build_tang_net, depth_inputs
from training.tang_losses import (
    depth_losses,
    normal_net_losses,
    segmentation_net_losses,
    skeleton_net_losses,
)

EIGHTH = {"width": 0.125}
SMALL = {**EIGHTH, "stacks": 2, "depth": 2}  # hourglasses for sides that are multiples of 16 px


def pictures(count: int, channels: int, size: int = 64) -> torch.Tensor:
    """Blots of noise that a network can tell apart; where there is a fourth channel, it is a mask."""
    torch.manual_seed(1)
    maps = torch.nn.functional.interpolate(torch.randn(count, channels, 8, 8), size=(size, size))
    if channels == 4:
        maps[:, 3] = 0
        maps[:, 3, size // 8 : -size // 8, size // 4 : -size // 4] = 1
    return maps


def smooth(count: int, channels: int, waves: int, size: int = 64) -> torch.Tensor:
    coarse = torch.randn(count, channels, waves, waves)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def learnt(net, inputs, loss, *, steps: int, lr: float = 1e-2) -> tuple[float, float]:
    """First and last value of a loss; the rate falls in the second half, so that the last is no matter of luck."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    values = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * min(1, 2 * (1 - step / steps))
        value = loss(net(inputs))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    return values[0], values[-1]


def test_skeleton_net_learns_eight_samples_by_heart():
    torch.manual_seed(0)
    net, images = build_skeleton_net({**SMALL, "stacks": 1}), pictures(8, 3, 32)
    places = torch.rand(8, 16, 3) * torch.tensor([7.0, 7.0, 18.0])
    targets = {"places": places, "seen": torch.ones(8, 16).bool()}
    first, last = learnt(net, images, lambda out: skeleton_net_losses(out, targets)["joints"], steps=120)
    assert first > 0.5 and last < 0.08 * first


def test_segmentation_net_learns_eight_samples_by_heart():
    torch.manual_seed(0)
    net, images = build_segmentation_net(SMALL), pictures(8, 3, 32)
    targets = {"part": torch.randint(0, 15, (8, 2, 2)).repeat_interleave(4, 1).repeat_interleave(4, 2)}
    first, last = learnt(net, images, lambda out: segmentation_net_losses(out, targets)["parts"], steps=70)
    assert first == pytest.approx(math.log(15), rel=0.1) and last < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("graph", "steps"), [("hourglass", 150), ("unet", 400)])
def test_normal_net_learns_eight_samples_by_heart(graph, steps):
    torch.manual_seed(0)
    net, images = build_normal_net({**EIGHTH, "graph": graph}), pictures(8, 4)
    truth = torch.nn.functional.normalize(
        torch.cat([smooth(8, 2, 4), -torch.ones(8, 1, 64, 64)], dim=1), dim=1
    )
    targets = {"normal": truth, "normal_mask": images[:, 3] > 0}
    first, last = learnt(net, images, lambda out: normal_net_losses(out, targets)["normal"], steps=steps)
    assert first > math.radians(25) and last < 0.12 * first


@pytest.mark.slow
def test_depth_net_learns_eight_samples_by_heart_with_frozen_cues():
    torch.manual_seed(0)
    net, inputs = build_tang_net({**SMALL, "levels": 3}), pictures(8, 4, 32)
    with torch.no_grad():  # once: they do not change
        picture = inputs[:, :3]
        seen = depth_inputs(inputs, net.skeleton(picture), net.segmentation(picture), "heat")
    base_m, detail_m = 0.3 * smooth(8, 1, 3, 32)[:, 0], 0.02 * smooth(8, 1, 8, 32)[:, 0]
    mask = inputs[:, 3] > 0
    targets = {"base_m": base_m, "detail_m": detail_m, "composed_m": base_m + detail_m, "mask": mask}

    def loss(outputs):
        losses = depth_losses(outputs, targets)
        return losses["base"] + losses["detail"] + 0.15 * losses["composed"]

    first, last = learnt(net.depth, seen, loss, steps=200, lr=4e-3)
    assert last < 0.1 * first
