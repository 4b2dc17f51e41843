"""Prediction: files whose content follows from a network that turns red into depth."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from training.checkpoint import save_checkpoint
from training.models import Trained
from training.predict import ASSUMED_DISTANCE_M, OFFSET_MM, assumed_intrinsics, predict_images
from training.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64


@dataclass
class Outputs:
    base_m: torch.Tensor


class RedIsDepth(torch.nn.Module):
    """Depth in metres is the red value in [0, 1], 7 m off; NaN where the mask is not set."""

    def forward(self, batch) -> Outputs:
        red = batch["image"][..., 0].float() / 255 + 7
        return Outputs(base_m=torch.where(batch["mask"], red, torch.nan))


@pytest.fixture
def red_is_depth(monkeypatch, tmp_path):
    recipe = replace(
        RECIPES["depth-net"], inputs=lambda batch: batch, predict_depth=lambda outputs: outputs.base_m
    )
    trained = Trained(folder=tmp_path, recipe=recipe, module=RedIsDepth(), state={"step": 3}, device="cpu")
    monkeypatch.setattr("training.predict.load_trained", lambda *_, **__: trained)
    return trained


def a_picture(path: Path, *, size_wh: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    """An RGB picture whose red grows from left to right by one a pixel; written as given."""
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    image[..., 0], image[..., 1] = 40 + np.arange(size_wh[0]), 90
    assert cv2.imwrite(str(path), image[..., ::-1])
    return image


def a_mask(path: Path, box: tuple[int, int, int, int], size_wh: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    left, top, right, bottom = box
    mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    mask[top:bottom, left:right] = 255
    assert cv2.imwrite(str(path), mask)
    return mask > 0


def test_whole_picture_becomes_depth_in_metres_and_in_millimetres_from_its_median(red_is_depth, tmp_path):
    image = a_picture(tmp_path / "ann.png")
    (record,) = predict_images(tmp_path / "run", [tmp_path / "ann.png"], tmp_path / "out", size_px=SIZE)
    expected_m = image[..., 0] / 255 - np.median(image[..., 0]) / 255
    depth_m = np.load(tmp_path / "out" / "ann.depth.npy")
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, expected_m, atol=1e-6)  # the network's float32 near 7 m
    depth_mm = cv2.imread(str(tmp_path / "out" / "ann.depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth_mm.dtype == np.uint16 and record["depth_png"]["offset"] == OFFSET_MM
    np.testing.assert_allclose(depth_mm.astype(float) - OFFSET_MM, 1000 * depth_m, atol=0.5 + 1e-3)
    assert record["box"]["source"].startswith("largest centred square: no mask given")
    assert record["K_source"].startswith("assumed") and record["distance_source"].startswith("assumed")


def test_mesh_stands_at_the_assumed_distance_in_the_pictures_colours(red_is_depth, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    image = a_picture(tmp_path / "ann.png")
    predict_images(tmp_path, [tmp_path / "ann.png"], tmp_path / "out", size_px=SIZE)
    mesh = trimesh.load(tmp_path / "out" / "ann.mesh.ply", process=False)
    assert np.median(mesh.vertices[:, 2]) == pytest.approx(ASSUMED_DISTANCE_M, abs=1e-5)
    assert len(mesh.faces) == 2 * (SIZE - 1) ** 2
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], image.reshape(-1, 3))
    # the slope of red: 1 / 255 m a pixel, against a pixel's width there
    K = assumed_intrinsics(SIZE)
    normal_rgb = cv2.imread(str(tmp_path / "out" / "ann.normal.png"))[SIZE // 2, SIZE // 2, ::-1]
    slope = (1 / 255) / (ASSUMED_DISTANCE_M / K[0, 0])
    expected = np.array([slope, 0, -1]) / np.hypot(slope, 1)  # z grows to the right: it leans to the right
    np.testing.assert_allclose(normal_rgb / 255 * 2 - 1, expected * [1, 1, -1], atol=0.02)  # 8 bits, float32


def test_person_is_cut_out_by_the_mask_beside_the_picture(red_is_depth, tmp_path):
    a_picture(tmp_path / "ann.png", size_wh=(120, 100))
    a_mask(tmp_path / "ann.mask.png", (30, 20, 50, 80), size_wh=(120, 100))
    (record,) = predict_images(tmp_path, [tmp_path / "ann.png"], tmp_path / "out", size_px=72)
    # 60 px of height and a tenth of it above and below: one pixel stays one pixel
    assert record["box"]["side_px"] == pytest.approx(72)
    assert (record["box"]["u0_px"], record["box"]["v0_px"]) == pytest.approx((4, 14))
    assert record["box"]["source"] == "bounding box of ann.mask.png with Tang's margins"
    depth_m = np.load(tmp_path / "out" / "ann.depth.npy")
    depth_mm = cv2.imread(str(tmp_path / "out" / "ann.depth.png"), cv2.IMREAD_UNCHANGED)
    mask = np.zeros((72, 72), bool)
    mask[6:66, 26:46] = True
    np.testing.assert_array_equal(depth_mm > 0, mask)
    assert not depth_m[~mask].any()
    np.testing.assert_allclose(depth_m[30, 26:46], (np.arange(20) - 9.5) / 255, atol=1e-6)


def test_folder_gives_every_picture_and_no_mask_and_the_same_bytes_again(red_is_depth, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.png", "a.png", "c.bmp"):
        a_picture(folder / name)
    a_mask(folder / "a.mask.png", (10, 5, 40, 60))
    (folder / "notes.txt").write_text("not a picture")
    records = predict_images(tmp_path, [folder], tmp_path / "out", size_px=SIZE)
    assert [record["source"] for record in records] == ["a.png", "b.png", "c.bmp"]
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 3 * 6
    assert json.loads((tmp_path / "out" / "a.json").read_text()) == records[0]
    assert all((tmp_path / "out" / name).is_file() for record in records for name in record["files"].values())
    predict_images(tmp_path, [folder], tmp_path / "again", size_px=SIZE)
    assert [path.read_bytes() for path in sorted((tmp_path / "again").iterdir())] == [
        path.read_bytes() for path in files
    ]


def test_every_frame_of_a_film_is_predicted(red_is_depth, tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for frame in range(3):
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:, :48, 0], picture[:, 48:, 2] = 200, 100 + 50 * frame  # blue on the left, red on the right
        film.write(picture)
    film.release()
    records = predict_images(tmp_path, [tmp_path / "walk.avi"], tmp_path / "out", size_px=32)
    assert [record["files"]["depth_m"] for record in records] == [f"walk-{n:06d}.depth.npy" for n in range(3)]
    assert records[0]["box"]["side_px"] == 64 and records[0]["box"]["u0_px"] == 16
    for frame in range(3):
        depth_m = np.load(tmp_path / "out" / f"walk-{frame:06d}.depth.npy")
        step_m = depth_m[:, 20:].mean() - depth_m[:, :12].mean()
        assert step_m == pytest.approx((100 + 50 * frame) / 255, abs=0.05)  # the film is lossy
    preview = cv2.imread(str(tmp_path / "out" / "walk-000002.preview.png"))
    assert preview.shape == (26 + 32, 4 * 32, 3)


def test_what_cannot_be_read_is_named(red_is_depth, tmp_path):
    def refused(*paths: Path) -> str:
        with pytest.raises(InputError) as raised:
            predict_images(tmp_path, paths, tmp_path / "out", size_px=SIZE)
        return str(raised.value)

    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    assert "broken.png: must be a picture, cannot be read as one" in refused(broken)
    (tmp_path / "none.jpg").write_bytes(b"")
    assert "none.jpg: must be a picture" in refused(tmp_path / "none.jpg")
    (tmp_path / "broken.mp4").write_bytes(b"not a film")
    assert "no frame of it can be read" in refused(tmp_path / "broken.mp4")
    assert "is not there" in refused(tmp_path / "absent.png")
    (tmp_path / "empty").mkdir()
    assert "must hold pictures or films, holds none" in refused(tmp_path / "empty")
    a_picture(tmp_path / "ann.png")
    a_mask(tmp_path / "ann.mask.png", (1, 1, 5, 5), size_wh=(20, 10))
    assert "must show a person in 64x64 px, is 20x10 px" in refused(tmp_path / "ann.png")
    a_mask(tmp_path / "ann.mask.png", (0, 0, 0, 0))
    assert "is 64x64 px with 0 set" in refused(tmp_path / "ann.png")
    a_picture(tmp_path / "empty" / "ann.bmp")
    assert "must have a name of its own" in refused(tmp_path / "ann.png", tmp_path / "empty")


def test_missing_checkpoint_is_named_before_anything_is_written(tmp_path):
    a_picture(tmp_path / "ann.png")
    with pytest.raises(InputError, match="must be a checkpoint's folder or a run's"):
        predict_images(tmp_path / "nowhere", [tmp_path / "ann.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


BLOCKED = (
    "pydantic", "luigi", "open3d", "bpy", "psutil", "typer", "rich", "jinja2", "scipy", "numba", "trimesh",
    "matplotlib", "tasks", "renderers",
)  # fmt: skip

LONELY = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
import training.compare, training.evaluate, training.trivial
from training.predict import predict_images
(record,) = predict_images(Path({run!r}), [Path({picture!r})], Path({out!r}), size_px=32, device="cpu")
print(record["model"], record["step"])
"""


def test_a_checkpoint_predicts_where_only_the_trainers_libraries_are_installed(tmp_path):
    options = {"width": 1 / 32, "levels": 2}
    torch.manual_seed(0)
    model = RECIPES["depth-net"].build(options)
    state = {"step": 5, "model": {"name": "depth-net", "options": options}}
    save_checkpoint(
        tmp_path, model=model, optimizer=torch.optim.Adam(model.parameters()), state=state, keep=1
    )
    a_picture(tmp_path / "ann.png")
    code = LONELY.format(
        blocked=BLOCKED, run=str(tmp_path), picture=str(tmp_path / "ann.png"), out=str(tmp_path / "out")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["depth-net", "5"]
    assert np.isfinite(np.load(tmp_path / "out" / "ann.depth.npy")).all()
