"""Compiled loops of the rigid motion; import only through `pipeline.motion.rigid_motion`."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

MAX_SWEEPS = 16  # Jacobi converges quadratically: 5 are usual
ORTHOGONAL2 = 1e-30  # squared cosine between columns that counts as 0 in float64


@njit(cache=True, nogil=True, error_model="numpy")
def fit_rotations(
    target_m: Float64,
    reference_m: Float64,
    rings: tuple[Int32, Int32],
    wanted: Bool,
    least_share: float,
    rotations: Float64,
    determined: Bool,
) -> None:
    """Fill in the best rotation (V 3 3) of each wanted vertex's ring, and whether the ring determines it."""
    starts, neighbours = rings
    product, basis = np.zeros((3, 3)), np.zeros((3, 3))
    for vertex in range(len(wanted)):
        if not wanted[vertex]:
            continue
        product[:] = 0.0
        for place in range(starts[vertex], starts[vertex + 1]):
            other = neighbours[place]
            x = target_m[other, 0] - target_m[vertex, 0]
            y = target_m[other, 1] - target_m[vertex, 1]
            z = target_m[other, 2] - target_m[vertex, 2]
            for i in range(3):
                to = reference_m[other, i] - reference_m[vertex, i]
                product[i, 0] += to * x
                product[i, 1] += to * y
                product[i, 2] += to * z
        _make_orthogonal(product, basis)
        determined[vertex] = _rotation(product, basis, least_share, rotations[vertex])


@njit(cache=True, nogil=True, error_model="numpy")
def _make_orthogonal(columns: Float64, basis: Float64) -> None:
    """Turn `columns` in place by a rotation `basis` so that they become orthogonal: the singular values' U S.

    One-sided Jacobi (Hestenes, "Inversion of Matrices by Biorthogonalization and Related Results", 1958).
    """
    basis[:] = 0.0
    for k in range(3):
        basis[k, k] = 1.0
    for _ in range(MAX_SWEEPS):
        turned = False
        for p in range(2):
            for q in range(p + 1, 3):
                a = columns[0, p] ** 2 + columns[1, p] ** 2 + columns[2, p] ** 2
                b = columns[0, q] ** 2 + columns[1, q] ** 2 + columns[2, q] ** 2
                g = (
                    columns[0, p] * columns[0, q]
                    + columns[1, p] * columns[1, q]
                    + columns[2, p] * columns[2, q]
                )
                if g * g <= ORTHOGONAL2 * a * b:
                    continue
                turned = True
                ratio = (b - a) / (2.0 * g)
                tangent = (1.0 if ratio >= 0.0 else -1.0) / (abs(ratio) + np.sqrt(1.0 + ratio * ratio))
                cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
                _turn(columns, p, q, cosine, cosine * tangent)
                _turn(basis, p, q, cosine, cosine * tangent)
        if not turned:
            return


@njit(cache=True, nogil=True)
def _turn(columns: Float64, p: int, q: int, cosine: float, sine: float) -> None:
    for i in range(3):
        first, second = columns[i, p], columns[i, q]
        columns[i, p] = cosine * first - sine * second
        columns[i, q] = sine * first + cosine * second


@njit(cache=True, nogil=True, error_model="numpy")
def _rotation(columns: Float64, basis: Float64, least_share: float, out: Any) -> bool:
    """Write U diag(1, 1, det) V^T and say whether no other rotation is as good.

    The direction of the least singular value is the cross product of the other two on both sides. That is the
    determinant check: U diag(1, 1, det) is built, never a reflection that would have to be found and undone.
    """
    squares = (columns * columns).sum(axis=0)
    k = int(np.argmin(squares))
    i, j = (k + 1) % 3, (k + 2) % 3
    if squares[i] < squares[j]:
        largest, middle = np.sqrt(squares[j]), np.sqrt(squares[i])
    else:
        largest, middle = np.sqrt(squares[i]), np.sqrt(squares[j])
    u, w = columns[:, i] / np.sqrt(squares[i]), columns[:, j] / np.sqrt(squares[j])
    least = u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2], u[0] * w[1] - u[1] * w[0]
    # Negative where the unconstrained best fit would be a reflection.
    signed = columns[0, k] * least[0] + columns[1, k] * least[1] + columns[2, k] * least[2]
    if not middle + signed > least_share * largest:
        return False
    for row in range(3):
        for column in range(3):
            out[row, column] = (
                u[row] * basis[column, i] + w[row] * basis[column, j] + least[row] * basis[column, k]
            )
    return True
