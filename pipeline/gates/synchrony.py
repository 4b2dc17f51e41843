"""Frames of synchronised cameras that were not taken at one moment."""

import numpy as np

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.gates.timing import LEAST_FRAMES

SETTING = "rig.max_time_skew_s"


class SynchronyGate:
    """Holds each camera's time against the first camera's of the same moment; keeps times alone.

    Frames come in order: frame n is camera n % cameras at moment n // cameras.
    """

    def __init__(self, cameras: int, max_skew_s: float) -> None:
        self._cameras, self._most_s = cameras, max_skew_s
        self._moment, self._first_s = -1, -1.0
        self._skews_s: list[list[float]] = [[] for _ in range(cameras)]

    def see(self, frame: Frame) -> Finding | None:
        """The finding of this frame; where either camera has no time, there is none."""
        moment, camera = divmod(frame.frame, self._cameras)
        if camera == 0:
            self._moment, self._first_s = moment, frame.timestamp_s
            return None
        if moment != self._moment or min(self._first_s, frame.timestamp_s) < 0:
            return None
        skew_s = frame.timestamp_s - self._first_s
        self._skews_s[camera].append(skew_s)
        if abs(skew_s) <= self._most_s:
            return None
        return Finding(
            frame=frame.frame,
            reason="cameras-apart",
            value=abs(skew_s),
            unit="s",
            limit=self._most_s,
            message=f"frame {frame.frame}: camera {camera} must film within {self._most_s:g} s of camera 0, is "
            f"{skew_s:+.3f} s off. Left out; raise {SETTING} to keep it.",
        )

    def finish(self) -> list[Finding]:
        """Cameras whose clock is off throughout; after the last frame."""
        found = []
        for camera, skews_s in enumerate(self._skews_s):
            offset_s = float(np.median(skews_s)) if len(skews_s) >= LEAST_FRAMES else 0.0
            if abs(offset_s) > self._most_s:
                found.append(self._of_camera(camera, offset_s, len(skews_s)))
        return found

    def _of_camera(self, camera: int, offset_s: float, frames: int) -> Finding:
        return Finding(
            frame=None,
            reason="cameras-apart",
            value=abs(offset_s),
            unit="s",
            limit=self._most_s,
            message=f"camera {camera} of the rig must film within {self._most_s:g} s of camera 0, is "
            f"{offset_s:+.3f} s off throughout (median of {frames} moments). Bring the times onto one clock, or, "
            f"of a person who stands still, raise {SETTING}.",
        )
