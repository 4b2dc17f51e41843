"""What the stages that read raw files share: their identity, opening, and the choice of frames."""

from collections.abc import Sequence
from typing import Any

from pipeline.capture_tables import CaptureTable
from pipeline.captures.capture import Capture
from pipeline.captures.opening import open_capture
from pipeline.errors import InputError, StageError
from pipeline.foreground_screening import empty_among
from pipeline.manifest import select_frames
from pipeline.spread import figure
from tasks.context import forget, raw_digest
from tasks.inputs import Inputs
from tasks.simulate import RAW_FOLDER
from tasks.stage import CaptureStage


class RawStage(CaptureStage):
    """A first stage: its answer depends on the raw files and on how the manifest reads them."""

    def identity(self) -> dict[str, Any]:
        table = self.table()
        rig = set() if table.rig is None else {"rig"}
        read_as = table.model_dump(mode="json", include={"format", "frames", "role", table.options_key, *rig})
        return {"raw": raw_digest(self.manifest, self.capture), **read_as}

    def raw_figures(self, capture: Capture, frames: Sequence[int]) -> dict[str, dict[str, Any]]:
        known = sorted(set(frames) & set(capture.frames))
        files = [path for path in capture.files(known) if path.is_file()]
        return {
            "raw files": figure(len(files), "files"),
            "raw size": figure(sum(path.stat().st_size for path in files), "bytes"),
        }

    def refuse_if_changed(self, inputs: Inputs) -> None:
        """Raise StageError where the raw files are other than those that the fingerprint covers."""
        forget()
        planned = inputs.record["recipe"]["inputs"]["raw"]
        if raw_digest(self.manifest, self.capture) != planned:
            raise StageError("raw files must stay as they are during a build, changed. Build again.")


def open_raw(inputs: Inputs) -> Capture:
    """Open the capture where it lies: below the data root, or in the simulator's output."""
    table = inputs.capture
    place = inputs.manifest.capture_folder(table.id)
    if place is None:
        return open_capture(inputs.folder("simulate") / RAW_FOLDER, "kinect2", None)
    return open_capture(place, table.format, table.options)


def chosen_frames(capture: Capture, table: CaptureTable) -> list[int]:
    """Numbers of the frames that the manifest chooses, ascending; one that it lists need not be there.

    Raises:
        InputError: no-frames where it chooses none, or none but those without anybody.
    """
    frames = select_frames(capture.frames, table.frames)
    if not frames:
        raise InputError(
            "no-frames",
            f"capture {table.id}: frames {table.frames!r} must choose some of {len(capture.frames)}, "
            "chooses none. Mend capture.frames.",
        )
    if not set(frames) - empty_among(frames, table.empty_frames):
        raise InputError(
            "no-frames",
            f"capture {table.id}: empty_frames {table.empty_frames!r} must leave some of {len(frames)} chosen "
            "frames, leaves none. Mend capture.empty_frames.",
        )
    return frames
