"""Pictures that are burnt out, dark, or suddenly of another exposure than the ones before."""

import numpy as np

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.gates.pictures import exposure
from pipeline.settings import IngestSettings

DARKEST = 1e-5  # a black picture counts as this bright, so that its logarithm is finite


class LightGate:
    """Keeps the brightness of the frame before, and of the last one that had not jumped."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._before: float | None = None
        self._steady: float | None = None

    def see(self, frame: Frame, *, in_sequence: bool) -> Finding | None:
        """The gravest finding of this frame's picture.

        Args:
            in_sequence: whether brightness is held against the frames before.
        """
        if frame.image is None:
            return None
        luminance, burnt = exposure(frame.image)
        jump_stops = self._jump(luminance) if in_sequence else 0.0
        settings = self._settings
        if luminance < settings.min_luminance:
            return self._finding(
                frame, "too-dark", luminance, settings.min_luminance, "min_luminance",
                f"the mean luminance must be at least {settings.min_luminance:g} of white, is {luminance:.2g}",
            )  # fmt: skip
        if burnt > settings.max_saturated_share:
            return self._finding(
                frame, "saturated", burnt, settings.max_saturated_share, "max_saturated_share",
                f"at most {settings.max_saturated_share:.1%} of the pixels may be burnt out, {burnt:.1%} are",
            )  # fmt: skip
        if abs(jump_stops) > settings.max_exposure_jump_stops:
            return self._finding(
                frame, "exposure-jump", abs(jump_stops), settings.max_exposure_jump_stops,
                "max_exposure_jump_stops",
                f"brightness must stay within {settings.max_exposure_jump_stops:g} stops of the frames before, "
                f"is {jump_stops:+.2f} stops off",
            )  # fmt: skip
        return None

    def _jump(self, luminance: float) -> float:
        """Stops from the frame before or from the last steady one, whichever is nearer; of a flash that frame
        alone is found, of a lasting change its first frame."""
        level = float(np.log2(max(luminance, DARKEST)))
        jumps = [level - known for known in (self._before, self._steady) if known is not None]
        jump_stops = min(jumps, key=abs, default=0.0)
        self._before = level
        if abs(jump_stops) <= self._settings.max_exposure_jump_stops:
            self._steady = level
        return jump_stops

    @staticmethod
    def _finding(
        frame: Frame, reason: str, value: float, limit: float, setting: str, finding: str
    ) -> Finding:
        verb = "lower" if value < limit else "raise"
        return Finding(
            frame=frame.frame,
            reason=reason,
            value=value,
            unit="stops" if reason == "exposure-jump" else "1",
            limit=limit,
            message=f"frame {frame.frame}: {finding}. Left out; {verb} stages.ingest.{setting} to keep it.",
        )
