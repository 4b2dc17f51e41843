"""What every reader of raw captures gives: frames by number, one at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.annotation import Annotation


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One ingested frame.

    Attributes:
        frame: the frame's own number in the raw capture.
        timestamp_s: of the depth, on the capture's own clock; -1 where the format has none.
        color_timestamp_s: of the colour image, on the same clock; -1 where it has no time of its own.
        image: (H W 3) uint8 RGB, registered to the depth; None where the capture has no colour.
        depth_m: (H W) float32, z along the optical axis; 0 is invalid. None for pictures alone.
        K: (3 3) float64 px, integer pixel centres; None where nothing is known of the camera.
        world_from_cam: (4 4) float64, rigid; None where the capture brings no poses.
        mask: (H W) bool of the foreground where the capture brings one, else None.
        annotation: what was said of one person in a picture, where the capture is a set of annotations.
    """

    frame: int
    timestamp_s: float
    image: NDArray[np.uint8] | None
    depth_m: NDArray[np.float32] | None
    K: NDArray[np.float64] | None
    world_from_cam: NDArray[np.float64] | None
    mask: NDArray[np.bool_] | None
    color_timestamp_s: float = -1.0
    annotation: Annotation | None = None


class Capture(Protocol):
    """A raw capture that is open for reading; holds names and calibration, never images.

    Opening raises `InputError` when the capture as a whole is missing or malformed.
    """

    @property
    def frames(self) -> list[int]:
        """Numbers of all frames, ascending, before the manifest's selection."""
        ...

    def files(self, frames: list[int]) -> list[Path]:
        """Every raw file that reading these frames touches, calibration first; they may be missing."""
        ...

    def read(self, frame: int) -> Frame:
        """Decode one frame; raises `InputError` with a reason code when it is missing or malformed."""
        ...
