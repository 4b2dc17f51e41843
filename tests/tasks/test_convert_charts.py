"""`bodytruth convert-charts`: a chart file or a sentence, and never a part of a file."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.bodies.model import default_body
from pipeline.correspondences.chart_file import read_charts
from pipeline.correspondences.charts import own_charts

PLACE = Path(__file__).parents[1] / "pipeline" / "correspondences" / "densepose_like.py"
SPEC = importlib.util.spec_from_file_location("densepose_like", PLACE)
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)


@pytest.fixture(scope="module")
def mat():
    return like.mat_arrays(default_body(), own_charts(default_body()))


def test_mat_file_becomes_a_chart_file(bodytruth, mat, tmp_path):
    file, out = tmp_path / "UV_Processed.mat", tmp_path / "charts" / "densepose.npz"
    savemat(file, mat, do_compression=True)
    said = bodytruth("convert-charts", file, "-o", out)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{len(mat['All_Faces'])} faces with a chart: {out}\n"
    assert len(read_charts(out, default_body()).charted) == len(mat["All_Faces"])


def test_same_file_gives_the_same_bytes_beside_it_by_default(bodytruth, mat, tmp_path):
    file = tmp_path / "UV_Processed.mat"
    savemat(file, mat)
    assert bodytruth("convert-charts", file).code == 0
    assert bodytruth("convert-charts", file, "-o", tmp_path / "again.npz").code == 0
    made = tmp_path / "UV_Processed.charts.npz"
    assert made.read_bytes() == (tmp_path / "again.npz").read_bytes()
    said = bodytruth("convert-charts", file)
    assert said.code == 3 and said.err.startswith(f"{made}: must not exist, does.")


def test_hostile_file_ends_with_3_and_a_sentence_and_leaves_nothing(bodytruth, mat, tmp_path):
    file, out = tmp_path / "UV_Processed.mat", tmp_path / "new" / "out.npz"
    savemat(file, mat)
    whole = file.read_bytes()
    savemat(file, mat | {"All_V_norm": mat["All_V_norm"] * np.nan})
    hostile = {
        "not a number": file.read_bytes(),
        "torn": whole[: len(whole) // 3],
        "a pickle": b"\x80\x04cposix\nsystem\n.",
        "unfolds to 100 MB": like.bomb(100 << 20),
    }
    for content in hostile.values():
        file.write_bytes(content)
        said = bodytruth("convert-charts", file, "-o", out)
        assert (said.code, said.out) == (3, "") and len(said.err.splitlines()) == 1
        assert said.err.startswith(f"{file}: ") and "Convert UV_Processed.mat again." in said.err
        assert list(tmp_path.iterdir()) == [file]
    said = bodytruth("convert-charts", tmp_path / "absent.mat", "-o", out)
    assert said.code == 3 and "must be readable, is not" in said.err


def test_place_that_cannot_be_written_is_named(bodytruth, mat, tmp_path):
    file = tmp_path / "UV_Processed.mat"
    savemat(file, mat)
    said = bodytruth("convert-charts", file, "-o", file / "charts.npz")
    assert said.code == 4 and "must be writable, is not" in said.err
