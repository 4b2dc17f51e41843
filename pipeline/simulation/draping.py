"""Cloth that a solver moves over a take: what it follows, what it stays outside of, and its answer over time.

The answer is kept as the way of every vertex from the smooth layers of dressing.py: between steps the body moves
as it does, and only these ways, some centimetres, are interpolated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joint_limits import pose_from_rotations
from pipeline.bodies.motions import Motion
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.simulation.acting import between
from pipeline.simulation.dressing import bind_rotations, smooth_layers
from pipeline.simulation.filming import Take
from pipeline.simulation.kinect import RATE_HZ
from pipeline.simulation.layers import Layer
from pipeline.simulation.wardrobe import Wardrobe

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

HELD_M = {"bottom": 0.04, "top": 0.02}  # below its highest vertex a garment is held: belt and collar
CUFF_M = 0.03  # of a sleeve's end is held too, or the sleeve slides down a raised arm
DRAGGED = 0.3  # what the skin's drag holds of all the rest: a top rides up by centimetres, not to the chest
STRAY_M = 0.10  # cloth that is farther from the smooth layer was lost by the solver, and is brought back
SUNK_M = 0.010  # and so is cloth this deep in the skin, with some rings of neighbours
SPREAD = 8
REST_S = 1.0  # that cloth has at least, to come to rest on a person who holds a pose
ARMS = slice(SMPL24_NAMES.index("left_shoulder"), SMPL24_NAMES.index("right_hand") + 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rehearsal:
    """What a person does from the pose that the clothes were made in to the end of a take.

    Attributes:
        pose_rad, transl_m: (T 24 3), (T 3), at `RATE_HZ`.
        first: the step at which the take begins; of a still person, the only one that is filmed.
        begin_s: that step's time on the capture's clock.
    """

    pose_rad: Float64
    transl_m: Float64
    first: int
    begin_s: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Hung:
    """Simulated cloth by time.

    Attributes:
        away_m: for each soft layer, innermost first, (T N 3): its way from `smooth_layers`, at `RATE_HZ`.
        begin_s: time of the first step.
    """

    away_m: tuple[Float32, ...]
    begin_s: float

    def at(self, time_s: float) -> list[Float64]:
        """Return the ways (N 3) at a moment, linear between steps; beyond the ends, those of the end."""
        last = len(self.away_m[0]) - 1
        row = float(np.clip((time_s - self.begin_s) * RATE_HZ, 0, last))
        before = min(int(row), max(last - 1, 0))
        after, share = min(before + 1, last), row - before
        return [
            (1 - share) * away_m[before] + share * away_m[after].astype(np.float64) for away_m in self.away_m
        ]


def rehearse(take: Take, *, lead_s: float, settle_s: float) -> Rehearsal:
    """Lead a person from the bind pose into the take's first pose, let the cloth settle, and go on.

    On the way the body is as it is in the first pose but for its limbs. It moves along as at the beginning of
    the take, so that the cloth is not jerked when that begins.
    """
    begin_s = float(min(take.times.depth_s[0], take.times.color_s[0]))
    end_s = float(max(take.times.depth_s[-1], take.times.color_s[-1]))
    settle_s = max(settle_s, REST_S) if take.still else settle_s
    lead, first = max(round(lead_s * RATE_HZ), 1), max(round((lead_s + settle_s) * RATE_HZ), 1)
    count = 0 if take.still else int(np.ceil((end_s - begin_s) * RATE_HZ))
    acts = [take.action(begin_s + step / RATE_HZ) for step in range(count + 1)]
    pose_rad, place_m = acts[0]
    made_rad = pose_from_rotations(bind_rotations(take.wardrobe.body)[None])[0]
    made_rad[0] = pose_rad[0]
    way = Motion(pose_rad=np.stack([made_rad, pose_rad]), transl_m=np.stack([place_m, place_m]))
    pace_m = take.action(begin_s + 1 / RATE_HZ)[1] - place_m
    shares = np.clip(np.arange(first) / lead, 0, 1)
    led = [between(way, share**2 * (3 - 2 * share))[0] for share in shares]
    going_m = place_m + (np.arange(first) - first)[:, None] * pace_m
    return Rehearsal(
        pose_rad=np.stack([*led, *(pose for pose, _ in acts)]),
        transl_m=np.concatenate([going_m, np.stack([place for _, place in acts])]),
        first=first,
        begin_s=begin_s,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fitting:
    """A garment for the solver.

    Attributes:
        region: "bottom" or "top".
        targets_m: (T N 3) where the smooth layer is in every step.
        faces: (F 3) int32.
        held: (N) 1 at belt, collar and cuffs, little elsewhere.
        mean: sparse (N N) mean over neighbours.
    """

    region: str
    targets_m: Float32
    faces: NDArray[np.int32]
    held: Float64
    mean: Any


def fittings(wardrobe: Wardrobe, rehearsal: Rehearsal) -> tuple[Float32, list[Fitting]]:
    """Return the bare body (T V 3) over a rehearsal, and the garments, innermost first."""
    stacks = np.stack(
        [
            smooth_layers(wardrobe, pose_rad, transl_m).astype(np.float32)
            for pose_rad, transl_m in zip(rehearsal.pose_rad, rehearsal.transl_m, strict=True)
        ]
    )
    garments = []
    for cover in wardrobe.covers:
        layer = cover.layer
        if layer.soft:
            garments.append(
                Fitting(
                    region=layer.region,
                    targets_m=stacks[:, cover.start : cover.stop],
                    faces=layer.sheet.faces,
                    held=_held(layer),
                    mean=cover.mean,
                )
            )
    return stacks[:, : len(wardrobe.body.arrays.template_m)], garments


def _held(layer: Layer) -> Float64:
    height_m = layer.bind_m[:, 1]
    fixed = height_m > height_m.max() - HELD_M[layer.region]
    fixed |= (layer.weights[:, ARMS].sum(axis=1) > 0.5) & (layer.level_m < CUFF_M)
    return np.where(fixed, 1.0, DRAGGED)


def hung_cloth(
    cloth: Float32, garment: Fitting, skin: Float32, skin_faces: NDArray[np.int32]
) -> tuple[Float32, float]:
    """Return the way (T N 3) of a garment's cloth (T N 3), and the share of it that was brought back.

    The solver loses cloth where limbs move fast or fold into the trunk. What strayed too far is brought nearer,
    and around what lies deep inside the skin (T V 3) the smooth layer takes over, gradually with depth.
    """
    away_m = cloth - garment.targets_m
    length_m = np.linalg.norm(away_m, axis=-1, keepdims=True)
    away_m *= np.minimum(1, STRAY_M / np.maximum(length_m, 1e-9))
    lost = length_m[..., 0] > STRAY_M
    for step, points_m in enumerate(cloth.astype(np.float64)):
        inside = np.clip(_depth_m(points_m, skin[step].astype(np.float64), skin_faces) / SUNK_M, 0, 1)
        lost[step] |= inside == 1
        for _ in range(SPREAD):
            inside = np.maximum(inside, garment.mean @ inside)
        away_m[step] *= 1 - inside[:, None].astype(np.float32)
    return away_m, float(lost.mean())


def _depth_m(points_m: Float64, skin_m: Float64, faces: NDArray[np.int32]) -> Float64:
    """Return how far (N) points lie below the plane of the next vertex; negative above it."""
    from scipy.spatial import cKDTree

    from pipeline.simulation.dressing_kernels import normals_of

    rows = cKDTree(skin_m).query(points_m)[1]
    return np.asarray(-np.einsum("ij,ij->i", points_m - skin_m[rows], normals_of(skin_m, faces)[rows]))


def write_hung(path: Path, hung: Hung) -> None:
    """Write cloth; equal cloth gives equal bytes."""
    layers = {f"away_{number}_m": away_m for number, away_m in enumerate(hung.away_m)}
    np.savez(path, **{"begin_s": np.array(hung.begin_s), **layers})


def read_hung(path: Path) -> Hung:
    """Read what `write_hung` has written."""
    with np.load(path, allow_pickle=False) as file:
        count = len(file.files) - 1
        return Hung(
            away_m=tuple(file[f"away_{number}_m"] for number in range(count)), begin_s=float(file["begin_s"])
        )
