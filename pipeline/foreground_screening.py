"""The foreground of a capture's frames in order, each judged: what `foreground` keeps and `check` prints."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.foreground import ForegroundKind, foreground_mask
from pipeline.gates.finding import Finding, unmeasured
from pipeline.gates.person import person_findings, too_little_foreground
from pipeline.manifest import select_frames
from pipeline.settings import ForegroundSettings

if TYPE_CHECKING:
    from pipeline.segmentation.person import Found, PersonFinder

Bool = NDArray[np.bool_]
CameraKind = Literal["still", "moving"]

LEARNED_FRAMES = 16  # evenly over the capture: a room shows itself in a few
COUNTED = {"no-person": "people", "empty-foreground": "px"}  # what there is none of, where one is the least


class ForegroundScreening:
    """Finds the foreground of frames in their order, and judges it.

    Args:
        kind: as in the manifest.
        finder: of the person, where kind is person.
    """

    def __init__(
        self, kind: ForegroundKind, settings: ForegroundSettings, finder: "EachCamerasFinder | None"
    ) -> None:
        self._kind, self._settings, self._finder = kind, settings, finder

    def see(self, frame: Frame) -> tuple[Bool | None, list[Finding]]:
        """The frame's mask (H W), None where there is none, and what broke a limit."""
        try:
            if self._finder is not None:
                found = self._finder.find(frame)
                return found.mask, person_findings(frame, found.mask, self._settings, up_cam=found.up_cam)
            mask = foreground_mask(frame, self._kind)
        except InputError as error:
            return None, [_of_error(frame.frame, error)]
        if self._kind == "given":
            return mask, person_findings(frame, mask, self._settings)
        return mask, too_little_foreground(frame, mask, self._settings)


class EachCamerasFinder:
    """Finds the person in the frames of one or several cameras: each knows its own room, and follows by itself.

    Args:
        finders: by camera, as far as it has frames; frame n is camera n % cameras.
    """

    def __init__(self, finders: "Mapping[int, PersonFinder]", cameras: int) -> None:
        self._finders, self._cameras = finders, cameras

    def find(self, frame: Frame) -> "Found":
        """The person's pixels in one frame, as of `PersonFinder.find`."""
        return self._finders[frame.frame % self._cameras].find(frame)


def learned_finder(
    read: Callable[[int], Frame | None],
    numbers: Sequence[int],
    *,
    empty_frames: str | None,
    person: int | None,
    camera: CameraKind | None,
    cameras: int = 1,
) -> EachCamerasFinder:
    """Learn the room of a capture from a few of its frames, for each of its cameras.

    Args:
        read: one frame by its number; None where it cannot be used.
        numbers: of all chosen frames.
        empty_frames: slice of those without anybody.
        camera: None where the poses tell: one and the same pose is a still camera's, none a moving one's.
        cameras: how many filmed; frame n is camera n % cameras.

    Raises:
        InputError: as of `learn_room`.
    """
    empty = empty_among(numbers, empty_frames)
    seen_by = {at: [number for number in numbers if number % cameras == at] for at in range(cameras)}
    finders = {at: _learned_finder(read, seen, empty, person, camera) for at, seen in seen_by.items() if seen}
    return EachCamerasFinder(finders, cameras)


def _learned_finder(
    read: Callable[[int], Frame | None],
    numbers: Sequence[int],
    empty_numbers: set[int],
    person: int | None,
    camera: CameraKind | None,
) -> "PersonFinder":
    from pipeline.segmentation.person import PersonFinder
    from pipeline.segmentation.room import learn_room

    with_people = [number for number in numbers if number not in empty_numbers]
    frames = [frame for number in evenly(with_people) if (frame := read(number)) is not None]
    without = sorted(empty_numbers.intersection(numbers))
    empty = [frame for number in evenly(without) if (frame := read(number)) is not None]
    still = camera == "still" or (camera is None and _one_pose([*frames, *empty]))
    return PersonFinder(learn_room(frames, empty=empty, still_camera=still), person=person)


def empty_among(numbers: Sequence[int], empty_frames: str | None) -> set[int]:
    """Numbers of the frames that show the room without anybody."""
    return set() if empty_frames is None else set(select_frames(list(numbers), empty_frames))


def evenly(numbers: Sequence[int]) -> list[int]:
    """At most LEARNED_FRAMES of the numbers, the first and the last among them."""
    count = min(LEARNED_FRAMES, len(numbers))
    return [numbers[round(at)] for at in np.linspace(0, len(numbers) - 1, count)] if count else []


def _of_error(frame: int, error: InputError) -> Finding:
    unit = COUNTED.get(error.reason)
    if unit is None:
        return unmeasured(frame, error)
    return Finding(frame=frame, reason=error.reason, value=0.0, unit=unit, limit=1.0, message=str(error))


def _one_pose(frames: Sequence[Frame]) -> bool:
    poses = [frame.world_from_cam for frame in frames if frame.world_from_cam is not None]
    return bool(poses) and all(np.allclose(pose, poses[0], atol=1e-6) for pose in poses)
