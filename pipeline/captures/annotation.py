"""What an annotator, or a network, said of one person in a picture: key points, surface points, charts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joints:
    """Key points of one person.

    Attributes:
        joint_set: name of a set in `pipeline.bodies.joints`; its order is theirs.
        px: (J 2) float32 u and v, integer pixel centres; 0 where there is none.
        confidence: (J) float32 in [0, 1]; 0 where there is none, 1 for whatever a person marked.
        visible: (J) bool; False where there is none, or where it was marked as hidden.
        cam_m: (J 3) float32 camera frame, where the set brings it.
    """

    joint_set: str
    px: NDArray[np.float32]
    confidence: NDArray[np.float32]
    visible: NDArray[np.bool_]
    cam_m: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SurfacePoints:
    """Points of a picture with their place on the body's surface.

    Attributes:
        px: (N 2) float32 u and v, integer pixel centres.
        part: (N) uint8, chart 1..24 as `DENSEPOSE24_NAMES` orders them.
        uv: (N 2) float32, U and V in [0, 1].
    """

    px: NDArray[np.float32]
    part: NDArray[np.uint8]
    uv: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Annotation:
    """One person of one picture.

    Attributes:
        box_px: (u0, v0, width, height) in the pixel edge coordinates of `cameras.crop_intrinsics`.
        surface_part, surface_uv: (H W) uint8 and (H W 2) float32, charts drawn by a network; 0 elsewhere.
        coarse_part: (H W) uint8, 1..14 of DensePose's coarse parts as an annotator painted them; 0 elsewhere.
    """

    box_px: tuple[float, float, float, float]
    joints: Joints | None = None
    points: SurfacePoints | None = None
    surface_part: NDArray[np.uint8] | None = None
    surface_uv: NDArray[np.float32] | None = None
    coarse_part: NDArray[np.uint8] | None = None
