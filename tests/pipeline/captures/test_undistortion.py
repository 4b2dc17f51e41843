"""Images are averaged over each pixel's footprint, in the right place."""

import numpy as np
import pytest

from pipeline.captures.distortion import NO_DISTORTION, LensCamera
from pipeline.captures.undistortion import undistortion

PLAIN = LensCamera(
    width=40, height=30, fx_px=40.0, fy_px=40.0, cx_px=19.5, cy_px=14.5, distortion=NO_DISTORTION
)
BENT = LensCamera(
    width=400, height=300, fx_px=380.0, fy_px=382.0, cx_px=201.0, cy_px=147.0,
    distortion=(0.05, -0.06, 0.001, -0.002, 0.0),
)  # fmt: skip


def halved(K: np.ndarray) -> np.ndarray:
    half = K / 2
    half[:2, 2] = (K[:2, 2] + 0.5) / 2 - 0.5
    half[2, 2] = 1
    return half


def test_half_the_size_is_the_mean_of_each_four() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    out = undistortion(PLAIN, halved(PLAIN.K), height=15, width=20).undistort(image)
    mean = image.reshape(15, 2, 20, 2, 3).mean(axis=(1, 3))
    # half a grey level of rounding; quarters round either way
    assert np.abs(out - mean).max() <= 0.5
    board = np.indices((30, 40)).sum(axis=0) % 2 * 255
    out = undistortion(PLAIN, halved(PLAIN.K), height=15, width=20).undistort(
        np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    )
    assert (out == 128).all()


def test_the_same_camera_gives_the_same_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    # the map is float32 and 40 px long: a millionth of a neighbour comes in, which rounds away
    np.testing.assert_array_equal(undistortion(PLAIN, PLAIN.K, height=30, width=40).undistort(image), image)


def test_a_ramp_painted_on_the_rays_is_found_where_its_rays_are() -> None:
    import cv2

    u, v = np.meshgrid(np.arange(400.0), np.arange(300.0))
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
    rays = cv2.undistortPointsIter(
        pixels, BENT.K, np.array(BENT.distortion), None, None, (cv2.TERM_CRITERIA_COUNT, 50, 0)
    ).reshape(300, 400, 2)
    image = np.zeros((300, 400, 3), np.uint8)
    image[..., 0], image[..., 1] = np.rint(120 + 180 * rays[..., 0]), np.rint(120 + 180 * rays[..., 1])
    K = halved(BENT.K)
    out = undistortion(BENT, K, height=150, width=200).undistort(image)
    x, y = (np.arange(200) - K[0, 2]) / K[0, 0], (np.arange(150) - K[1, 2]) / K[1, 1]
    inner = np.s_[8:-8, 8:-8]
    # One level is 2 px of the raw image: rounding twice, when painted and when looked up, leaves 1 level, and a
    # tenth of a pixel of shift would show in the mean.
    for found, true in ((out[..., 0], 120 + 180 * x[None]), (out[..., 1], 120 + 180 * y[:, None])):
        error = (found - true)[inner]
        assert np.abs(error).max() <= 1.0 and abs(error.mean()) < 0.05
    assert not out[..., 2].any()


def test_beyond_the_border_there_is_nothing() -> None:
    K = PLAIN.K.copy()
    K[0, 2] += 10  # the first ten columns look past the left border
    out = undistortion(PLAIN, K, height=30, width=40).undistort(np.full((30, 40, 3), 200, np.uint8))
    assert not out[:, :10].any() and (out[:, 10:] == 200).all()


def test_an_image_halved_by_its_decoder_gives_what_the_whole_image_gives() -> None:
    import cv2

    v, u = np.indices((300, 400))
    smooth = 128 + 60 * np.sin(u / 17)[..., None] * np.cos(v / 13)[..., None] * [1.0, 0.8, 0.6]
    done, data = cv2.imencode(".jpg", np.rint(smooth).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert done
    whole = cv2.imdecode(data, cv2.IMREAD_COLOR)
    halved_image = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2)
    lookup = undistortion(BENT, halved(BENT.K), height=150, width=200)
    assert lookup.shrink == 2
    one, other = lookup.undistort(whole).astype(int), lookup.undistort(halved_image).astype(int)
    inner = np.s_[3:-3, 3:-3]
    error = (one - other)[inner]
    assert np.abs(error).max() <= 3  # a decoder halves by leaving frequencies out, not by a mean
    # A shift of s halved pixels would show as s times the slope.
    slope_u, slope_v = (
        np.gradient(one.astype(float), axis=1)[inner],
        np.gradient(one.astype(float), axis=0)[inner],
    )
    for slope in (slope_u, slope_v):
        assert abs((error * slope).sum() / (slope**2).sum()) < 0.02


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the image must be"):
        undistortion(BENT, halved(BENT.K), height=150, width=200).undistort(np.zeros((149, 200, 3), np.uint8))


@pytest.mark.parametrize("scale", [1.0, 0.9, 0.6])
def test_a_ramp_lies_where_it_is_at_any_scale(scale) -> None:
    u = np.arange(400.0)
    image = np.repeat(np.repeat(np.rint(20 + u / 2)[None, :, None], 300, axis=0), 3, axis=2).astype(np.uint8)
    plain = LensCamera(
        width=400, height=300, fx_px=380.0, fy_px=380.0, cx_px=201.0, cy_px=147.0, distortion=NO_DISTORTION
    )
    K = plain.K * scale
    K[:2, 2] = scale * (plain.K[:2, 2] + 0.5) - 0.5
    K[2, 2] = 1
    height, width = int(300 * scale), int(400 * scale)
    out = undistortion(plain, K, height=height, width=width).undistort(image)
    there = (np.arange(width) + 0.5) / scale - 0.5
    # painted and looked up: two roundings, and 1/64 px of 1/2 level
    error = (out[..., 0] - (20 + there / 2)[None])[:, 2:-2]
    assert np.abs(error).max() <= 1.02 and abs(error.mean()) < 0.1
