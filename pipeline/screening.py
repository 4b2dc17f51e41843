"""Raw frames through every check that needs no other stage: what `ingest` keeps and what `check` prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.captures.capture import Capture, Frame
from pipeline.captures.reading import read_in_order
from pipeline.captures.tang2019 import shifted
from pipeline.errors import InputError
from pipeline.gates.finding import Finding, unmeasured
from pipeline.gates.stream import StreamGates
from pipeline.gates.synchrony import SynchronyGate
from pipeline.settings import IngestSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Screened:
    """One chosen frame of a capture.

    Attributes:
        frame: None where it could not be read.
        findings: what broke a limit, gravest first.
    """

    number: int
    frame: Frame | None
    findings: tuple[Finding, ...]

    @property
    def dropped(self) -> bool:
        """Whether the frame is left out."""
        return any(finding.drops for finding in self.findings)


class Screening:
    """Reads and judges the frames of one capture, in order; `of_capture` judges the whole afterwards.

    Args:
        needs_poses, needs_masks: whether a frame without a camera pose, or without a given mask, is of no use.
        recorded: whether the frames are of one recording, as of `StreamGates`.
        shift_px: the depth of format tang2019 is moved right by this much.
        cameras: how many filmed; frame n is camera n % cameras. Each is held against its own frames.
        max_camera_skew_s: largest time between two cameras' frames of one moment; None where it is not judged.
    """

    def __init__(
        self,
        capture: Capture,
        settings: IngestSettings,
        *,
        needs_poses: bool,
        needs_masks: bool,
        recorded: bool = True,
        shift_px: int = 0,
        cameras: int = 1,
        max_camera_skew_s: float | None = None,
    ) -> None:
        self._capture, self._shift_px = capture, shift_px
        self._needs_poses, self._needs_masks = needs_poses, needs_masks
        self._first: Frame | None = None
        listed = capture.frames
        self._gates = [
            StreamGates(
                [number for number in listed if number % cameras == camera], settings, recorded=recorded
            )
            for camera in range(cameras)
        ]
        self._synchrony = None if max_camera_skew_s is None else SynchronyGate(cameras, max_camera_skew_s)

    def frames(self, numbers: Sequence[int]) -> Iterator[Screened]:
        """Yield every chosen frame with what was found of it."""
        for number, read in read_in_order(self._capture, numbers):
            if isinstance(read, InputError):
                finding = unmeasured(number, read)
                yield Screened(number=number, frame=None, findings=(finding,))
                continue
            if self._shift_px and read.depth_m is not None:
                read = replace(read, depth_m=shifted(read.depth_m, self._shift_px))
            findings = (*self._lacking(read), *self._differing(read), *self._out_of_step(read))
            screened = Screened(number=number, frame=read, findings=findings)
            if self._first is None and not screened.dropped:
                self._first = read
            yield screened

    def of_capture(self) -> list[Finding]:
        """What was found of the capture as a whole, once all its frames were seen."""
        if len(self._gates) == 1:
            return self._gates[0].finish()
        found = [] if self._synchrony is None else self._synchrony.finish()
        for camera, gates in enumerate(self._gates):
            for finding in gates.finish():
                whole = finding.frame is None
                found.append(
                    replace(finding, message=f"camera {camera}: {finding.message}") if whole else finding
                )
        return found

    def _out_of_step(self, frame: Frame) -> list[Finding]:
        """What does not follow the frames of the same camera, or goes with those of the others."""
        found = self._gates[frame.frame % len(self._gates)].see(frame)
        apart = None if self._synchrony is None else self._synchrony.see(frame)
        return found if apart is None else [*found, apart]

    def _lacking(self, frame: Frame) -> list[Finding]:
        found = []
        if self._needs_poses and frame.world_from_cam is None:
            message = (
                f"frame {frame.frame}: a static capture needs the camera's pose of every frame, this one has "
                'none. Give poses, let them be found by poses = "tracked", or set role = "moving".'
            )
            found.append(unmeasured(frame.frame, InputError("pose-missing", message)))
        if self._needs_masks and frame.mask is None:
            message = (
                f"frame {frame.frame}: foreground 'given' needs a mask image, the frame has none. Name the masks "
                "in the manifest, or set foreground = 'person' or 'all'."
            )
            found.append(unmeasured(frame.frame, InputError("mask-missing", message)))
        return found

    def _differing(self, frame: Frame) -> list[Finding]:
        """A capture's frames are stored in one file, so that all must bring the same maps, of one size."""
        first = self._first
        if first is None or _brings(frame) == _brings(first):
            return []
        message = (
            f"frame {frame.frame}: every frame must bring what frame {first.frame} brings ({_brings(first)}), "
            f"brings {_brings(frame)}. Left out; make two captures of them."
        )
        return [unmeasured(frame.frame, InputError("frame-differs", message))]


def _brings(frame: Frame) -> str:
    """The maps of a frame with their size, and whether it has a pose, in words."""
    maps = {"depth": frame.depth_m, "colour": frame.image}
    found = [f"{name} {it.shape[1]}x{it.shape[0]} px" for name, it in maps.items() if it is not None]
    return " and ".join([*found, *(["a pose"] if frame.world_from_cam is not None else [])])
