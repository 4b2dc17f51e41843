"""Depth maps that are ground truth already: which of their pixels can be trusted.

Maps that were resampled with interpolation hold mixed pixels: on the outline, values between the person and the
background. They are few, lie on the rim, and alone cost more than any method gains.
"""

import numpy as np

from pipeline.cameras import Bool, Float32


def trusted_mask(
    depth_m: Float32, *, erode_px: int, max_from_median_m: float, least_piece_share: float = 1.0
) -> Bool:
    """The largest connected pieces of plausible depth, without their outermost rings.

    Args:
        depth_m: (H W), 0 where invalid.
        erode_px: rings of pixels taken off by a 3x3 cross; each takes most of the mixed pixels that are left.
        max_from_median_m: depth farther from the map's median is no part of the person.
        least_piece_share: of the largest piece's pixels that another one needs: a sensor's shadow parts a limb
            from the body, but what is small is debris. 1 keeps the largest alone.

    Returns:
        (H W), empty where nothing remains.
    """
    from scipy import ndimage

    valid = depth_m > 0
    if not valid.any():
        return valid
    near: Bool = valid & (np.abs(depth_m - np.median(depth_m[valid])) <= max_from_median_m)
    labels, count = ndimage.label(near)
    if count == 0:
        return near
    sizes_px = np.bincount(labels.ravel())
    sizes_px[0] = 0
    if least_piece_share < 1:
        kept = sizes_px >= least_piece_share * sizes_px.max()
    else:
        kept = np.arange(len(sizes_px)) == np.argmax(sizes_px)
    mask = np.asarray(kept[labels], dtype=np.bool_)
    if erode_px:
        mask = np.asarray(ndimage.binary_erosion(mask, iterations=erode_px), dtype=np.bool_)
    return mask
