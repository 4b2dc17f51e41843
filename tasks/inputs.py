"""What a stage reads: its manifest, its capture, and the frames of the stages above it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.capture_tables import CaptureTable
from pipeline.manifest import Manifest
from pipeline.sealing import read_record, require_undamaged
from pipeline.store import FrameReader
from tasks.context import manifest_of
from tasks.job import Job

FRAMES_FILE = "frames.h5"
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
        file = self.folder(name) / FRAMES_FILE
        if not file.is_file():
            return []
        with FrameReader(file) as reader:
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

    def read(self, frame: int, fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The named fields of one frame, and its number."""
        sample: dict[str, Any] = {"frame": frame}
        for name, names in fields.items():
            sample.update(self._readers[name].row(self._row[name][frame], names))
        return sample
