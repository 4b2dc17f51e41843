"""Each gate over a stream just inside and just outside its limit, and the laws that hold whatever the frames show."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.gates.repeats import same_image
from pipeline.gates.stream import StreamGates
from pipeline.gates.timing import missing_by_number, numbering_step
from pipeline.settings import IngestSettings

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
PERIOD_S = 1 / 30


def frame_of(number: int, **changes) -> Frame:
    """A frame of noise around 2 m and mid grey, its colour 3 ms after its depth."""
    rng = np.random.default_rng(number)
    sound = Frame(
        frame=number,
        timestamp_s=5.0 + number * PERIOD_S,
        color_timestamp_s=5.003 + number * PERIOD_S,
        image=rng.integers(100, 140, (HEIGHT, WIDTH, 3)).astype(np.uint8),
        depth_m=rng.uniform(1.9, 2.1, (HEIGHT, WIDTH)).astype(np.float32),
        K=K.copy(),
        world_from_cam=None,
        mask=None,
    )
    return replace(sound, **changes)


def judge(
    frames: Iterable[Frame], listed: list[int] | None = None, **limits
) -> tuple[list[Finding], list[Finding]]:
    """Findings of single frames as they were seen, and those at the end."""
    frames = list(frames)
    gates = StreamGates(listed or [frame.frame for frame in frames], IngestSettings(**limits))
    seen = [finding for frame in frames for finding in gates.see(frame)]
    return seen, gates.finish()


def told(findings: list[Finding]) -> list[tuple[int | None, str]]:
    return [(finding.frame, finding.reason) for finding in findings]


def recording(count: int = 12) -> list[Frame]:
    return [frame_of(number) for number in range(count)]


def test_a_sound_recording_gives_no_finding() -> None:
    assert judge(recording()) == ([], [])


@given(st.integers(1, 5), st.integers(3, 30), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_any_even_numbering_at_any_rate_is_sound(step: int, count: int, start: int) -> None:
    sparse = [replace(frame_of(start + i), frame=start + i * step) for i in range(count)]
    small = [replace(frame, depth_m=frame.depth_m[::4, ::4], image=frame.image[::4, ::4]) for frame in sparse]
    assert judge([replace(frame, K=None) for frame in small]) == ([], [])


# dropped frames


def test_missing_numbers_are_one_row_a_gap_and_keep_their_neighbours() -> None:
    frames = [frame for frame in recording(30) if frame.frame not in (7, 8, 20)]
    seen, ended = judge(frames, max_dropped_share=0.1)  # exactly 3 of 30 are missing
    assert seen == [] and told(ended) == [(9, "dropped-frames"), (21, "dropped-frames")]
    assert [finding.value for finding in ended] == [2.0, 1.0] and not any(f.drops for f in ended)
    assert "frame 9: " in ended[0].message and "2 frames" in ended[0].message


def test_too_large_a_share_of_missing_frames_is_about_the_capture() -> None:
    frames = [frame for frame in recording(30) if frame.frame not in (7, 8, 20)]
    _, ended = judge(frames, max_dropped_share=0.0999)
    assert told(ended)[-1] == (None, "dropped-frames") and ended[-1].drops
    assert (ended[-1].value, ended[-1].limit) == (0.1, 0.0999)


def test_a_gap_in_time_is_found_where_numbers_are_ranks() -> None:
    taken = [0, 1, 2, 3, 7, 8, 9, 10, 11, 12]
    frames = [replace(frame_of(moment), frame=rank) for rank, moment in enumerate(taken)]
    _, ended = judge(frames, max_dropped_share=1.0)
    assert told(ended) == [(4, "dropped-frames")] and ended[0].value == 3.0


def test_a_gap_that_numbers_and_times_tell_is_counted_once() -> None:
    _, ended = judge([frame for frame in recording(30) if frame.frame not in (7, 8)])
    assert [(f.frame, f.value) for f in ended] == [(9, 2.0)]


@pytest.mark.parametrize(("periods", "found"), [(1.49, []), (1.51, [(5, "dropped-frames")])])
def test_only_a_pause_longer_than_the_limit_is_a_gap(periods: float, found: list) -> None:
    later_s = (periods - 1) * PERIOD_S
    frames = [
        replace(
            frame,
            timestamp_s=frame.timestamp_s + later_s * (frame.frame >= 5),
            color_timestamp_s=frame.color_timestamp_s + later_s * (frame.frame >= 5),
        )
        for frame in recording()
    ]
    assert told(judge(frames)[1]) == found


def test_frames_that_were_not_chosen_or_could_not_be_read_are_not_missing() -> None:
    listed = list(range(60))
    assert judge([frame_of(n) for n in range(0, 60, 7)], listed) == ([], [])
    assert judge([frame_of(n) for n in range(60) if n not in (11, 12, 30)], listed) == ([], [])


def test_only_gaps_between_the_first_and_the_last_chosen_frame_count() -> None:
    listed = [n for n in range(40) if n not in (3, 30, 31)]
    assert judge([frame_of(n) for n in range(10, 25)], listed) == ([], [])


def test_chosen_pictures_are_no_recording() -> None:
    # The numbers of a released test set: most steps are 1, but nothing was dropped.
    numbers = [0, 1, 2, 3, 8, 9, 10, 12, 13, 14, 15, 17, 19, 20, 22, 23, 24, 38, 39, 43, 46, 55, 56, 58]
    assert numbering_step(numbers) is None
    frames = [frame_of(n, timestamp_s=-1.0, color_timestamp_s=-1.0) for n in numbers]
    assert judge(frames) == ([], [])
    assert numbering_step([0, 110]) is None and numbering_step(list(range(15, 115, 2))) == 2


@given(st.sets(st.integers(1, 98), max_size=6), st.integers(1, 4))
def test_as_many_frames_are_missing_as_were_taken_out(taken: set[int], step: int) -> None:
    numbers = [n * step for n in range(100) if n not in taken]
    assert numbering_step(numbers) == step
    assert sum(missing_by_number(numbers, step).values()) == len(taken)


# clocks


@pytest.mark.parametrize(("skew_s", "found"), [(0.0199, []), (-0.0199, []), (0.0201, [4]), (-0.0201, [4])])
def test_colour_too_far_from_its_depth_is_left_out(skew_s: float, found: list[int]) -> None:
    frames = recording()
    frames[4] = replace(frames[4], color_timestamp_s=frames[4].timestamp_s + skew_s)
    seen, ended = judge(frames)
    assert told(seen) == [(n, "clock-skew") for n in found] and ended == []
    assert all(f"{skew_s:+.3f} s" in finding.message and finding.unit == "s" for finding in seen)


@pytest.mark.parametrize(("offset_s", "found"), [(-0.0169, []), (-0.0171, [(None, "clock-offset")])])
def test_clocks_that_differ_throughout_are_about_the_capture(offset_s: float, found: list) -> None:
    frames = [replace(f, color_timestamp_s=f.timestamp_s + offset_s) for f in recording()]
    seen, ended = judge(frames)
    assert seen == [] and told(ended) == found
    assert all(f"{offset_s:+.3f} s" in finding.message for finding in ended)


def test_a_clock_that_was_set_back_is_found_once_and_makes_no_gap() -> None:
    frames = [
        replace(
            frame,
            timestamp_s=frame.timestamp_s - 5 * (frame.frame >= 6),
            color_timestamp_s=frame.color_timestamp_s - 5 * (frame.frame >= 6),
        )
        for frame in recording()
    ]
    seen, ended = judge(frames)
    assert told(seen) == [(6, "clock-reset")] and ended == []
    assert seen[0].value == pytest.approx(PERIOD_S - 5) and "frame 5's" in seen[0].message


def test_frames_that_changed_places_are_found_and_make_no_gap() -> None:
    frames = recording()
    fifth, sixth = frames[5], frames[6]
    frames[5] = replace(fifth, timestamp_s=sixth.timestamp_s, color_timestamp_s=sixth.color_timestamp_s)
    frames[6] = replace(sixth, timestamp_s=fifth.timestamp_s, color_timestamp_s=fifth.color_timestamp_s)
    seen, ended = judge(frames)
    assert told(seen) == [(6, "clock-reset")] and ended == []


def test_two_cameras_that_film_at_once_reset_no_clock() -> None:
    pairs = [
        replace(frame_of(n), timestamp_s=(n // 2) / 30, color_timestamp_s=(n // 2) / 30) for n in range(12)
    ]
    assert judge(pairs) == ([], [])


def test_frames_without_times_are_not_asked_for_them() -> None:
    assert judge([replace(f, timestamp_s=-1.0, color_timestamp_s=-1.0) for f in recording()]) == ([], [])
    assert judge([replace(f, color_timestamp_s=-1.0) for f in recording()]) == ([], [])


# repeats


def repeating(what: tuple[str, ...], times: int = 1) -> list[Frame]:
    frames = recording()
    for n in range(5, 5 + times):
        frames[n] = replace(frames[n], **{name: getattr(frames[4], name).copy() for name in what})
    return frames


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (("depth_m", "image"), "repeated-frame"),
        (("depth_m",), "frozen-depth"),
        (("image",), "frozen-color"),
    ],
)
def test_what_stands_still_is_named(what: tuple[str, ...], reason: str) -> None:
    seen, ended = judge(repeating(what, times=3))
    assert told(seen) == [(5, reason), (6, reason), (7, reason)] and ended == []
    assert [finding.value for finding in seen] == [1.0, 2.0, 3.0]
    assert told(judge(repeating(what, times=3), max_repeats=2)[0]) == [(7, reason)]


@pytest.mark.parametrize("where", [(0, 0), (HEIGHT - 1, WIDTH - 1), (5, 17), (16, 16)])
def test_one_other_pixel_anywhere_is_another_image(where: tuple[int, int]) -> None:
    frames = repeating(("depth_m", "image"))
    frames[5].depth_m[where] += 0.001
    assert told(judge(frames)[0]) == [(5, "frozen-color")]
    assert not same_image(frames[4].depth_m, frames[5].depth_m)


def test_a_capture_of_one_stream_alone_repeats_whole_frames() -> None:
    depth_alone = [replace(frame, image=None) for frame in repeating(("depth_m",))]
    assert told(judge(depth_alone)[0]) == [(5, "repeated-frame")]
    pictures = [replace(frame, depth_m=None) for frame in repeating(("image",))]
    assert told(judge(pictures)[0]) == [(5, "repeated-frame")]
    assert judge([replace(frame, image=None) for frame in repeating(("image",))])[0] == []


# light


def grey(number: int, level: int, burnt_px: int = 0, channel: int = 0) -> Frame:
    """A plain picture but for one pixel, so that no two frames are alike."""
    image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    image[1, number] ^= 1  # off the sampled grid: only the comparison sees it
    image.reshape(-1, 3)[:burnt_px, channel] = 254
    return frame_of(number, image=image)


def stops_between(low: int, high: int) -> float:
    linear = [((level / 255 + 0.055) / 1.055) ** 2.4 for level in (low, high)]  # sRGB above 0.04
    return float(np.log2(linear[1] / linear[0]))


@pytest.mark.parametrize("levels", [(100, 150), (150, 100)])
def test_a_jump_of_brightness_is_measured_in_stops_of_light(levels: tuple[int, int]) -> None:
    jump = stops_between(100, 150)
    frames = [grey(n, levels[n >= 6]) for n in range(12)]
    assert judge(frames, max_exposure_jump_stops=jump + 0.001) == ([], [])
    seen, _ = judge(frames, max_exposure_jump_stops=jump - 0.001)
    assert told(seen) == [(6, "exposure-jump")], "a lasting change is its first frame's alone"
    assert seen[0].value == pytest.approx(jump) and seen[0].unit == "stops"


def test_of_a_flash_the_flashed_frame_alone_is_left_out() -> None:
    assert told(judge([grey(n, 200 if n == 6 else 100) for n in range(12)])[0]) == [(6, "exposure-jump")]


def test_brightness_may_drift_as_far_as_it_likes() -> None:
    # 0.12 stops a frame, 3.4 in all
    assert judge([grey(n, round(60 * 1.04**n)) for n in range(28)]) == ([], [])


def test_pictures_that_are_no_recording_may_differ_in_brightness() -> None:
    numbers = [0, 1, 5, 6, 9, 20]
    frames = [replace(grey(i, 220 if i % 2 else 90), frame=n) for i, n in enumerate(numbers)]
    assert judge([replace(f, timestamp_s=-1.0, color_timestamp_s=-1.0) for f in frames]) == ([], [])


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_burnt_out_pixels_are_counted_in_any_channel(channel: int) -> None:
    half = HEIGHT * WIDTH // 2
    frames = [grey(n, 120, burnt_px=half, channel=channel) for n in range(6)]
    assert judge(frames, max_saturated_share=0.5) == ([], [])
    seen, _ = judge(frames, max_saturated_share=0.49)
    assert told(seen) == [(n, "saturated") for n in range(6)] and seen[0].value == 0.5
    nearly = [grey(n, 253) for n in range(6)]
    assert judge(nearly) == ([], [])


def test_a_dark_picture_is_left_out_and_a_black_one_too() -> None:
    luminance = 20 / 255 / 12.92 if 20 / 255 <= 0.04045 else ((20 / 255 + 0.055) / 1.055) ** 2.4
    frames = [grey(n, 20) for n in range(6)]
    assert judge(frames, min_luminance=luminance * 0.999) == ([], [])
    seen, _ = judge(frames, min_luminance=luminance * 1.001)
    assert told(seen) == [(n, "too-dark") for n in range(6)]
    assert seen[0].value == pytest.approx(luminance)
    assert told(judge([grey(n, 0) for n in range(4)])[0]) == [(n, "too-dark") for n in range(4)]


# depth and intrinsics


def test_too_little_depth_is_left_out_and_exactly_enough_is_kept() -> None:
    frames = recording()
    frames[3].depth_m[:] = 0
    frames[3].depth_m[::2, ::2] = 2.0  # a quarter
    assert judge(frames, min_valid_share=0.25)[0] == []
    seen, _ = judge(frames, min_valid_share=0.2501)
    assert told(seen) == [(3, "too-little-depth")] and (seen[0].value, seen[0].limit) == (0.25, 0.2501)


@pytest.mark.parametrize(
    ("factor", "limit_m"), [(0.11, None), (0.09, 0.2), (4.7, None), (5.3, 10.0), (1000.0, 10.0), (0.001, 0.2)]
)
def test_depth_in_another_unit_is_about_every_frame_and_the_capture(factor, limit_m) -> None:
    frames = [replace(frame, depth_m=frame.depth_m * np.float32(factor)) for frame in recording()]
    frames[2].depth_m[:] = 2.0  # a sound frame decides nothing
    seen, ended = judge(frames)
    wrong = [] if limit_m is None else [n for n in range(12) if n != 2]
    assert told(seen) == [(n, "depth-unit") for n in wrong]
    assert told(ended) == [(None, "depth-unit") for _ in wrong[:1]]
    assert all(f.limit == limit_m and f.value == pytest.approx(2 * factor, rel=0.05) for f in seen + ended)


def test_one_frame_in_another_unit_is_left_out_alone() -> None:
    frames = recording()
    frames[4] = replace(frames[4], depth_m=frames[4].depth_m * np.float32(20))
    seen, ended = judge(frames)
    assert told(seen) == [(4, "depth-unit")] and ended == []


def test_intrinsics_of_another_image_are_left_out_frame_by_frame() -> None:
    wrong = np.array([[120.0, 0, 70.0], [0, 120.0, 23.5], [0, 0, 1]])  # a principal point right of 64 px
    frames = recording()
    frames[3], frames[4] = replace(frames[3], K=wrong), replace(frames[4], K=wrong.copy())
    seen, _ = judge(frames)
    assert told(seen) == [(3, "intrinsics-mismatch"), (4, "intrinsics-mismatch")]
    assert "outside the 64x48 px image" in seen[0].message


@given(st.lists(st.sampled_from(["skew", "dark", "repeat", "empty", "reset"]), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_every_message_is_of_its_frame_and_says_what_was_left_out(faults: list[str]) -> None:
    frames = recording(len(faults) + 1)
    for n, fault in enumerate(faults, start=1):
        frame = frames[n]
        if fault == "skew":
            frames[n] = replace(frame, color_timestamp_s=frame.timestamp_s + 0.1)
        elif fault == "dark":
            frames[n] = replace(frame, image=frame.image // 100)
        elif fault == "repeat":
            frames[n] = replace(frame, depth_m=frames[n - 1].depth_m.copy())
        elif fault == "empty":
            frames[n] = replace(frame, depth_m=frame.depth_m * (frame.depth_m < 0))
        else:
            frames[n] = replace(frame, timestamp_s=1.0 - n / 100, color_timestamp_s=1.0 - n / 100)
    seen, _ = judge(frames)
    assert {finding.frame for finding in seen} >= set(range(1, len(faults) + 1))
    for finding in seen:
        assert finding.message.startswith(f"frame {finding.frame}: ") and "Left out; " in finding.message
        assert finding.limit is not None and finding.value is not None and finding.drops


def test_a_collection_of_single_maps_has_no_gaps() -> None:
    numbers = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12]  # a recording would have lost 6 and 7

    def reasons(*, recorded: bool) -> set[str]:
        gates = StreamGates(numbers, IngestSettings(), recorded=recorded)
        for number in numbers:
            gates.see(frame_of(number, timestamp_s=-1.0, color_timestamp_s=-1.0))
        return {finding.reason for finding in gates.finish()}

    assert reasons(recorded=True) == {"dropped-frames"} and reasons(recorded=False) == set()
