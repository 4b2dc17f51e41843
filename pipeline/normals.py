"""Surface normals of a depth map by local plane fits.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section
6.1: "the nearby 3D points at each pixel ... by the standard linear least square fitting".
"""

import numpy as np

from pipeline.cameras import Bool, Float32, Float64


def normals_from_depth(
    depth_m: Float32, mask: Bool, K: Float64, *, window_px: int, max_step_m: float
) -> tuple[Float32, Float32]:
    """Fit z = a x + b y + c to the camera points around each pixel and return the plane's unit normal.

    The neighbours are the pixels of a square window that lie in the mask and within max_step_m of the
    centre's depth; their points are metric and centred on their mean. The paper's released code uses 7 px
    and 0.03 m, but solves n . p = 1, which leans near planes through the camera centre.

    Args:
        depth_m: (H W) z along the optical axis; never read outside the mask.
        K: (3 3) intrinsics with zero skew.
        window_px: side of the window, odd; a larger one is smoother and rounds edges.
        max_step_m: keeps neighbours across a depth step out of the fit.

    Returns:
        (normal, residual_m): (H W 3) in the camera frame, facing the camera (n . p < 0), and (H W) root mean
        square distance of the neighbours from the plane, perpendicular to it. Both are 0 outside the mask
        and where the neighbours give no plane: fewer than three, all on one image line, or a plane that
        runs along the optical axis.

    Raises:
        ValueError: if the window is not odd and at least 3, the step is not positive, or the shapes differ.
    """
    from pipeline.normals_kernels import FAR_M, fit_planes

    height, width = depth_m.shape
    if mask.shape != depth_m.shape:
        raise ValueError(
            f"normals_from_depth: depth and mask must share one shape, are {depth_m.shape} and {mask.shape}"
        )
    if window_px < 3 or window_px % 2 == 0:
        raise ValueError(f"normals_from_depth: window_px must be odd and at least 3, is {window_px}")
    if not max_step_m > 0:
        raise ValueError(f"normals_from_depth: max_step_m must be positive, is {max_step_m} m")
    normal, residual_m = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    if not mask.any():
        return normal, residual_m
    v, u = _box(mask)
    rays = ((np.arange(width) - K[0, 2])[u] / K[0, 0], (np.arange(height) - K[1, 2])[v] / K[1, 1])
    clean_m = np.where(mask[v, u], depth_m[v, u].astype(np.float64), FAR_M)
    fitted = fit_planes(np.ascontiguousarray(clean_m), rays, (window_px // 2, float(max_step_m)))
    normal[v, u], residual_m[v, u] = fitted
    return normal, residual_m


def _box(mask: Bool) -> tuple[slice, slice]:
    """Rows and columns that hold the mask, which is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
