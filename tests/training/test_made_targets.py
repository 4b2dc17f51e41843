"""Targets made by the loader: what they hold, and that augmentation keeps them true."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bodies.joints import MPII16, TANG16, joints_of
from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, project, transform
from pipeline.errors import InputError
from pipeline.fields import FIELDS
from pipeline.voxels.grids import alignment_depth, frustum_grid, orthographic_grid
from pipeline.voxels.packing import unpack
from pipeline.voxels.voxelise import voxelise
from training.augment import PARTNERS, flip, scale
from training.landmarks import landmark_maps
from training.made_targets import TARGETS, stored_fields, targets_markdown, with_targets

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("bodies", Path(__file__).with_name("bodies.py"))
bodies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bodies)
SIZE, K, SHAPES = bodies.SIZE, bodies.K, bodies.SHAPES
annotated, posed, seen_body, vertices_cam_m = (
    bodies.annotated,
    bodies.posed,
    bodies.seen_body,
    bodies.vertices_cam_m,
)
MPII_FLIP = list(MPII16.flip)


@pytest.fixture(scope="module")
def body() -> dict:
    return seen_body()


def made(sample: dict, name: str) -> np.ndarray:
    return with_targets(sample, [name])[name]


def test_every_target_is_what_its_row_says(body):
    assert not set(TARGETS) & set(FIELDS)
    for name, target in TARGETS.items():
        array = made(body, name)
        shape = [SIZE if size in ("H", "W") else int(size) for size in target.shape.split()]
        assert (list(array.shape), array.dtype) == (shape, np.dtype(target.dtype)), name
        assert array.any() and array.flags.c_contiguous and array.flags.writeable, name
        assert all(FIELDS[field].shard for fields in target.needs for field in fields), name


def test_the_documents_hold_the_table():
    assert targets_markdown() in (ROOT / "docs" / "training.md").read_text()


def test_what_is_asked_for_is_given_and_nothing_else(body):
    given_ = with_targets(body, ["joint_seen", "image", "joint_places"])
    assert list(given_) == ["joint_seen", "image", "joint_places"]
    assert given_["image"] is body["image"]


def test_fields_to_read_are_each_named_once():
    names = ["image", "joint_places", "joint_volumes", "K"]
    assert stored_fields(names, FIELDS, where="d") == (
        "image",
        "joints_tang16_px",
        "joints_tang16_cam_m",
        "K",
    )
    # What is neither field nor target is the reader's to refuse.
    assert stored_fields(["normals"], FIELDS, where="d") == ("normals",)


def test_landmarks_are_read_as_annotated_where_they_are_and_from_the_body_elsewhere(body):
    of_body = {name for name in FIELDS if "mpii16" not in name}
    assert "joints_mpii16_px" in stored_fields(["landmarks"], FIELDS, where="d")
    assert "body_pose_rad" in stored_fields(["landmarks"], of_body, where="d")
    told = annotated()
    np.testing.assert_array_equal(
        made({**body, **told}, "landmarks"),
        landmark_maps(told["joints_mpii16_px"], told["joints_mpii16_confidence"] > 0, size_px=SIZE),
    )


def test_a_missing_field_is_named_with_its_target():
    with pytest.raises(
        InputError, match="out/d: target part_target must find part14 in the shards, part14 are"
    ):
        stored_fields(["image", "part_target"], ["image"], where="out/d")
    held = ["image", "K", "joints_mpii16_px", "body_pose_rad", "world_from_cam", "body_betas"]
    with pytest.raises(
        InputError, match="target landmarks .* joints_mpii16_confidence, or body_transl_m are not"
    ):
        stored_fields(["landmarks"], held, where="d")


def test_joints_lie_in_their_voxels(body):
    places, seen = made(body, "joint_places"), made(body, "joint_seen")
    joints_m = body["joints_tang16_cam_m"].astype(np.float64)
    assert seen.all()
    np.testing.assert_allclose(places[:, :2], (project(joints_m, K) + 0.5) * 64 / SIZE - 0.5, atol=1e-3)
    deeper_m = np.clip(joints_m[:, 2] - joints_m[TANG16.names.index("pelvis"), 2], -0.6, 0.6)
    assert np.count_nonzero(np.abs(deeper_m) < 0.6) == 14
    np.testing.assert_allclose(places[:, 2], 9 + deeper_m * 15, atol=1e-4)
    peaks = made(body, "joint_volumes").reshape(16, -1).argmax(axis=1)
    # The largest voxel is the nearest along each axis.
    found = np.stack(np.unravel_index(peaks, (19, 64, 64)), axis=1)[:, ::-1]
    assert np.abs(found - places).max() < 0.51
    code = made(body, "joint_places_code")
    np.testing.assert_allclose(code[:, 2], 9.5 - deeper_m / 0.6 * 9.5, atol=1e-4)
    assert made(body, "joint_volumes_code").max() == 1


@pytest.mark.parametrize("name", SHAPES)
def test_volumes_are_slices_rows_and_columns(body, name):
    inside = unpack(body[name], SHAPES[name][2])
    np.testing.assert_array_equal(made(body, name.replace("occupancy", "volume")), inside.transpose(2, 1, 0))


@pytest.mark.parametrize("enlarged", [1.0, 1.25, 0.8])
def test_volumes_line_up_with_the_picture_that_comes_with_them(enlarged):
    given_ = with_targets(
        seen_body(enlarged=enlarged), ["volume_128", "volume_128x256x96", "mask", "joint_places", "K"]
    )
    assert given_["K"][0, 0] == pytest.approx(150 * enlarged)
    shadow, mask = given_["volume_128"].any(axis=0), given_["mask"]
    tall = given_["volume_128x256x96"].any(axis=0)[::2, ::2]
    # What is near or far is cut off, so shadows may miss a limb; beyond the mask lies half an outline, one pixel
    # in ten of so small a body.
    for seen, shown in ((shadow, mask), (tall, mask[:, SIZE // 4 : 3 * SIZE // 4])):
        assert (seen & shown).sum() > 0.9 * seen.sum() > 0.6 * shown.sum()
    shifts = [(v, u) for v in range(-2, 3) for u in range(-2, 3)]
    overlap = [(shadow & np.roll(mask, shift, axis=(0, 1))).sum() for shift in shifts]
    assert shifts[int(np.argmax(overlap))] == (0, 0)
    column, row = np.rint(given_["joint_places"][TANG16.names.index("spine2"), :2] * 2 + 0.5).astype(int)
    assert shadow[row, column]


@pytest.mark.parametrize("grid", [orthographic_grid, frustum_grid])
@pytest.mark.parametrize("name", SHAPES)
def test_a_mirrored_volume_is_the_mirrored_body_s(grid, name):
    sample = seen_body(grid=grid)
    flipped = flip(sample)
    vertices_m = vertices_cam_m(sample) * [-1, 1, 1]
    cam_from_vox = grid(flipped["K"], alignment_depth(vertices_m, "mean"), SHAPES[name], size_px=SIZE)
    expected, _ = voxelise(vertices_m, default_body().faces[:, ::-1], cam_from_vox, SHAPES[name])
    volume = made(flipped, name.replace("occupancy", "volume"))
    assert 0.005 < expected.mean() < 0.2
    np.testing.assert_array_equal(volume, expected.transpose(2, 1, 0))
    np.testing.assert_array_equal(
        volume, made(sample, name.replace("occupancy", "volume"))[:, :, ::-1], "columns turned round"
    )
    found = invert_rigid(flipped["world_from_cam"]) @ flipped[f"{name}_world_from_vox"]
    np.testing.assert_allclose(found, cam_from_vox, atol=1e-12)


def test_targets_of_a_sample_flipped_twice_are_those_of_the_sample(body):
    sample = {**body, **annotated()}
    again = flip(flip(sample))
    # The public code cuts pixels off to whole ones, and what is subtracted twice may fall below one.
    for name in sorted(set(TARGETS) - {"joint_places_code", "joint_volumes_code"}):
        found, expected = (made(each, name).astype(float) for each in (again, sample))
        np.testing.assert_allclose(found, expected, atol=2e-5)  # 1e-5 px in float32


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_flipped_joints_have_the_mirrored_targets_of_their_partners(seed):
    rng = np.random.default_rng(seed)
    joints_m = np.column_stack([rng.uniform(-0.9, 0.9, (16, 2)), rng.uniform(1.9, 2.6, 16)])
    joints_m[3, 0] = -1.4  # beyond the border
    sample = {
        "image": np.zeros((SIZE, SIZE, 3), np.uint8),
        "joints_tang16_cam_m": joints_m,
        "joints_tang16_px": project(joints_m, K),
        **annotated(seed),
    }
    flipped = flip(sample)
    partners = PARTNERS["joints_tang16_px"]
    for name, of in (("joint_volumes", partners), ("landmarks", MPII_FLIP)):
        np.testing.assert_allclose(made(flipped, name), made(sample, name)[of][..., ::-1], atol=2e-5)
    seen = made(sample, "joint_seen")
    assert not seen[3] and seen.any()
    np.testing.assert_array_equal(made(flipped, "joint_seen"), seen[partners])


def test_flipped_parts_change_sides():
    # Labels of whole cells, since a cell's label is that of the pixel on the right of its middle.
    cells = np.random.default_rng(1).integers(0, 15, (64, 64)).astype(np.uint8)
    sample = {"part14": np.kron(cells, np.ones((2, 2), np.uint8))}
    np.testing.assert_array_equal(made(flip(sample), "part_target"), PARTNERS["part14"][cells[:, ::-1]])


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.7, 1.4), u=st.floats(40, 90), v=st.floats(40, 90), flips=st.booleans())
def test_a_joint_stays_on_its_point_of_the_picture(factor, u, v, flips):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    spot = 250 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 3**2))
    joints_px = np.tile([u, v], (16, 1))
    sample = {
        "image": np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2),
        "joints_tang16_px": joints_px,
        "joints_tang16_cam_m": np.tile([0, 0, 2.0], (16, 1)),
        "joints_mpii16_px": joints_px.astype(np.float32),
        "joints_mpii16_confidence": np.ones(16, np.float32),
    }
    changed = scale(flip(sample) if flips else sample, factor)

    def middle(weights: np.ndarray) -> np.ndarray:
        weights = weights.astype(np.float64)
        return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()

    shown = middle(changed["image"][..., 0])
    given_ = with_targets(changed, ["joint_places", "landmarks"])
    # Rounding to 256 levels moves the middle of a spot of 3 px by some hundredths.
    np.testing.assert_allclose((given_["joint_places"][3, :2] + 0.5) * SIZE / 64 - 0.5, shown, atol=0.05)
    # Pixels that come within the radius or leave it weigh 0.011 each.
    np.testing.assert_allclose(middle(given_["landmarks"][3]), shown, atol=0.1)


def test_a_landmark_is_a_gaussian_six_pixels_wide():
    joints_px = np.array(
        [[40, 50], [40.4, 50.2], [1, 127], [-2.2, 5], [-4, 5], [np.nan, 4], [1e9, 1e9], [60, 60]]
    )
    there = np.arange(8) < 7
    maps = landmark_maps(joints_px, there, size_px=SIZE)
    assert maps.dtype == np.float32 and maps[0, 50, 40] == 1 and maps[0].argmax() == 50 * SIZE + 40
    assert [np.ptp(np.nonzero(maps[0].any(axis=axis))[0]) for axis in (0, 1)] == [6, 6]
    assert maps[0, 50, 41] == maps[0, 49, 40] == pytest.approx(np.exp(-0.5))
    assert maps[1, 50, 41] == pytest.approx(np.exp(-0.5 * (0.6**2 + 0.2**2)))
    assert maps[2, 127, 1] == 1 and maps[2].sum() < maps[0].sum()
    assert maps[3, 5, 0] == pytest.approx(np.exp(-0.5 * 2.2**2)) and maps[3].any(axis=0).sum() == 1
    assert not maps[4:].any()


def test_landmarks_of_a_body_are_its_joints_as_all_vertices_give_them(body):
    joints_m = joints_of(default_body(), posed(body), MPII16)[0]
    pixels = project(transform(invert_rigid(body["world_from_cam"]), joints_m), K)
    assert (pixels > 0).all() and (pixels < SIZE).all()
    expected = landmark_maps(pixels, np.ones(16, bool), size_px=SIZE)
    np.testing.assert_allclose(made(body, "landmarks"), expected, atol=1e-6)
    turned = {**body, "world_from_cam": body["world_from_cam"] @ np.diag([-1.0, 1, -1, 1])}
    assert not made(turned, "landmarks").any()  # the camera looks the other way
    # The body is its own mirror image to 0.4 mm, which is 0.03 px.
    mirrored = made(body, "landmarks")[MPII_FLIP][..., ::-1]
    np.testing.assert_allclose(made(flip(body), "landmarks"), mirrored, atol=0.03)


WITHOUT = ("torch", "cv2", "scipy", "numba", "open3d", "trimesh", "pydantic", "luigi")
LONELY = """
import sys
for name in {without!r}:
    sys.modules[name] = None
import numpy as np
from training.made_targets import TARGETS, with_targets
with np.load(sys.argv[1], allow_pickle=False) as file:
    made = with_targets(dict(file), list(TARGETS))
np.savez(sys.argv[2], **made)
"""


def test_numpy_is_all_that_targets_need(body, tmp_path):
    np.savez(tmp_path / "sample.npz", **body)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LONELY.format(without=WITHOUT),
            tmp_path / "sample.npz",
            tmp_path / "made.npz",
        ],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "made.npz", allow_pickle=False) as found:
        for name in TARGETS:
            np.testing.assert_allclose(found[name], made(body, name), atol=1e-6)
