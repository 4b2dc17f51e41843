"""Streams that stand still: real depth and colour are noisy, so that no two images are alike to the last bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.settings import IngestSettings

PROBE_PX = 16  # stride of the pixels that are compared first; almost all images differ there already
WORDS = {
    "repeated-frame": "depth and colour must be new",
    "frozen-depth": "depth must be new like its colour",
    "frozen-color": "colour must be new like its depth",
}


class RepeatGate:
    """Counts how often in a row a stream has given the very image that it gave before."""

    def __init__(self, settings: IngestSettings) -> None:
        self._most = settings.max_repeats
        self._before: Frame | None = None
        self._depth_repeats = self._color_repeats = 0

    def see(self, frame: Frame) -> Finding | None:
        """The finding of this frame, held against the one before; a stream that is not there is never new."""
        before, self._before = self._before, frame
        if before is None:
            return None
        same_depth = same_image(before.depth_m, frame.depth_m)
        same_color = same_image(before.image, frame.image)
        self._depth_repeats = self._depth_repeats + 1 if same_depth else 0
        self._color_repeats = self._color_repeats + 1 if same_color else 0
        depth_stands = same_depth or frame.depth_m is None
        color_stands = same_color or frame.image is None
        if depth_stands and color_stands:
            return self._finding(frame, "repeated-frame", max(self._depth_repeats, self._color_repeats))
        if same_depth:
            return self._finding(frame, "frozen-depth", self._depth_repeats)
        return self._finding(frame, "frozen-color", self._color_repeats) if same_color else None

    def _finding(self, frame: Frame, reason: str, repeats: int) -> Finding | None:
        if repeats <= self._most:
            return None
        return Finding(
            frame=frame.frame,
            reason=reason,
            value=float(repeats),
            unit="frames",
            limit=float(self._most),
            message=f"frame {frame.frame}: {WORDS[reason]}, repeats the frame before ({repeats} in a row). Left "
            "out; raise stages.ingest.max_repeats to keep it.",
        )


def same_image(before: NDArray[Any] | None, after: NDArray[Any] | None) -> bool:
    """Whether two images hold the same values in every pixel; False where either is not there."""
    if before is None or after is None or before.shape != after.shape:
        return False
    probe = np.array_equal(before[::PROBE_PX, ::PROBE_PX], after[::PROBE_PX, ::PROBE_PX])
    return bool(probe and np.array_equal(before, after))
