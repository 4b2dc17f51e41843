"""`bodytruth convert-body`: a body file or a sentence, and never a part of a file."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.bodies.body_file import read_body

PLACE = Path(__file__).parents[1] / "pipeline" / "bodies" / "smpl_like.py"
SPEC = importlib.util.spec_from_file_location("smpl_like", PLACE)
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)


def test_smpl_pickle_becomes_a_body_file(bodytruth, tmp_path):
    file, out = tmp_path / "SMPL_v1.0.0.pkl", tmp_path / "bodies" / "smpl.npz"
    file.write_bytes(like.smpl_1_0(like.smpl_arrays()))
    said = bodytruth("convert-body", file, "-o", out)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"158 vertices, 10 betas: {out}\n"
    assert np.array_equal(read_body(out).faces, like.smpl_arrays()["f"])


def test_same_file_gives_the_same_bytes_beside_it_by_default(bodytruth, tmp_path):
    file = tmp_path / "SMPL_v1.0.0.npz"
    np.savez(file, **like.smpl_arrays())
    assert bodytruth("convert-body", file).code == 0
    assert bodytruth("convert-body", file, "-o", tmp_path / "again.npz").code == 0
    made = tmp_path / "SMPL_v1.0.0.body.npz"
    assert made.read_bytes() == (tmp_path / "again.npz").read_bytes()
    said = bodytruth("convert-body", file)
    assert said.code == 3 and said.err.startswith(f"{made}: must not exist, does.")


@pytest.mark.parametrize(
    "what", ["reduce, protocol 0", "dotted name", "object array", "huge shape", "truncated"]
)
def test_hostile_file_ends_with_3_and_a_sentence_and_runs_nothing(bodytruth, tmp_path, what):
    file, out = tmp_path / "smpl.pkl", tmp_path / "out.npz"
    whole = like.smpl_1_0(like.smpl_arrays())
    file.write_bytes((like.armed_files(tmp_path / "canary") | like.inert_files(whole))[what])
    said = bodytruth("convert-body", file, "-o", out)
    assert (said.code, said.out) == (3, "") and len(said.err.splitlines()) == 1
    assert said.err.startswith(f"{file}: ")
    assert list(tmp_path.iterdir()) == [file]


def test_place_that_cannot_be_written_is_named(bodytruth, tmp_path):
    file = tmp_path / "smpl.npz"
    np.savez(file, **like.smpl_arrays())
    said = bodytruth("convert-body", file, "-o", file / "body.npz")
    assert said.code == 4 and "must be writable, is not" in said.err
