"""DensePose's own charts of SMPL's surface, from a file that the user brings.

DensePose's `UV_Processed.mat` is non-commercial and not here; a user who has it converts it once. The chart file
is an npz of numbers and one text, read without unpickling (`pipeline.bodies.npz_file`):

| array | shape | dtype | meaning |
|---|---|---|---|
| `parametrisation` | () | text | `densepose` |
| `vertex` | (N) | int32 | SMPL's vertex, from 0, at each chart vertex; seams repeat it |
| `uv` | (N 2) | float64 | U and V of each chart vertex, in [0, 1] |
| `faces` | (M 3) | int32 | chart vertices of each face, from 0, wound as SMPL's |
| `part` | (M) | uint8 | chart 1..24 of each face |

Of the mat file, only five arrays of numbers are read (`mat_file`); nothing in it can be run.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.atlas import Atlas, signed_areas
from pipeline.bodies.atlas_inverse import AtlasInverse, faces_of_cells, faces_of_rims
from pipeline.bodies.model import Body
from pipeline.bodies.npz_file import read_npz, write_npz
from pipeline.correspondences.charts import DENSEPOSE, PARTS, Charts, charts_of
from pipeline.correspondences.mat_file import read_numbers
from pipeline.errors import InputError

Arrays = dict[str, NDArray[Any]]

MAT_NAMES = ("All_vertices", "All_U_norm", "All_V_norm", "All_Faces", "All_FaceIndices")
UV_SLACK = 1e-6  # beyond [0, 1]: what a division by the largest leaves in float32
LEAST_AREA = 1e-12  # of a face in its chart: what is thinner has no inside to be found in
_KINDS = {"vertex": "iu", "uv": "f", "faces": "iu", "part": "iu"}


def convert_densepose_mat(source: Path, target: Path) -> int:
    """Turn DensePose's UV_Processed.mat into a chart file; returns the number of its faces.

    Raises:
        InputError: chart-file-missing or chart-file-malformed.
        OSError: if the target cannot be written.
    """
    try:
        found = read_numbers(source, MAT_NAMES)
    except OSError:
        raise InputError(
            "chart-file-missing", f"{source}: the mat file must be readable, is not. Restore it."
        ) from None
    except ValueError as error:
        raise _malformed(str(source), str(error)) from None
    arrays = {
        "parametrisation": np.array(DENSEPOSE),
        # Matlab counts from 1.
        "vertex": _whole(found["All_vertices"].ravel() - 1, source).astype(np.int32),
        "uv": np.column_stack([found["All_U_norm"].ravel(), found["All_V_norm"].ravel()]).astype(np.float64),
        "faces": _whole(found["All_Faces"] - 1, source).astype(np.int32),
        "part": _whole(found["All_FaceIndices"].ravel(), source).astype(np.int32),
    }
    check_chart_arrays(arrays, where=str(source))
    arrays["part"] = arrays["part"].astype(np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_npz(target, arrays)
    return len(arrays["faces"])


def read_charts(path: Path, body: Body) -> Charts:
    """Read a chart file for a body of SMPL's topology.

    Raises:
        InputError: chart-file-missing, chart-file-malformed, or chart-body-mismatch where the charts' faces are
            not the body's.
    """
    try:
        arrays = read_npz(path)
    except OSError:
        raise InputError(
            "chart-file-missing", f"{path}: the chart file must be readable, is not. Restore it."
        ) from None
    except ValueError as error:
        raise _malformed(str(path), str(error)) from None
    check_chart_arrays(arrays, where=str(path))
    return charts_on_body(arrays, body, where=str(path))


def check_chart_arrays(arrays: Arrays, *, where: str) -> None:
    """Raise InputError chart-file-malformed unless the arrays are as the head of this module lists them."""
    missing = [name for name in ("parametrisation", *_KINDS) if name not in arrays]
    if missing:
        raise _malformed(where, f"it must hold {missing[0]}, holds {', '.join(arrays) or 'nothing'}")
    if str(arrays["parametrisation"]) != DENSEPOSE:
        raise _malformed(
            where, f"parametrisation must be {DENSEPOSE!r}, is {str(arrays['parametrisation'])[:40]!r}"
        )
    shapes = {name: arrays[name].shape for name in _KINDS}
    count, rows = len(arrays["vertex"].ravel()), len(arrays["part"].ravel())
    wanted = {"vertex": (count,), "uv": (count, 2), "faces": (rows, 3), "part": (rows,)}
    kinds = all(arrays[name].dtype.kind in kind for name, kind in _KINDS.items())
    if shapes != wanted or not kinds or not rows or not count:
        raise _malformed(where, f"arrays must be numbers of shapes {wanted}, are {shapes}")
    for name, low, high in (
        ("vertex", 0, np.iinfo(np.int32).max),
        ("uv", -UV_SLACK, 1 + UV_SLACK),
        ("faces", 0, count - 1),
        ("part", 1, PARTS),
    ):
        values = arrays[name]
        if not np.isfinite(values).all() or values.min() < low or values.max() > high:
            raise _malformed(
                where, f"{name} must lie in [{low}, {high}], lies in [{values.min()}, {values.max()}]"
            )


def charts_on_body(arrays: Arrays, body: Body, *, where: str) -> Charts:
    """Lay checked chart arrays over a body; faces that no chart has (two toe triangles of SMPL) get part 0.

    Raises:
        InputError: chart-body-mismatch.
    """
    vertex, faces = arrays["vertex"].astype(np.int64), arrays["faces"].astype(np.int64)
    row, order = _rows_on_body(vertex[faces], body, where=where)
    # Chart vertices in the order in which the body's face has its corners.
    corners = np.take_along_axis(faces, order, axis=1)
    part = np.zeros(len(body.faces), dtype=np.uint8)
    corner_uv = np.zeros((len(body.faces), 3, 2))
    part[row], corner_uv[row] = arrays["part"], np.clip(arrays["uv"][corners], 0.0, 1.0)
    whole = Atlas(part=part, corner_uv=corner_uv)
    solid = np.abs(signed_areas(arrays["uv"][corners])) > LEAST_AREA
    charted = row[solid].astype(np.int32)
    own = Atlas(part=part[charted], corner_uv=corner_uv[charted])
    # Chart vertices, not the body's, so that a seam inside of a part counts as its rim.
    rims = faces_of_rims(own, corners[solid].astype(np.int32))
    inverse = AtlasInverse(atlas=own, cell_faces=faces_of_cells(own), rim_faces=rims)
    return charts_of(DENSEPOSE, whole, inverse, charted, body.faces)


def _rows_on_body(
    triangles: NDArray[np.int64], body: Body, *, where: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The body's face that each triangle (M 3) is, and the triangle's corners (M 3) in that face's order."""
    count = len(body.arrays.template_m)
    if triangles.max() >= count:
        raise _mismatch(where, f"vertices up to {triangles.max()}", body)
    codes = _code(np.sort(body.faces.astype(np.int64), axis=1), count)
    wanted = _code(np.sort(triangles, axis=1), count)
    by_code = np.argsort(codes)
    row = by_code[np.minimum(np.searchsorted(codes, wanted, sorter=by_code), len(codes) - 1)]
    unknown = np.count_nonzero(codes[row] != wanted)
    twice = len(row) - len(np.unique(row))
    if unknown or twice:
        raise _mismatch(where, f"{unknown} of {len(row)} faces that it lacks and {twice} twice", body)
    order = np.zeros_like(triangles)
    np.put_along_axis(order, np.argsort(body.faces[row], axis=1), np.argsort(triangles, axis=1), axis=1)
    return row, order


def _code(triangles: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """One number for each row; three factors below 2^21 fit 63 bits."""
    return np.asarray((triangles[:, 0] * count + triangles[:, 1]) * count + triangles[:, 2])


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if not (np.isfinite(values).all() and (values % 1 == 0).all() and np.abs(values).max() < 2**31):
        raise _malformed(str(path), "vertices, faces and parts must be whole numbers, are not")
    return np.clip(values, -1, None)


def _malformed(where: str, problem: str) -> InputError:
    return InputError("chart-file-malformed", f"{where}: {problem}. Convert UV_Processed.mat again.")


def _mismatch(where: str, what: str, body: Body) -> InputError:
    return InputError(
        "chart-body-mismatch",
        f"{where}: the charts must lie on {body.arrays.name}, have {what}. Use them with the body that they "
        "were made for, SMPL.",
    )
