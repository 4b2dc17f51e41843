"""Frames that a recorder dropped, told from the frames' numbers and their times."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.gates.finding import Finding
from pipeline.settings import IngestSettings

# Numbers of which a fifth of the steps differ name chosen pictures, not a recording: among 34 of the release of
# Tang et al., ICCV 2019, 70 % of the steps are 1.
SEQUENCE_SHARE = 0.8
LEAST_FRAMES = 3  # two frames have one step, and one step repeats nothing


def numbering_step(numbers: Sequence[int]) -> int | None:
    """The step from each number (ascending) to the next of a recording; None where they are no sequence."""
    if len(numbers) < LEAST_FRAMES:
        return None
    steps = Counter(after - before for before, after in zip(numbers, numbers[1:], strict=False))
    step, count = max(steps.items(), key=lambda item: (item[1], -item[0]))
    return step if count >= SEQUENCE_SHARE * (len(numbers) - 1) else None


def missing_by_number(numbers: Sequence[int], step: int) -> dict[int, int]:
    """How many frames are missing right before a number, for each number before which any is."""
    jumps = {after: after - before for before, after in zip(numbers, numbers[1:], strict=False)}
    return {after: max(1, round(jump / step) - 1) for after, jump in jumps.items() if jump > step}


def missing_by_time(
    ticks: Mapping[int, float], times_s: Mapping[int, float], *, max_gap_periods: float
) -> dict[int, int]:
    """How many frames are missing before a frame, judged by the median time of a tick.

    Args:
        ticks: how many frames lie before a frame, as far as the listing or the numbers tell.
        times_s: of the frames that were read, in their order; where time stands still or runs back, nothing
            is told.
        max_gap_periods: longest time between two frames, in periods for each tick between them.
    """
    read = list(times_s)
    passed = np.diff([ticks[frame] for frame in read])
    elapsed_s = np.diff(list(times_s.values()))
    forward = elapsed_s > 0
    if np.count_nonzero(forward) < LEAST_FRAMES - 1:
        return {}
    periods = elapsed_s / np.median(elapsed_s[forward] / passed[forward])
    # Beside a step back a step forward tells nothing: two frames may only have changed places.
    back = np.pad(elapsed_s < 0, 1)
    gaps = (periods > max_gap_periods * passed) & ~back[:-2] & ~back[2:]
    missing = np.maximum(np.rint(periods - passed), 1)
    return {read[i + 1]: int(missing[i]) for i in np.flatnonzero(gaps)}


def dropped_findings(
    listed: Sequence[int], times_s: Mapping[int, float], settings: IngestSettings
) -> list[Finding]:
    """A finding for each gap, under the frame after it, and one for the capture where too much is missing.

    Args:
        listed: numbers of the capture's frames, ascending, from the first that was read to the last.
        times_s: of the frames that were read and have a time, in their order.
    """
    step = numbering_step(listed)
    by_number = {} if step is None else missing_by_number(listed, step)
    ticks = {number: number / step if step else float(rank) for rank, number in enumerate(listed)}
    missing = Counter(by_number)
    missing.update(missing_by_time(ticks, times_s, max_gap_periods=settings.max_gap_periods))
    findings = [_gap(frame, missing[frame]) for frame in sorted(missing)]
    total = missing.total()
    share = total / max(total + len(listed), 1)
    if share > settings.max_dropped_share:
        findings.append(
            Finding(
                frame=None,
                reason="dropped-frames",
                value=share,
                unit="1",
                limit=settings.max_dropped_share,
                message=f"at most {settings.max_dropped_share:.1%} of the recorded frames may be missing, "
                f"{share:.1%} are: {total} in {len(findings)} gaps. Copy the capture again from its source, or "
                "raise stages.ingest.max_dropped_share.",
            )
        )
    return findings


def _gap(frame: int, missing: int) -> Finding:
    return Finding(
        frame=frame,
        reason="dropped-frames",
        value=float(missing),
        unit="frames",
        limit=0.0,
        message=f"frame {frame}: it must follow the frame before it, {missing} frames between them are missing. "
        "Both are kept; copy the missing ones again if they were recorded.",
        drops=False,
    )
