"""What every renderer takes and gives: views, meshes, visibility buffers, rendered frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, rigid_error


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One camera to render from.

    Attributes:
        frame: the frame's own number in its capture; carried along, never interpreted.
        K: (3 3) float64 px, zero skew, integer pixel centres.
        world_from_cam: (4 4) float64, rigid, metres; OpenCV camera (x right, y down, z forward).
    """

    frame: int
    K: NDArray[np.float64]
    world_from_cam: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedView:
    """One rendered frame.

    Attributes:
        depth_m: (H W) float32, z along the optical axis at the pixel centre; 0 where nothing was hit.
        normal: (H W 3) float32, unit, camera frame, facing the camera (n.p < 0); 0 where nothing was hit.
        mask: (H W) bool, True where the mesh was hit; of one known from one side alone, on that side.
    """

    frame: int
    depth_m: NDArray[np.float32]
    normal: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Visibility:
    """Which surface point each pixel sees; everything painted on a mesh hangs on it.

    Attributes:
        face_index: (H W) int32, row of `faces`; -1 where nothing was hit.
        bary: (H W 2) float32, weights (u, v) of the face's second and third vertex, the first has 1 - u - v;
            0 where nothing was hit.
        depth_m: (H W) float32, z along the optical axis; 0 where nothing was hit.
    """

    face_index: NDArray[np.int32]
    bary: NDArray[np.float32]
    depth_m: NDArray[np.float32]


def check_mesh(vertices: NDArray[Any], faces: NDArray[Any], *, where: str) -> None:
    """Raise ValueError unless vertices (V 3) are finite and faces (F 3) are integers that index them."""
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
        count = np.count_nonzero(~np.isfinite(vertices))
        raise ValueError(
            f"{where}: vertices must be finite (V 3) metres, are {vertices.shape}, {count} not finite"
        )
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or len(faces) == 0:
        raise ValueError(f"{where}: faces must be integer (F 3), F > 0, are {faces.dtype} {faces.shape}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"{where}: faces must index 0..{len(vertices) - 1}, hold {faces.min()}..{faces.max()}"
        )


def check_view(view: View, *, where: str) -> None:
    """Raise ValueError unless a renderer can take the camera: finite K without skew, rigid pose."""
    K = view.K
    if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 1] or min(K[0, 0], K[1, 1]) <= 0:
        raise ValueError(
            f"{where}: frame {view.frame}: K must be 3x3 px without skew, focal lengths > 0, is {K.tolist()}"
        )
    if not rigid_error(view.world_from_cam) <= RIGID_TOLERANCE:
        raise ValueError(
            f"{where}: frame {view.frame}: world_from_cam must be rigid, is {view.world_from_cam.tolist()}"
        )
