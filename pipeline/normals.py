"""Surface normals of a depth map by local fits of planes or quadrics.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section
6.1: "the nearby 3D points at each pixel ... by the standard linear least square fitting".
"""

from typing import Literal

import numpy as np

from pipeline.cameras import Bool, Float32, Float64
from pipeline.masks import mask_box

Model = Literal["plane", "quadric"]

SIGMA_SHARE = 0.25  # of a quadric's window: standard deviation of its neighbours' weights


def normals_from_depth(
    depth_m: Float32, mask: Bool, K: Float64, *, window_px: int, max_step_m: float, model: Model = "plane"
) -> tuple[Float32, Float32]:
    """Fit a surface to the camera points around each pixel and return its unit normal.

    The neighbours are the pixels of a square window that lie in the mask and within max_step_m of the centre's depth.

    `plane` is z = a x + b y + c; the points are metric and centred on their mean. The paper's released code uses 7 px
    and 0.03 m, but solves n . p = 1, which leans near planes through the camera centre.

    `quadric` is 1 / z as a polynomial of second order in the pixels, and the normal its tangent plane's: where a
    window is cut by an outline or a step, a plane takes the curvature of the rest for slope, and a quadric does not.
    A plane is linear in 1 / z, so it is met exactly too. Neighbours weigh less with their distance, by a Gaussian
    of a quarter of the window; where they do not determine the curvature it goes to 0.

    Args:
        depth_m: (H W) z along the optical axis; never read outside the mask.
        K: (3 3) intrinsics with zero skew.
        window_px: side of the window, odd; a larger one is smoother and rounds edges.
        max_step_m: keeps neighbours across a depth step out of the fit.

    Returns:
        (normal, residual_m): (H W 3) in the camera frame, facing the camera (n . p < 0), and (H W) root mean
        square distance of the neighbours from the surface, perpendicular to the plane that is fitted or touches it;
        a quadric's with its weights. Both are 0 outside the mask and where the neighbours give no plane: fewer than
        three, all on one image line, or a plane that runs along the optical axis (a quadric: through the camera).

    Raises:
        ValueError: if the window is not odd and at least 3, the step is not positive, or the shapes differ.
    """
    from pipeline.normals_kernels import FAR_M, fit_planes

    if mask.shape != depth_m.shape:
        raise ValueError(
            f"normals_from_depth: depth and mask must share one shape, are {depth_m.shape} and {mask.shape}"
        )
    if window_px < 3 or window_px % 2 == 0:
        raise ValueError(f"normals_from_depth: window_px must be odd and at least 3, is {window_px}")
    if not max_step_m > 0:
        raise ValueError(f"normals_from_depth: max_step_m must be positive, is {max_step_m} m")
    normal, residual_m = np.zeros((*mask.shape, 3), np.float32), np.zeros(mask.shape, np.float32)
    if not mask.any():
        return normal, residual_m
    v, u = box = mask_box(mask)
    rays = (
        (np.arange(u.start, u.stop) - K[0, 2]) / K[0, 0],
        (np.arange(v.start, v.stop) - K[1, 2]) / K[1, 1],
    )
    clean_m = np.where(mask[box], depth_m[box].astype(np.float64), FAR_M)
    fitted = (
        fit_planes(np.ascontiguousarray(clean_m), rays, (window_px // 2, float(max_step_m)))
        if model == "plane"
        else _fit_quadrics(clean_m, rays, K, (window_px // 2, float(max_step_m)))
    )
    normal[box], residual_m[box] = fitted
    return normal, residual_m


def _fit_quadrics(
    depth_m: Float64, rays: tuple[Float64, Float64], K: Float64, window: tuple[int, float]
) -> tuple[Float32, Float32]:
    """With a margin around the image that no window and no group of pixels leaves."""
    from pipeline.normals_kernels import FAR_M
    from pipeline.normals_quadric_kernels import LANES, fit_quadrics

    (height, width), (radius_px, max_step_m) = depth_m.shape, window
    z_m = np.full((height + 2 * radius_px, width + 2 * radius_px + LANES), FAR_M)
    inner = z_m[radius_px : radius_px + height, radius_px : radius_px + width]
    inner[:] = np.where(depth_m > 0, depth_m, FAR_M)  # what is no depth has no inverse
    lens = np.pad(rays[0], (0, LANES)), rays[1], float(K[0, 0]), float(K[1, 1])
    out = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    weights = np.exp(-0.5 * (np.arange(radius_px + 1) / (SIGMA_SHARE * (2 * radius_px + 1))) ** 2)
    fit_quadrics(z_m, 1.0 / z_m, lens, (radius_px, max_step_m, weights), out)
    return out
