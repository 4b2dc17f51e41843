"""Chart files: written as DensePose's, laid over a body, and refused where they are not what they must be."""

import importlib.util
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from pipeline.bodies.npz_file import write_npz
from pipeline.correspondences.chart_file import convert_densepose_mat, read_charts
from pipeline.correspondences.charts import DENSEPOSE
from pipeline.correspondences.sides import OUR_TURNING, chart_turning
from pipeline.correspondences.surface_points import nearest_vertices, surface_places
from pipeline.errors import InputError

PLACE = Path(__file__).with_name("densepose_like.py")
SPEC = importlib.util.spec_from_file_location("densepose_like", PLACE)
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)


@pytest.fixture(scope="module")
def mat(body, charts) -> dict[str, np.ndarray]:
    return like.mat_arrays(body, charts)


@pytest.fixture(scope="module")
def npz(mat, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("charts")
    savemat(folder / "UV_Processed.mat", mat, do_compression=True)
    assert convert_densepose_mat(folder / "UV_Processed.mat", folder / "charts.npz") == len(mat["All_Faces"])
    return folder / "charts.npz"


def test_a_converted_file_gives_the_charts_it_was_made_of(npz, body, charts, surface):
    read = read_charts(npz, body)
    assert read.parametrisation == DENSEPOSE
    missing = read.atlas.part == 0
    assert np.count_nonzero(missing) == like.DROPPED and not read.atlas.corner_uv[missing].any()
    np.testing.assert_array_equal(read.atlas.part[~missing], charts.atlas.part[~missing])
    mirrored = [1, 0] + [-1, 1] * charts.atlas.corner_uv
    np.testing.assert_array_equal(read.atlas.corner_uv[~missing], mirrored[~missing])
    assert chart_turning(read) == tuple(-sign for sign in OUR_TURNING)


def test_places_come_back_through_the_files_charts(npz, body, surface):
    read = read_charts(npz, body)
    rng = np.random.default_rng(1)
    face = rng.integers(0, len(body.faces), 4000).astype(np.int32)
    face, bary = face[read.atlas.part[face] > 0], rng.dirichlet([1, 1, 1], 4000)[:, 1:]
    bary = bary[: len(face)]
    part, uv = read.atlas.at(face, bary)
    found = surface_places(read, part, uv, parametrisation=DENSEPOSE)
    assert not found.reason.any()
    # float32 coordinates of a chart step by 6e-8; a face of a finger is 1e-3 of a chart.
    assert surface.distances_between((face, bary), (found.face, found.bary)).max() < 1e-5
    rows = face[:500]
    corners = nearest_vertices(
        read,
        np.repeat(read.atlas.part[rows][:, None], 3, axis=1),
        read.atlas.corner_uv[rows],
        parametrisation=DENSEPOSE,
    )
    np.testing.assert_array_equal(corners, body.faces[rows])


def test_the_same_mat_file_gives_the_same_bytes(mat, npz, tmp_path):
    savemat(tmp_path / "again.mat", mat, do_compression=False)
    convert_densepose_mat(tmp_path / "again.mat", tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == npz.read_bytes()


def test_a_seam_inside_a_part_is_a_rim_and_a_face_without_area_is_no_place(mat, body, charts, tmp_path):
    """Part 1 in two islands, 0.2 apart: a point in the gap goes to the nearer one, not across a glued face."""
    torn = {name: values.copy() for name, values in mat.items()}
    faces, uv = mat["All_Faces"].astype(int) - 1, np.hstack([mat["All_U_norm"], mat["All_V_norm"]])
    first = mat["All_FaceIndices"].ravel() == 1
    right = first & (uv[faces].mean(axis=1)[:, 0] > 0.5)
    ids, copies = np.unique(faces[right], return_inverse=True)
    island = uv[ids] * [0.4, 1] + [0.6, 0]
    uv[np.unique(faces[first])] *= [0.4, 1]
    faces[right] = len(uv) + copies.reshape(-1, 3)
    flat = np.flatnonzero(first & ~right)[:5]
    uv = np.concatenate([uv, island, np.full((3, 2), 0.2)])
    vertex = np.concatenate([mat["All_vertices"].ravel(), mat["All_vertices"].ravel()[ids], np.zeros(3)])
    vertex[-3:] = vertex[faces[flat[0]]]
    faces[flat[0]] = len(uv) - 3 + np.arange(3)
    torn |= {
        "All_vertices": vertex[None],
        "All_U_norm": uv[:, :1],
        "All_V_norm": uv[:, 1:],
        "All_Faces": faces + 1,
    }
    savemat(tmp_path / "torn.mat", torn)
    convert_densepose_mat(tmp_path / "torn.mat", tmp_path / "torn.npz")
    read = read_charts(tmp_path / "torn.npz", body)
    assert len(read.charted) == len(faces) - 1
    gap = np.array([[0.45, 0.5], [0.49, 0.5], [0.51, 0.5], [0.55, 0.5]])
    found = surface_places(read, np.ones(4, np.uint8), gap, parametrisation=DENSEPOSE, most_off_chart=0.5)
    _, at = read.atlas.at(found.face, found.bary)
    assert (np.sign(at[:, 0] - 0.5) == np.sign(gap[:, 0] - 0.5)).all()
    here = read.inverse.atlas.corner_uv[read.inverse.atlas.part == 1]
    for point, off in zip(gap, found.off_chart, strict=True):
        corners = np.linalg.norm(here.reshape(-1, 2) - point, axis=1).min()
        # The nearest place of a rim lies at most half an edge nearer than its nearest corner.
        assert off <= corners + 1e-6 and off > corners - 0.02


def broken(mat, **changes):
    return {name: values for name, values in (mat | changes).items() if values is not None}


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("All_V_norm", None, "All_V_norm must be numbers, is absent"),
        ("All_Faces", np.array([["rm -rf"]], dtype=object), "All_Faces must be numbers, is cell"),
        ("All_FaceIndices", lambda a: a + 256, "part must lie in"),
        ("All_FaceIndices", lambda a: a[:-1], "must be numbers of shapes"),
        ("All_vertices", lambda a: a + 0.5, "must be whole numbers"),
        ("All_vertices", lambda a: a - 1, "vertex must lie in"),
        ("All_Faces", lambda a: a.astype(np.int32) + 7, "faces must lie in"),
        ("All_U_norm", lambda a: a * 1.5, "uv must lie in"),
        ("All_U_norm", lambda a: a * np.nan, "uv must lie in"),
    ],
)
def test_a_mat_file_that_is_not_densepose_is_refused(mat, tmp_path, name, value, what):
    new = value(mat[name]) if callable(value) else value
    savemat(tmp_path / "bad.mat", broken(mat, **{name: new}))
    with pytest.raises(InputError, match=what) as caught:
        convert_densepose_mat(tmp_path / "bad.mat", tmp_path / "bad.npz")
    assert caught.value.reason == "chart-file-malformed" and not (tmp_path / "bad.npz").exists()


def test_what_is_no_mat_file_of_version_5_is_refused(mat, tmp_path):
    savemat(tmp_path / "whole.mat", mat, do_compression=True)
    whole = (tmp_path / "whole.mat").read_bytes()
    for name, content in (
        ("torn.mat", whole[: len(whole) // 2]),
        ("text.mat", b"MATLAB" * 99),
        ("none.mat", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            convert_densepose_mat(tmp_path / name, tmp_path / "x.npz")
        assert caught.value.reason == "chart-file-malformed"
    with h5py.File(tmp_path / "v73.mat", "w", userblock_size=512) as file:
        file["All_Faces"] = np.ones(3)
    with pytest.raises(InputError, match=r"v73.mat"):
        convert_densepose_mat(tmp_path / "v73.mat", tmp_path / "x.npz")
    with pytest.raises(InputError, match="must be readable") as caught:
        convert_densepose_mat(tmp_path / "absent.mat", tmp_path / "x.npz")
    assert caught.value.reason == "chart-file-missing"


def test_a_mat_file_that_unfolds_beyond_all_bounds_is_refused_before_it_does(tmp_path):
    file = tmp_path / "bomb.mat"
    file.write_bytes(like.bomb(400 << 20))
    assert file.stat().st_size < 4 << 20
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="must unfold to at most 64 MiB") as caught:
        convert_densepose_mat(file, tmp_path / "x.npz")
    assert caught.value.reason == "chart-file-malformed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 250 << 10


def test_a_chart_file_of_another_kind_or_body_is_refused(npz, body, tmp_path):
    from pipeline.bodies.npz_file import read_npz

    arrays = read_npz(npz)
    file = tmp_path / "charts.npz"
    swapped = arrays["vertex"].copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    cases = (
        ({"parametrisation": np.array("bodytruth")}, "chart-file-malformed", "parametrisation must be"),
        ({"uv": None}, "chart-file-malformed", "it must hold uv"),
        ({"part": arrays["part"].astype(np.float64)}, "chart-file-malformed", "must be numbers of shapes"),
        ({"vertex": swapped}, "chart-body-mismatch", "faces that it lacks"),
        ({"vertex": arrays["vertex"] + 1}, "chart-body-mismatch", "must lie on"),
        ({"faces": arrays["faces"][[0, *range(len(arrays["faces"]) - 1)]]}, "chart-body-mismatch", "1 twice"),
    )
    for change, reason, what in cases:
        write_npz(file, broken(arrays, **change))
        with pytest.raises(InputError, match=what) as caught:
            read_charts(file, body)
        assert caught.value.reason == reason
    np.savez(file, **(arrays | {"parametrisation": np.array([{}], dtype=object)}))
    with pytest.raises(InputError, match="Python objects"):
        read_charts(file, body)
    with pytest.raises(InputError, match="must be readable"):
        read_charts(tmp_path / "absent.npz", body)
