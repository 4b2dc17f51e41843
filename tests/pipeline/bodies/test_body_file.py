"""A body comes back as it was written, and whatever is no body is refused with what is wrong."""

import dataclasses

import numpy as np
import pytest

from pipeline.bodies import npz_file
from pipeline.bodies.body_file import ROWS, BodyArrays, read_body, write_body
from pipeline.bodies.npz_file import write_npz
from pipeline.errors import InputError

TETRAHEDRON_M = np.array([[0, 0.9, 0], [0, -0.6, 0.5], [0.5, -0.6, -0.3], [-0.5, -0.6, -0.3]], np.float32)
OUTWARD = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.int32)


def a_body(**changes) -> BodyArrays:
    rng = np.random.default_rng(3)
    joints_m = rng.uniform(-0.1, 0.1, (24, 3))
    joints_m[1, 0], joints_m[2, 0], joints_m[15, 1], joints_m[7, 1] = 0.2, -0.2, 0.7, -0.5
    angles_rad = rng.uniform(-1, 1, 24)
    c, s, zero, one = np.cos(angles_rad), np.sin(angles_rad), np.zeros(24), np.ones(24)
    weights = np.zeros((4, 8), np.float32)
    weights[:, :2] = 0.75, 0.25
    body = BodyArrays(
        name="four corners",
        licence="CC0-1.0",
        source="by hand, in Zürich",
        faces=OUTWARD,
        template_m=TETRAHEDRON_M,
        shape_dirs_m=rng.normal(0, 0.1, (4, 3, 5)).astype(np.float16),
        joints_m=joints_m,
        joint_dirs_m=rng.normal(0, 0.1, (24, 3, 5)),
        bind_rotation=np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(24, 3, 3),
        parents=np.array([-1, *range(23)]),
        weight_joints=rng.integers(0, 24, (4, 8)).astype(np.uint8),
        weights=weights,
        landmarks={"nose": 3, "left_eye": 0},
    )
    return dataclasses.replace(body, **changes)


def with_everything() -> BodyArrays:
    rng = np.random.default_rng(4)
    return a_body(
        bind_rotation=np.tile(np.eye(3), (24, 1, 1)),
        pose_dirs_m=rng.normal(0, 0.1, (4, 3, 207)).astype(np.float32),
        uv=rng.uniform(0, 1, (6, 2)).astype(np.float32),
        uv_faces=rng.integers(0, 6, (4, 3)).astype(np.int32),
    )


def on_disk(body: BodyArrays) -> dict[str, np.ndarray]:
    """What `write_body` puts on disk, without its checks."""
    arrays = {name: getattr(body, name) for name in ROWS if getattr(body, name) is not None}
    texts = {name: np.array(getattr(body, name)) for name in ("name", "licence", "source")}
    landmarks = {f"landmark_{name}": np.array(index) for name, index in body.landmarks.items()}
    return {"schema": np.array(1), **texts, **arrays, **landmarks}


@pytest.mark.parametrize("body", [a_body(), with_everything()], ids=["least", "everything"])
def test_body_comes_back_as_it_was_written(tmp_path, body):
    write_body(tmp_path / "body.npz", body)
    back = read_body(tmp_path / "body.npz")
    for item in dataclasses.fields(BodyArrays):
        was, now = getattr(body, item.name), getattr(back, item.name)
        if isinstance(was, np.ndarray):
            assert now.dtype == was.dtype and np.array_equal(now, was), item.name
            with pytest.raises(ValueError, match="read-only"):
                now[...] = 0
        else:
            assert now == was, item.name


def test_same_body_gives_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    write_body(tmp_path / "one.npz", with_everything())
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    reordered = dataclasses.replace(with_everything(), landmarks={"left_eye": 0, "nose": 3})
    write_body(tmp_path / "two.npz", reordered)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_write_that_fails_leaves_what_stood_there(tmp_path, monkeypatch):
    path = tmp_path / "body.npz"
    write_body(path, a_body())
    before = path.read_bytes()
    monkeypatch.setattr(npz_file.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        write_body(path, with_everything())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def changed(name: str, place, value) -> dict[str, np.ndarray]:
    array = getattr(with_everything(), name).copy()
    array[place] = value
    return {name: array}


WRONG = {
    "faces must be int32": {"faces": OUTWARD.astype(np.int64)},
    "faces must lie in 0..3": changed("faces", (0, 0), 4),
    "faces must have three different corners": changed("faces", (2, 1), 0),
    "faces must turn outward": {"faces": np.ascontiguousarray(OUTWARD[:, ::-1])},
    "with F=4": {"uv_faces": np.zeros((3, 3), np.int32)},
    "uv_faces must lie in 0..5": changed("uv_faces", (1, 1), -1),
    "stand together": {"uv": None},
    "template_m must be finite, is NaN or infinite in 2 places": changed(
        "template_m", (0, slice(0, 2)), np.nan
    ),
    "template_m must span": {"template_m": 1000 * TETRAHEDRON_M},
    "template_m must be float32": {"template_m": TETRAHEDRON_M.astype(">f4")},
    "shape_dirs_m must lie in C order": {"shape_dirs_m": np.asfortranarray(np.zeros((4, 3, 5), np.float16))},
    "with V=4": {"shape_dirs_m": np.zeros((5, 3, 5), np.float16)},
    "with B=5": {"joint_dirs_m": np.zeros((24, 3, 4))},
    "joints_m must be float32 or float64": {"joints_m": np.zeros((24, 4))},
    "joints_m must have the left hip": changed("joints_m", (1, 0), -0.3),
    "the head at larger y": changed("joints_m", (15, 1), -0.9),
    "bind_rotation must be rotations": changed("bind_rotation", (5, 0, 0), 1.001),
    "or mirrored": changed("bind_rotation", (5, 0, 0), -1.0),
    "bind_rotation must be the identity where pose_dirs_m stands": {"bind_rotation": a_body().bind_rotation},
    "parents must be -1, then": changed("parents", 7, 7),
    "parents must be": changed("parents", 0, 0),
    "weight_joints must lie in 0..23": changed("weight_joints", (0, 0), 24),
    "weights must be at least 0": changed("weights", (0, 7), -0.1),
    "weights must sum to 1": changed("weights", (0, 7), 0.001),
    "weights must descend": {"weights": np.ascontiguousarray(a_body().weights[:, ::-1])},
    "landmark_nose must lie in 0..3": {"landmarks": {"nose": 4}},
    "licence must be a text": {"licence": " "},
    "pose_dirs_m must be float32": {"pose_dirs_m": np.zeros((4, 3, 208), np.float32)},
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_body_is_neither_written_nor_read(tmp_path, words):
    body = dataclasses.replace(with_everything(), **WRONG[words])
    path = tmp_path / "body.npz"
    with pytest.raises(ValueError, match=words) as refused:
        write_body(path, body)
    assert str(refused.value).startswith(f"{path}: ") and not path.exists()
    write_npz(path, on_disk(body))
    with pytest.raises(InputError, match=words) as refused:
        read_body(path)
    assert refused.value.reason == "body-malformed" and refused.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parents": None}, "must hold parents, holds bind_rotation"),
        ({"extra": np.zeros(3)}, "'extra' is not in the schema"),
        ({"schema": np.array(2)}, "schema must be int64 1, is int64"),
        ({"name": np.array(3.5)}, "name must be one text, is float64"),
        ({"landmark_nose": np.array(1.0)}, r"landmark_nose must be \(\) int64, is float64"),
    ],
)
def test_file_with_other_members_is_refused(tmp_path, change, words):
    arrays = on_disk(a_body()) | change
    write_npz(tmp_path / "body.npz", {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=words):
        read_body(tmp_path / "body.npz")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz: must be a readable body file, is not") as refused:
        read_body(tmp_path / "gone.npz")
    assert refused.value.reason == "body-missing"
