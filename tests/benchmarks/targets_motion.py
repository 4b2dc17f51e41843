"""Motion maps and skeleton volumes against what libraries give: time and, beside it, error. One thread each.

The peer of the motion map registers the rings of the same visible vertices by numpy's batched SVD with the
determinant check, mixes the corners' motions linearly, as the paper does, and lets Embree (through Open3D) see
both frames. The peer of the volumes is the formula of a Gaussian, joint by joint.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from alternating import alternate
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.bodies.motions import MOTIONS, motion
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import backproject, pixel_rays
from pipeline.motion.base_depth import CODE_INFLATE_M, CODE_SMOOTHING_STEPS, base_depth
from pipeline.motion.motion_map import MotionMap, motion_map
from pipeline.motion.rings import one_rings, two_rings
from pipeline.zbuffer import visible_faces
from training.skeleton_targets import BINS, SIZE, joint_places, joint_volumes

Row = dict[str, Any]
Pair = tuple[NDArray[Any], NDArray[Any]]

SIZE_PX = 256
K = np.array([[277.0, 0, 127.5], [0, 277.0, 127.5], [0, 0, 1]])


def rows(*, rounds: int = 9) -> list[Row]:
    """All rows of the benchmark `targets` that concern motion and skeletons; times in ms, errors in mm."""
    return [*_map_rows(rounds), *_base_rows(rounds), *_volume_rows(rounds)]


def _map_rows(rounds: int) -> list[Row]:
    pairs = [pair for name in MOTIONS for pair in _pairs(name)]
    milliseconds, _ = alternate(
        {"ours": lambda: _ours(*pairs[0]), "peer": _embree_and_svd(*pairs[0])}, rounds
    )
    errors_mm = np.concatenate([_landing_mm(_ours(*pair), *pair) for pair in pairs])
    mixed_mm = np.concatenate([_mixed_landing_mm(*pair) for pair in pairs])
    largest = {"ours": float(errors_mm.max()), "peer": float(mixed_mm.max())}
    over = {name: float(np.mean(mm > 1)) for name, mm in (("ours", errors_mm), ("peer", mixed_mm))}
    peer, mixed = "numpy SVD, open3d raycast", "corners' motions mixed linearly"
    return [
        _row("motion map of a pair, 256 px", milliseconds, "ms", peer, most=30.0),
        _row("motion map, largest error on the surface", largest, "mm", mixed, most=1.0),
        _row("motion map, pixels over 1 mm", over, "1", mixed, most=0.0),
    ]


def _base_rows(rounds: int) -> list[Row]:
    body, (target, _) = default_body(), _pairs("walk")[0]
    code = {"smoothing_steps": CODE_SMOOTHING_STEPS, "inflate_m": CODE_INFLATE_M}
    found = []
    for name, settings in (("plain", {}), ("smoothed and inflated", code)):
        calls = {
            "ours": lambda settings=settings: base_depth(
                target, body.faces, one_rings(body), K=K, size_px=SIZE_PX, **settings
            )
        }
        found.append(_row(f"base depth, {name}", alternate(calls, rounds)[0], "ms", "-", most=30.0))
    return found


def _volume_rows(rounds: int) -> list[Row]:
    rng = np.random.default_rng(0)
    joints_px, joints_m = rng.uniform(20, 235, (16, 2)), rng.uniform(2, 2.5, (16, 3))

    def ours() -> NDArray[Any]:
        return joint_volumes(joint_places(joints_px, joints_m, image_px=SIZE_PX))

    places = joint_places(joints_px, joints_m, image_px=SIZE_PX).places
    milliseconds, volumes = alternate({"ours": ours, "peer": lambda: _gaussians(places)}, rounds)
    off = {name: float(np.abs(_expected(volume) - places).max()) for name, volume in volumes.items()}
    peer = "numpy Gaussian, joint by joint"
    return [
        _row("skeleton volumes 16x19x64x64", milliseconds, "ms", peer, most=10.0),
        _row("skeleton volumes, joint off by", off, "voxel", peer, most=0.25),
    ]


def _row(name: str, values: dict[str, float], unit: str, peer: str, *, most: float) -> Row:
    """One figure beside its peer's; ratio = peer's / ours, so larger is better for us."""
    value, peer_value = values["ours"], values.get("peer")
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": None if peer_value is None or value == 0 else peer_value / value,
        "target": f"<= {most:g} {unit}",
        "holds": value <= most,
    }


def _pairs(name: str) -> list[Pair]:
    """Frames half a second, a second and two seconds apart, 3 m before a camera that stands still."""
    body, betas = default_body(), np.zeros(10)
    made = motion(name, np.random.default_rng(0), proportions_of(body, betas), seconds=2.5, fps=2.0)
    vertices_m = body.posed(made.pose_rad, betas, made.transl_m).vertices_m
    middle = (vertices_m.min(axis=(0, 1)) + vertices_m.max(axis=(0, 1))) / 2
    frames = (vertices_m - middle) * [1, -1, -1] + [0, 0, 3]
    return [(frames[0], frames[later]) for later in (1, 2, 4)]


def _ours(target: NDArray[Any], reference: NDArray[Any]) -> MotionMap:
    body = default_body()
    return motion_map(
        target, reference, body.faces, two_rings(body), K_target=K, K_reference=K, size_px=SIZE_PX,
        occlusion_m=0.01,
    )  # fmt: skip


def _seen(target: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners (N 3) and weights (N 3) of the pixels."""
    face_index, bary, _ = visible_faces(target, default_body().faces, K, height=SIZE_PX, width=SIZE_PX)
    second, third = bary[face_index >= 0].astype(np.float64).T
    corners = default_body().faces[face_index[face_index >= 0]]
    return corners, np.stack([1 - second - third, second, third], axis=1)


def _landing_mm(made: MotionMap, target: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """How far from its place in the reference frame each seen pixel's surface point lands."""
    from scipy.spatial.transform import Rotation

    corners, weights = _seen(target)
    points = backproject(made.depth_m, K)[made.seen]
    landed = Rotation.from_rotvec(made.rotvec_rad[made.seen]).apply(points) + made.t_m[made.seen]
    exact = np.einsum("nc,nci->ni", weights, reference[corners])
    return 1e3 * np.linalg.norm(landed - exact, axis=1)


def _mixed_landing_mm(target: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    corners, weights = _seen(target)
    rotations, t_m = _svd_motion(target, reference, np.unique(corners))
    points, exact = (np.einsum("nc,nci->ni", weights, mesh[corners]) for mesh in (target, reference))
    landed = np.einsum("nc,ncij,nj->ni", weights, rotations[corners], points, optimize=True)
    landed += np.einsum("nc,nci->ni", weights, t_m[corners])
    return 1e3 * np.linalg.norm(landed - exact, axis=1)


def _svd_motion(
    target: NDArray[Any], reference: NDArray[Any], wanted: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotations (V 3 3) and translations (V 3) of the wanted vertices by numpy's batched SVD."""
    rings = two_rings(default_body())
    counts = np.diff(rings.starts)[wanted]
    ends = np.cumsum(counts)
    members = rings.neighbours[np.arange(ends[-1]) + np.repeat(rings.starts[wanted] - ends + counts, counts)]
    centres = np.repeat(wanted, counts)
    products = (reference[members] - reference[centres])[:, :, None] * (target[members] - target[centres])[
        :, None
    ]
    u, _, v = np.linalg.svd(np.add.reduceat(products, ends - counts, axis=0))
    u[:, :, 2] *= np.linalg.det(u @ v)[:, None]
    rotations, t_m = np.zeros((len(target), 3, 3)), np.zeros((len(target), 3))
    rotations[wanted] = u @ v
    t_m[wanted] = reference[wanted] - np.einsum("vij,vj->vi", rotations[wanted], target[wanted])
    return rotations, t_m


def _embree_and_svd(target: NDArray[Any], reference: NDArray[Any]) -> Callable[[], Any] | None:
    try:
        import open3d
    except ImportError:
        return None
    tensor, faces = open3d.core.Tensor, default_body().faces
    rays = np.zeros((SIZE_PX, SIZE_PX, 6), np.float32)
    rays[..., 3:] = pixel_rays(K, SIZE_PX, SIZE_PX)

    def cast(mesh: NDArray[Any], rays: NDArray[Any]) -> Any:
        scene = open3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(tensor(mesh.astype(np.float32)), tensor(faces.astype(np.uint32)))
        return scene.cast_rays(tensor(rays), nthreads=1)

    def both() -> Any:
        hits = cast(target, rays)
        seen = np.isfinite(hits["t_hit"].numpy())
        second, third = hits["primitive_uvs"].numpy()[seen].astype(np.float64).T
        weights = np.stack([1 - second - third, second, third], axis=1)
        corners = faces[hits["primitive_ids"].numpy()[seen]]
        rotations, t_m = _svd_motion(target, reference, np.unique(corners))
        motion_m = np.zeros((SIZE_PX, SIZE_PX, 3, 4), np.float32)
        motion_m[seen, :, :3] = np.einsum("nc,ncij->nij", weights, rotations[corners])
        motion_m[seen, :, 3] = np.einsum("nc,nci->ni", weights, t_m[corners])
        places = np.einsum("nc,nci->ni", weights, reference[corners])
        to = np.concatenate([np.zeros_like(places), places], axis=1).astype(np.float32)
        visible = np.zeros((SIZE_PX, SIZE_PX), bool)
        visible[seen] = cast(reference, to)["t_hit"].numpy() > 1 - 1e-4
        return motion_m, visible

    return both


def _gaussians(places: NDArray[Any]) -> NDArray[Any]:
    bins, rows_, columns = np.ogrid[:BINS, :SIZE, :SIZE]
    volumes = np.zeros((len(places), BINS, SIZE, SIZE), np.float32)
    for volume, (column, row, deep) in zip(volumes, places, strict=True):
        across2 = (columns - column) ** 2 + (rows_ - row) ** 2
        volume[:] = np.exp(-across2 / (2 * 2.0**2) - (bins - deep) ** 2 / 2)
        volume /= volume.sum()
    return volumes


def _expected(volumes: NDArray[Any]) -> NDArray[Any]:
    volumes = volumes.astype(np.float64)
    axes = (((1, 2), SIZE), ((1, 3), SIZE), ((2, 3), BINS))
    return np.stack([volumes.sum(axis=over) @ np.arange(size) for over, size in axes], axis=-1)


if __name__ == "__main__":
    import sys

    for row in rows():
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:.4g}"
        figures = f"{row['value']:10.4g} {peer:>10} {row['unit']:6} {row['target']:>12} {row['holds']}"
        sys.stdout.write(f"{row['name']:42} {figures} {row['peer']}\n")
