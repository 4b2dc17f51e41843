"""SMPL's own files, which users bring under their own licence, to a body file: .pkl of 1.0 and 1.1, and .npz.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015: eq. (8) shape, (9) pose, (10) joints.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.body_file import JOINTS, BodyArrays, check_body
from pipeline.bodies.npz_file import ObjectArrayError, read_npz
from pipeline.bodies.smpl_objects import KEYS
from pipeline.errors import InputError

MAX_FILE_BYTES = 1 << 30
MAX_VERTICES = 200_000
MAX_BETAS = 300
READ_TIMEOUT_S = 300
WEIGHTS_KEPT = 8
UNUSED_WEIGHT = 1e-6  # below it a weight moves a vertex by no micrometre
WEIGHT_TOLERANCE = 1e-3  # of a vertex's sum: within it is rounding, which is divided out
REGRESSOR_TOLERANCE = 0.05  # of a joint's sum: SMPL's regressor was fitted towards 1, not to it
SMPL_VERTICES = 6890
# Of SMPL's own mesh: where the joint sets find face and feet. A test holds them against its average bodies.
LANDMARKS = {
    "head_top": 411, "nose": 332,
    "left_eye": 2800, "left_ear": 583, "left_heel": 3387, "left_big_toe": 3216, "left_small_toe": 3226,
    "right_eye": 6260, "right_ear": 4071, "right_heel": 6787, "right_big_toe": 6617, "right_small_toe": 6624,
}  # fmt: skip
LICENCE = "SMPL body model licence, as the user got it from https://smpl.is.tue.mpg.de; not to be passed on"
OTHER_MODELS = "Convert a file of SMPL itself: 24 joints, no hands, no face."


def read_smpl(path: Path) -> BodyArrays:
    """Read an SMPL file of a user as a body; a pickle is read in a process of its own and runs nothing.

    All betas of the file are kept, 10 or 300. Joints become linear in the betas by the file's own regressor.

    Raises:
        InputError: `body-missing`, `body-malformed`, `body-unsafe`, or `body-other-model` for SMPL-H, SMPL-X and
            other models.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(f"{path}: must be at most {MAX_FILE_BYTES >> 20} MiB, is {size >> 20} MiB")
        with path.open("rb") as file:
            packed = file.read(4) == b"PK\x03\x04"
        arrays = read_npz(path, limit_bytes=MAX_FILE_BYTES) if packed else _read_pickle(path)
        body = _body(path, arrays)
        check_body(body, where=f"{path}")
    except ObjectArrayError as error:
        raise InputError(
            "body-other-model", f"{error}, as in files of SMPL-H and SMPL-X. {OTHER_MODELS}"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "body-missing", f"{path}: must be a readable SMPL file, is not ({reason})."
        ) from error
    except ValueError as error:
        raise InputError("body-malformed", f"{error}") from error
    return body


def _read_pickle(path: Path) -> dict[str, NDArray[Any]]:
    """Have the arrays of a pickle read in a process with bounds on time and memory.

    Raises:
        InputError: if the process refuses the file or does not live to the end of it.
    """
    with tempfile.TemporaryDirectory(prefix="smpl-") as folder:
        out = Path(folder) / "arrays.npz"
        command = [sys.executable, "-P", "-m", "pipeline.bodies.smpl_pickle_process"]
        try:
            ended = subprocess.run(
                [*command, str(path.resolve()), str(out)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_environment(),
                timeout=READ_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                "body-unsafe", f"{path}: must be read within {READ_TIMEOUT_S} s, is not."
            ) from error
        if ended.returncode == 0:
            return read_npz(out, limit_bytes=4 * MAX_FILE_BYTES)
    raise _refusal(path, ended)


def _refusal(path: Path, ended: "subprocess.CompletedProcess[bytes]") -> InputError:
    try:
        said = json.loads(ended.stdout)
        return InputError(said["reason"], f"{path}: {said['message']}.")
    except (ValueError, KeyError, TypeError):
        code = ended.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        words = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return InputError(
            "body-unsafe",
            f"{path}: must be read to the end, its reader ended by {how} ({' '.join(words) or 'no last words'}).",
        )


def _environment() -> dict[str, str]:
    """The process finds this package wherever it lies, and starts no threads, whose stacks count as memory."""
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _body(path: Path, arrays: dict[str, NDArray[Any]]) -> BodyArrays:
    """What the body file needs, from SMPL's arrays; ValueError or InputError where they do not fit together."""
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise ValueError(
            f"{path}: an SMPL file must hold {missing[0]}, holds {', '.join(sorted(arrays))[:200] or 'no such array'}"
        )
    arrays = {key: np.ascontiguousarray(arrays[key]) for key in KEYS}
    _check_sizes(path, arrays)
    template, shape_dirs, regressor = (
        _real(path, arrays, key) for key in ("v_template", "shapedirs", "J_regressor")
    )
    off = float(np.abs(regressor.sum(axis=1) - 1).max())
    if off > REGRESSOR_TOLERANCE:
        raise ValueError(f"{path}: rows of J_regressor must sum to 1, are off by {off:.3g}")
    weight_joints, weights = _largest_weights(path, _real(path, arrays, "weights"))
    return BodyArrays(
        name=path.stem,
        licence=LICENCE,
        source=f"converted from {path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
        faces=_whole(path, arrays, "f", len(template) - 1).astype(np.int32),
        template_m=template.astype(np.float32),
        shape_dirs_m=shape_dirs.astype(np.float32),
        joints_m=regressor @ template,
        joint_dirs_m=np.tensordot(regressor, shape_dirs, axes=1),
        bind_rotation=np.tile(np.eye(3), (JOINTS, 1, 1)),
        parents=_parents(path, arrays),
        weight_joints=weight_joints,
        weights=weights,
        pose_dirs_m=_real(path, arrays, "posedirs").astype(np.float32),
        landmarks=LANDMARKS if len(template) == SMPL_VERTICES else {},
    )


def _check_sizes(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    tree, vertices = arrays["kintree_table"], len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    if tree.ndim == 2 and tree.shape[1] != JOINTS:
        raise InputError(
            "body-other-model", f"{path}: must have {JOINTS} joints, has {tree.shape[1]}. {OTHER_MODELS}"
        )
    if not 0 < vertices <= MAX_VERTICES:
        raise ValueError(f"{path}: v_template must have 1 to {MAX_VERTICES} vertices, has {vertices}")
    betas = arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim else 0
    if not 0 < betas <= MAX_BETAS:
        raise ValueError(f"{path}: shapedirs must have 1 to {MAX_BETAS} betas, has {betas}")
    wanted = {
        "v_template": (vertices, 3),
        "f": (len(arrays["f"]) if arrays["f"].ndim else 0, 3),
        "weights": (vertices, JOINTS),
        "kintree_table": (2, JOINTS),
        "shapedirs": (vertices, 3, betas),
        "posedirs": (vertices, 3, 9 * (JOINTS - 1)),
        "J_regressor": (JOINTS, vertices),
    }
    for key, shape in wanted.items():
        if arrays[key].shape != shape or 0 in shape:
            raise ValueError(f"{path}: {key} must be {shape}, is {arrays[key].shape}")


def _real(path: Path, arrays: dict[str, NDArray[Any]], key: str) -> NDArray[np.float64]:
    if arrays[key].dtype.kind != "f":
        raise ValueError(f"{path}: {key} must be real numbers, is {arrays[key].dtype}")
    values = arrays[key].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {key} must be finite, has NaN or infinite values")
    return values


def _whole(path: Path, arrays: dict[str, NDArray[Any]], key: str, last: int) -> NDArray[np.int64]:
    values = arrays[key]
    if values.dtype.kind not in "iu":
        raise ValueError(f"{path}: {key} must be whole numbers, is {values.dtype}")
    if values.min() < 0 or values.max() > last:
        raise ValueError(f"{path}: {key} must lie in 0..{last}, lies in {values.min()}..{values.max()}")
    return values.astype(np.int64)


def _parents(path: Path, arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The first row of kintree_table; the root's parent is stored as -1, which files hold as 4294967295."""
    tree = arrays["kintree_table"]
    if tree.dtype.kind not in "iu" or not np.array_equal(tree[1], np.arange(JOINTS)):
        raise ValueError(
            f"{path}: kintree_table must number its joints 0 to {JOINTS - 1}, numbers them otherwise"
        )
    if int(tree[0, 0]) not in (-1, (1 << 32) - 1, (1 << 64) - 1):
        raise ValueError(f"{path}: kintree_table must start with the root, starts with {int(tree[0, 0])}")
    rest = _whole(path, {"kintree_table": tree[0, 1:]}, "kintree_table", JOINTS - 1)
    return np.concatenate([[-1], rest])


def _largest_weights(path: Path, dense: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Joints and weights (V 8), descending, from weights (V 24) of which at most 8 a vertex may be in use."""
    if dense.min() < -UNUSED_WEIGHT or np.abs(dense.sum(axis=1) - 1).max() > WEIGHT_TOLERANCE:
        raise ValueError(f"{path}: weights must be at least 0 and sum to 1 per vertex, do not")
    used = int((dense > UNUSED_WEIGHT).sum(axis=1).max())
    if used > WEIGHTS_KEPT:
        raise ValueError(f"{path}: weights must use at most {WEIGHTS_KEPT} joints per vertex, use {used}")
    joints = np.argsort(-dense, axis=1, kind="stable")[:, :WEIGHTS_KEPT]
    weights = np.take_along_axis(dense, joints, axis=1)
    weights[weights <= UNUSED_WEIGHT] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.where(weights > 0, joints, 0).astype(np.uint8), weights.astype(np.float32)
