"""From what an SMPL pickle describes to arrays: numpy, scipy.sparse and chumpy objects, none of them made.

chumpy is the differentiation library that SMPL 1.0 was written with; its `Ch` holds an array, its `Select` picks
entries of another node. Both are read here from their stored state, without the library.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.restricted_unpickler import Made, Name, unpickle

MAX_ARRAY_BYTES = 1 << 30
MAX_DEPTH = 8  # of chumpy nodes in nodes; SMPL's files have two

# Every name that may occur in a file, and what kind of object it stands for. Python 2's and 3's names, and the
# places where numpy and scipy kept them over the years.
NAMES: Mapping[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "buffer",
    ("numpy._core.numeric", "_frombuffer"): "buffer",
    ("scipy.sparse.csc", "csc_matrix"): "csc",
    ("scipy.sparse._csc", "csc_matrix"): "csc",
    ("chumpy.ch", "Ch"): "ch",
    ("chumpy.reordering", "Select"): "select",
    ("_codecs", "encode"): "bytes",
    ("copy_reg", "_reconstructor"): "object",
    ("copyreg", "_reconstructor"): "object",
    ("__builtin__", "object"): "base",
    ("builtins", "object"): "base",
    ("__builtin__", "set"): "set",
    ("builtins", "set"): "set",
}


# What is read of an SMPL file, pickle or npz; it holds more, such as priors and how it was trained.
KEYS = ("v_template", "f", "weights", "kintree_table", "shapedirs", "posedirs", "J_regressor")


def smpl_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Those of `KEYS` that an SMPL pickle describes, as dense arrays.

    Raises:
        RefusedPickle: if it asks for anything that no SMPL file needs.
        ValueError: if it is damaged, or one of them is no array of numbers.
    """
    described = unpickle(content, NAMES)
    if type(described) is not dict:
        raise ValueError(f"must hold a dictionary, holds {type(described).__name__}")
    arrays = {}
    for key in KEYS:
        if key in described:
            try:
                arrays[key] = array_of(described[key])
            except ValueError as error:
                raise ValueError(f"{key} {error}") from error
    return arrays


def array_of(value: Any, *, depth: int = 0) -> NDArray[Any]:
    """The array that a record describes, dense, numbers only.

    Raises:
        ValueError: if it describes no array of numbers, or its parts do not fit together.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"must nest at most {MAX_DEPTH} nodes, nests more")
    kind = _kind(value)
    if kind == "array":
        return _stored_array(value)
    if kind == "buffer":
        return _buffered_array(value)
    if kind == "scalar" and len(value.args) == 2:
        return _array(_dtype(value.args[0]), (), _bytes(value.args[1]), "C")
    if kind == "csc":
        return _dense(_state(value), depth)
    if kind == "ch":
        return array_of(_part(_state(value), "x"), depth=depth + 1)
    if kind == "select":
        return _selected(_state(value), depth)
    raise ValueError(f"must be an array of numbers, is {kind or type(value).__name__}")


def _kind(value: Any) -> str:
    if type(value) is not Made:
        return ""
    if value.kind == "object":  # protocols 0 and 1 wrap the class
        first = value.args[0] if value.args else None
        return first.kind if type(first) is Name else "object"
    return value.kind


def _state(value: Made) -> dict[Any, Any]:
    if type(value.state) is not dict:
        raise ValueError(f"must keep its parts in a dictionary, keeps {type(value.state).__name__}")
    return value.state


def _part(state: dict[Any, Any], *names: str) -> Any:
    for name in names:
        if name in state:
            return state[name]
    raise ValueError(f"must hold {names[0]}, holds {', '.join(map(str, state))[:80]}")


def _stored_array(value: Made) -> NDArray[Any]:
    """numpy's own state: (version, shape, dtype, whether Fortran order, bytes)."""
    state = value.state
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("must have the five parts of a numpy array, has others")
    _, shape, dtype, fortran, content = state
    return _array(_dtype(dtype), shape, _bytes(content), "F" if fortran else "C")


def _buffered_array(value: Made) -> NDArray[Any]:
    if len(value.args) != 4:
        raise ValueError("must have the four parts of a buffered numpy array, has others")
    content, dtype, shape, order = value.args
    return _array(_dtype(dtype), shape, _bytes(content), "F" if order == "F" else "C")


def _array(dtype: np.dtype[Any], shape: Any, content: bytes, order: Any) -> NDArray[Any]:
    shape = _shape(shape)
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"must have {dtype} {shape}, has {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = [_size(size) for size in shape] if type(shape) is tuple and len(shape) <= 8 else [-1]
    if min(sizes, default=0) < 0:
        raise ValueError("must have a shape of at most 8 whole numbers, has another")
    return tuple(sizes)


def _size(size: Any) -> int:
    """A length as python or as numpy has it; -1 where it is neither."""
    if _kind(size) == "scalar":
        number = array_of(size)
        return int(number) if number.dtype.kind in "iu" else -1
    return size if type(size) is int else -1


def _dtype(value: Any) -> np.dtype[Any]:
    """numpy's dtype is made of a code, such as f8; its state, in a tuple, starts with version and byte order."""
    code = value.args[0] if _kind(value) == "dtype" and value.args else None
    if type(code) is not str or not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248])", code):
        raise ValueError(f"must hold numbers, holds {str(code)[:20] if type(code) is str else 'others'}")
    state = value.state
    if state is None:
        return np.dtype(code)
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
        raise ValueError("must hold numbers of a byte order, holds others")
    if any(part is not None for part in state[2:5]):
        raise ValueError("must hold numbers, holds records")
    return np.dtype(code.lstrip("<>=|")).newbyteorder(state[1])


def _bytes(value: Any) -> bytes:
    if _kind(value) == "bytes" and len(value.args) == 2 and value.args[1] in ("latin1", "latin-1"):
        value = value.args[0]  # python 3 writes bytes so for python 2
    if type(value) is str:
        return value.encode("latin-1")
    if type(value) is bytes:
        return value
    raise ValueError(f"must keep its values as bytes, keeps them as {type(value).__name__}")


def _dense(state: dict[Any, Any], depth: int) -> NDArray[np.float64]:
    """A compressed-column matrix: the values of column c are data[indptr[c]:indptr[c + 1]], in rows indices."""
    data, rows, starts = (
        array_of(_part(state, name), depth=depth + 1) for name in ("data", "indices", "indptr")
    )
    shape = _shape(_part(state, "_shape", "shape"))
    if len(shape) != 2 or math.prod(shape) * 8 > MAX_ARRAY_BYTES:
        raise ValueError(f"must be a matrix of at most {MAX_ARRAY_BYTES >> 20} MiB, is {shape}")
    fits = (
        data.ndim == rows.ndim == starts.ndim == 1
        and rows.dtype.kind in "iu"
        and starts.dtype.kind in "iu"
        and len(rows) == len(data)
        and len(starts) == shape[1] + 1
        and starts[0] == 0
        and starts[-1] == len(data)
        and bool((starts[1:] >= starts[:-1]).all())
        and (len(rows) == 0 or bool(rows.min() >= 0 and rows.max() < shape[0]))
    )
    if not fits:
        raise ValueError("must be a sparse matrix whose indices fit its shape, is not")
    dense = np.zeros(shape)
    columns = np.repeat(np.arange(shape[1]), np.diff(starts.astype(np.int64)))
    np.add.at(dense, (rows, columns), data)
    return dense


def _selected(state: dict[Any, Any], depth: int) -> NDArray[Any]:
    """chumpy's Select: entries idxs of the flattened node a, in shape preferred_shape where there is one."""
    source = array_of(_part(state, "a"), depth=depth + 1).ravel()
    picked = array_of(_part(state, "idxs"), depth=depth + 1)
    if picked.dtype.kind not in "iu" or (picked.size and not 0 <= picked.min() <= picked.max() < source.size):
        raise ValueError(f"must pick entries 0 to {source.size - 1}, picks others")
    shape = _shape(state["preferred_shape"]) if "preferred_shape" in state else picked.shape
    if math.prod(shape) != picked.size:
        raise ValueError(f"must pick as many entries as {shape} has, picks {picked.size}")
    selected: NDArray[Any] = source[picked.ravel()]
    return selected.reshape(shape)
