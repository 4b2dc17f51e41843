"""A dressed person in any pose, in tens of milliseconds.

In every pose the layers of a wardrobe are skinned, smoothed across the creases that skinning makes, pushed out
of what lies under them, folded, and pushed out again; every step is a smooth function of the pose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.bodies.skinning import joint_transforms, rotation_matrices
from pipeline.simulation.layers import Ground, nearest
from pipeline.simulation.wardrobe import REGIONS, Cover, Wardrobe, dress
from pipeline.simulation.wrinkles import STRAIGHT_RAD, bend_vectors

__all__ = [
    "REGIONS", "DressedBody", "Penetration", "Wardrobe", "bind_rotations", "dress", "dressed", "penetration",
    "smooth_layers",
]  # fmt: skip

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

GAP_M = 0.0045  # least height of cloth above what lies under it
SOFT_M = 0.0012
SMOOTHING_ROUNDS, SMOOTHING_STEP = 6, 0.5
REACH_M = 0.04
SUNK_M = 0.003  # a hem's closing ends this far inside the layer below


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DressedBody:
    """The surface of a dressed person in one pose.

    Attributes:
        vertices_m: (V 3).
        faces: (F 3) int32, outward; the same in every pose.
        region: (F) index into `REGIONS`.
        rest_m: (V 3) where in a solid texture a vertex lies: its place in the bind pose.
        body_face: (F) face of the body model that each face lies on.
        body_bary: (F 3 3) where on it: row c has corner c's weights of that face's vertices.
        body_vertex: (V) vertex of the body model that each vertex belongs to.
        joints_m: (24 3).
        body_vertices_m: (V0 3) of the bare body model in the same pose.
        stack_m: (N 3) every vertex of every layer, hidden ones too, and their unit normals.
    """

    vertices_m: Float64
    faces: Int32
    region: NDArray[np.uint8]
    rest_m: NDArray[np.float32]
    body_face: Int32
    body_bary: NDArray[np.float32]
    body_vertex: Int32
    joints_m: Float64
    body_vertices_m: Float64
    stack_m: Float64
    stack_normals: Float64
    wardrobe: Wardrobe


def dressed(
    wardrobe: Wardrobe,
    pose_rad: NDArray[Any],
    transl_m: NDArray[Any],
    *,
    hanging_m: Sequence[NDArray[Any]] | None = None,
) -> DressedBody:
    """Pose a dressed person.

    Args:
        pose_rad: (24 3) axis-angle rotation of each joint relative to its parent, about the T-pose's axes.
        transl_m: (3,) added to everything.
        hanging_m: (N 3) for each soft layer, innermost first: how far simulated cloth lies from
            `smooth_layers`; the layers then have no other folds.
    """
    from pipeline.simulation.dressing_kernels import normals_of

    stack_m, normals, placed_m, bend = _skinned(wardrobe, pose_rad, transl_m)
    if hanging_m is None:
        for cover in wardrobe.covers:
            if cover.wrinkles is not None:
                here = slice(cover.start, cover.stop)
                smooth_m = _smoothed(cover, stack_m, normals)
                normals[here] = normals_of(smooth_m, cover.layer.sheet.faces)
                stack_m[here] = _folded(cover, smooth_m, stack_m, normals, bend)
    else:
        _smooth_all(wardrobe, stack_m, normals)
        for cover, away_m in zip(_soft(wardrobe), hanging_m, strict=True):
            here = slice(cover.start, cover.stop)
            stack_m[here] = _hung(wardrobe, cover, stack_m[here] + away_m, stack_m, normals)
            normals[here] = normals_of(stack_m[here], cover.layer.sheet.faces)
    closed_m = stack_m[wardrobe.ring_anchor] - SUNK_M * normals[wardrobe.ring_anchor]
    return DressedBody(
        vertices_m=np.concatenate([stack_m, stack_m[wardrobe.ring], closed_m])[wardrobe.kept],
        faces=wardrobe.faces, region=wardrobe.region, rest_m=wardrobe.rest_m, body_face=wardrobe.body_face,
        body_bary=wardrobe.body_bary, body_vertex=wardrobe.body_vertex, joints_m=placed_m,
        body_vertices_m=stack_m[: len(wardrobe.body.arrays.template_m)],
        stack_m=stack_m, stack_normals=normals, wardrobe=wardrobe,
    )  # fmt: skip


def smooth_layers(wardrobe: Wardrobe, pose_rad: NDArray[Any], transl_m: NDArray[Any]) -> Float64:
    """Return the stack (N 3) of all layers, the soft ones without folds: outside of each other and smooth."""
    stack_m, normals, _, _ = _skinned(wardrobe, pose_rad, transl_m)
    _smooth_all(wardrobe, stack_m, normals)
    return stack_m


def _skinned(
    wardrobe: Wardrobe, pose_rad: NDArray[Any], transl_m: NDArray[Any]
) -> tuple[Float64, Float64, Float64, Float64]:
    """Return the stack (N 3), normals (N 3) of all but the soft layers, joints (24 3) and bends (24 3)."""
    from pipeline.bodies.model_kernels import skin
    from pipeline.simulation.dressing_kernels import normals_of

    linear, placed_m, rotations = _moves(wardrobe, pose_rad, transl_m)
    shift_m = placed_m - (linear @ wardrobe.fine.joints_m[:, :, None])[..., 0]
    stack_m = skin(
        wardrobe.bind_m[None],
        wardrobe.weight_joints,
        wardrobe.weights,
        linear=linear[None],
        shift_m=shift_m[None],
    )[0]
    normals = np.zeros_like(stack_m)
    bare = len(wardrobe.fine.bind_m)
    normals[:bare] = normals_of(stack_m[:bare], wardrobe.fine.sheet.faces)
    for cover in wardrobe.covers:
        if cover.wrinkles is None:
            here = slice(cover.start, cover.stop)
            normals[here] = normals_of(stack_m[here], cover.layer.sheet.faces)
    return stack_m, normals, placed_m, bend_vectors(rotations, bind_rotations(wardrobe.body))


def _soft(wardrobe: Wardrobe) -> list[Cover]:
    return [cover for cover in wardrobe.covers if cover.layer.soft]


def _smooth_all(wardrobe: Wardrobe, stack_m: Float64, normals: Float64) -> None:
    """Smooth the soft layers in place, each outside of those below it."""
    from pipeline.simulation.dressing_kernels import normals_of

    for cover in _soft(wardrobe):
        here = slice(cover.start, cover.stop)
        stack_m[here] = _smoothed(cover, stack_m, normals)
        normals[here] = normals_of(stack_m[here], cover.layer.sheet.faces)


def _pushed_out(points_m: Float64, anchor: Int32, stack_m: Float64, normals: Float64) -> Float64:
    from pipeline.simulation.dressing_kernels import pushed_out

    gap_m = np.full(len(points_m), GAP_M)
    return pushed_out(points_m, anchor, ground_m=stack_m, ground_normals=normals, gap_m=gap_m, soft_m=SOFT_M)


def _smoothed(cover: Cover, stack_m: Float64, normals: Float64) -> Float64:
    """Return a soft layer (N 3) outside of what lies under it, without the creases of skinning."""
    from pipeline.simulation.dressing_kernels import relaxed

    smooth_m = stack_m[cover.start : cover.stop]
    for _ in range(2):
        smooth_m = relaxed(smooth_m, cover.mean, step=SMOOTHING_STEP, rounds=SMOOTHING_ROUNDS)
        smooth_m = _pushed_out(smooth_m, cover.layer.anchor, stack_m, normals)
    return smooth_m


def _folded(cover: Cover, smooth_m: Float64, stack_m: Float64, normals: Float64, bend: Float64) -> Float64:
    """Return a smooth layer (N 3), whose normals stand in `normals`, with its drawn folds."""
    from pipeline.simulation.dressing_kernels import fold_heights

    wrinkles = cover.wrinkles
    assert wrinkles is not None
    height_m = fold_heights(
        wrinkles.standing_m,
        wrinkles.joint,
        wrinkles.toward,
        wrinkles.rise_m,
        bend=bend,
        still_rad=STRAIGHT_RAD,
    )
    folded_m = smooth_m + height_m[:, None] * normals[cover.start : cover.stop]
    return _pushed_out(folded_m, cover.layer.anchor, stack_m, normals)


def _hung(wardrobe: Wardrobe, cover: Cover, points_m: Float64, stack_m: Float64, normals: Float64) -> Float64:
    """Return simulated cloth (N 3) outside of what it lies on now: it slides, so its anchors are found anew."""
    from pipeline.simulation.dressing_kernels import normals_of

    below = np.arange(len(wardrobe.fine.bind_m))
    for other in wardrobe.covers:
        if other.start < cover.start and other.layer.region != "hair":
            below = np.concatenate([below, np.arange(other.start, other.stop)])
    ground = Ground(
        vertex=below.astype(np.int32),
        points_m=stack_m[below],
        normals=normals[below],
        arms=np.zeros(len(below)),
    )
    for _ in range(2):  # a top that is inside of trousers too may lie next to the skin at first
        rows = nearest(ground, points_m, normals_of(points_m, cover.layer.sheet.faces))
        points_m = _pushed_out(points_m, ground.vertex[rows], stack_m, normals)
    return points_m


def _moves(
    wardrobe: Wardrobe, pose_rad: NDArray[Any], transl_m: NDArray[Any]
) -> tuple[Float64, Float64, Float64]:
    arrays = wardrobe.body.arrays
    rotations = rotation_matrices(np.asarray(pose_rad, np.float64), np)
    linear, placed_m = joint_transforms(
        rotations[None],
        wardrobe.fine.joints_m[None],
        zero_from_bind=arrays.bind_rotation.transpose(0, 2, 1),
        parents=arrays.parents.tolist(),
        scales=None,
        xp=np,
    )
    return linear[0], placed_m[0] + np.asarray(transl_m, np.float64), rotations


def bind_rotations(body: Body) -> Float64:
    """Return the local rotations (24 3 3) that the bind pose has."""
    bind, parents = body.arrays.bind_rotation, np.maximum(body.arrays.parents, 0)
    local = bind[parents].transpose(0, 2, 1) @ bind
    local[0] = bind[0]
    return np.asarray(local)


@dataclass(frozen=True, kw_only=True, slots=True)
class Penetration:
    """How much lies outside what should cover it.

    Attributes:
        share: of the covered vertices, in [0, 1].
        depth_mm: of the deepest.
        count: covered vertices that were looked at.
    """

    share: float
    depth_mm: float
    count: int


def penetration(person: DressedBody) -> dict[str, Penetration]:
    """Measure skin through cloth ("skin") and trousers through the top ("bottom").

    A covered vertex is outside if straight below it, within `REACH_M`, the first cloth shows its outer side, and
    straight above it there is none as near and none that shows its inner side. Inside its cloth it would look,
    down through the body, at the inner side of the cloth opposite; in the closed crease of a bent joint, where
    limbs pass into each other, it has the other limb's cloth above.
    """
    wardrobe = person.wardrobe
    cloths = {cover.layer.region: cover for cover in wardrobe.covers if cover.layer.soft}
    top, both = (
        [c.layer.sheet.faces + c.start for c in covers] for covers in ((cloths["top"],), cloths.values())
    )
    skin = np.flatnonzero(wardrobe.covered)
    under = np.flatnonzero(wardrobe.bottom_covered) + cloths["bottom"].start
    return {
        "skin": _outside(person, skin, np.concatenate(both)),
        "bottom": _outside(person, under, np.concatenate(top)),
    }


def _outside(person: DressedBody, vertices: NDArray[np.intp], cloth: Int32) -> Penetration:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(person.stack_m.astype(np.float32)), o3d.core.Tensor(cloth.astype(np.uint32))
    )
    outwards = person.stack_normals[vertices]

    def first(dirs: Float64) -> tuple[Float64, Float64]:
        rays = np.concatenate([person.stack_m[vertices], dirs], axis=1).astype(np.float32)
        hits = scene.cast_rays(o3d.core.Tensor(rays))
        return hits["t_hit"].numpy(), np.einsum(
            "ij,ij->i", hits["primitive_normals"].numpy(), outwards
        ) * np.isfinite(hits["t_hit"].numpy())

    (depth_m, below), (height_m, above) = first(-outwards), first(outwards)
    outside = (depth_m < REACH_M) & (below > 0) & (height_m > REACH_M) & ~(above > 0)
    return Penetration(
        share=float(np.mean(outside)),
        depth_mm=float(1e3 * depth_m[outside].max(initial=0.0)),
        count=len(vertices),
    )
