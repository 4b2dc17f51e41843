"""A body on disk: one npz file in SMPL's schema, whichever model it came from.

Body frame: +Y up, facing +Z, the subject's left at +X, metres. Loper et al., "SMPL: A Skinned Multi-Person Linear
Model", SIGGRAPH Asia 2015, eq. (5) to (10); here joints are stored as linear in the betas, and skinning starts
at a bind pose that need not be the T-pose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.npz_file import read_npz, write_npz
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.errors import InputError

SCHEMA = 1
JOINTS = len(SMPL24_NAMES)
LANDMARK = "landmark_"
WEIGHT_SUM_TOLERANCE = 1e-5  # eight float32 shares, each rounded to 6e-8, and their sum
ROTATION_TOLERANCE = 1e-6
SPAN_M = (0.3, 3.0)  # of the template's longest side: an infant to a giant with arms spread; no millimetres


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the schema: shape by symbols and numbers, and the dtypes that it may have."""

    shape: str
    dtypes: tuple[str, ...]
    unit: str
    doc: str
    optional: bool = False


ROWS: dict[str, Row] = {
    "faces": Row(
        shape="F 3", dtypes=("int32",), unit="1", doc="vertex indices, counter-clockwise from outside"
    ),
    "template_m": Row(shape="V 3", dtypes=("float32",), unit="m", doc="bind-pose vertices at zero betas"),
    "shape_dirs_m": Row(
        shape="V 3 B", dtypes=("float16", "float32"), unit="m", doc="bind-pose vertex offset per unit of beta"
    ),
    "joints_m": Row(
        shape="24 3",
        dtypes=("float32", "float64"),
        unit="m",
        doc="bind-pose joints at zero betas, SMPL's order",
    ),
    "joint_dirs_m": Row(
        shape="24 3 B", dtypes=("float32", "float64"), unit="m", doc="joint offset per unit of beta"
    ),
    "bind_rotation": Row(
        shape="24 3 3",
        dtypes=("float64",),
        unit="1",
        doc="B_j, which turns joint j's segment from the T-pose to the bind pose; identity for SMPL's files",
    ),
    "parents": Row(shape="24", dtypes=("int64",), unit="1", doc="joint that each hangs on; -1 for the first"),
    "weight_joints": Row(shape="V 8", dtypes=("uint8",), unit="1", doc="joints that move each vertex"),
    "weights": Row(
        shape="V 8", dtypes=("float32",), unit="1", doc="their shares, descending; rows sum to 1, unused 0"
    ),
    "pose_dirs_m": Row(
        shape="V 3 207",
        dtypes=("float32",),
        unit="m",
        doc="vertex offset per entry of R_j - I, joints 1 to 23, rows of R first; needs a T-pose bind",
        optional=True,
    ),
    "uv": Row(shape="T 2", dtypes=("float32",), unit="1", doc="texture coordinates", optional=True),
    "uv_faces": Row(
        shape="F 3", dtypes=("int32",), unit="1", doc="index into uv per corner of a face", optional=True
    ),
}
TEXTS = ("name", "licence", "source")


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyArrays:
    """What a body file holds; shapes, dtypes and units as in `ROWS`.

    Attributes:
        licence: under which the arrays stand; it travels into dataset cards.
        source: what the arrays were made from, and how.
        landmarks: named points of the surface, as vertex indices; on disk `landmark_NAME`, () int64.
    """

    name: str
    licence: str
    source: str
    faces: NDArray[np.int32]
    template_m: NDArray[np.float32]
    shape_dirs_m: NDArray[np.floating[Any]]
    joints_m: NDArray[np.floating[Any]]
    joint_dirs_m: NDArray[np.floating[Any]]
    bind_rotation: NDArray[np.float64]
    parents: NDArray[np.int64]
    weight_joints: NDArray[np.uint8]
    weights: NDArray[np.float32]
    pose_dirs_m: NDArray[np.float32] | None = None
    uv: NDArray[np.float32] | None = None
    uv_faces: NDArray[np.int32] | None = None
    landmarks: Mapping[str, int] = field(default_factory=dict)


def write_body(path: Path, body: BodyArrays) -> None:
    """Check a body and write it whole as a compressed npz; the same body gives the same bytes.

    Raises:
        ValueError: with the first thing that is wrong, before anything is written.
    """
    check_body(body, where=f"{path}")
    arrays: dict[str, NDArray[Any]] = {"schema": np.array(SCHEMA, np.int64)}
    arrays |= {name: np.array(getattr(body, name)) for name in TEXTS}
    arrays |= _present(body)
    arrays |= {
        f"{LANDMARK}{name}": np.array(index, np.int64) for name, index in sorted(body.landmarks.items())
    }
    write_npz(path, arrays)


def read_body(path: Path) -> BodyArrays:
    """Read and check a body file; its arrays cannot be written to.

    Raises:
        InputError: `body-missing` or `body-malformed`, with the first thing that is wrong.
    """
    try:
        body = _body(path, read_npz(path))
        check_body(body, where=f"{path}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "body-missing", f"{path}: must be a readable body file, is not ({reason})."
        ) from error
    except ValueError as error:
        raise InputError("body-malformed", str(error)) from error
    return body


def _body(path: Path, arrays: dict[str, NDArray[Any]]) -> BodyArrays:
    required = {"schema", *TEXTS, *(name for name, row in ROWS.items() if not row.optional)}
    missing = sorted(required - arrays.keys())
    if missing:
        raise ValueError(
            f"{path}: a body file must hold {missing[0]}, holds {', '.join(sorted(arrays)) or 'nothing'}. "
            "SMPL's own files are converted by `bodytruth convert-body`."
        )
    schema = arrays.pop("schema")
    if schema.shape != () or schema.dtype != np.int64 or schema != SCHEMA:
        raise ValueError(
            f"{path}: schema must be int64 {SCHEMA}, is {schema.dtype} {schema.ravel()[:1]}. Convert anew."
        )
    landmarks = {name: arrays.pop(name) for name in sorted(arrays) if name.startswith(LANDMARK)}
    unknown = sorted(arrays.keys() - {*TEXTS, *ROWS})
    if unknown:
        raise ValueError(f"{path}: {unknown[0]!r} is not in the schema of body files. Remove it.")
    for name, array in landmarks.items():
        _require(array.shape == () and array.dtype == np.int64, path, name, "be () int64", _kind(array))
    for name in TEXTS:
        array = arrays[name]
        _require(array.shape == () and array.dtype.kind == "U", path, name, "be one text", _kind(array))
    members: dict[str, Any] = {**arrays, **{name: str(arrays[name]) for name in TEXTS}}
    members["landmarks"] = {name.removeprefix(LANDMARK): int(array) for name, array in landmarks.items()}
    return BodyArrays(**members)


def check_body(body: BodyArrays, *, where: str) -> None:
    """Raise ValueError with the first thing that is wrong with a body.

    Args:
        where: file or maker that the message starts with.
    """
    for name in TEXTS:
        _require(getattr(body, name).strip() != "", where, name, "be a text", "empty")
    _check_rows(body, where)
    _check_surface(body, where)
    _check_skeleton(body, where)
    _check_weights(body, where)
    if body.pose_dirs_m is not None:
        bind_is_t = np.array_equal(body.bind_rotation, np.broadcast_to(np.eye(3), (JOINTS, 3, 3)))
        _require(bind_is_t, where, "bind_rotation", "be the identity where pose_dirs_m stands", "not")


def _check_rows(body: BodyArrays, where: str) -> None:
    present = _present(body)
    _require(
        ("uv" in present) == ("uv_faces" in present), where, "uv and uv_faces", "stand together", "alone"
    )
    sizes: dict[str, int] = {}
    for name, array in present.items():
        row = ROWS[name]
        symbols = row.shape.split()
        wanted = f"{' or '.join(row.dtypes)} ({row.shape})"
        fits = array.ndim == len(symbols) and array.dtype.name in row.dtypes and array.dtype.isnative
        _require(fits, where, name, f"be {wanted}", _kind(array))
        for symbol, size in zip(symbols, array.shape, strict=True):
            expected = int(symbol) if symbol.isdigit() else sizes.setdefault(symbol, size)
            _require(
                size == expected > 0,
                where,
                name,
                f"be {wanted} with {symbol}={max(expected, 1)}",
                _kind(array),
            )
        _require(array.flags.c_contiguous, where, name, "lie in C order", "strided")
        if array.dtype.kind == "f":
            count = int(np.count_nonzero(~np.isfinite(array)))
            _require(count == 0, where, name, "be finite", f"NaN or infinite in {count} places")


def _check_surface(body: BodyArrays, where: str) -> None:
    _check_indices(body.faces, len(body.template_m), where, "faces")
    repeated = (body.faces == np.roll(body.faces, 1, axis=1)).any(axis=1)
    _require(
        not repeated.any(),
        where,
        "faces",
        "have three different corners",
        f"double in face {repeated.argmax()}",
    )
    low, high = SPAN_M
    span_m = float(np.ptp(body.template_m, axis=0).max())
    _require(low <= span_m <= high, where, "template_m", f"span {low} to {high} m", f"{span_m:.4g} m wide")
    a, b, c = (body.template_m.astype(np.float64) - body.template_m[0])[body.faces.T]
    volume_l = float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6 * 1e3
    _require(volume_l > 0, where, "faces", "turn outward (volume above 0 l)", f"around {volume_l:.4g} l")
    if body.uv is not None and body.uv_faces is not None:
        _check_indices(body.uv_faces, len(body.uv), where, "uv_faces")
    for name, index in body.landmarks.items():
        _check_indices(np.array(index), len(body.template_m), where, f"{LANDMARK}{name}")


def _check_skeleton(body: BodyArrays, where: str) -> None:
    before = (body.parents[1:] >= 0) & (body.parents[1:] < np.arange(1, JOINTS))
    right = bool(body.parents[0] == -1 and before.all())
    _require(right, where, "parents", "be -1, then a joint before each", str(body.parents.tolist()))
    products = body.bind_rotation @ body.bind_rotation.transpose(0, 2, 1)
    off = float(np.abs(products - np.eye(3)).max())
    orthonormal = off <= ROTATION_TOLERANCE and bool((np.linalg.det(body.bind_rotation) > 0).all())
    _require(orthonormal, where, "bind_rotation", "be rotations", f"off by {off:.3g} or mirrored")
    left, right_hip, head, ankle = (body.joints_m[j] for j in (1, 2, 15, 7))
    upright = left[0] > right_hip[0] and head[1] > ankle[1]
    _require(
        bool(upright),
        where,
        "joints_m",
        "have the left hip at larger x and the head at larger y",
        "in another frame",
    )


def _check_weights(body: BodyArrays, where: str) -> None:
    _check_indices(body.weight_joints, JOINTS, where, "weight_joints")
    low, high = float(body.weights.min()), float(body.weights.max())
    _require(low >= 0, where, "weights", "be at least 0", f"{low:.3g} somewhere")
    off = float(np.abs(body.weights.sum(axis=1, dtype=np.float64) - 1).max())
    _require(
        off <= WEIGHT_SUM_TOLERANCE and high <= 1,
        where,
        "weights",
        "sum to 1 per vertex",
        f"off by {off:.3g}",
    )
    _require(
        not (np.diff(body.weights, axis=1) > 0).any(), where, "weights", "descend per vertex", "unsorted"
    )


def _check_indices(indices: NDArray[Any], count: int, where: str, name: str) -> None:
    low, high = int(indices.min()), int(indices.max())
    _require(low >= 0 and high < count, where, name, f"lie in 0..{count - 1}", f"{low}..{high}")


def _present(body: BodyArrays) -> dict[str, NDArray[Any]]:
    """The arrays that the body has, in the order of the table."""
    given = {item.name: getattr(body, item.name) for item in fields(body)}
    return {name: given[name] for name in ROWS if given[name] is not None}


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _require(holds: bool, where: object, name: str, rule: str, found: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {name} must {rule}, is {found}")
