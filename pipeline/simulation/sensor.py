"""What a depth camera makes of true depth: noise, whole millimetres and holes.

The noise has the form of Nguyen, Izadi and Lovell, "Modeling Kinect Sensor Noise for Improved 3D
Reconstruction and Tracking", 3DIMPVT 2012: axial, growing with the square of depth, plus a term in the slant,
theta^2 / (pi/2 - theta)^2. The coefficients are set to the size of a time-of-flight camera (1.9 mm at 2.2 m,
seen face on), where the paper's structured light has 7.4 mm; they are no fit to any one device.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays

Float64 = NDArray[np.float64]

CONSTANT_MM, LINEAR_MM, SQUARE_MM, SLANT_MM = 1.5, -0.5, 0.3, 0.1  # with z in metres
LOST_FROM_RAD, LOST_ALL_RAD = (
    np.radians(75.0),
    np.radians(86.0),
)  # slant where returns begin to fail, and all do
STEP_M = 0.05  # a pixel beside a larger step mixes two surfaces
STEP_LOSS = 0.5  # share of such pixels that the camera rejects


def axial_sigma_m(depth_m: NDArray[Any], slant_rad: NDArray[Any]) -> Float64:
    """Standard deviation of depth in metres, at a depth and an angle between normal and ray."""
    z, slant = np.asarray(depth_m, dtype=np.float64), np.asarray(slant_rad, dtype=np.float64)
    # Beyond LOST_ALL_RAD nothing is measured, and the term would run to infinity.
    slant = np.minimum(slant, LOST_ALL_RAD)
    sigma_mm = CONSTANT_MM + LINEAR_MM * z + SQUARE_MM * z**2
    sigma_mm = sigma_mm + SLANT_MM * z**1.5 * slant**2 / (np.pi / 2 - slant) ** 2
    return np.asarray(sigma_mm / 1000.0, dtype=np.float64)  # millimetres to metres


def simulate_depth(
    depth_m: NDArray[Any], normal_cam: NDArray[Any], K: Float64, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Measure true depth as a camera would.

    Args:
        depth_m: (H W) true z along the optical axis; 0 where nothing is hit.
        normal_cam: (H W 3) unit normals facing the camera; not read where depth_m is 0.

    Returns:
        (H W) raw depth in whole millimetres; 0 where nothing is hit and, by chance, at grazing
        angles and beside depth steps.
    """
    hit = depth_m > 0
    noise, luck = rng.normal(size=hit.shape), rng.uniform(size=hit.shape)
    slant_rad = slant_of(normal_cam, K, hit)
    lost = (slant_rad - LOST_FROM_RAD) / (LOST_ALL_RAD - LOST_FROM_RAD)
    lost = np.where(beside_step(depth_m), np.maximum(lost, STEP_LOSS), lost)
    # metres to millimetres
    raw_mm = np.rint(1000.0 * (depth_m + noise * axial_sigma_m(depth_m, slant_rad)))
    return np.where(hit & (luck >= lost), np.clip(raw_mm, 1, 65534), 0).astype(np.uint16)


def slant_of(normal_cam: NDArray[Any], K: Float64, hit: NDArray[np.bool_]) -> Float64:
    """Angle (H W) in radians between the normal and the ray back to the camera; 0 outside `hit`."""
    rays = pixel_rays(K, *hit.shape)[hit]
    cosine = -np.einsum("ij,ij->i", normal_cam[hit], rays) / np.linalg.norm(rays, axis=1)
    slant_rad = np.zeros(hit.shape)
    slant_rad[hit] = np.arccos(np.clip(cosine, 0.0, 1.0))
    return slant_rad


def beside_step(depth_m: NDArray[Any]) -> NDArray[np.bool_]:
    """Hit pixels (H W) whose left, right, upper or lower neighbour is empty or farther than STEP_M."""
    beside = np.zeros(depth_m.shape, dtype=np.bool_)
    across = np.abs(np.diff(depth_m, axis=1)) > STEP_M
    down = np.abs(np.diff(depth_m, axis=0)) > STEP_M
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    return beside & (depth_m > 0)
