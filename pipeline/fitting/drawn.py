"""Landmarks as somebody would mark them on a picture of a known body: with noise, and less surely where hidden."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import project

HIDDEN_M = 0.15  # of the person's own surface before a joint: more than the flesh about it
HIDDEN_CONFIDENCE = 0.5


def drawn_landmarks(
    joints_cam_m: NDArray[Any],
    K: NDArray[np.float64],
    depth_m: NDArray[Any],
    *,
    noise_px: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return landmarks (J 2), their confidence (J) and whether each is visible (J).

    A joint that comes to lie outside of the picture has confidence 0 and stands at (0, 0); one behind another part
    of the person has `HIDDEN_CONFIDENCE`. Noise is drawn for every joint, so it does not depend on what is seen.

    Args:
        joints_cam_m: (J 3) in the camera frame.
        depth_m: (H W) of the person, 0 elsewhere.
    """
    height, width = depth_m.shape
    px = project(joints_cam_m, K) + noise_px * rng.normal(size=(len(joints_cam_m), 2))
    u, v = np.clip(np.round(px), -1, max(height, width)).astype(int).T
    there = (joints_cam_m[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    before_m = depth_m[np.where(there, v, 0), np.where(there, u, 0)]
    hidden = (before_m > 0) & (joints_cam_m[:, 2] - before_m > HIDDEN_M)
    confidence = np.where(there, np.where(hidden, HIDDEN_CONFIDENCE, 1.0), 0.0)
    placed = np.where(there[:, None], px, 0.0)
    return placed.astype(np.float32), confidence.astype(np.float32), there & ~hidden
