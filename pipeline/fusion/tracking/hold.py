"""Whether what was tracked holds the camera in every direction, or lets it slide along plane walls unseen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.align import GREY_SIGMA, Level, linearise, misfit
from pipeline.fusion.tracking.maps import Maps
from pipeline.fusion.tracking.se3 import transform_of
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]

CHECKED = 16  # frames, spread evenly over those found
SLIDE_M = 0.04  # some pixels: a slide by less than one is judged by noisy normals alone
LEVEL = Level(2, 1, 6.0)
# Of mean squares in spreads. Rooms with a corner in view: 0.4 to 3; a person alone: 0.04 to 0.15 in the middle half
# of the frames; one or two plane walls, with noise or without: -0.03 to 0.03.
LEAST_RISE = 0.03
MOST_SLIDING = 0.5  # of the frames
SLIDES = "tracking-slides"


def slide_finding(
    maps: Sequence[Maps],
    keyframes: Sequence[int],
    world_from_cam: Float64,
    found: NDArray[np.bool_],
    settings: TrackSettings,
) -> list[Finding]:
    """Say whether too many frames could lie elsewhere and fit as well; empty where they are held."""
    rows = [row for row in np.flatnonzero(found).tolist() if row not in keyframes[:1]]
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(CHECKED, len(rows))).astype(int))
    rises = []
    for row in (rows[place] for place in chosen.tolist()):
        anchor = max(keyframe for keyframe in keyframes if keyframe < row)
        place = invert_rigid(world_from_cam[anchor]) @ world_from_cam[row]
        rises.append(slide_rise(maps[row], maps[anchor], place, settings))
    sliding = float(np.mean(np.array(rises) < LEAST_RISE)) if rises else 0.0
    if sliding <= MOST_SLIDING:
        return []
    return [
        Finding(
            frame=None,
            reason=SLIDES,
            value=sliding,
            unit="1",
            limit=MOST_SLIDING,
            message=f"tracking: a camera that slides by {100 * SLIDE_M:.0f} cm must show in what it sees, does not "
            f"in {100 * sliding:.0f} % of the frames: plane walls alone hold no place. Track both person and "
            "room, bring colour that is registered, or keep corners and furniture in view.",
        )
    ]


def slide_rise(live: Maps, model: Maps, model_from_live: Float64, settings: TrackSettings) -> float:
    """By how much the mean squared misfit grows, in spreads, on a slide in the direction that is held least.

    The direction is the weakest of the normal equations, turns counted by what they move at the middle depth.
    How strongly it is held cannot be read there: the noise of normals holds a camera before a wall. A slide
    over some pixels meets other pixels of the same wall, and fits as well as before.
    """
    depth_m = live.depth_m[live.depth_m > 0]
    if not depth_m.size:
        return 0.0
    reach = np.array([1 / np.median(depth_m)] * 3 + [1.0] * 3)
    system = linearise(live, model, model_from_live, LEVEL, settings)
    weakest = np.linalg.eigh(reach[:, None] * system.A * reach)[1][:, 0]
    places = [transform_of(step * SLIDE_M * reach * weakest) @ model_from_live for step in (-1, 0, 1)]
    before, still, after = (_misfit(live, model, place, settings) for place in places)
    return min(before, after) - still


def _misfit(live: Maps, model: Maps, place: Float64, settings: TrackSettings) -> float:
    """Mean squared misfit of the pixels that meet the model, in spreads, each at most the gate; of grey likewise."""
    away_m = misfit(live, model, place, stride_px=LEVEL.stride_px)
    met = np.isfinite(away_m)
    if not met.any():
        return 0.0
    sigma_m = settings.noise_floor_m + settings.noise_square_per_m * live.depth_m[met] ** 2
    found = _mean_square(np.abs(away_m[met]) / sigma_m)
    return found + _grey_misfit(live, model, place, met) if live.grey.size and model.grey.size else found


def _grey_misfit(live: Maps, model: Maps, place: Float64, met: NDArray[np.bool_]) -> float:
    points = (pixel_rays(live.K, *met.shape) * live.depth_m[..., None])[met]
    pixels = transform(place, points) @ model.K.T
    height, width = model.grey.shape
    u, v = np.rint(pixels[:, :2] / pixels[:, 2:]).astype(int).T.clip(0, [[width - 1], [height - 1]])
    seen = model.grey[v, u]
    away = (seen - live.grey[met])[seen > 0]
    return _mean_square(np.abs(away - np.median(away)) / GREY_SIGMA) if away.size else 0.0


def _mean_square(sigmas: NDArray[Any]) -> float:
    return float(np.mean(np.minimum(sigmas, LEVEL.gate_sigmas) ** 2))
