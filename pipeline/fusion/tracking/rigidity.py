"""Whether what was taken for one rigid scene was one: people who moved, and poses that do not fit."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking import TrackFrames, TrackSettings
from pipeline.fusion.tracking.align import misfit
from pipeline.fusion.tracking.maps import live_maps, with_normals
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]

CHECKED = 16  # frames, spread evenly over those found
STEPS = (1, 3)  # found frames back, that each is held against
FITS_SIGMAS = 5.0  # of both frames' depth
LEAST_PIXELS = 300
# Of a simulated person who holds still, 95 % of the pixels seen twice fit in nine of ten pairs; of one who squats,
# 64 % in the middle pair.
LEAST_FITTING = 0.8
MOST_PAIRS = 0.2  # that may fit worse
MOVED, UNFIT = "person-moved", "tracking-unfit"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFit:
    """How well two frames agree by the poses found.

    Attributes:
        frame: number of the later frame.
        person, room: share of the pixels seen by both that fit; NaN where there are too few of them.
    """

    frame: int
    person: float
    room: float


def rigidity_findings(
    frames: TrackFrames, world_from_cam: Float64, found: NDArray[np.bool_], settings: TrackSettings
) -> list[Finding]:
    """Say whether the person moved while the poses fit, or the poses do not fit; empty where all is well."""
    pairs = pair_fits(frames, world_from_cam, found, settings)
    person = _worse([pair.person for pair in pairs])
    # On a turntable the room is not part of what is rigid.
    room = 0.0 if settings.tracked == "person" else _worse([pair.room for pair in pairs])
    if room > MOST_PAIRS:
        return [_finding(UNFIT, room, "all that stands still", "Film slower, or track the person alone.")]
    if person > MOST_PAIRS:
        advice = "Give the capture as moving, or track the person alone if they stand on a turntable."
        return [_finding(MOVED, person, "the person", advice)]
    return []


def _worse(shares: list[float]) -> float:
    """Share of the pairs that fit worse than they should, of those that could be judged."""
    judged = np.array(shares)[np.isfinite(shares)]
    return float(np.mean(judged < LEAST_FITTING)) if len(judged) else 0.0


def _finding(reason: str, share: float, what: str, advice: str) -> Finding:
    return Finding(
        frame=None,
        reason=reason,
        value=share,
        unit="1",
        limit=MOST_PAIRS,
        message=f"tracking: {what} must fit in {100 * LEAST_FITTING:.0f} % of the pixels that two frames share, in "
        f"all but {100 * MOST_PAIRS:.0f} % of the pairs of frames, does not in {100 * share:.0f} %. {advice}",
    )


def pair_fits(
    frames: TrackFrames, world_from_cam: Float64, found: NDArray[np.bool_], settings: TrackSettings
) -> list[PairFit]:
    """Hold some frames against those shortly before them, person and room apart."""
    rows = np.flatnonzero(found)
    whole = replace(settings, tracked="both", colour_weight=0.0)
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(CHECKED, len(rows))).astype(int))
    fits = []
    for place in chosen.tolist():
        for step in STEPS:
            if place >= step:
                fits.append(_fit(frames, world_from_cam, whole, (int(rows[place - step]), int(rows[place]))))
    return fits


def _fit(
    frames: TrackFrames, world_from_cam: Float64, settings: TrackSettings, pair: tuple[int, int]
) -> PairFit:
    earlier, later = frames[pair[0]], frames[pair[1]]
    model, live = with_normals(live_maps(earlier, settings)), live_maps(later, settings)
    place = invert_rigid(world_from_cam[pair[0]]) @ world_from_cam[pair[1]]
    away_m = np.abs(misfit(live, model, place, stride_px=1))
    sigma_m = settings.noise_floor_m + settings.noise_square_per_m * live.depth_m**2
    seen, fits = np.isfinite(away_m), away_m < FITS_SIGMAS * np.sqrt(2) * sigma_m
    height, width = live.depth_m.shape
    mask = np.zeros((2 * height, 2 * width), np.bool_) if later.mask is None else later.mask
    on_person = mask[: 2 * height : 2, : 2 * width : 2]
    return PairFit(
        frame=later.frame,
        person=_share(fits, seen & on_person),
        room=_share(fits, seen & ~on_person),
    )


def _share(fits: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    count = int(np.count_nonzero(where))
    return float(np.count_nonzero(fits & where) / count) if count >= LEAST_PIXELS else float("nan")
