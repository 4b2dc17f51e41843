"""How exact normals, voxels and motions of simulated people are: 64 bodies by three seeds, none left out.

Normals are fitted to the body's depth with the noise of the virtual Kinect, whose spread grows with distance and
slant. They are held against the same fit without noise, which is what the sensor adds, and against the exact
surface, where what the window smooths away counts too. Voxels and motions are judged by Embree's rays. Fits are in
`targets_fitting`, charts in `targets_surface`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from people import POSES, SIZE_PX, draw_people

from pipeline.bodies.model import Body, default_body
from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.comparison import angle_rad
from pipeline.motion.motion_map import motion_map
from pipeline.motion.rings import two_rings
from pipeline.normals import Model, normals_from_depth
from pipeline.seeds import stream
from pipeline.simulation.kinect import amplitude, noise_sigma_m
from pipeline.target_scores import LIMITS, inside_by_rays, motion_errors_m
from pipeline.visibility import normals_from_visibility, vertex_normals
from pipeline.voxels.grids import CUBE, alignment_depth, orthographic_grid, points_to_vox
from pipeline.voxels.occupancy import occupancy
from pipeline.voxels.packing import pack, packed_iou
from pipeline.zbuffer import visible_faces
from renderers.raycast import RaycastScene
from renderers.views import View

Row = dict[str, Any]
Person = tuple[NDArray[Any], ...]

REFLECTANCE = 0.5
MODELS: dict[Model, int] = {"plane": 7, "quadric": 9}  # windows that serve them best, in px
MAX_STEP_M = 0.03
NOISE, SMOOTHING, BOTH = "noise alone", "smoothing alone", "against the exact surface"
MOST_DEG = 3.0
LEAST_BASELINE_M = 0.05
OCCLUSION_M = 0.01


def rows(*, bodies: int = 64, seeds: int = 3) -> list[Row]:
    """All rows of the benchmark `targets` on accuracy over the simulated set."""
    body = default_body()
    people = [list(draw_people(body, seed, bodies)) for seed in range(seeds)]
    what = f"{bodies * seeds} people"
    return [
        *_normal_rows(body, people, what),
        *_voxel_rows(body, people, what),
        *_motion_rows(body, people, what),
    ]


def _normal_rows(body: Body, people: list[list[Person]], what: str) -> list[Row]:
    found: dict[str, list[NDArray[np.float64]]] = {}
    spread_mm = []
    for seed, group in enumerate(people):
        for number, person in enumerate(group):
            true, depth_m, sigma_m = _seen(body, person)
            rng = stream(seed, "benchmark sensor noise", str(number))
            noisy_m = (depth_m + sigma_m * rng.normal(size=depth_m.shape)).astype(np.float32)
            spread_mm.append(1e3 * sigma_m[depth_m > 0])
            for model, window_px in MODELS.items():
                how: Any = {"model": model, "window_px": window_px, "max_step_m": MAX_STEP_M}
                noisy, clean = (
                    normals_from_depth(z, depth_m > 0, person[1], **how)[0] for z in (noisy_m, depth_m)
                )
                both = noisy.any(axis=-1) & clean.any(axis=-1) & true.any(axis=-1)
                for name, a, b in ((NOISE, noisy, clean), (SMOOTHING, clean, true), (BOTH, noisy, true)):
                    angles_deg = np.degrees(angle_rad(a[both], b[both]))
                    found.setdefault(f"normals, {model} {window_px} px, {what}, {name}", []).append(
                        angles_deg
                    )
    medians = {name: float(np.median(np.concatenate(angles))) for name, angles in found.items()}
    return [
        _row("sensor noise of a pixel, median", float(np.median(np.concatenate(spread_mm))), "mm"),
        *(
            _row(name, value, "deg", most=None if name.endswith(SMOOTHING) else MOST_DEG)
            for name, value in medians.items()
        ),
    ]


def _seen(body: Body, person: Person) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float64]]:
    """Exact normals (H W 3) and depth (H W) of a person's crop, and the spread of its noise in metres."""
    vertices_m, K, world_from_cam = person
    cam_from_world = invert_rigid(world_from_cam)
    face, bary, depth_m = visible_faces(
        transform(cam_from_world, vertices_m), body.faces, K, height=SIZE_PX, width=SIZE_PX
    )
    true = normals_from_visibility(
        face,
        bary,
        vertices=vertices_m,
        faces=body.faces,
        normals_world=vertex_normals(vertices_m, body.faces),
        cam_from_world=cam_from_world,
    )
    rays = pixel_rays(K, SIZE_PX, SIZE_PX)
    seen = depth_m > 0
    cosine = -(true * rays).sum(axis=-1) / np.linalg.norm(rays, axis=-1)
    sigma_m = np.zeros(depth_m.shape)
    sigma_m[seen] = noise_sigma_m(amplitude(depth_m[seen], cosine[seen], REFLECTANCE))
    return true, depth_m, sigma_m


def _voxel_rows(body: Body, people: list[list[Person]], what: str) -> list[Row]:
    iou = []
    for vertices_m, K, world_from_cam in (person for group in people for person in group):
        vertices_cam = transform(invert_rigid(world_from_cam), vertices_m)
        depth_m = alignment_depth(vertices_cam, "mean")
        grid = orthographic_grid(K, depth_m, CUBE, size_px=SIZE_PX)
        vertices_vox = points_to_vox(grid, vertices_cam)
        volumes = (way(vertices_vox, body.faces, CUBE) for way in (occupancy, inside_by_rays))
        iou.append(float(packed_iou(*(pack(volume) for volume in volumes))))
    return [
        _row(
            f"voxels 128x128x128, {what}, IoU with Embree's winding, mean",
            float(np.mean(iou)),
            "1",
            least=LIMITS["IoU"],
        ),
        _row(
            f"voxels 128x128x128, {what}, IoU with Embree's winding, least",
            min(iou),
            "1",
            least=LIMITS["IoU"],
        ),
    ]


def _motion_rows(body: Body, people: list[list[Person]], what: str) -> list[Row]:
    errors_m = np.concatenate([_pair_errors_m(body, *pair) for group in people for pair in _pairs(group)])
    quantiles = {
        name: 1e3 * float(np.quantile(errors_m, at)) for name, at in (("median", 0.5), ("99.9 %", 0.999))
    }
    return [
        _row(
            f"motion, {what} to their next pose, error on the surface, {name}",
            value,
            "mm",
            most=1e3 * LIMITS["motion"],
        )
        for name, value in quantiles.items()
    ]


def _pairs(group: list[Person]) -> Iterator[tuple[Person, Person]]:
    """Two poses of one identity, each before its own camera."""
    for first in range(0, len(group) - 1):
        if (first + 1) % POSES:
            yield group[first], group[first + 1]


def _pair_errors_m(body: Body, target: Person, reference: Person) -> NDArray[np.float64]:
    """Of each pixel that both see: how far its point lands from where Embree's ray says that it belongs."""
    (target_m, K, world_from_cam), (reference_m, K_reference, world_from_reference) = target, reference
    target_cam, reference_cam = (
        transform(invert_rigid(pose), vertices_m)
        for pose, vertices_m in ((world_from_cam, target_m), (world_from_reference, reference_m))
    )
    made = motion_map(
        target_cam,
        reference_cam,
        body.faces,
        two_rings(body),
        K_target=K,
        K_reference=K_reference,
        size_px=SIZE_PX,
        occlusion_m=OCCLUSION_M,
    )
    view = View(frame=0, K=K, world_from_cam=world_from_cam)
    hit = RaycastScene(target_m, body.faces, threads=1).visibility(view, height=SIZE_PX, width=SIZE_PX)
    motion = made.rotvec_rad, made.t_m, made.valid(LEAST_BASELINE_M)
    places = hit.face_index, hit.bary
    return motion_errors_m(motion, made.depth_m, K, places, reference_cam[body.faces])


def _row(name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> Row:
    target, holds = "-", None
    if most is not None:
        target, holds = f"<= {most:g} {unit}", value <= most
    if least is not None:
        target, holds = f">= {least:g}", value >= least
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "",
        "peer_value": None,
        "ratio": None,
        "target": target,
        "holds": holds,
    }


if __name__ == "__main__":
    import sys

    for row in rows():
        sys.stdout.write(
            f"{row['name']:78} {row['value']:10.4g} {row['unit']:4} {row['target']}: {row['holds']}\n"
        )
