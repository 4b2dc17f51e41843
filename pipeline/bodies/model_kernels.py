"""Compiled linear blend skinning."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _skin(bind_m: Any, joints: Any, weights: Any, linear: Any, shift_m: Any, out_m: Any) -> None:
    batch, count, _ = out_m.shape
    shapes = bind_m.shape[0]
    zero = bind_m.dtype.type(0)
    for b in range(batch):
        shape = b if shapes > 1 else 0
        for v in range(count):
            x, y, z = bind_m[shape, v, 0], bind_m[shape, v, 1], bind_m[shape, v, 2]
            px, py, pz = zero, zero, zero
            for k in range(joints.shape[1]):
                w = weights[v, k]
                if w == zero:
                    break
                j = joints[v, k]
                m, t = linear[b, j], shift_m[b, j]
                px += w * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + t[0])
                py += w * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + t[1])
                pz += w * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + t[2])
            out_m[b, v, 0], out_m[b, v, 1], out_m[b, v, 2] = px, py, pz


def skin(
    bind_m: NDArray[Any],
    weight_joints: NDArray[np.uint8],
    weights: NDArray[Any],
    *,
    linear: NDArray[Any],
    shift_m: NDArray[Any],
) -> NDArray[Any]:
    """Return the vertices (B V 3), sum_k w_k (linear_k v + shift_k), in the dtype of the arguments.

    Args:
        bind_m: (B or 1, V 3).
        weight_joints: (V 8), descending by weight; what follows a 0 is not read.
        weights: (V 8).
        linear: (B 24 3 3).
        shift_m: (B 24 3).
    """
    out_m = np.zeros((len(linear), *bind_m.shape[1:]), dtype=bind_m.dtype)
    _skin(bind_m, weight_joints, weights, linear, shift_m, out_m)
    return out_m
