"""Looking a lens up in a pinhole image is exact on planes and errs by the stated amounts elsewhere."""

import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.captures.distortion import LensCamera, distorted_rays
from pipeline.simulation.lens import PinholeLookup, pinhole_lookup

CAMERA = LensCamera(
    width=256, height=212, fx_px=182.7, fy_px=183.1, cx_px=128.6, cy_px=103.0,
    distortion=(0.091, -0.270, 0.0004, -0.0003, 0.095),
)  # fmt: skip
NORMAL = np.array([0.5, 0.3, 0.81]) / np.linalg.norm([0.5, 0.3, 0.81])
CENTRE, RADIUS_M = np.array([0.1, -0.05, 1.5]), 0.2


@pytest.fixture(scope="module")
def lookup() -> PinholeLookup:
    return pinhole_lookup(CAMERA, finer=2.0)


def pinhole_rays(lookup: PinholeLookup) -> np.ndarray:
    return pixel_rays(lookup.K, lookup.height, lookup.width)


def plane(rays: np.ndarray) -> np.ndarray:
    return (2.0 * NORMAL[2] / (rays @ NORMAL)).astype(np.float32)


def sphere(rays: np.ndarray) -> np.ndarray:
    a, b = np.sum(rays**2, -1), rays @ CENTRE
    inside = b**2 - a * (CENTRE @ CENTRE - RADIUS_M**2)
    return np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0).astype(np.float32)


def test_every_raw_pixel_finds_its_own_ray_inside_the_image(lookup) -> None:
    pixels = np.stack([lookup.u_px, lookup.v_px, np.ones_like(lookup.u_px)], axis=-1).astype(np.float64)
    found = pixels @ np.linalg.inv(lookup.K).T
    # float32 pixels of up to 560
    np.testing.assert_allclose(found, distorted_rays(CAMERA), atol=1e-6)
    assert lookup.u_px.min() >= 2 and lookup.u_px.max() <= lookup.width - 3
    assert lookup.v_px.min() >= 2 and lookup.v_px.max() <= lookup.height - 3


def test_depth_of_a_plane_is_exact(lookup) -> None:
    found = lookup.depth(plane(pinhole_rays(lookup)))
    expected = plane(distorted_rays(CAMERA))
    # float32 in, float32 pixel positions, float32 out
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_depth_of_a_sphere_errs_by_its_sag_inside_and_by_a_pixel_at_its_outline(lookup) -> None:
    found = lookup.depth(sphere(pinhole_rays(lookup)))
    expected = sphere(distorted_rays(CAMERA))
    rays = distorted_rays(CAMERA)
    normal = (rays * expected[..., None] - CENTRE) / RADIUS_M
    cosine = -(normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1)
    facing = (expected > 0) & (cosine > 0.9)
    # h = 1.4 m / 365 px = 3.8 mm, h^2 / 4r = 18 um face on; cos^3 more of it at cosine 0.9
    assert facing.sum() > 300 and np.abs(found - expected)[facing].max() < 18e-6 / 0.9**3
    outline = (found > 0) != (expected > 0)
    # nearest: half a pinhole pixel aside, a quarter of a raw one, on a circumference of about 150 px
    assert outline.sum() < 0.5 * 150


def test_nothing_is_ever_interpolated_across_a_step(lookup) -> None:
    columns = np.arange(lookup.width) < lookup.width // 2
    step = np.broadcast_to(np.where(columns, 1.0, 2.0), (lookup.height, lookup.width)).astype(np.float32)
    step = step.copy()
    step[:40] = 0
    assert np.isin(lookup.depth(step), [0.0, 1.0, 2.0]).all()
    assert lookup.depth(np.zeros_like(step)).max() == 0


def test_labels_are_the_nearest_pixels(lookup) -> None:
    labels = np.arange(lookup.height * lookup.width, dtype=np.int32).reshape(lookup.height, lookup.width)
    v, u = np.divmod(lookup.nearest(labels), lookup.width)
    assert np.abs(u - lookup.u_px).max() <= 0.5 and np.abs(v - lookup.v_px).max() <= 0.5
    triples = lookup.nearest(np.repeat(labels[..., None], 3, axis=2))
    assert triples.shape == (212, 256, 3) and np.array_equal(triples[..., 2], lookup.nearest(labels))


def test_an_image_is_interpolated(lookup) -> None:
    u = np.arange(lookup.width) * 255 / lookup.width
    image = np.repeat(np.broadcast_to(u, (lookup.height, lookup.width))[..., None], 3, 2)
    found = lookup.image(np.rint(image).astype(np.uint8))
    expected = lookup.u_px * 255 / lookup.width
    # rounded before and after, and the positions to 1/32 px
    assert np.abs(found - expected[..., None]).max() <= 1.02


def test_an_image_of_another_camera_is_refused(lookup) -> None:
    with pytest.raises(ValueError, match="image must be"):
        lookup.depth(np.zeros((212, 256), np.float32))
