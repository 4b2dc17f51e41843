"""Pinhole cameras: pixels, rays, rigid transforms, and the one crop-and-resize.

Camera frame is OpenCV's (x right, y down, z forward). Pixel centres are integers, so a centred principal
point is (W - 1) / 2. `depth_m` is z along the optical axis, `range_m` the length of the ray: the two
functions `range_from_depth` and `depth_from_range` are the only door between them.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.depth_resampling import depth_between

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# world_from_cam of a camera that is held level, at the origin of a world with +Y up: what is assumed of a camera
# that nothing is known of.
LEVEL = np.diag([1.0, -1.0, -1.0, 1.0])
RIGID_TOLERANCE = 1e-3  # largest entry of R^T R - I that a written-out float pose may show


def invert_rigid(b_from_a: Float64) -> Float64:
    """Return a_from_b of a rigid transform (..., 4, 4) without a general matrix inverse."""
    rotation = b_from_a[..., :3, :3]
    inverse = np.zeros_like(b_from_a)
    inverse[..., :3, :3] = np.swapaxes(rotation, -1, -2)
    inverse[..., :3, 3] = -np.einsum("...ji,...j->...i", rotation, b_from_a[..., :3, 3])
    inverse[..., 3, 3] = 1.0
    return inverse


def rigid_error(b_from_a: Float64) -> float:
    """How far a 4x4 matrix is from a rigid transform; 0 for an exact one, inf for a reflection or NaN.

    Returns:
        The largest absolute entry of R^T R - I and of the last row's difference from (0, 0, 0, 1).
    """
    if b_from_a.shape != (4, 4) or not np.isfinite(b_from_a).all() or np.linalg.det(b_from_a[:3, :3]) <= 0:
        return float("inf")
    rotation = b_from_a[:3, :3]
    orthogonal = np.abs(rotation.T @ rotation - np.eye(3)).max()
    return float(max(orthogonal, np.abs(b_from_a[3] - [0, 0, 0, 1]).max()))


def nearest_rigid(b_from_a: Float64) -> Float64:
    """The rigid transform nearest to a 4x4 matrix that was rounded when written; the translation stays.

    Renderers disagree on what an almost-rotation means (some rescale it, some do not), so none may see one.
    """
    from scipy.spatial.transform import Rotation

    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_matrix(b_from_a[:3, :3]).as_matrix()
    rigid[:3, 3] = b_from_a[:3, 3]
    return rigid


def transform(b_from_a: Float64, points_a: NDArray[Any]) -> NDArray[Any]:
    """Map points (..., 3) of frame a into frame b."""
    return np.asarray(points_a @ b_from_a[:3, :3].T + b_from_a[:3, 3])


def pixel_rays(K: Float64, height: int, width: int) -> Float64:
    """Directions (H W 3) through the pixel centres in the camera frame, with z = 1 (not unit length)."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1).astype(np.float64)
    return np.asarray(pixels @ np.linalg.inv(K).T, dtype=np.float64)


def backproject(depth_m: NDArray[Any], K: Float64) -> Float64:
    """Points (H W 3) in the camera frame of a depth map (H W); invalid pixels (0) map to the origin."""
    height, width = depth_m.shape
    return np.asarray(pixel_rays(K, height, width) * depth_m[..., None], dtype=np.float64)


def project(points_cam: NDArray[Any], K: Float64) -> Float64:
    """Pixel coordinates (..., 2) as (u, v) of camera points (..., 3); meaningful for z > 0 only."""
    pixels = points_cam @ K.T
    return np.asarray(pixels[..., :2] / pixels[..., 2:3], dtype=np.float64)


def range_from_depth(depth_m: NDArray[Any], K: Float64) -> Float64:
    """Length of the ray (H W, metres) from z along the optical axis."""
    height, width = depth_m.shape
    return np.asarray(depth_m * np.linalg.norm(pixel_rays(K, height, width), axis=-1), dtype=np.float64)


def depth_from_range(range_m: NDArray[Any], K: Float64) -> Float64:
    """z along the optical axis (H W, metres) from the length of the ray."""
    height, width = range_m.shape
    return np.asarray(range_m / np.linalg.norm(pixel_rays(K, height, width), axis=-1), dtype=np.float64)


def intrinsics_problem(K: Float64, height: int, width: int) -> str | None:
    """Say in one clause why K cannot belong to an image of this size, or return None.

    A pinhole K has no skew or projective row, a principal point inside the image and a field of view
    between 5 and 150 degrees; real depth cameras of people lie well within.
    """
    if K.shape != (3, 3) or not np.isfinite(K).all():
        return f"K must be 3x3 and finite, is {K.tolist()}"
    if K[1, 0] != 0 or K[0, 1] != 0 or not np.array_equal(K[2], [0, 0, 1]):
        return f"K must have zero skew and a last row 0 0 1, is {K.tolist()}"
    if not (0 <= K[0, 2] < width and 0 <= K[1, 2] < height):
        centre = f"({K[0, 2]:.1f}, {K[1, 2]:.1f}) px"
        return f"the principal point {centre} lies outside the {width}x{height} px image"
    for name, focal_px, size_px in (("horizontal", K[0, 0], width), ("vertical", K[1, 1], height)):
        fov_deg = float(np.degrees(2 * np.arctan2(size_px / 2, focal_px)))
        if not 5.0 <= fov_deg <= 150.0:
            fov = f"{name} field of view of {fov_deg:.1f} deg"
            return f"focal length {focal_px:.1f} px gives a {fov} over {size_px} px"
    return None


def crop_intrinsics(K: Float64, box_px: tuple[float, float, float], size_px: int) -> Float64:
    """Intrinsics after cutting a square and resizing it.

    Args:
        box_px: (u0, v0, side): the square's top left corner and side, in pixel *edge* coordinates of the
            source, so that (0, 0, W) is the whole width; it may reach outside the image.
        size_px: side of the result.
    """
    u0, v0, side = box_px
    scale = size_px / side
    out = K.astype(np.float64).copy()
    out[0, 0], out[1, 1] = K[0, 0] * scale, K[1, 1] * scale
    # Pixel centres are integers: c' = (c + 0.5 - corner) * s - 0.5.
    out[0, 2] = (K[0, 2] + 0.5 - u0) * scale - 0.5
    out[1, 2] = (K[1, 2] + 0.5 - v0) * scale - 0.5
    return out


def crop_resize(
    arrays: dict[str, NDArray[Any]],
    K: Float64,
    box_px: tuple[float, float, float],
    size_px: int,
    *,
    depths: Collection[str] = (),
    points: Collection[str] = (),
) -> tuple[dict[str, NDArray[Any]], Float64]:
    """Cut one square out of images of one camera and resize all of them, with the points in them and the intrinsics.

    uint8 images (H W 3) are area-averaged on shrinking and interpolated on growing; masks and labels take the
    nearest source pixel, and so does depth that is not named in `depths`. No value is ever mixed across an edge.
    Outside the source: 0.

    Args:
        arrays: name to (H W) or (H W C), all of one height and width; those named in `points` (... 2).
        box_px: as in `crop_intrinsics`.
        depths: names of depth maps (H W), 0 outside of the mask, that are interpolated inside a surface, as
            `depth_resampling.depth_between` says; positive exactly where the nearest pixel is.
        points: names of pixel coordinates (u, v), such as joints; they may come to lie outside of the crop.

    Returns:
        The same names at (size_px, size_px), points as they came, and the new K.

    Raises:
        ValueError: if `depths` or `points` name what is not in `arrays`.
    """
    missing = [name for name in (*depths, *points) if name not in arrays]
    if missing:
        raise ValueError(f"crop_resize: arrays must hold {missing[0]!r}, hold {', '.join(arrays)}")
    u0, v0, side = box_px
    corner, scale = (u0, v0), side / size_px
    cropped: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if name in points:
            cropped[name] = ((array + 0.5 - [u0, v0]) / scale - 0.5).astype(array.dtype)
        elif name in depths:
            cropped[name] = _inside_surfaces(array, K, corner, scale, size_px)
        elif array.dtype == np.uint8 and array.ndim == 3:
            cropped[name] = _smooth(array, corner, scale, size_px)
        else:
            cropped[name] = _nearest(array, corner, scale, size_px)
    return cropped, crop_intrinsics(K, box_px, size_px)


def _inside_surfaces(
    depth_m: NDArray[Any], K: Float64, corner: tuple[float, float], scale: float, size_px: int
) -> NDArray[Any]:
    nearest_m = _nearest(depth_m, corner, scale, size_px)
    steps = (np.arange(size_px) + 0.5) * scale - 0.5
    return depth_between(depth_m, K, corner[0] + steps, corner[1] + steps, nearest_m=nearest_m)


def _smooth(array: NDArray[Any], corner: tuple[float, float], scale: float, size_px: int) -> NDArray[Any]:
    import cv2

    if scale > 1:  # average over the footprint first, else the warp below would alias
        array = cv2.GaussianBlur(array, (0, 0), 0.5 * np.sqrt(scale**2 - 1))
    # WARP_INVERSE_MAP: source = M @ destination, in integer-centre pixels. The border repeats, so that the
    # half pixel beyond the outer centres is not mixed with black.
    shift_u, shift_v = corner[0] + 0.5 * scale - 0.5, corner[1] + 0.5 * scale - 0.5
    M = np.array([[scale, 0, shift_u], [0, scale, shift_v]])
    out = cv2.warpAffine(
        array,
        M,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    out[~_source_pixels(array, corner, scale, size_px)[2]] = 0
    return out


def _nearest(array: NDArray[Any], corner: tuple[float, float], scale: float, size_px: int) -> NDArray[Any]:
    v, u, inside = _source_pixels(array, corner, scale, size_px)
    out = array[v[:, None], u[None]]
    out[~inside] = 0
    return np.asarray(out)


def _source_pixels(
    array: NDArray[Any], corner: tuple[float, float], scale: float, size_px: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Bool]:
    """Nearest source row and column of each output row and column, and which outputs (H W) lie inside."""
    height, width = array.shape[:2]
    steps = (np.arange(size_px) + 0.5) * scale
    u = np.floor(corner[0] + steps).astype(np.int64)
    v = np.floor(corner[1] + steps).astype(np.int64)
    inside = ((v >= 0) & (v < height))[:, None] & ((u >= 0) & (u < width))[None]
    return np.clip(v, 0, height - 1), np.clip(u, 0, width - 1), inside
