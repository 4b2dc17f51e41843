"""Rows of the quarantine list, as the stages of one capture write them, and pictures of what they leave out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.captures.capture import Frame
from pipeline.errors import GateError, InputError
from pipeline.gates.finding import Finding
from pipeline.quality import QuarantineRow
from pipeline.store import FrameWriter
from pipeline.thumbnails import frame_thumbnail
from tasks.context import without_places
from tasks.inputs import REJECTED_FILE
from tasks.stage import CaptureStage

PICTURES_PER_REASON = 4


def row_of(
    stage: CaptureStage, frame: int | None, reason: str, message: str, **measured: Any
) -> QuarantineRow:
    """A row of a stage; the message loses the folders of this machine, since it goes into data files."""
    return QuarantineRow(
        capture=str(stage.capture),
        stage=stage.NAME,
        reason=reason,
        message=without_places(message, stage.loaded(), str(stage.capture)),
        frame=frame,
        **measured,
    )


def sentence(capture: str, finding: Finding) -> str:
    """A finding's message with its capture; the error of a file names its place already."""
    if finding.message.startswith("frame "):
        return f"capture {capture}, {finding.message}"
    measured = finding.frame is None and finding.value is not None
    return f"capture {capture}: {finding.message}" if measured else finding.message


def rows_of(stage: CaptureStage, findings: Iterable[Finding]) -> list[QuarantineRow]:
    """What the gates found of single frames, as rows."""
    return [
        row_of(
            stage,
            finding.frame,
            finding.reason,
            sentence(str(stage.capture), finding),
            value=finding.value,
            unit=finding.unit,
            limit=finding.limit,
            drops=finding.drops,
        )
        for finding in findings
        if finding.frame is not None
    ]


def refuse(stage: CaptureStage, findings: Sequence[Finding], rows: Sequence[QuarantineRow]) -> None:
    """Raise GateError for the first finding about the whole capture that drops it."""
    for finding in findings:
        if finding.frame is None and finding.drops:
            raise GateError(
                finding.reason,
                sentence(str(stage.capture), finding),
                value=finding.value,
                unit=finding.unit,
                limit=finding.limit,
                rows=rows,
            )


def refuse_if_empty(capture: str, kept: int, rows: Sequence[QuarantineRow]) -> None:
    """Raise where no frame of a capture is left, under the reason of its frames.

    Raises:
        InputError: where a frame could not be read.
        GateError: where all could, and every one was measured and found unfit.
    """
    if kept:
        return
    lost = [row for row in rows if row.drops]
    unreadable = [row for row in lost if row.value is None]
    first = (unreadable or lost)[0]
    reasons = ", ".join(sorted({row.reason for row in lost}))
    message = (
        f"capture {capture}: at least one frame must be usable, none of {len({row.frame for row in lost})} is "
        f"({reasons}). First: {first.message}"
    )
    if unreadable:
        raise InputError(first.reason, message, rows=rows)
    raise GateError(first.reason, message, value=first.value, unit=first.unit, limit=first.limit, rows=rows)


class RejectedPictures:
    """Small pictures of frames that were left out, a few of each reason; no file where there are none."""

    def __init__(self, part: Path, capture: str) -> None:
        self._path, self._capture = part / REJECTED_FILE, capture
        self._taken: dict[str, int] = {}
        self._writer: FrameWriter | None = None

    def add(self, frame: Frame, reason: str) -> None:
        taken = self._taken.get(reason, 0)
        if taken < PICTURES_PER_REASON:
            self._writer = self._writer or FrameWriter(self._path, {"capture": self._capture})
            picture = frame_thumbnail(frame)
            self._writer.append({"frame": np.int32(frame.frame), "rejected_picture": picture})
            self._taken[reason] = taken + 1

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def rejected_pictures(part: Path, capture: str) -> Iterator[RejectedPictures]:
    """Keep pictures of what a stage leaves out, in a file of its own beside its frames."""
    pictures = RejectedPictures(part, capture)
    try:
        yield pictures
    finally:
        pictures.close()
