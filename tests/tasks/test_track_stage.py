"""Three balls before a wall, filmed without poses: the path is known, and one frame shows something else."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.sealing import read_record
from pipeline.store import FrameReader
from pipeline.truth_scores import pose_error, world_alignment

SIZE_HW = (120, 160)
K = np.array([[140.0, 0, 79.2], [0, 140.0, 59.9], [0, 0, 1]])
BALLS = (((0, 0, 1.2), 0.2), ((-0.35, 0.15, 1.35), 0.13), ((0.3, -0.2, 1.3), 0.16))
WALL_Z_M = 1.7
STRANGE = 4  # this frame sees a wall at an arm's length


def filmed(world_from_cam: np.ndarray) -> np.ndarray:
    """z along the optical axis (H W, metres) of the balls before the wall."""
    rays = pixel_rays(K, *SIZE_HW) @ world_from_cam[:3, :3].T
    depth_m = (WALL_Z_M - world_from_cam[2, 3]) / rays[..., 2]
    for centre, radius in BALLS:
        origin = world_from_cam[:3, 3] - np.array(centre)
        a, b = np.sum(rays**2, -1), rays @ origin
        inside = b**2 - a * (origin @ origin - radius**2)
        near_m = (-b - np.sqrt(np.maximum(inside, 0))) / a
        depth_m = np.where((inside > 0) & (near_m < depth_m), near_m, depth_m)
    return depth_m


def arc(frame: int) -> np.ndarray:
    """world_from_cam, 2 degrees further around the balls with each frame."""
    angle = np.radians(2.0 * frame)
    c, s = np.cos(angle), np.sin(angle)
    pose = np.eye(4)
    pose[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
    pose[:3, 3] = [1.3 * s, 0.01 * frame, 1.3 - 1.3 * c]
    return pose


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tracked")
    raw = folder / "raw" / "balls"
    raw.mkdir(parents=True)
    (raw / "K.json").write_text(json.dumps({"width": SIZE_HW[1], "height": SIZE_HW[0], "K": K.tolist()}))
    for frame in range(8):
        depth_m = np.full(SIZE_HW, 0.6) if frame == STRANGE else filmed(arc(frame))
        cv2.imwrite(str(raw / f"{frame:03d}.depth.png"), np.round(1000 * depth_m).astype(np.uint16))
    (folder / "balls.toml").write_text(
        """
[dataset]
name = "balls"
seed = 3
image_size_px = 64
data_root = "raw"
output = "out"
[[capture]]
id = "balls"
format = "rgbd-folder"
path = "balls"
poses = "tracked"
split = "test"
[capture.files]
depth = "{frame}.depth.png"
calibration = "K.json"
[stages.fuse]
voxel_m = 0.01
min_weight = 1.0
[stages.render]
check_frames = 1
[stages.layers]
window_px = 15
"""
    )
    ended = forge.run("build", folder / "balls.toml")
    assert ended.code == 0 and "1 frames and 0 captures quarantined" in ended.out, ended.out + ended.err
    return folder / "out" / "balls"


def track_of(built: Path) -> Path:
    (place,) = built.glob("stages/track/balls/*")
    return place


def test_path_is_found_to_a_millimetre(built):
    with FrameReader(track_of(built) / "frames.h5") as reader:
        frames, found = reader.column("frame").tolist(), reader.column("world_from_cam")
    assert frames == [0, 1, 2, 3, 5, 6, 7]
    true = np.stack([arc(frame) for frame in frames])
    true_from_world = world_alignment(found, true)
    errors = [pose_error(true_from_world @ pose, truth) for pose, truth in zip(found, true, strict=True)]
    # Depth is rounded to 1 mm, which some 15,000 pixels average out.
    assert max(apart_m for apart_m, _ in errors) < 1e-3
    assert max(turned_rad for _, turned_rad in errors) < 1e-3


def test_first_camera_stands_level_at_the_origin(built):
    with FrameReader(track_of(built) / "frames.h5") as reader:
        row = reader.row(0, ["world_from_cam", "track_residual_m", "track_fitness"])
    np.testing.assert_allclose(row["world_from_cam"], np.diag([1.0, -1, -1, 1]), atol=1e-12)
    assert row["track_residual_m"] == row["track_fitness"] == -1


def test_frame_that_shows_something_else_is_a_row_and_no_surface(built):
    (row,) = read_record(track_of(built))["quarantine"]
    assert (row["frame"], row["reason"], row["stage"]) == (STRANGE, "tracking-lost", "track")
    assert row["value"] < row["limit"] and "capture balls, frame 4" in row["message"]
    index = json.loads((built / "dataset.json").read_text())
    assert index["captures"]["balls"]["samples"] == 7


def test_poses_and_fused_depth_of_tracked_frames_are_in_the_shards(built):
    (fused,) = built.glob("stages/fuse/balls/*")
    assert read_record(fused)["stats"]["fused residual, median"]["value"] < 2e-3
    index = json.loads((built / "dataset.json").read_text())
    held = index["captures"]["balls"]["fields"]
    assert {"world_from_cam", "depth_m", "track_residual_m", "track_sigma_m"} <= set(held)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('role = "moving"\nsimulation = { motion = "walk" }', 'role "static" alone, role is "moving"'),
        ('targets = ["body"]', "without targets"),
        ("simulation = { cameras = 2 }", "with one camera"),
    ],
)
def test_captures_that_cannot_be_tracked_are_refused(tmp_path, keys, said):
    path = tmp_path / "x.toml"
    head = '[dataset]\nname = "x"\nseed = 1\n[[capture]]\nid = "a"\nformat = "simulated"\ncount = 8\n'
    path.write_text(f'{head}poses = "tracked"\nsplit = "test"\n{keys}\n')
    with pytest.raises(ManifestError, match=said):
        load_manifest(path)


def test_alignment_undoes_any_rigid_motion():
    rng = np.random.default_rng(5)
    true = np.stack([arc(frame) for frame in range(6)])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = turn * np.sign(np.linalg.det(turn)), rng.normal(size=3)
    np.testing.assert_allclose(world_alignment(moved @ true, true), invert_rigid(moved), atol=1e-12)
    one = world_alignment((moved @ true)[:1], true[:1])  # a single camera has axes too
    np.testing.assert_allclose(one, invert_rigid(moved), atol=1e-12)
