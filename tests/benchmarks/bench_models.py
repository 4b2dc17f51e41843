"""The networks of Tang et al. on one image of 256 px, and the refinement. Run as a script for a table.

Every call is inference in float32 on one core and, where there is one, on the GPU; the median of the rounds counts.
The paper's figures, for its whole pipeline in TensorFlow on an RTX 2080, stand beside as text.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.networks.depth_net import build_depth_net
from training.networks.normal_net import build_normal_net
from training.networks.refinement import CODE, PAPER, Refinement, refine_depth
from training.networks.segmentation_net import build_segmentation_net
from training.networks.skeleton_net import build_skeleton_net
from training.networks.tang_net import CUE_CHANNELS, TangOutput, build_tang_net, refined_depth

Row = dict[str, Any]

SIZE_PX = 256
WIDTHS = {"full width": 1.0, "1/8 width": 0.125}
# network: how it is built, with what, and the channels that it sees
NETWORKS: dict[str, tuple[Callable[[Mapping[str, Any]], nn.Module], dict[str, Any], int]] = {
    "skeleton-net": (build_skeleton_net, {}, 3),
    "segmentation-net": (build_segmentation_net, {}, 3),
    "depth-net": (build_depth_net, {}, 4),
    "depth-net with cues": (build_depth_net, {"extra_channels": CUE_CHANNELS}, 4 + CUE_CHANNELS),
    "normal-net, hourglass": (build_normal_net, {}, 4),
    "normal-net, U-Net": (build_normal_net, {"graph": "unet"}, 4),
}
RULES = {"paper": PAPER, "code": CODE}
REFINEMENT_LIMIT_MS = 10.0
PAPER_WHOLE, PAPER_REFINEMENT = "paper, RTX 2080: 75.5 ms", "paper, RTX 2080: 14.4 ms"


def rows(*, rounds: int = 5) -> list[Row]:
    """All rows of the benchmark `models`, in ms an image."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            found = _device_rows(torch.device("cpu"), rounds)
            if torch.cuda.is_available():
                found += _device_rows(torch.device("cuda"), 10 * rounds)
    finally:
        torch.set_num_threads(threads)
    return found


def _device_rows(device: torch.device, rounds: int) -> list[Row]:
    where = "1 core" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return [*_network_rows(device, where, rounds), *_refinement_rows(device, where, 10 * rounds)]


def _network_rows(device: torch.device, where: str, rounds: int) -> list[Row]:
    found = []
    for at, width in WIDTHS.items():
        for name, (build, options, channels) in NETWORKS.items():
            net = build({**options, "width": width}).to(device).eval()
            seen = torch.randn(1, channels, SIZE_PX, SIZE_PX, device=device)
            found.append(
                _row(f"{name}, {at}, {where}", _median_ms(lambda n=net, i=seen: n(i), device, rounds))
            )
        net = build_tang_net({"width": width}).to(device).eval()
        seen = torch.randn(1, 4, SIZE_PX, SIZE_PX, device=device)
        taken = _median_ms(lambda n=net, i=seen: _whole(n(i)), device, rounds)
        found.append(_row(f"all networks and refinement, {at}, {where}", taken, PAPER_WHOLE))
    return found


def _whole(output: TangOutput) -> Tensor:
    return refined_depth(output)


def _refinement_rows(device: torch.device, where: str, rounds: int) -> list[Row]:
    depth_m, normal, mask, K = (each.to(device) for each in _wave())
    found = []
    for rule, how in RULES.items():
        for rays, lens in (("through a lens", K), ("along the axis", None)):
            taken = _median_ms(_refining(depth_m, normal, mask, lens, how), device, rounds)
            name = f"refinement, {how.iterations} steps by the {rule}, rays {rays}, {where}"
            limit = REFINEMENT_LIMIT_MS if device.type == "cpu" else None
            found.append(_row(name, taken, PAPER_REFINEMENT, limit))
    return found


def _refining(
    depth_m: Tensor, normal: Tensor, mask: Tensor, K: Tensor | None, how: Refinement
) -> Callable[[], Tensor]:
    return lambda: refine_depth(depth_m, normal, mask, K=K, how=how)


def _wave() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A wave of 20 mm with noise of 5 mm 2.2 m away, over the whole image: a person covers a sixth of it."""
    pitch_m = 2.2 / 277
    phase = 2 * math.pi / 0.15 * pitch_m * torch.arange(SIZE_PX)
    depth_m = (
        2.2 + 0.02 * torch.sin(phase).expand(1, SIZE_PX, SIZE_PX) + 0.005 * torch.randn(1, SIZE_PX, SIZE_PX)
    )
    slope = (0.02 * 2 * math.pi / 0.15 * torch.cos(phase)).expand(1, SIZE_PX, SIZE_PX)
    normal = torch.stack([slope, torch.zeros_like(slope), -torch.ones_like(slope)], dim=1)
    centre = (SIZE_PX - 1) / 2
    K = torch.tensor([[[277.0, 0, centre], [0, 277.0, centre], [0, 0, 1]]])
    return depth_m, nn.functional.normalize(normal, dim=1), torch.ones_like(depth_m, dtype=torch.bool), K


def _median_ms(call: Callable[[], Any], device: torch.device, rounds: int) -> float:
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return 1e3 * statistics.median(taken[1:])  # the first one warms


def _row(name: str, taken_ms: float, peer: str | None = None, limit_ms: float | None = None) -> Row:
    return {
        "name": name,
        "value": taken_ms,
        "unit": "ms",
        "peer": peer,
        "peer_value": None,
        "ratio": None,
        "target": None if limit_ms is None else f"<= {limit_ms:g} ms",
        "holds": None if limit_ms is None else taken_ms <= limit_ms,
    }


if __name__ == "__main__":
    for row in rows():
        sys.stdout.write(f"{row['name']:90} {row['value']:10.2f} ms  {row['target']} {row['holds']}\n")
