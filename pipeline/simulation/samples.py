"""Samples of simulated people without Blender: dressed, posed, lit and labelled, each from its number alone.

Depth and labels are exact. The light is simple (`sample_light`), the camera a picture's blur and noise; nothing
is measured, so depth has no noise: it stands for fused ground truth, as the depth of a rendered scan does.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.bodies.pose_sampler import draw_poses, named_pose
from pipeline.bodies.proportions import proportions_of
from pipeline.layers import split_base_detail, zero_median
from pipeline.normals import normals_from_depth
from pipeline.seeds import stream
from pipeline.simulation.backdrops import draw_blur, draw_room_behind
from pipeline.simulation.dressing import DressedBody, Wardrobe, dress, dressed
from pipeline.simulation.film import develop, draw_film
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.label_view import Seen, dressed_figure, label_view
from pipeline.simulation.outfit import Outfit, draw_outfit
from pipeline.simulation.sample_light import draw_light, light_on
from pipeline.simulation.sample_views import ANY_VIEWS, UPRIGHT_VIEWS, draw_camera, draw_crop
from pipeline.simulation.textures import appearance_at

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

SAMPLES_PER_WARDROBE = 16  # poses that share one person's clothes, whose making takes a second
BLACK_SHARE, ROOM_SHARE = 0.5, 0.35  # of the backgrounds: none, a room; the others are a blur of colours
BLUR_PX = (0.35, 0.8)  # standard deviation of the lens's blur, in the sample's own pixels
BURNT_QUANTILE, BURNT = 0.95, 0.9  # of the pixels, so many may be brighter than this share of white
COMPRESSED_SHARE, QUALITY = 0.6, (60, 96)  # samples that went through JPEG, and how well


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """How base, detail and normals are made from the depth; see `pipeline.layers` and `pipeline.normals`."""

    sigma_space_px: float = 75.0
    sigma_depth_m: float = 0.10
    window_px: int | Literal["full"] = 15
    normals_window_px: int = 7
    normals_max_step_m: float = 0.03


PAPER_TARGETS = Targets()
UPRIGHT_POSES = (
    "standing", "standing", "arms-out", "arms-down-out", "hands-on-hips", "arms-crossed", "phoning", "waving",
    "reaching-up", "turned", "walking",
)  # fmt: skip


def draw_sample(
    seed: int,
    index: int,
    *,
    size_px: int = 256,
    subjects: int | None = None,
    upright: bool = False,
    targets: Targets = PAPER_TARGETS,
) -> dict[str, Any]:
    """Return all fields of sample `index`; equal arguments, equal bytes, whichever process draws them when.

    Args:
        subjects: how many people there are; None for a new one with every wardrobe. A person's wardrobes differ.
        upright: people who stand or walk, seen from before them at the height of a chest, as in Tang et al.'s
            captures; else any pose from any side.

    Returns:
        Fields by their names in `pipeline.fields`. The world is the body's frame, the floor at y = 0;
        `capture` names the wardrobe, and `frame` counts within it.
    """
    group, row = divmod(index, SAMPLES_PER_WARDROBE)
    cast = _draw_cast(seed, group, subjects, upright)
    rng = stream(seed, "sample", str(index))
    pose_rad, transl_m = cast.pose_rad[row], cast.transl_m[row]
    person = dressed(cast.wardrobe, pose_rad, transl_m)
    lift_m = np.array([0.0, -person.vertices_m[:, 1].min(), 0.0])
    person = replace(person, vertices_m=person.vertices_m + lift_m, joints_m=person.joints_m + lift_m)
    world_from_cam = draw_camera(rng, person.vertices_m, UPRIGHT_VIEWS if upright else ANY_VIEWS)
    K = draw_crop(rng, person.vertices_m, world_from_cam, size_px)
    seen, labels = label_view(dressed_figure(person), K, world_from_cam, size_px=size_px)
    return {
        "image": _draw_image(rng, person, seen, labels["depth_m"], (K, world_from_cam)),
        **labels,
        **_layers(labels["depth_m"], labels["mask"], K, targets),
        "K": K,
        "world_from_cam": world_from_cam,
        "capture": f"{subject_of(index, subjects)}-{group:06d}",
        "subject": subject_of(index, subjects),
        "frame": np.int32(row),
        "timestamp_s": np.float64(-1.0),
        "body_pose_rad": np.asarray(pose_rad, dtype=np.float64),
        "body_betas": np.asarray(cast.wardrobe.identity.betas, dtype=np.float64),
        "body_transl_m": np.asarray(transl_m + lift_m, dtype=np.float64),
    }


def subject_of(index: int, subjects: int | None) -> str:
    """Id of the person whom sample `index` shows."""
    group = index // SAMPLES_PER_WARDROBE
    return f"s{group if subjects is None else group % subjects:05d}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Cast:
    wardrobe: Wardrobe
    pose_rad: Float64
    transl_m: Float64


@lru_cache(maxsize=1)
def _draw_cast(seed: int, group: int, subjects: int | None, upright: bool) -> _Cast:
    """A dressed person and one pose for each sample of the wardrobe."""
    name = f"{group:06d}"
    identity = draw_identity(
        stream(seed, "sample person", subject_of(group * SAMPLES_PER_WARDROBE, subjects))
    )
    wardrobe = dress(identity, draw_outfit(stream(seed, "sample outfit", name)))
    proportions = proportions_of(default_body(), identity.betas)
    rng = stream(seed, "sample poses", name)
    if upright:
        names = [
            UPRIGHT_POSES[index] for index in rng.integers(len(UPRIGHT_POSES), size=SAMPLES_PER_WARDROBE)
        ]
        each = [named_pose(pose, rng, proportions) for pose in names]
        pose_rad, transl_m = (
            np.concatenate([getattr(p, key) for p in each]) for key in ("pose_rad", "transl_m")
        )
        return _Cast(wardrobe=wardrobe, pose_rad=pose_rad, transl_m=transl_m)
    poses = draw_poses(rng, SAMPLES_PER_WARDROBE, proportions)
    return _Cast(wardrobe=wardrobe, pose_rad=poses.pose_rad, transl_m=poses.transl_m)


def _layers(depth_m: Float32, mask: NDArray[np.bool_], K: Float64, targets: Targets) -> dict[str, Any]:
    centred_m, median_m = zero_median(depth_m, mask)
    base_m, detail_m = split_base_detail(
        centred_m,
        mask,
        sigma_space_px=targets.sigma_space_px,
        sigma_depth_m=targets.sigma_depth_m,
        window_px=targets.window_px,
    )
    normal, residual_m = normals_from_depth(
        depth_m, mask, K, window_px=targets.normals_window_px, max_step_m=targets.normals_max_step_m
    )
    return {
        "depth_median_m": np.float32(median_m), "base_m": base_m, "detail_m": detail_m,
        "normal": normal, "normal_residual_m": residual_m,
    }  # fmt: skip


def _draw_image(
    rng: np.random.Generator,
    person: DressedBody,
    seen: Seen,
    depth_m: Float32,
    camera: tuple[Float64, Float64],
) -> UInt8:
    """The picture (N N 3): a person in this light, before this background, through a lens and a sensor."""
    size_px = len(depth_m)
    mask = depth_m > 0
    kind = rng.uniform()
    if kind < BLACK_SHARE + ROOM_SHARE:
        feet_m = person.vertices_m.mean(axis=0) * [1, 0, 1]
        linear = draw_room_behind(rng, *camera, feet_m, size_px)
    else:
        linear = draw_blur(rng, size_px)
    received, albedo = _lit_person(rng, person, seen, depth_m)
    # The same light, by and large, falls on what lies behind.
    linear *= np.float32(received.mean() * rng.uniform(0.6, 1.4))
    linear[mask] = received * albedo
    film = draw_film(rng, linear)
    # A camera darkens a picture that it would burn out; film counts its blur at 1920 px.
    brightest = float(np.quantile(linear[::4, ::4] @ film.gains / 3, BURNT_QUANTILE))
    gains = film.gains * min(1.0, BURNT / max(brightest, 1e-6))
    film = replace(film, gains=gains, blur_px=float(rng.uniform(*BLUR_PX)) * 1920 / size_px)
    image = _compressed(rng, develop(linear, film, rng))
    if kind < BLACK_SHARE:
        image[~mask] = 0
    return image


def _lit_person(
    rng: np.random.Generator, person: DressedBody, seen: Seen, depth_m: Float32
) -> tuple[Float64, Float32]:
    """What white would send back at the person's pixels, and their albedo (N 3), linear RGB."""
    from pipeline.simulation.dressing_kernels import normals_of

    mask = seen.face_index >= 0
    face = seen.face_index[mask]
    corners = person.faces[face]
    u, v = seen.bary[mask].astype(np.float64).T
    weights = np.stack([1 - u - v, u, v], axis=1)

    def at(values: NDArray[Any]) -> Float64:
        return np.asarray(np.einsum("nk,nki->ni", weights, values[corners]))

    normals = at(normals_of(person.vertices_m, person.faces))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    received = light_on(
        draw_light(rng),
        at(person.vertices_m),
        normals,
        depth_m=depth_m,
        casters=(person.vertices_m, person.faces),
    )
    wardrobe = replace(person.wardrobe, outfit=_dyed(rng, person.wardrobe.outfit))
    return received, appearance_at(at(person.rest_m), person.region[face], wardrobe).albedo


def _dyed(rng: np.random.Generator, outfit: Outfit) -> Outfit:
    """The same clothes of other cloth and colour."""
    other = draw_outfit(rng)
    return replace(
        other,
        top=replace(outfit.top, cloth=other.top.cloth),
        bottom=replace(outfit.bottom, cloth=other.bottom.cloth),
        collar=outfit.collar,
    )


def _compressed(rng: np.random.Generator, image: UInt8) -> UInt8:
    import cv2

    quality = int(rng.integers(*QUALITY))
    if rng.uniform() >= COMPRESSED_SHARE:
        return image
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
