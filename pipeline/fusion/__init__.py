"""Static captures: many depth maps with poses become one surface, and the surface is held against them."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthView:
    """One depth map and where it was taken.

    Attributes:
        depth_m: (H W) float32, z along the optical axis, already masked; 0 is invalid.
        K: (3 3) float64 px, integer pixel centres.
        world_from_cam: (4 4) float64, rigid.
        rgb: (H W 3) uint8, registered to the depth; None where nobody wants colour.
    """

    depth_m: NDArray[np.float32]
    K: NDArray[np.float64]
    world_from_cam: NDArray[np.float64]
    rgb: NDArray[np.uint8] | None = None


class Views(Protocol):
    """The views of one capture, read one at a time, as often as wanted: a list, or a reader that decodes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> DepthView: ...


def clip_depth(view: DepthView, depth_min_m: float, depth_max_m: float) -> DepthView:
    """The same view with depth 0 (invalid) wherever it lies outside [depth_min_m, depth_max_m] or is NaN."""
    depth_m = view.depth_m
    inside = (depth_m >= depth_min_m) & (depth_m <= depth_max_m)
    clipped = np.where(inside, depth_m, np.float32(0))
    return replace(view, depth_m=clipped)
