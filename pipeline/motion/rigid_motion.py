"""The rigid motion of the surface around each vertex between two frames.

Tan et al., "Self-Supervised Human Depth Estimation from Monocular Videos", CVPR 2020, step 2; solved by Kabsch,
"A solution for the best rotation to relate two sets of vectors", Acta Crystallographica A 1976, with the sign of
the determinant as in his addition of 1978.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.rings import Rings

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# Of the largest singular value: what the second and the signed third have to add up to. A ring as thin as a
# thousandth of its length reaches it.
LEAST_SHARE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VertexMotion:
    """What carries the surface around each vertex from the target frame to the reference frame.

    Attributes:
        rotations: (V 3 3), determinant +1.
        t_m: (V 3); p_reference = R p_target + t, exact for the vertex itself. Its length is the baseline.
        determined: (V); False where the rotation is the identity for want of a better one.
    """

    rotations: Float64
    t_m: Float64
    determined: Bool


def rigid_motion(
    target_m: NDArray[Any], reference_m: NDArray[Any], rings: Rings, *, wanted: Bool | None = None
) -> VertexMotion:
    """Register the ring of each vertex: R = argmin sum_i |R (v_t^i - v_t) - (v_r^i - v_r)|^2, t = v_r - R v_t.

    Args:
        target_m: (V 3) vertices, each frame in its own camera's frame.
        reference_m: (V 3) the same vertices in the other frame.
        rings: `two_rings` in the paper.
        wanted: (V) vertices to register; the others count as not determined.

    Returns:
        Of a ring without extent or on a straight line the rotation is not determined, nor of one that is
        turned inside out evenly, as one's own mirror image in a sphere would be.

    Raises:
        ValueError: if shapes differ or a vertex is not finite.
    """
    target = checked_vertices(target_m, rings, "rigid_motion: target_m")
    reference = checked_vertices(reference_m, rings, "rigid_motion: reference_m")
    from pipeline.motion.rigid_motion_kernels import fit_rotations

    count = len(target)
    chosen = np.ones(count, np.bool_) if wanted is None else wanted
    rotations, determined = np.tile(np.eye(3), (count, 1, 1)), np.zeros(count, np.bool_)
    compressed = rings.starts, rings.neighbours
    fit_rotations(target, reference, compressed, chosen, LEAST_SHARE, rotations, determined)
    t_m = reference - np.einsum("vij,vj->vi", rotations, target)
    return VertexMotion(rotations=rotations, t_m=t_m, determined=determined)


def checked_vertices(vertices_m: NDArray[Any], rings: Rings, name: str) -> Float64:
    """Return (V 3) finite vertices as float64 in C order.

    Raises:
        ValueError: if they are not as many as the rings are, or not finite.
    """
    vertices = np.ascontiguousarray(vertices_m, dtype=np.float64)
    count = len(rings.starts) - 1
    if vertices.shape != (count, 3) or not np.isfinite(vertices).all():
        raise ValueError(
            f"{name} must be ({count}, 3) and finite, is {vertices.shape} with "
            f"{np.count_nonzero(~np.isfinite(vertices))} values that are not finite"
        )
    return vertices
