"""Skeleton volumes and part targets: round trips, borders, the public code's conventions, mirrored samples."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.cameras import crop_resize, project
from training.augment import flip
from training.networks.bins import bin_centres_m
from training.skeleton_targets import (
    BINS,
    SIZE,
    JointPlaces,
    code_volumes,
    joint_places,
    joint_volumes,
    joints_at,
    part_target,
)

IMAGE_PX = 256
K = np.array([[277.0, 0, 127.5], [0, 277.0, 127.5], [0, 0, 1]])
# What lies between the outermost voxel centres: 1.5 px from the picture's border on.
PIXELS = arrays(np.float64, (4, 2), elements=st.floats(1.5, IMAGE_PX - 2.5))
DEEPER = arrays(np.float64, (3,), elements=st.floats(-0.6, 0.6))


def in_space(deeper_m: np.ndarray, pelvis_m: float = 2.3) -> np.ndarray:
    """Joints (1 + n, 3), the pelvis first, of which only z matters here."""
    return np.column_stack([np.zeros((len(deeper_m) + 1, 2)), pelvis_m + np.concatenate([[0.0], deeper_m])])


def expected(volumes: np.ndarray) -> np.ndarray:
    """Column, row and bin by expectation, one at a time (Sun et al., eq. 2)."""
    volumes = volumes.astype(np.float64)
    return np.stack(
        [
            volumes.sum(axis=(1, 2)) @ np.arange(SIZE),
            volumes.sum(axis=(1, 3)) @ np.arange(SIZE),
            volumes.sum(axis=(2, 3)) @ np.arange(BINS),
        ],
        axis=-1,
    )


def places_of(places: list[list[float]]) -> JointPlaces:
    count = len(places)
    return JointPlaces(
        places=np.array(places, np.float32), seen=np.ones(count, bool), clipped=np.zeros(count, bool)
    )


@settings(deadline=None, max_examples=15)
@given(PIXELS, DEEPER, st.sampled_from([(0.0, 0.0), (1.0, 0.4), (2.0, 1.0), (3.3, 1.25)]))
def test_the_soft_argmax_of_a_volume_is_its_joint(pixels, deeper_m, sigmas):
    found = joint_places(pixels, in_space(deeper_m), image_px=IMAGE_PX)
    assert found.seen.all() and not found.clipped[np.abs(in_space(deeper_m)[:, 2] - 2.3) < 0.6].any()
    volumes = joint_volumes(found, sigma_px=sigmas[0], sigma_bins=sigmas[1])
    assert volumes.shape == (4, BINS, SIZE, SIZE) and volumes.dtype == np.float32 and volumes.min() >= 0
    back_px, back_m = joints_at(expected(volumes), image_px=IMAGE_PX)
    # A quarter of a voxel is 1 px and 17 mm; float32 sums leave a thousandth of that.
    np.testing.assert_allclose(back_px, pixels, atol=1e-3)
    np.testing.assert_allclose(back_m, np.concatenate([[0], deeper_m]), atol=2e-5)
    np.testing.assert_allclose(volumes.sum(axis=(1, 2, 3), dtype=np.float64), 1, atol=1e-5)


def test_torch_reads_the_volume_as_the_loss_will():
    torch = pytest.importorskip("torch")
    found = places_of([[31.3, 7.6, 9.0], [0.4, 62.8, 17.7]])
    logits = torch.log(torch.from_numpy(joint_volumes(found)).clamp_min(1e-30)).flatten(1)
    share = torch.softmax(logits, dim=1).reshape(2, BINS, SIZE, SIZE).numpy()
    np.testing.assert_allclose(expected(share), found.places, atol=1e-3)


def test_a_blurred_joint_is_as_wide_as_asked_inside_of_the_volume():
    volume = joint_volumes(places_of([[32, 30, 9]]), sigma_px=2.0, sigma_bins=1.0)[0]
    columns, bins = volume.sum(axis=(0, 1)), volume.sum(axis=(1, 2))
    assert columns @ (np.arange(SIZE) - 32.0) ** 2 == pytest.approx(4.0, rel=1e-5)
    assert bins @ (np.arange(BINS) - 9.0) ** 2 == pytest.approx(1.0, rel=1e-5)
    assert np.unravel_index(volume.argmax(), volume.shape) == (9, 30, 32)
    # A binomial of 16 halves is a Gaussian to 2 %.
    bell = np.exp(-((np.arange(SIZE) - 32.0) ** 2) / 8) / np.sqrt(8 * np.pi)
    np.testing.assert_allclose(columns, bell, atol=0.02 * bell.max())


def test_a_joint_on_a_voxel_without_blur_is_one_voxel():
    volume = joint_volumes(places_of([[63, 0, 18]]), sigma_px=0.0, sigma_bins=0.0)[0]
    assert volume[18, 0, 63] == 1 and volume.sum() == 1


def test_the_bins_are_those_of_the_depth_network():
    depths_m = joints_at(np.column_stack([np.zeros((BINS, 2)), np.arange(BINS)]), image_px=IMAGE_PX)[1]
    np.testing.assert_allclose(depths_m, bin_centres_m("paper").numpy(), atol=1e-7)


def test_places_count_from_voxel_centres():
    # The first voxel covers pixels 0 to 3, whose middle is 1.5.
    pixels = np.array([[1.5, 253.5], [5.5, 127.5]])
    found = joint_places(pixels, np.array([[0, 0, 2.0], [0, 0, 2.0 + 1 / 15]]), image_px=IMAGE_PX)
    np.testing.assert_allclose(found.places, [[0, 63, 9], [1, 31.5, 10]], atol=1e-5)


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_a_joint_too_deep_has_the_outermost_bin_and_says_so(rule):
    deeper_m = np.zeros(15)
    deeper_m[:2] = 0.7, -0.9
    found = joint_places(np.full((16, 2), 100.0), in_space(deeper_m), image_px=IMAGE_PX, rule=rule)
    assert found.clipped.tolist() == [False, True, True] + [False] * 13 and found.seen.all()
    last = {"paper": (18, 0), "code": (0, 19)}[rule]
    assert tuple(found.places[1:3, 2]) == last
    if rule == "paper":
        assert joint_volumes(found, sigma_bins=0.0)[1, 18].sum() == pytest.approx(1)


def test_joints_outside_of_the_picture_have_no_volume():
    pixels = np.full((16, 2), 100.0)
    pixels[1], pixels[2], pixels[3], pixels[4] = [-0.6, 9], [9, 255.6], [-0.4, 255.4], [np.nan, 3]
    joints_m = in_space(np.zeros(15))
    joints_m[5, 2], joints_m[6, 2] = -2.3, np.inf
    found = joint_places(pixels, joints_m, image_px=IMAGE_PX)
    assert found.seen.tolist() == [True, False, False, True, False, False, False] + [True] * 9
    assert not found.places[~found.seen].any() and np.isfinite(found.places).all()
    assert found.places[3].tolist() == [0, 63, 9]  # beyond the outermost centres by less than half a voxel
    for volumes in (joint_volumes(found), code_volumes(pixels, joints_m, image_px=IMAGE_PX)):
        assert np.isfinite(volumes).all() and not volumes[~found.seen].any()
        assert (volumes[found.seen].sum(axis=(1, 2, 3)) > 0.99).all()


@pytest.mark.parametrize("pelvis_m", [np.nan, np.inf])
def test_without_a_pelvis_no_joint_is_seen(pelvis_m):
    joints_m = in_space(np.zeros(15))
    joints_m[0, 2] = pelvis_m
    pixels = np.full((16, 2), 100.0)
    assert not joint_places(pixels, joints_m, image_px=IMAGE_PX).seen.any()
    assert not code_volumes(pixels, joints_m, image_px=IMAGE_PX).any()


def test_the_code_s_places_are_whole_pixels_over_four_and_depth_turned_round():
    pixels = np.array([[100.99995, 40.7], [7.2, 255.0]])
    found = joint_places(pixels, np.array([[0, 0, 2.0], [0, 0, 1.7]]), image_px=IMAGE_PX, rule="code")
    np.testing.assert_allclose(found.places, [[101 / 4, 10.0, 9.5], [7 / 4, 63.0, 14.25]], atol=1e-5)
    back_px, back_m = joints_at(found.places, image_px=IMAGE_PX, rule="code")
    np.testing.assert_allclose(back_px, [[101, 40], [7, 252]], atol=1e-4)  # the last is clipped
    np.testing.assert_allclose(back_m, [0, -0.3], atol=1e-6)


def test_the_code_s_heat_maps_peak_at_whole_voxels_of_45_mm():
    pixels = np.array([[101.0, 42.0], [0.0, 200.0], [128.0, 128.0], [128.0, 128.0]])
    joints_m = np.array([[0, 0, 2.0], [0, 0, 1.9], [0, 0, 2.06], [0, 0, 1.2]])
    volumes = code_volumes(pixels, joints_m, image_px=IMAGE_PX)
    peaks = [tuple(int(i) for i in np.unravel_index(v.argmax(), v.shape)) for v in volumes]
    # ceil(0.1 / 0.045) = 3 nearer, ceil(-0.06 / 0.045) = -1, and 0.8 m is clipped to 9.
    assert peaks == [(9, 10, 25), (12, 50, 0), (8, 32, 32), (18, 32, 32)]
    assert (volumes.max(axis=(1, 2, 3)) == 1).all()
    inner = volumes[0]
    assert inner[9, 10, 28] == pytest.approx(np.exp(-0.5 * (3 / 3.25) ** 2))
    assert inner[11, 10, 25] == pytest.approx(np.exp(-0.5 * (2 / 1.25) ** 2))
    assert np.count_nonzero(inner) == 5 * 13 * 13 and np.count_nonzero(volumes[3]) == 3 * 13 * 13


def test_a_mirrored_sample_has_mirrored_targets():
    rng = np.random.default_rng(0)
    joints_m = np.column_stack([rng.uniform(-0.8, 0.8, (16, 2)), rng.uniform(2.1, 2.5, 16)])
    sample = {
        "joints_tang16_cam_m": joints_m,
        "joints_tang16_px": project(joints_m, K),
        "part14": rng.integers(0, 15, (IMAGE_PX, IMAGE_PX)).astype(np.uint8),
    }
    mirrored = flip(sample)
    before, after = (
        joint_places(s["joints_tang16_px"], s["joints_tang16_cam_m"], image_px=IMAGE_PX)
        for s in (sample, mirrored)
    )
    partner = [0, 2, 1, 4, 3, 5, 7, 6, 8, 9, 11, 10, 13, 12, 15, 14]
    assert before.seen.all()
    np.testing.assert_allclose(after.places[:, 0], 63 - before.places[partner, 0], atol=1e-4)
    np.testing.assert_allclose(after.places[:, 1:], before.places[partner, 1:], atol=1e-4)


@pytest.mark.parametrize("size_px", [64, 100, 256, 512])
def test_part_targets_are_the_labels_at_the_cells_centres(size_px):
    labels = np.random.default_rng(1).integers(0, 15, (size_px, size_px)).astype(np.uint8)
    resized = crop_resize({"part14": labels}, np.eye(3), (0.0, 0.0, float(size_px)), SIZE)[0]["part14"]
    found = part_target(labels)
    np.testing.assert_array_equal(found, resized)
    assert found.dtype == np.uint8 and found.flags.c_contiguous


def test_an_empty_picture_is_background():
    assert not part_target(np.zeros((256, 256), np.uint8)).any()


def test_bad_input_is_refused():
    pixels, joints_m = np.full((16, 2), 100.0), in_space(np.zeros(15))
    with pytest.raises(ValueError, match="joints must be"):
        joint_places(pixels[:-1], joints_m, image_px=IMAGE_PX)
    with pytest.raises(ValueError, match="at least 64 px"):
        joint_places(pixels, joints_m, image_px=32)
    with pytest.raises(ValueError, match='rule must be "paper" or "code", is \'papers\''):
        joint_places(pixels, joints_m, image_px=IMAGE_PX, rule="papers")
    for sigma in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="a sigma must be from 0"):
            joint_volumes(places_of([[3, 3, 3]]), sigma_px=sigma)
    for labels in (np.zeros((64, 65), np.uint8), np.full((64, 64), 15, np.uint8), np.zeros((8, 8), np.uint8)):
        with pytest.raises(ValueError, match="part14 must be square"):
            part_target(labels)


def test_numpy_is_all_that_targets_need():
    code = "import sys, training.skeleton_targets; sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
