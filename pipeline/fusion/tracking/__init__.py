"""Cameras without given poses: frames are aligned with a growing model, turns are closed, poses are optimised.

Newcombe et al., "KinectFusion: Real-Time Dense Surface Mapping and Tracking", ISMAR 2011 (frame to model, point
to plane); Kerl, Sturm and Cremers, "Dense Visual SLAM for RGB-D Cameras", IROS 2013 (depth with grey values,
keyframes, loop closure); Choi, Zhou and Koltun, "Robust Reconstruction of Indoor Scenes", CVPR 2015 (edges of a
pose graph that are told apart by how well all of them agree).
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackFrame:
    """One frame without a pose.

    Attributes:
        frame: its number in the capture.
        depth_m: (H W) float32, z along the optical axis; 0 is invalid.
        mask: (H W) bool, True on the person; None where nobody was looked for: then all is one scene.
        rgb: (H W 3) uint8, registered to the depth; None without colour, or with unregistered colour.
        K: (3 3) px, integer pixel centres.
    """

    frame: int
    depth_m: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    rgb: NDArray[np.uint8] | None
    K: Float64


class TrackFrames(Protocol):
    """The frames of one capture in order of time, read one at a time, as often as wanted."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> TrackFrame: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSettings:
    """How cameras are tracked.

    Attributes:
        tracked: what is taken for rigid. Room and person are one scene as long as the person holds still;
            "person" alone is for turntables and people who sway, "room" for anything in a still room.
        voxel_m, trunc_m: of the volume that frames are aligned with.
        depth_min_m, depth_max_m: what lies outside is not seen.
        noise_floor_m, noise_square_per_m: spread of depth at z metres is floor + square * z^2.
        colour_weight: of grey values beside depth; 0 leaves them out.
        min_fitness: share of a frame's pixels that must match the model.
        max_residual_m: of the median distance of matched pixels.
        max_jump_m, max_jump_rad: how far a pose may lie from its prediction.
        keyframe_m, keyframe_rad: motion after which a frame becomes a keyframe.
        refinements: rounds of aligning all frames with each other after loops are closed.
        memory_limit_gb: of the volume that frames are aligned with.
    """

    tracked: Literal["person", "room", "both"] = "both"
    voxel_m: float = 0.006
    trunc_m: float = 0.03
    depth_min_m: float = 0.3
    depth_max_m: float = 4.5
    noise_floor_m: float = 0.001
    noise_square_per_m: float = 0.0006
    colour_weight: float = 1.0
    min_fitness: float = 0.35
    max_residual_m: float = 0.015
    max_jump_m: float = 0.3
    max_jump_rad: float = 0.3
    keyframe_m: float = 0.15
    keyframe_rad: float = 0.1
    refinements: int = 1
    memory_limit_gb: float = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameRecord:
    """How one frame was placed.

    Attributes:
        frame: its number.
        found: whether it has a pose.
        residual_m: median |distance| of its matched pixels from the model; NaN where nothing was matched.
        fitness: share of its pixels that matched.
        sigma_m, sigma_rad: spread of the pose's position and rotation, from the normal equations.
        keyframe: whether it is one.
        loop_edges: how many other keyframes, far in time, it was tied to.
        relocalised: whether it was found again after frames that were lost.
    """

    frame: int
    found: bool
    residual_m: float
    fitness: float
    sigma_m: float
    sigma_rad: float
    keyframe: bool
    loop_edges: int
    relocalised: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """Where the cameras of a capture were.

    Attributes:
        world_from_cam: (N 4 4); the first found camera is the identity, unless a start was given. The identity
            where not found.
        found: (N) bool.
        records: one for each frame.
        findings: frames that could not be placed, people who moved, and cameras that nothing holds.
        loops: how many ties between keyframes far apart in time were kept.
        loop_before_m, loop_before_rad: median disagreement of those ties with the path before optimisation.
        loop_after_m, loop_after_rad: and after it; NaN without loops.
        path_m: length of the path.
    """

    world_from_cam: Float64
    found: NDArray[np.bool_]
    records: tuple[FrameRecord, ...]
    findings: tuple[Finding, ...]
    loops: int
    loop_before_m: float
    loop_before_rad: float
    loop_after_m: float
    loop_after_rad: float
    path_m: float
