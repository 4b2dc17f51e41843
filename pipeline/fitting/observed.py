"""What a fit is given: landmarks with confidences, cameras, and where there are some, depth images and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import JointSet
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.fitting.depth_objective import measured_points

Float64 = NDArray[np.float64]

COVER_M = 0.06  # of flesh between the surface that a camera sees and a joint behind it
LEAST_POINTS = 40  # of a mask, for its depth to say anything


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """Frames to fit one body each to.

    Attributes:
        joints_px: (B J 2) in the joint set's order; anything where the confidence is 0.
        confidence: (B J) in [0, 1].
        K: (B 3 3) of the image that the landmarks stand in: the capture's own, zero skew.
        depth_m: (B H W) of that same image, 0 where there is none; None without depth.
        mask: (B H W) the whole person as seen; with depth only.
        up_cam: (B 3) unit vertical in the camera frame, as the world of a known camera says; None for (0, -1, 0).
        frames: (B) the frames' own numbers; None for 0, 1, ...
    """

    joint_set: JointSet
    joints_px: NDArray[Any]
    confidence: NDArray[Any]
    K: Float64
    depth_m: NDArray[Any] | None = None
    mask: NDArray[np.bool_] | None = None
    up_cam: Float64 | None = None
    frames: tuple[int, ...] | None = None

    def rows(self, chosen: slice | NDArray[Any]) -> Observed:
        """Return some of the frames."""
        numbers = self.numbers()
        return Observed(
            joint_set=self.joint_set,
            joints_px=self.joints_px[chosen],
            confidence=self.confidence[chosen],
            K=self.K[chosen],
            depth_m=None if self.depth_m is None else self.depth_m[chosen],
            mask=None if self.mask is None else self.mask[chosen],
            up_cam=None if self.up_cam is None else self.up_cam[chosen],
            frames=tuple(np.array(numbers)[chosen].tolist()),
        )

    def numbers(self) -> tuple[int, ...]:
        """The frames' own numbers."""
        return tuple(range(len(self.K))) if self.frames is None else self.frames


def check_observed(observed: Observed) -> None:
    """Raise ValueError with the first shape or camera that does not fit."""
    count, joints = len(observed.K), len(observed.joint_set.names)
    shapes: list[tuple[str, Any, tuple[int, ...]]] = [
        ("K", observed.K, (count, 3, 3)),
        ("joints_px", observed.joints_px, (count, joints, 2)),
        ("confidence", observed.confidence, (count, joints)),
        ("up_cam", observed.up_cam, (count, 3)),
    ]
    if (observed.depth_m is None) != (observed.mask is None):
        raise ValueError("pipeline.fitting: depth_m and mask must stand together, one is missing. Give both.")
    if observed.depth_m is not None and observed.mask is not None:
        image = (count, *observed.mask.shape[1:])
        shapes += [("depth_m", observed.depth_m, image), ("mask", observed.mask, image)]
    for name, array, shape in shapes:
        if array is not None and array.shape != shape:
            raise ValueError(f"pipeline.fitting: {name} must be {shape}, is {array.shape}.")
    focal = observed.K[:, [0, 1], [0, 1]]
    if not (np.isfinite(observed.K).all() and (focal > 0).all()):
        raise ValueError(
            f"pipeline.fitting: K must be finite with focal lengths above 0 px, has {focal.min()} px."
        )
    if observed.mask is not None and observed.mask.dtype != np.bool_:
        raise ValueError(f"pipeline.fitting: mask must be bool, is {observed.mask.dtype}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Depth as the objective takes it; `weights` are 0 in frames without any.

    Attributes:
        points_m, normals: (B P 3); weights (B P) sum to P in a frame with depth.
        outside_px: (B H W), distance beyond the mask's rim, 0 in it.
        z_m, z_weights: (B J) where the depth says that the landmarks are.
    """

    points_m: Float64
    normals: Float64
    weights: Float64
    outside_px: NDArray[np.float32]
    z_m: Float64
    z_weights: Float64


def depth_evidence(observed: Observed, points: int) -> Evidence | None:
    """Turn depth images and masks into points, normals and distances; None where the frames bring no depth."""
    if observed.depth_m is None or observed.mask is None:
        return None
    count = len(observed.K)
    points_m, normals = np.zeros((2, count, points, 3))
    weights = np.zeros((count, points))
    outside_px = np.zeros(observed.mask.shape, dtype=np.float32)
    z_m, z_weights = np.zeros((2, *observed.confidence.shape))
    for row in range(count):
        depth_m, use = _usable(observed, row)
        found_m, found_normals = measured_points(depth_m, use, observed.K[row], points)
        if len(found_m) < LEAST_POINTS:
            continue
        points_m[row, : len(found_m)], normals[row, : len(found_m)] = found_m, found_normals
        weights[row, : len(found_m)] = points / len(found_m)
        outside_px[row] = _outside_px(observed.mask[row])
        z_m[row], z_weights[row] = _joint_depth(observed, row, depth_m)
    return Evidence(
        points_m=points_m,
        normals=normals,
        weights=weights,
        outside_px=outside_px,
        z_m=z_m,
        z_weights=z_weights,
    )


def _usable(observed: Observed, row: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    assert observed.depth_m is not None and observed.mask is not None
    depth_m = observed.depth_m[row]
    use = observed.mask[row] & np.isfinite(depth_m) & (depth_m > 0)
    return np.where(use, depth_m, 0.0).astype(np.float32), use


def _outside_px(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    import cv2

    far_px = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The rim runs somewhere between the last pixel of the mask and the next.
    return np.asarray(np.maximum(far_px - 1.0, 0.0), dtype=np.float32)


def _joint_depth(observed: Observed, row: int, depth_m: NDArray[np.float32]) -> tuple[Float64, Float64]:
    """The surface's depth at each landmark's pixel, and behind it by COVER_M where the landmark is a joint."""
    height, width = depth_m.shape
    pixel = np.nan_to_num(np.round(observed.joints_px[row]), nan=-1.0, posinf=-1.0, neginf=-1.0)
    u, v = np.clip(pixel, -1, max(height, width)).astype(int).T
    seen = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    z_m = np.where(seen, depth_m[np.where(seen, v, 0), np.where(seen, u, 0)], 0.0)
    below = [all(source in SMPL24_NAMES for source in sources) for sources in observed.joint_set.sources]
    weights = observed.confidence[row] * (z_m > 0)
    return z_m + COVER_M * np.array(below), np.where(z_m > 0, weights, 0.0)
