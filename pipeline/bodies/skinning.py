"""Rotations and joint transforms of the 24-joint tree: the same arithmetic for numpy and torch.

Loper et al., "SMPL", SIGGRAPH Asia 2015, eq. (2) to (4), with a bind pose that need not be the zero pose: B_j
turns joint j's segment from the zero pose to the bind pose, in which the template stands.
Every function takes the array module `xp`, numpy or torch.
"""

from collections.abc import Sequence
from typing import Any

SMALL_ANGLE2_RAD2 = 1e-4  # below it the series to angle^4 is exact to 2e-16, and no 0 / 0 nor its gradient


def rotation_matrices(pose_rad: Any, xp: Any) -> Any:
    """Return the rotations (..., 3, 3) of axis-angle vectors (..., 3), differentiable also at zero."""
    squared = (pose_rad * pose_rad).sum(-1)
    small = squared < SMALL_ANGLE2_RAD2
    safe = xp.where(small, 1.0 + squared, squared)
    angle = xp.sqrt(safe)
    half_sine = xp.sin(0.5 * angle)
    sine = xp.where(small, 1.0 - squared / 6.0 + squared * squared / 120.0, xp.sin(angle) / angle)
    cosine = xp.where(
        small, 0.5 - squared / 24.0 + squared * squared / 720.0, 2.0 * half_sine * half_sine / safe
    )
    x, y, z = pose_rad[..., 0], pose_rad[..., 1], pose_rad[..., 2]
    sx, sy, sz = sine * x, sine * y, sine * z
    xy, xz, yz = cosine * x * y, cosine * x * z, cosine * y * z
    rest = 1.0 - cosine * squared
    entries = [
        rest + cosine * x * x, xy - sz, xz + sy,
        xy + sz, rest + cosine * y * y, yz - sx,
        xz - sy, yz + sx, rest + cosine * z * z,
    ]  # fmt: skip
    return xp.stack(entries, -1).reshape((*pose_rad.shape, 3))


def tree_levels(parents: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return, level by level from the root, the joints and each one's parent's place in the level before."""
    levels: list[tuple[list[int], list[int]]] = [([0], [0])]
    while True:
        above = levels[-1][0]
        joints = [joint for joint, parent in enumerate(parents) if parent in above]
        if not joints:
            return levels
        levels.append((joints, [above.index(parents[joint]) for joint in joints]))


def joint_transforms(
    rotations: Any,
    joints_m: Any,
    *,
    zero_from_bind: Any,
    parents: Sequence[int],
    scales: Any | None,
    xp: Any,
) -> tuple[Any, Any]:
    """Return what moves each segment from the bind pose into the pose.

    Args:
        rotations: (B 24 3 3) local rotations about the zero pose's axes.
        joints_m: (B or 1, 24 3) in the bind pose.
        zero_from_bind: (24 3 3), the transposes of B_j.
        scales: (B 24), sizes of the segments, or None for 1.

    Returns:
        Linear parts (B 24 3 3), s_j G_j B_j^T, and posed joints (B 24 3): a vertex v of segment j goes to
        linear_j (v - joint_j) + posed_j. The root stays where the bind pose has it.
    """
    offsets = joints_m - joints_m[:, [max(parent, 0) for parent in parents]]
    turned: list[Any] = []
    linear: list[Any] = []
    placed: list[Any] = []
    order: list[int] = []
    for joints, above in tree_levels(parents):
        local = rotations[:, joints]
        # The root's parent does not turn, and its offset is 0 already.
        world = turned[-1][:, above] @ local if turned else local
        step = (linear[-1][:, above] @ offsets[:, joints, :, None])[..., 0] if turned else 0.0
        origin = placed[-1][:, above] if turned else joints_m[:, :1] + xp.zeros_like(local[..., 0])
        segment = world @ zero_from_bind[joints]
        turned.append(world)
        linear.append(segment if scales is None else scales[:, joints, None, None] * segment)
        placed.append(origin + step)
        order += joints
    back = [order.index(joint) for joint in range(len(order))]
    return xp.concatenate(linear, 1)[:, back], xp.concatenate(placed, 1)[:, back]
