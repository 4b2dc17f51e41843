"""What is wrong with a manifest's inputs, before anything is computed: the quarantine list as a build would have it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.capture_tables import CaptureTable
from pipeline.captures.capture import Capture, Frame
from pipeline.captures.reading import read_in_order
from pipeline.errors import GateError, InputError
from pipeline.foreground_screening import ForegroundScreening, empty_among, learned_finder
from pipeline.gates.annotated import annotation_findings
from pipeline.gates.finding import Finding, unmeasured
from pipeline.manifest import Manifest
from tasks.context import manifest_of
from tasks.ingest import screening_of
from tasks.raw_inputs import open_inputs
from tasks.raw_stage import chosen_frames


@dataclass
class CheckedCapture:
    """One capture of a manifest.

    Attributes:
        frames: how many the manifest chooses; 0 where the capture cannot be opened or has no raw frames.
        usable: how many of them would come through ingest and foreground.
        findings: everything that broke a limit, in the order of the frames.
    """

    capture: str
    frames: int = 0
    usable: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """3 where something is missing or malformed, 4 where a gate would leave the whole capture out, else 0."""
        if any(finding.value is None for finding in self.findings):
            return InputError.exit_code
        whole = any(finding.frame is None and finding.drops for finding in self.findings)
        return GateError.exit_code if whole or self.usable < min(self.frames, 1) else 0


def checked_captures(manifest: str) -> Iterator[CheckedCapture]:
    """Open every capture, decode every chosen frame, and pass it through every gate before fusion."""
    loaded = manifest_of(manifest)
    for name, table in loaded.captures.items():
        checked = CheckedCapture(name)
        try:
            opened = open_inputs(loaded, name)
            if opened is not None:
                _look_through(checked, loaded, table, opened, chosen_frames(opened, table))
        except InputError as error:
            checked.findings.append(unmeasured(None, error))
        yield checked


def _look_through(
    checked: CheckedCapture, manifest: Manifest, table: CaptureTable, capture: Capture, numbers: Sequence[int]
) -> None:
    empty = empty_among(numbers, table.empty_frames)
    checked.frames = len(numbers) - len(empty)
    if table.role == "image":
        _look_at_people(checked, manifest, table, capture, numbers)
        return
    foreground = _foreground(manifest, table, capture, numbers)
    screening = screening_of(capture, table, manifest.stages.ingest)
    for screened in screening.frames(numbers):
        findings = list(screened.findings)
        if screened.frame is None or screened.dropped or screened.number in empty:
            usable = False
        else:
            mask, of_mask = foreground.see(screened.frame)
            findings += of_mask
            usable = mask is not None and not any(finding.drops for finding in of_mask)
        checked.usable += usable
        checked.findings += findings
    of_capture = screening.of_capture()
    checked.findings += of_capture
    if any(finding.frame is None and finding.drops for finding in of_capture):
        checked.usable = 0


def _look_at_people(
    checked: CheckedCapture, manifest: Manifest, table: CaptureTable, capture: Capture, numbers: Sequence[int]
) -> None:
    for number, read in read_in_order(capture, numbers):
        if isinstance(read, InputError):
            findings = [unmeasured(number, read)]
        else:
            findings = annotation_findings(
                read, manifest.stages.annotated, needs_mask=table.foreground == "given"
            )
        checked.usable += not findings
        checked.findings += findings


def _foreground(
    manifest: Manifest, table: CaptureTable, capture: Capture, numbers: Sequence[int]
) -> ForegroundScreening:
    settings = manifest.stages.foreground
    if table.foreground != "person":
        return ForegroundScreening(table.foreground, settings, None)

    def read(number: int) -> Frame | None:
        try:
            return capture.read(number)
        except InputError:
            return None  # said when its turn comes

    finder = learned_finder(
        read,
        numbers,
        empty_frames=table.empty_frames,
        person=table.person,
        camera=table.camera,
        cameras=table.camera_count,
    )
    return ForegroundScreening(table.foreground, settings, finder)
