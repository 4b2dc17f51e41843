"""What a stage reads: its manifest, its capture, and the frames of the stages above it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from pipeline.capture_tables import CaptureTable
from pipeline.in_order import in_order
from pipeline.manifest import Manifest
from pipeline.sealing import read_record, require_undamaged
from pipeline.store import FrameReader
from tasks.context import manifest_of
from tasks.job import Job

FRAMES_FILE = "frames.h5"
Made = TypeVar("Made")
REJECTED_FILE = "rejected.h5"  # small pictures of frames that were left out


class Inputs:
    """What a stage reads: the manifest, its capture, and the sealed folders above it."""

    def __init__(self, job: Job) -> None:
        self.manifest: Manifest = manifest_of(job.parameters["manifest"])
        self.threads = job.threads
        self.record = job.record
        self._capture = job.parameters.get("capture")
        self._folders = job.upstream
        self._checked: set[str] = set()
        self._open = ExitStack()

    @property
    def capture(self) -> CaptureTable:
        return self.manifest.captures[str(self._capture)]

    def folder(self, name: str) -> Path:
        """A sealed folder above, its checksums compared at the first read."""
        if name not in self._checked:
            require_undamaged(self._folders[name])
            self._checked.add(name)
        return self._folders[name]

    def __enter__(self) -> "Inputs":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def frames(self, name: str) -> FrameReader:
        """Rows of a stage above; closed with the job at the latest."""
        return self._open.enter_context(FrameReader(self.folder(name) / FRAMES_FILE))

    def stage_record(self, name: str) -> dict[str, Any]:
        return read_record(self._folders[name]) or {}

    def has(self, name: str) -> bool:
        return name in self._folders

    def fields(self, name: str) -> list[str]:
        """The fields that a stage above wrote for each frame; none where it writes no frames."""
        if not (self._folders[name] / FRAMES_FILE).is_file():
            return []  # nothing is read, so nothing is checked: it may be a capture's raw files
        with FrameReader(self.folder(name) / FRAMES_FILE) as reader:
            return reader.fields

    def joined(self, fields: Mapping[str, Sequence[str]]) -> "JoinedFrames":
        """Rows of several stages joined by frame number, ascending; never by position."""
        return JoinedFrames({name: self.frames(name) for name in fields}, fields)


class JoinedFrames:
    """Samples that stand in every one of several frames files; can be iterated again and again."""

    def __init__(self, readers: Mapping[str, FrameReader], fields: Mapping[str, Sequence[str]]) -> None:
        self._readers, self._fields = readers, fields
        numbers = {name: reader.column("frame").tolist() for name, reader in readers.items()}
        self._row = {name: {frame: row for row, frame in enumerate(found)} for name, found in numbers.items()}
        self.frames: list[int] = sorted(set.intersection(*(set(found) for found in numbers.values())))
        self._columns: dict[tuple[str, str], NDArray[Any] | None] = {}

    def close(self) -> None:
        """Close the files below; a dataset of many captures would else run out of handles."""
        for reader in self._readers.values():
            reader.close()

    def __enter__(self) -> "JoinedFrames":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.read(self.frames[index], self._fields)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for frame in self.frames:
            yield self.read(frame, self._fields)

    def map(self, work: Callable[[dict[str, Any]], Made], *, threads: int) -> Iterator[Made]:
        """What `work` makes of each sample, in order; some are read and worked on at once, by threads."""
        return in_order(lambda frame: work(self.read(frame, self._fields)), self.frames, threads=threads)

    def read(self, frame: int, fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The named fields of one frame, and its number."""
        sample: dict[str, Any] = {"frame": frame}
        for stage, names in fields.items():
            row = self._row[stage][frame]
            columns = {name: self._column(stage, name) for name in names}
            large = self._readers[stage].row(row, [name for name in names if columns[name] is None])
            for name, column in columns.items():
                sample[name] = large[name] if column is None else column[row]
        return sample

    def chunks(self, frame: int) -> dict[str, bytes]:
        """The encoded bytes of one frame's fields, as far as `FrameWriter.prepare` can take them as they are."""
        found: dict[str, bytes] = {}
        for stage, names in self._fields.items():
            found |= self._readers[stage].chunks(self._row[stage][frame], names)
        return found

    def _column(self, stage: str, name: str) -> NDArray[Any] | None:
        """All rows of a small field, which are read at once; None of a large one."""
        if (stage, name) not in self._columns:
            reader = self._readers[stage]
            self._columns[stage, name] = reader.column(name) if reader.is_small(name) else None
        return self._columns[stage, name]
