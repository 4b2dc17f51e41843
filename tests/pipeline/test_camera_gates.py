"""Frames of several cameras are judged against those of the same camera, and their times against each other."""

from dataclasses import replace

import numpy as np

from pipeline.captures.capture import Frame
from pipeline.foreground_screening import learned_finder
from pipeline.gates.synchrony import SynchronyGate
from pipeline.screening import Screening
from pipeline.settings import IngestSettings

K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
BRIGHTNESS = (60, 200)  # of the two cameras: 3.6 stops apart


class Recording:
    """Frames in memory, as a capture."""

    def __init__(self, frames: list[Frame]) -> None:
        self._by_number = {frame.frame: frame for frame in frames}

    @property
    def frames(self) -> list[int]:
        return list(self._by_number)

    def files(self, frames: list[int]) -> list:
        return []

    def read(self, frame: int) -> Frame:
        return self._by_number[frame]


def frame_of(number: int, **changes) -> Frame:
    """Two cameras that film at once, 30 moments a second, one of them twice as bright."""
    rng = np.random.default_rng(number)
    camera, moment = number % 2, number // 2
    grey = rng.integers(-4, 5, (48, 64, 3)) + BRIGHTNESS[camera]
    frame = Frame(
        frame=number, timestamp_s=5 + moment / 30, image=grey.astype(np.uint8),
        depth_m=rng.uniform(1.9, 2.1, (48, 64)).astype(np.float32), K=K, world_from_cam=None, mask=None,
    )  # fmt: skip
    return replace(frame, **changes)


def judged(
    frames: list[Frame], *, cameras: int = 2, skew_s: float | None = 0.02
) -> list[tuple[int | None, str]]:
    screening = Screening(
        Recording(frames), IngestSettings(), needs_poses=False, needs_masks=False, cameras=cameras,
        max_camera_skew_s=skew_s,
    )  # fmt: skip
    found = [one for each in screening.frames([f.frame for f in frames]) for one in each.findings]
    return [(finding.frame, finding.reason) for finding in [*found, *screening.of_capture()]]


def filmed(count: int = 16) -> list[Frame]:
    return [frame_of(number) for number in range(count)]


def test_cameras_of_different_exposure_are_no_jump_of_it() -> None:
    assert judged(filmed()) == []
    assert ("exposure-jump" in {reason for _, reason in judged(filmed(), cameras=1, skew_s=None)}) is True


def test_a_camera_that_stands_still_is_found_between_the_frames_of_the_other() -> None:
    frames = filmed()
    frames[9] = replace(frames[7], frame=9, timestamp_s=frames[9].timestamp_s)
    assert judged(frames) == [(9, "repeated-frame")]


def test_a_frame_that_was_taken_at_another_moment_is_left_out() -> None:
    frames = filmed()
    frames[5] = frame_of(5, timestamp_s=frames[4].timestamp_s + 0.021)
    assert [told for told in judged(frames) if told[1] == "cameras-apart"] == [(5, "cameras-apart")]
    frames[5] = frame_of(5, timestamp_s=frames[4].timestamp_s + 0.019)
    assert "cameras-apart" not in {reason for _, reason in judged(frames)}
    assert judged([frame_of(n, timestamp_s=-1.0) for n in range(8)]) == []


def test_clocks_that_are_apart_throughout_refuse_the_capture() -> None:
    frames = [frame_of(n, timestamp_s=5 + n // 2 / 30 + 0.4 * (n % 2)) for n in range(16)]
    found = judged(frames)
    assert [reason for frame, reason in found if frame is None] == ["cameras-apart"]
    assert {frame for frame, _ in found} == {None, *range(1, 16, 2)}


def test_where_a_time_is_missing_nothing_is_said() -> None:
    for without in (0, 1):
        gate = SynchronyGate(2, 0.02)
        times_s = [(-1.0 if camera == without else 5.0) for camera in range(2)]
        assert [gate.see(frame_of(n, timestamp_s=times_s[n % 2])) for n in range(8)] == [None] * 8
        assert gate.finish() == []


def test_a_lost_moment_is_one_frame_of_each_camera() -> None:
    screening = Screening(
        Recording([frame for frame in filmed(24) if frame.frame not in (10, 11)]),
        IngestSettings(), needs_poses=False, needs_masks=False, cameras=2,
    )  # fmt: skip
    list(screening.frames([number for number in range(24) if number not in (10, 11)]))
    assert [(f.frame, f.reason, f.value) for f in screening.of_capture()] == [
        (12, "dropped-frames", 1.0),
        (13, "dropped-frames", 1.0),
    ]


def test_a_moment_without_its_first_camera_is_not_judged() -> None:
    gate = SynchronyGate(3, 0.02)
    assert gate.see(frame_of(0)) is None
    assert gate.see(frame_of(4, timestamp_s=99.0)) is None  # its moment's first is 3, which is not there


def test_what_is_wrong_with_a_camera_as_a_whole_names_it() -> None:
    late = [frame_of(n, color_timestamp_s=5 + n // 2 / 30 + 0.019 * (n % 2)) for n in range(16)]
    screening = Screening(
        Recording(late), IngestSettings(), needs_poses=False, needs_masks=False, cameras=2,
        max_camera_skew_s=0.02,
    )  # fmt: skip
    list(screening.frames(list(range(16))))
    (finding,) = screening.of_capture()
    assert finding.reason == "clock-offset" and finding.message.startswith("camera 1: ")


class Named:
    """A finder that says which it is."""

    def __init__(self, room: str, *, person: int | None) -> None:
        self._room = room

    def find(self, frame: Frame) -> str:
        return self._room


def test_each_camera_learns_its_own_room_and_its_own_empty_one(monkeypatch) -> None:
    def learned(frames: list[Frame], *, empty: list[Frame], still_camera: bool) -> str:
        told = ([frame.frame for frame in frames], [frame.frame for frame in empty], still_camera)
        return repr(told)

    monkeypatch.setattr("pipeline.segmentation.room.learn_room", learned)
    monkeypatch.setattr("pipeline.segmentation.person.PersonFinder", Named)

    def read(number: int) -> Frame | None:
        # Of three cameras the last moves; frame 8 cannot be read.
        pose = np.eye(4)
        pose[0, 3] = number % 3 + 0.1 * number * (number % 3 == 2)
        return None if number == 8 else frame_of(number, world_from_cam=pose)

    def found(frame: int, empty_frames: str | None) -> str:
        finder = learned_finder(
            read, range(12), empty_frames=empty_frames, person=None, camera=None, cameras=3
        )
        return finder.find(frame_of(frame))

    assert found(4, None) == repr(([1, 4, 7, 10], [], True))
    assert found(6, "0:6") == repr(([6, 9], [0, 3], True))
    assert found(11, "0:6") == repr(([11], [2, 5], False))


def test_a_camera_without_chosen_frames_needs_no_finder(monkeypatch) -> None:
    rooms: list[list[int]] = []
    monkeypatch.setattr(
        "pipeline.segmentation.room.learn_room",
        lambda frames, **told: rooms.append([frame.frame for frame in frames]),
    )
    learned_finder(frame_of, [0, 2, 4], empty_frames=None, person=None, camera=None, cameras=2)
    assert rooms == [[0, 2, 4]]
