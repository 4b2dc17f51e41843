"""Gates over the frames of a capture in their order: clocks, repeats, light, depth, intrinsics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import intrinsics_problem
from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.gates.light import LightGate
from pipeline.gates.repeats import RepeatGate
from pipeline.gates.timing import LEAST_FRAMES, dropped_findings, numbering_step
from pipeline.settings import IngestSettings

STRIDE_PX = 4  # of the pixels whose depth's median is taken


class StreamGates:
    """Sees the frames of one capture, one at a time and in order; keeps the last one and a few numbers of each.

    Single maps, and numbers that are no sequence, are no recording: frame is then not held against frame where
    that would say nothing.

    Args:
        listed: numbers of all frames of the capture, ascending, read or not.
        recorded: whether they are frames of one recording, and no collection of single maps.
    """

    def __init__(self, listed: Sequence[int], settings: IngestSettings, *, recorded: bool = True) -> None:
        self._listed, self._settings, self._recorded = listed, settings, recorded
        self._in_sequence = recorded and numbering_step(listed) is not None
        self._repeats, self._light = RepeatGate(settings), LightGate(settings)
        self._K: NDArray[np.float64] | None = None
        self._seen: list[int] = []
        self._times_s: dict[int, float] = {}
        self._skews_s: list[float] = []
        self._medians_m: list[float] = []

    def see(self, frame: Frame) -> list[Finding]:
        """What is wrong with this frame, gravest first; the frame's arrays must not be changed afterwards."""
        found = [self._intrinsics(frame), self._depth(frame)]
        found += [self._clock(frame), self._skew(frame), self._repeats.see(frame)]
        found.append(self._light.see(frame, in_sequence=self._in_sequence))
        self._seen.append(frame.frame)
        return [finding for finding in found if finding is not None]

    def finish(self) -> list[Finding]:
        """What is wrong with the capture, and where frames are missing; after its last frame."""
        if not self._seen:
            return []
        first, last = min(self._seen), max(self._seen)
        span = [number for number in self._listed if first <= number <= last]
        unit = self._depth_unit(None, float(np.median(self._medians_m))) if self._medians_m else None
        found = [self._clock_offset(), unit]
        return [
            *(finding for finding in found if finding is not None),
            *(dropped_findings(span, self._times_s, self._settings) if self._recorded else ()),
        ]

    def _intrinsics(self, frame: Frame) -> Finding | None:
        seen = frame.depth_m if frame.depth_m is not None else frame.image
        if frame.K is None or seen is None or (self._K is not None and np.array_equal(frame.K, self._K)):
            return None
        problem = intrinsics_problem(frame.K, *seen.shape[:2])
        if problem is None:
            self._K = frame.K.copy()
            return None
        message = (
            f"frame {frame.frame}: the intrinsics must fit the image, but {problem}. Left out; mend them."
        )
        return Finding(
            frame=frame.frame,
            reason="intrinsics-mismatch",
            value=None,
            unit="px",
            limit=None,
            message=message,
        )

    def _depth(self, frame: Frame) -> Finding | None:
        if frame.depth_m is None:
            return None
        share = float(np.count_nonzero(frame.depth_m > 0) / frame.depth_m.size)
        least = self._settings.min_valid_share
        if share < least:
            return Finding(
                frame=frame.frame,
                reason="too-little-depth",
                value=share,
                unit="1",
                limit=least,
                message=f"frame {frame.frame}: at least {least:.1%} of the depth pixels must be valid, "
                f"{share:.1%} are. Left out; lower stages.ingest.min_valid_share to keep it.",
            )
        sample = frame.depth_m[::STRIDE_PX, ::STRIDE_PX]
        valid_m = sample[sample > 0]
        if len(valid_m) == 0:
            return None
        self._medians_m.append(float(np.median(valid_m)))
        return self._depth_unit(frame.frame, self._medians_m[-1])

    def _clock(self, frame: Frame) -> Finding | None:
        if frame.timestamp_s < 0:
            return None
        before = next(reversed(self._times_s), None)
        step_s = np.inf if before is None else frame.timestamp_s - self._times_s[before]
        self._times_s[frame.frame] = frame.timestamp_s
        if step_s >= 0:  # several cameras may film at once
            return None
        return Finding(
            frame=frame.frame,
            reason="clock-reset",
            value=float(step_s),
            unit="s",
            limit=0.0,
            message=f"frame {frame.frame}: its time must not lie before frame {before}'s, is {-step_s:.3f} s "
            "earlier. Left out; order the frames by time, or part the capture where its clock was set.",
        )

    def _skew(self, frame: Frame) -> Finding | None:
        if frame.timestamp_s < 0 or frame.color_timestamp_s < 0:
            return None
        skew_s, most_s = frame.color_timestamp_s - frame.timestamp_s, self._settings.max_skew_s
        self._skews_s.append(skew_s)
        if abs(skew_s) <= most_s:
            return None
        return Finding(
            frame=frame.frame,
            reason="clock-skew",
            value=abs(skew_s),
            unit="s",
            limit=most_s,
            message=f"frame {frame.frame}: colour must lie within {most_s:g} s of its depth, is "
            f"{skew_s:+.3f} s off. Left out; raise stages.ingest.max_skew_s to keep it.",
        )

    def _clock_offset(self) -> Finding | None:
        offset_s = float(np.median(self._skews_s)) if len(self._skews_s) >= LEAST_FRAMES else 0.0
        most_s = self._settings.max_clock_offset_s
        if abs(offset_s) <= most_s:
            return None
        return Finding(
            frame=None,
            reason="clock-offset",
            value=abs(offset_s),
            unit="s",
            limit=most_s,
            message=f"the clocks of colour and depth must agree within {most_s:g} s, colour's is "
            f"{offset_s:+.3f} s off throughout (median of {len(self._skews_s)} frames). Subtract it from the "
            "times, or raise stages.ingest.max_clock_offset_s.",
        )

    def _depth_unit(self, frame: int | None, median_m: float) -> Finding | None:
        least_m, most_m = self._settings.min_median_depth_m, self._settings.max_median_depth_m
        if least_m <= median_m <= most_m:
            return None
        place = "" if frame is None else f"frame {frame}: "
        return Finding(
            frame=frame,
            reason="depth-unit",
            value=median_m,
            unit="m",
            limit=least_m if median_m < least_m else most_m,
            message=f"{place}the median depth must lie between {least_m:g} and {most_m:g} m, is {median_m:.3g} m. "
            "Left out; mend the unit or the byte order of the depth, or the limits of stages.ingest.",
        )
