"""A pose graph on rigid transforms: Gauss-Newton, with edges that the others contradict switched off.

Edges are weighted as in Agarwal et al., "Robust Map Optimization Using Dynamic Covariance Scaling", ICRA 2013, by
the closed form of the line process of Choi, Zhou and Koltun, CVPR 2015, eq. (8); all are trusted at first, and the
bend falls step by step (Yang et al., "Graduated Non-Convexity for Robust Spatial Perception", RA-L 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking.se3 import adjoint, transform_of, twist_of

Float64 = NDArray[np.float64]

# Alignments repeat the same errors of the same sensor: no edge is trusted beyond this, rad and m.
LEAST_SIGMA = np.array([1e-3] * 3 + [2e-3] * 3)
BEND_SQUARE = 25.0  # squared length of an error, in spreads, at which an edge keeps a quarter of its weight
BEND_START, BEND_FALL = 1e6, 4.0
ITERATIONS = 40
STILL = 1e-8  # a step (rad, m) that ends the search
GAUGE = 1e-9  # share of the largest entry: keeps frames without any edge where they are


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edge:
    """A measured motion between two frames.

    Attributes:
        i, j: rows of the poses.
        i_from_j: (4 4).
        information: (6 6) of the twist x in exp(x) i_from_j.
        loop: whether others may overrule it.
    """

    i: int
    j: int
    i_from_j: Float64
    information: Float64
    loop: bool


def solve_step(
    world_from_cam: Float64, pairs: NDArray[np.int64], A: Float64, b: Float64, *, fixed: int
) -> Float64:
    """One Gauss-Newton step of all poses.

    Args:
        world_from_cam: (N 4 4).
        pairs: (E 2) rows i, j.
        A, b: (E 6 6), (E 6): normal equations A x = b of exp(x) i_from_j, a motion in frame i.
        fixed: the row that does not move.

    Returns:
        (N 6) twists; the new poses are exp(twist) world_from_cam.
    """
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import spsolve

    count = len(world_from_cam)
    carry = adjoint(invert_rigid(world_from_cam[pairs[:, 0]]))  # twists of the world into frame i
    AW = np.einsum("eki,ekl,elj->eij", carry, A, carry)
    bW = np.einsum("eki,ek->ei", carry, b)
    right = np.zeros((count, 6))
    np.add.at(right, pairs[:, 1], bW)
    np.add.at(right, pairs[:, 0], -bW)
    rows, columns, values = [], [], []
    for first, second, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
        block_rows, block_columns = pairs[:, first] * 6, pairs[:, second] * 6
        rows.append(np.broadcast_to(block_rows[:, None, None] + np.arange(6)[:, None], AW.shape))
        columns.append(np.broadcast_to(block_columns[:, None, None] + np.arange(6), AW.shape))
        values.append(sign * AW)
    shape = (6 * count, 6 * count)
    places = [np.concatenate(part).ravel() for part in (rows, columns)]
    H = coo_matrix((np.concatenate(values).ravel(), places), shape=shape).tocsc()
    free = np.setdiff1d(np.arange(6 * count), 6 * fixed + np.arange(6))
    H = H[free][:, free] + GAUGE * abs(H).max() * identity(len(free), format="csc")
    step = np.zeros(6 * count)
    step[free] = spsolve(H.tocsc(), right.ravel()[free])
    return step.reshape(count, 6)


def edge_errors(world_from_cam: Float64, edges: Sequence[Edge]) -> Float64:
    """Twists (E 6) by which the poses differ from the edges, in frame i."""
    i, j = np.array([edge.i for edge in edges]), np.array([edge.j for edge in edges])
    measured = np.stack([edge.i_from_j for edge in edges])
    return twist_of(invert_rigid(world_from_cam[i]) @ world_from_cam[j] @ invert_rigid(measured))


def optimise(world_from_cam: Float64, edges: Sequence[Edge], *, fixed: int = 0) -> tuple[Float64, Float64]:
    """Find the poses that agree best with all edges.

    Args:
        world_from_cam: (N 4 4), the start.

    Returns:
        The poses, and per edge its weight from 0 to 1; 1 for all that are no loops.
    """
    poses = world_from_cam.copy()
    if not edges:
        return poses, np.ones(0)
    pairs = np.array([(edge.i, edge.j) for edge in edges])
    loop = np.array([edge.loop for edge in edges])
    A = np.stack([bounded_information(edge.information) for edge in edges])
    weights, bend = np.ones(len(edges)), BEND_START
    for _ in range(ITERATIONS):
        errors = edge_errors(poses, edges)
        squares = np.einsum("ei,eij,ej->e", errors, A, errors)
        weights = np.where(loop, (bend / (bend + squares)) ** 2, 1.0)
        weighted = weights[:, None, None] * A
        step = solve_step(poses, pairs, weighted, -np.einsum("eij,ej->ei", weighted, errors), fixed=fixed)
        poses = transform_of(step) @ poses
        if bend == BEND_SQUARE and np.abs(step).max() < STILL:
            break
        bend = max(bend / BEND_FALL, BEND_SQUARE)
    return poses, weights


def bounded_information(information: Float64) -> Float64:
    """Information (6 6) whose spreads are nowhere below LEAST_SIGMA."""
    scale = 1 / LEAST_SIGMA
    # (C + S^2)^-1 with C the inverse of the information, without inverting what may be singular.
    scaled = information / np.outer(scale, scale)
    bounded = np.linalg.solve(np.eye(6) + scaled, scaled)
    bounded = (bounded + bounded.T) / 2 * np.outer(scale, scale)
    return np.asarray(bounded, dtype=np.float64)
