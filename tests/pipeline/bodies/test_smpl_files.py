"""SMPL's files become bodies that hold what they held, or are refused with what is wrong."""

import dataclasses
import importlib.util
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.bodies import smpl_files
from pipeline.bodies.body_file import BodyArrays, read_body, write_body
from pipeline.bodies.smpl_files import LANDMARKS, SMPL_VERTICES, read_smpl
from pipeline.captures.scan import read_scan
from pipeline.errors import InputError

SPEC = importlib.util.spec_from_file_location("smpl_like", Path(__file__).with_name("smpl_like.py"))
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)

WHOLE = like.smpl_1_0(like.smpl_arrays())


def write_npz_of(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> BodyArrays:
    """The body of a pickle, read in its own process."""
    path = tmp_path_factory.mktemp("smpl") / "smpl.pkl"
    path.write_bytes(WHOLE)
    return read_smpl(path)


def test_pickle_and_npz_give_the_same_body(tmp_path, body):
    arrays = like.smpl_arrays()
    other = read_smpl(
        write_npz_of(tmp_path / "smpl.npz", {**arrays, "J": np.zeros((24, 3)), "gender": np.array("n")})
    )
    for item in dataclasses.fields(BodyArrays):
        ours, theirs = getattr(body, item.name), getattr(other, item.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), item.name
        elif item.name != "source":
            assert ours == theirs, item.name
    assert body.source.startswith("converted from smpl.pkl, sha256 ")


def test_body_holds_what_the_file_held(tmp_path, body):
    arrays = like.smpl_arrays()
    assert np.array_equal(body.template_m, arrays["v_template"].astype(np.float32))
    assert np.array_equal(body.shape_dirs_m, arrays["shapedirs"].astype(np.float32))
    assert np.array_equal(body.pose_dirs_m, arrays["posedirs"].astype(np.float32))
    assert np.array_equal(body.faces, arrays["f"]) and body.parents.tolist() == list(like.PARENTS)
    dense = np.zeros((len(body.template_m), 24))
    np.add.at(dense, (np.arange(len(dense))[:, None], body.weight_joints), body.weights)
    assert np.abs(dense - arrays["weights"]).max() < 1e-7  # float32 of numbers below 1
    assert np.array_equal(body.bind_rotation, np.tile(np.eye(3), (24, 1, 1)))
    assert "SMPL" in body.licence
    write_body(tmp_path / "body.npz", body)
    assert np.array_equal(read_body(tmp_path / "body.npz").weights, body.weights)


@given(betas=hnp.arrays(np.float64, 10, elements=st.floats(-5, 5)))
@settings(max_examples=25)
def test_joints_are_the_regressors_of_the_shaped_template_at_any_betas(body, betas):
    arrays = like.smpl_arrays()
    regressed = arrays["J_regressor"] @ (arrays["v_template"] + arrays["shapedirs"] @ betas)
    assert np.allclose(body.joints_m + body.joint_dirs_m @ betas, regressed, rtol=0, atol=1e-12)


def test_all_300_betas_of_smpl_1_1_are_kept(tmp_path):
    arrays = like.smpl_arrays(betas=300)
    (tmp_path / "smpl.pkl").write_bytes(like.python2_pickle(arrays, 0))
    assert read_smpl(tmp_path / "smpl.pkl").joint_dirs_m.shape == (24, 3, 300)


def test_weights_of_few_digits_are_made_to_sum_to_1(tmp_path):
    coarse = like.smpl_arrays() | {"weights": np.round(like.smpl_arrays()["weights"], 4)}
    assert np.abs(coarse["weights"].sum(axis=1) - 1).max() > 9e-5  # beyond what a body file may be off
    weights = read_smpl(write_npz_of(tmp_path / "smpl.npz", coarse)).weights
    assert np.abs(weights.sum(axis=1, dtype=np.float64) - 1).max() < 5e-7  # rounding of eight float32


def with_entry(key: str, place, value) -> dict[str, np.ndarray]:
    array = like.smpl_arrays()[key].copy()
    array[place] = value
    return {key: array}


ONES = np.ones((24, 3))
WRONG = {
    "v_template must have 1 to 200000 vertices, has 0": {"v_template": np.zeros((0, 3))},
    "v_template must be real numbers, is int64": {
        "v_template": np.ones_like(like.smpl_arrays()["f"], np.int64)[:158]
    },
    "v_template must be finite": with_entry("v_template", (0, 0), np.inf),
    "template_m must span 0.3 to 3.0 m": {"v_template": 100 * like.smpl_arrays()["v_template"]},
    "joints_m must have the left hip at larger x": {
        "v_template": like.smpl_arrays()["v_template"] * [-1, 1, -1]
    },
    "f must lie in 0..157, lies in 0..158": with_entry("f", (3, 1), 158),
    "f must be whole numbers": {"f": like.smpl_arrays()["f"].astype(float)},
    "f must be (1, 3), is (1, 4)": {"f": np.zeros((1, 4), int)},
    "weights must be at least 0 and sum to 1": with_entry("weights", (0, 0), -0.2),
    "weights must be (158, 24), is (157, 24)": {"weights": np.zeros((157, 24))},
    "at most 8 joints per vertex, use 24": {"weights": np.full((158, 24), 1 / 24)},
    "kintree_table must number its joints": with_entry("kintree_table", (1, 4), 5),
    "kintree_table must start with the root, starts with 3": with_entry("kintree_table", (0, 0), 3),
    "parents must be -1, then a joint before each": with_entry("kintree_table", (0, 4), 4),
    "kintree_table must lie in 0..23": with_entry("kintree_table", (0, 4), 24),
    "kintree_table must be (2, 24), is (3, 24)": {"kintree_table": np.zeros((3, 24), int)},
    "shapedirs must have 1 to 300 betas, has 301": {"shapedirs": np.zeros((158, 3, 301))},
    "shapedirs must be (158, 3, 10), is (158, 2, 10)": {"shapedirs": np.zeros((158, 2, 10))},
    "posedirs must be (158, 3, 207), is (158, 3, 459)": {"posedirs": np.zeros((158, 3, 459))},
    "rows of J_regressor must sum to 1": with_entry("J_regressor", 0, 0.5),
    "J_regressor must be (24, 158), is (158, 24)": {"J_regressor": like.smpl_arrays()["J_regressor"].T},
    "must hold posedirs, holds": {"posedirs": None},
}


@pytest.mark.parametrize("words", WRONG)
def test_arrays_that_are_no_smpl_body_are_refused(tmp_path, words):
    arrays = {key: array for key, array in (like.smpl_arrays() | WRONG[words]).items() if array is not None}
    path = write_npz_of(tmp_path / "smpl.npz", arrays)
    with pytest.raises(InputError) as refused:
        read_smpl(path)
    assert words in str(refused.value) and str(refused.value).startswith(f"{path}: ")
    assert (refused.value.reason, refused.value.exit_code) == ("body-malformed", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"kintree_table": np.zeros((2, 52), np.int64)},  # SMPL-H
        {"kintree_table": np.zeros((2, 55), np.int64)},  # SMPL-X
        {"part2num": np.array({"nose": 0}, object)},  # its npz holds dictionaries
    ],
    ids=["52 joints", "55 joints", "object array"],
)
def test_other_models_are_named_as_such(tmp_path, change):
    path = write_npz_of(tmp_path / "smplx.npz", like.smpl_arrays() | change)
    with pytest.raises(
        InputError, match=r"Convert a file of SMPL itself: 24 joints, no hands, no face\."
    ) as refused:
        read_smpl(path)
    assert refused.value.reason == "body-other-model"


def test_file_that_is_not_there_or_too_large_is_refused_unread(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="must be a readable SMPL file") as refused:
        read_smpl(tmp_path / "gone.pkl")
    assert refused.value.reason == "body-missing"
    (tmp_path / "large.pkl").write_bytes(WHOLE)
    monkeypatch.setattr(smpl_files, "MAX_FILE_BYTES", 1 << 17)
    with pytest.raises(InputError, match="must be at most 0 MiB"):
        read_smpl(tmp_path / "large.pkl")


# the process that reads pickles


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [(-11, b"", "signal SIGSEGV (no last words)"), (1, b"a\nb\n", "exit code 1 (b)")],
)
def test_reader_that_dies_is_no_bug_but_a_refused_file(tmp_path, monkeypatch, code, words, said):
    (tmp_path / "a.pkl").write_bytes(WHOLE)
    ended = subprocess.CompletedProcess([], code, b"", words)
    monkeypatch.setattr(smpl_files.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(InputError) as refused:
        read_smpl(tmp_path / "a.pkl")
    assert said in str(refused.value) and refused.value.reason == "body-unsafe"


def test_reader_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    (tmp_path / "a.pkl").write_bytes(WHOLE)
    monkeypatch.setattr(smpl_files, "READ_TIMEOUT_S", 0.01)
    with pytest.raises(InputError, match="must be read within") as refused:
        read_smpl(tmp_path / "a.pkl")
    assert refused.value.reason == "body-unsafe"


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["human_man", "human_woman"])
def test_landmarks_lie_on_face_and_feet_of_smpls_average_bodies(name):
    root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if not root:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set")
    person = read_scan(Path(root) / "ccby_bodies" / f"{name}.obj", unit_m=1.0, up="y").vertices
    assert len(person) == SMPL_VERTICES
    at = {landmark: person[index] for landmark, index in LANDMARKS.items()}
    height_m = person[:, 1].max()
    assert at["head_top"][1] > height_m - 0.003
    head = person[person[:, 1] > 0.9 * height_m]
    assert at["nose"][2] > head[:, 2].max() - 0.003 and abs(at["nose"][0]) < 0.005
    for side, sign in (("left", 1), ("right", -1)):
        assert all(
            sign * at[f"{side}_{part}"][0] > 0.02 for part in ("eye", "ear", "heel", "big_toe", "small_toe")
        )
        assert sign * at[f"{side}_ear"][0] > sign * at[f"{side}_eye"][0] + 0.02
        assert at[f"{side}_eye"][2] > 0.06 and at[f"{side}_eye"][1] > at["nose"][1] + 0.02
        assert at[f"{side}_heel"][2] < -0.09 < 0.08 < at[f"{side}_small_toe"][2] < at[f"{side}_big_toe"][2]
        assert max(at[f"{side}_{part}"][1] for part in ("heel", "big_toe", "small_toe")) < 0.03
        assert sign * at[f"{side}_small_toe"][0] > sign * at[f"{side}_big_toe"][0] + 0.04
