"""A way to spoil a sound capture, what must be said of it, and damage that any file may take."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Write = Callable[[Path, int], None]  # the capture's folder and the frame
FEW, FRAME = 5, 2  # frames of a capture, and the one that its faults are about
Row = tuple[str, int | None]  # reason, and the frame that it is about


@dataclass(frozen=True)
class Fault:
    """A way for a capture to be wrong, and what must be said of it.

    Attributes:
        done: what was done to the files.
        write: does it, about one frame; the frames before and after that one must be there.
        reason: of the row that must be left; None where nothing can be seen.
        shift: from the frame that was changed to the one that the row is about; None where it is the capture.
        also: reasons and shifts of the other rows that the fault explains.
        every: whether each frame has a row of this reason too.
        stage: of a build, that leaves the row; the first one unless told.
        lost: how many of the listed frames are left out.
        code: that `bodytruth check` ends with.
        value: that must be measured, as far as it is known from what was done.
    """

    name: str
    done: str
    write: Write
    reason: str | None
    shift: int | None = 0
    also: tuple[Row, ...] = ()
    every: bool = False
    stage: str | None = None
    lost: int = 1
    code: int = 0
    value: float | None = None

    def rows(self, frame: int, frames: range) -> set[Row]:
        """The rows that this fault about one frame must leave in a capture of these frames."""
        if self.reason is None:
            return set()
        of_one = [(self.reason, self.shift), *self.also]
        of_all = {(self.reason, number) for number in frames} if self.every else set()
        return of_all | {(reason, None if shift is None else frame + shift) for reason, shift in of_one}


@dataclass(frozen=True)
class Format:
    """A sound capture, and what can become of it.

    Attributes:
        name: of the format as the manifest has it, and what is particular of this capture.
        table: lines of its [[capture]] table, but for id, split and path.
        write: writes it into a folder that is not there yet.
        place: of what the manifest's path names, in that folder.
        count, frame: how many frames it has, numbered from 0, and which one the faults are about.
        stage: the first one of a build.
    """

    name: str
    table: str
    write: Callable[[Path], object]
    faults: tuple[Fault, ...]
    place: str = "."
    count: int = FEW
    frame: int = FRAME
    stage: str = "ingest"

    @property
    def frames(self) -> range:
        return range(self.count)


def without(name: str) -> Write:
    return lambda folder, frame: (folder / name.format(frame)).unlink()


def truncated(name: str) -> Write:
    """A file, named by its pattern, ends in the middle."""

    def truncate(folder: Path, frame: int) -> None:
        path = folder / name.format(frame)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return truncate


def garbled(name: str) -> Write:
    """A file has as many bytes as before, and other ones from its middle on."""

    def garble(folder: Path, frame: int) -> None:
        path = folder / name.format(frame)
        data = path.read_bytes()
        noise = np.random.default_rng(1).integers(0, 256, len(data) - len(data) // 2, np.uint8)
        path.write_bytes(data[: len(data) // 2] + noise.tobytes())

    return garble
