"""What every reader of raw captures gives: frames by number, one at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One ingested frame.

    Attributes:
        frame: the frame's own number in the raw capture.
        timestamp_s: on the capture's own clock; -1 where the format has none.
        image: (H W 3) uint8 RGB, registered to the depth.
        depth_m: (H W) float32, z along the optical axis; 0 is invalid.
        K: (3 3) float64 px, integer pixel centres.
        world_from_cam: (4 4) float64, rigid.
        mask: (H W) bool of the foreground where the capture brings one, else None.
    """

    frame: int
    timestamp_s: float
    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    K: NDArray[np.float64]
    world_from_cam: NDArray[np.float64]
    mask: NDArray[np.bool_] | None


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


CaptureOptions = dict[str, Any]
