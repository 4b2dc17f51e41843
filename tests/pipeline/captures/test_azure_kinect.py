"""Recordings of an Azure Kinect, written element by element as its recorder does, come back as they were."""

import copy
import json
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import invert_rigid, transform
from pipeline.captures.azure_calibration import COLOR_MODES, read_azure_calibration
from pipeline.captures.azure_images import decode_color
from pipeline.captures.azure_kinect import open_azure_kinect
from pipeline.captures.distortion import undistort
from pipeline.captures.matroska import read_matroska
from pipeline.errors import InputError

DEPTH_WH, COLOR_WH = (320, 288), (1280, 720)
START_NS, PERIOD_US = 336_277_000, 33_333
T_COLOR = [-0.032, -0.0022, 0.0039]


def camera(location: str, sensor: tuple[int, int], parameters: list[float], rt: dict) -> dict:
    return {
        "Intrinsics": {
            "ModelParameterCount": 14,
            "ModelParameters": parameters,
            "ModelType": "CALIBRATION_LensDistortionModelBrownConrady",
        },
        "Location": location,
        "MetricRadius": 1.74,
        "Rt": rt,
        "SensorWidth": sensor[0],
        "SensorHeight": sensor[1],
    }


def calibration() -> dict:
    """Of a device that does not exist, with lenses as strong as the real ones."""
    tilt_rad = 0.09
    c, s = np.cos(tilt_rad), np.sin(tilt_rad)
    still = {"Rotation": np.eye(3).ravel().tolist(), "Translation": [0, 0, 0]}
    beside = {"Rotation": [1, 0, 0, 0, c, s, 0, -s, c], "Translation": T_COLOR}
    depth_lens = [0.52, -0.02, -0.0025, 0.87, 0.085, -0.0135, 0, 0, -7e-5, 2e-4]
    color_lens = [0.33, -2.45, 1.43, 0.21, -2.27, 1.35, 0, 0, -3e-4, -5e-4]
    cameras = [
        camera("CALIBRATION_CameraLocationD0", (1024, 1024), [0.51, 0.515, 0.49, 0.491, *depth_lens], still),
        camera(
            "CALIBRATION_CameraLocationPV0", (4096, 3072), [0.499, 0.507, 0.478, 0.637, *color_lens], beside
        ),
    ]
    return {"CalibrationInformation": {"Cameras": cameras, "InertialSensors": []}}


def read(content: dict, depth_wh=DEPTH_WH, color_wh=COLOR_WH):
    data = json.dumps(content).encode()
    return read_azure_calibration(data, where="a.mkv", depth_wh=depth_wh, color_wh=color_wh)


# ---- the writer


def element(id: int, data: bytes, size_bytes: int = 4) -> bytes:
    length = (1 << 7 * size_bytes) | len(data)
    return id.to_bytes((id.bit_length() + 7) // 8, "big") + length.to_bytes(size_bytes, "big") + data


def number(id: int, value: int) -> bytes:
    return element(id, value.to_bytes(8, "big"))


def track(index: int, name: str, size_wh: tuple[int, int], format: bytes) -> bytes:
    info = struct.pack("<IiiHH4sI16x", 40, *size_wh, 1, 16, format, 0)
    size = element(0xE0, number(0xB0, size_wh[0]) + number(0xBA, size_wh[1]))
    names = element(0x86, b"V_MS/VFW/FOURCC") + element(0x536E, name.encode())
    return element(
        0xAE, number(0xD7, index) + number(0x73C5, 1000 + index) + names + element(0x63A2, info) + size
    )


def tag(name: str, text: str) -> bytes:
    return element(0x7373, element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, text.encode())))


def block(index: int, payload: bytes) -> bytes:
    return element(0xA3, bytes([0x80 | index]) + struct.pack(">hB", 0, 0x80) + payload)


def cluster(time_us: int, *blocks: bytes) -> bytes:
    return element(0x1F43B675, number(0xE7, time_us) + b"".join(blocks), 8)


def recording(
    clusters: list[bytes],
    *,
    tracks: tuple[bytes, ...],
    content: bytes | None = None,
    tags: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """As k4arecorder lays it out: everything but the images comes first, a tick is a microsecond."""
    content = json.dumps(calibration()).encode() if content is None else content
    attached = element(0x466E, b"calibration.json") + element(0x465C, content)
    named = (("K4A_START_OFFSET_NS", str(START_NS)), *tags)
    parts = [
        element(0xEC, bytes(100), 8),
        element(0x1549A966, number(0x2AD7B1, 1000)),
        element(0x1654AE6B, b"".join(tracks)),
        element(0x1941A469, element(0x61A7, attached)),
        element(0x1254C367, b"".join(tag(*pair) for pair in named)),
        *clusters,
        element(0x1C53BB6B, bytes(20)),
    ]
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, b"".join(parts), 8)


COLOR_TRACK, DEPTH_TRACK = track(1, "COLOR", COLOR_WH, b"MJPG"), track(2, "DEPTH", DEPTH_WH, b"b16g")
IR_TRACK = track(3, "IR", DEPTH_WH, b"b16g")


def depth_bytes(depth_mm: np.ndarray) -> bytes:
    return depth_mm.astype(">u2").tobytes()


def jpeg(rgb: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()


def gray(level: int) -> bytes:
    return jpeg(np.full((720, 1280, 3), level, dtype=np.uint8))


def wall(depth_mm: int) -> bytes:
    return depth_bytes(np.full((288, 320), depth_mm))


@pytest.fixture
def write(tmp_path: Path):
    def write(clusters: list[bytes], *, tracks=(COLOR_TRACK, DEPTH_TRACK, IR_TRACK), **kwargs) -> Path:
        path = tmp_path / "recording.mkv"
        path.write_bytes(recording(clusters, tracks=tracks, **kwargs))
        return path

    return write


def moments(count: int, *, no_color: tuple[int, ...] = (), no_depth: tuple[int, ...] = ()) -> list[bytes]:
    """One cluster a moment: a wall at 1000 + 10 k mm in grey 40 + 20 k, and infrared."""
    return [
        cluster(
            k * PERIOD_US,
            *([] if k in no_color else [block(1, gray(40 + 20 * k))]),
            *([] if k in no_depth else [block(2, wall(1000 + 10 * k))]),
            block(3, wall(7)),
        )
        for k in range(count)
    ]


# ---- what is read


def test_depth_and_colour_of_one_body_fall_on_each_other(write) -> None:
    # A plate at 1 m before a wall at 1.5 m. OpenCV alone says which colour pixels show the plate.
    depth_mm = np.full((288, 320), 1500)
    rows, columns = slice(90, 190), slice(110, 220)
    depth_mm[rows, columns] = 1000
    own = read(calibration())
    ring = [(u, v) for u, v in zip(np.linspace(110, 219, 60), [90] * 60, strict=True)]
    ring += [(219, v) for v in np.linspace(90, 189, 60)] + [(u, 189) for u in np.linspace(219, 110, 60)]
    ring += [(110, v) for v in np.linspace(189, 90, 60)]
    lens = np.array(own.depth.distortion)
    flat = cv2.undistortPointsIter(
        np.array(ring)[:, None], own.depth.K, lens, None, None, (cv2.TERM_CRITERIA_COUNT, 100, 0)
    )[:, 0]
    plate = transform(own.color_from_depth, np.c_[flat, np.ones(len(flat))])
    shown, _ = cv2.projectPoints(plate, np.zeros(3), np.zeros(3), own.color.K, np.array(own.color.distortion))
    rgb = np.zeros((720, 1280, 3), dtype=np.uint8)
    cv2.fillPoly(rgb, [np.round(shown).astype(np.int32)], (250, 120, 30))
    path = write([cluster(0, block(1, jpeg(rgb)), block(2, depth_bytes(depth_mm)))])
    frame = open_azure_kinect(path).read(0)

    assert frame.image.shape == (486, 864, 3) and frame.depth_m.shape == (486, 864)
    assert frame.world_from_cam is None and frame.mask is None
    near, lit = (frame.depth_m > 0) & (frame.depth_m < 1.25), frame.image[..., 0] > 125
    # Both outlines are sure to half a depth pixel, 0.8 of the view's: 600 px around 24,000.
    assert (near & lit).sum() / (near | lit).sum() > 0.97
    assert np.abs(np.median(frame.image[near & lit], axis=0) - [250, 120, 30]).max() < 4  # JPEG
    # z of the plate in the colour camera, from its ray alone: (R^T (z r - t))_z = 1 m
    R, t = own.color_from_depth[:3, :3], own.color_from_depth[:3, 3]
    v, u = np.nonzero(near & lit)
    rays = np.c_[u, v, np.ones(len(u))] @ np.linalg.inv(frame.K).T
    expected_m = (1.0 + (R.T @ t)[2]) / (rays @ R)[:, 2]
    np.testing.assert_allclose(frame.depth_m[v, u], expected_m, atol=1e-4)  # planes stay planes


def test_frames_are_paired_by_time_on_the_devices_clock(write) -> None:
    capture = open_azure_kinect(write(moments(5, no_color=(1,), no_depth=(3,))))
    assert capture.frames == [0, 1, 2, 3]
    assert capture.files([0, 2]) == [capture.path]
    for frame, moment in ((0, 0), (2, 2), (3, 4)):
        found = capture.read(frame)
        seconds = moment * PERIOD_US * 1e-6 + START_NS * 1e-9
        assert found.timestamp_s == pytest.approx(seconds, abs=1e-9)
        assert found.color_timestamp_s == pytest.approx(seconds, abs=1e-9)
        assert np.median(found.image) == pytest.approx(40 + 20 * moment, abs=2)
        assert found.depth_m.max() == pytest.approx(1.0 + 0.01 * moment, rel=0.1)
    with pytest.raises(InputError, match=r"frame 1: .* within 0.02 s .* nearest is -0.033 s") as error:
        capture.read(1)
    assert error.value.reason == "color-missing"
    with pytest.raises(InputError, match="holds 4 depth images") as error:
        capture.read(4)
    assert error.value.reason == "depth-missing"


@pytest.mark.parametrize("delay_us", [-25_000, 25_000])
def test_depth_is_paired_with_the_colour_that_its_delay_says(write, delay_us) -> None:
    clusters = [
        cluster(t, data)
        for t, data in sorted(
            [(50_000 + k * PERIOD_US, block(1, gray(40 + 20 * k))) for k in range(4)]
            + [(50_000 + k * PERIOD_US + delay_us, block(2, wall(1000))) for k in range(4)]
        )
    ]
    path = write(clusters, tags=(("K4A_DEPTH_DELAY_NS", str(delay_us * 1000)),))
    capture = open_azure_kinect(path)
    for k in capture.frames:
        frame = capture.read(k)
        assert np.median(frame.image) == pytest.approx(40 + 20 * k, abs=2)
        assert frame.timestamp_s - frame.color_timestamp_s == pytest.approx(delay_us * 1e-6, abs=1e-9)


def test_a_recording_without_colour_is_seen_from_the_depth_camera(write) -> None:
    path = write([cluster(0, block(2, wall(1500)))], tracks=(DEPTH_TRACK,))
    frame = open_azure_kinect(path).read(0)
    assert frame.image is None and frame.color_timestamp_s == -1
    seen = frame.depth_m > 0
    np.testing.assert_allclose(frame.depth_m[seen], 1.5, atol=1e-6)  # z does not change without the lens
    height, width = seen.shape
    assert seen[height // 2].mean() > 0.97 and seen[:, width // 2].mean() > 0.97 and width > 320
    # one pixel at the centre stays one pixel
    assert frame.K[0, 0] == frame.K[1, 1] == pytest.approx(0.49 * 512)


def test_tracks_are_found_by_their_tags_before_their_names(write) -> None:
    tracks = (track(1, "DEPTH", COLOR_WH, b"MJPG"), track(2, "x", DEPTH_WH, b"b16g"))
    tags = (("K4A_DEPTH_TRACK", "1002"), ("K4A_COLOR_TRACK", "1001"))
    capture = open_azure_kinect(write([cluster(0, block(2, wall(900)))], tracks=tracks, tags=tags))
    assert capture.depth.width == 320 and capture.color.width == 1280


def test_a_cut_off_recording_gives_its_whole_frames_and_a_row(write) -> None:
    path = write(moments(3))
    data = path.read_bytes()
    spans = read_matroska(path).blocks
    depth_start, color_start = spans[2].offsets[2], spans[1].offsets[2]
    infrared_start = spans[3].offsets[2]
    for cut, reason in (
        (depth_start + 1000, "unreadable-depth"),
        (infrared_start + 5, None),
        (depth_start, "unreadable-depth"),
    ):
        path.write_bytes(data[:cut])
        capture = open_azure_kinect(path)
        assert capture.frames == [0, 1, 2, 3]
        with pytest.raises(InputError, match="cut off after depth image 2") as lost:
            capture.read(3)
        assert lost.value.reason == "recording-malformed"
        assert capture.read(1).depth_m.any()
        if reason is None:
            assert capture.read(2).depth_m.any()
            continue
        with pytest.raises(InputError, match="cut off after") as error:
            capture.read(2)
        assert error.value.reason == reason
    path.write_bytes(data[: color_start + 100])
    assert open_azure_kinect(path).frames == [0, 1, 2]


def test_a_cut_off_colour_image_gives_a_row(write) -> None:
    clusters = moments(2)
    clusters[1] = cluster(PERIOD_US, block(2, wall(1000)), block(1, gray(60)))
    path = write(clusters)
    start = read_matroska(path).blocks[1].offsets[1]
    path.write_bytes(path.read_bytes()[: start + 500])
    capture = open_azure_kinect(path)
    assert capture.read(0).image.any()
    with pytest.raises(InputError, match="cut off after 500") as error:
        capture.read(1)
    assert error.value.reason == "unreadable-color"


@pytest.mark.parametrize(
    ("color", "depth", "reason"),
    [
        (gray(50)[:-900], wall(900), "unreadable-color"),
        (jpeg(np.zeros((72, 128, 3), np.uint8)), wall(900), "unreadable-color"),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\xff\xd9", wall(900), "unreadable-color"),
        (b"", wall(900), "unreadable-color"),
        (gray(50), wall(900)[:-2], "unreadable-depth"),
        (gray(50), wall(900) * 3, "unreadable-depth"),
        (gray(50), wall(0), "empty-depth"),
    ],
)
def test_an_image_that_is_not_whole_gives_a_row(write, color, depth, reason) -> None:
    capture = open_azure_kinect(write([cluster(0, block(1, color), block(2, depth))]))
    with pytest.raises(InputError, match=r"recording.mkv, frame 0: ") as error:
        capture.read(0)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("kwargs", "reason", "finding"),
    [
        (
            {"tracks": (COLOR_TRACK, IR_TRACK), "tags": (("K4A_DEPTH_MODE", "PASSIVE_IR"),)},
            "depth-missing", "PASSIVE_IR",
        ),
        ({"tracks": (COLOR_TRACK, track(2, "DEPTH", DEPTH_WH, b"MJPG"))}, "depth-type", "b16g, is 'MJPG'"),
        ({"tracks": (track(1, "COLOR", COLOR_WH, b"H264"), DEPTH_TRACK)}, "color-type", "H264"),
        ({"tracks": (track(1, "COLOR", (1280, 800), b"MJPG"), DEPTH_TRACK)}, "intrinsics-mismatch", "1280x800"),
        ({"tracks": (COLOR_TRACK, track(2, "DEPTH", (576, 640), b"b16g"))}, "intrinsics-mismatch", "576x640"),
        ({"tags": (("K4A_DEPTH_DELAY_NS", "soon"),)}, "recording-malformed", "soon"),
        ({"tags": (("K4A_DEPTH_DELAY_NS", "9" * 5000),)}, "recording-malformed", "whole nanoseconds"),
        ({"content": b"{}"}, "calibration-malformed", "CalibrationInformation"),
        ({"content": b"[" * 100_000}, "calibration-malformed", "calibration.json"),
        ({"content": bytes(2**20 + 1)}, "calibration-malformed", "at most"),
    ],
)  # fmt: skip
def test_a_recording_that_cannot_be_read_is_refused(write, kwargs, reason, finding) -> None:
    tracks = kwargs.pop("tracks", (COLOR_TRACK, DEPTH_TRACK, IR_TRACK))
    numbers = [int.from_bytes(entry[10:18], "big") for entry in tracks]
    path = write([cluster(0, *(block(k, b"x") for k in numbers))], tracks=tracks, **kwargs)
    with pytest.raises(InputError, match=finding) as error:
        open_azure_kinect(path)
    assert error.value.reason == reason


def test_a_recording_without_images_or_calibration_is_refused(write) -> None:
    path = write([])
    with pytest.raises(InputError, match="holds none") as error:
        open_azure_kinect(path)
    assert error.value.reason == "no-frames"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="cut off before the first"):
        open_azure_kinect(path)
    whole = write(moments(1)).read_bytes()
    path.write_bytes(whole.replace(b"calibration.json", b"calibration.jsonx"[:16].upper()))
    with pytest.raises(InputError, match="must be attached") as error:
        open_azure_kinect(path)
    assert error.value.reason == "calibration-missing"


def test_mutated_recordings_are_read_or_refused(write) -> None:
    path = write([cluster(0, block(1, gray(60)), block(2, wall(1000)))])
    data = path.read_bytes()
    # Heads of elements, tags and the calibration: all but the pixels, which may hold anything.
    head_bytes = data.index(b"\xff\xd8\xff")
    rng = np.random.default_rng(11)
    read_whole = 0
    for round_ in range(300):
        mutated = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            mutated[rng.integers(head_bytes)] = rng.integers(256)
        path.write_bytes(mutated)
        try:
            capture = open_azure_kinect(path)
            if round_ % 10 == 0:
                capture.read(0)
            read_whole += 1
        except InputError:
            pass
    assert 10 < read_whole < 290


# ---- colour formats


def test_a_jpeg_of_another_size_is_never_decoded(monkeypatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    huge = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08\xff\xff\xff\xff" + bytes(10) + b"\xff\xd9"
    with pytest.raises(ValueError, match="has \\(65535, 65535\\)"):
        decode_color(huge, "MJPG", height=720, width=1280)
    with pytest.raises(ValueError, match="has None"):
        decode_color(b"\xff\xd8\xff\xd9", "MJPG", height=720, width=1280)


@pytest.mark.parametrize("format", ["NV12", "YUY2", "BGRA"])
def test_colour_of_every_format_is_rgb(format) -> None:
    rng = np.random.default_rng(5)
    luma = rng.integers(16, 236, (8, 12))
    blue, red = 90, 170  # chroma, 128 is none
    # ITU-R BT.601, studio swing
    y = 1.164 * (luma[..., None] - 16.0)
    rgb = y + np.array(
        [1.596 * (red - 128), -0.392 * (blue - 128) - 0.813 * (red - 128), 2.017 * (blue - 128)]
    )
    expected = np.clip(np.round(rgb), 0, 255)
    if format == "NV12":
        data = luma.astype(np.uint8).tobytes() + bytes([blue, red]) * (4 * 6)
    elif format == "YUY2":
        chroma = np.tile([blue, red], (8, 6))
        data = np.stack([luma, chroma], axis=-1).astype(np.uint8).tobytes()
    else:
        data = np.dstack([expected[..., ::-1], np.full((8, 12), 255)]).astype(np.uint8).tobytes()
    found = decode_color(data, format, height=8, width=12)
    np.testing.assert_allclose(found, expected, atol=1.01)  # fixed-point rounding
    with pytest.raises(ValueError, match="bytes"):
        decode_color(data[:-1], format, height=8, width=12)


# ---- calibration


def test_a_direction_is_shown_at_one_place_of_the_sensor_in_every_mode() -> None:
    shares = set()
    for width, height in COLOR_MODES:
        own = read(calibration(), color_wh=(width, height)).color
        # edge coordinates, from the sensor's middle row, in widths of the sensor
        place = ((own.cx_px + 0.5) / width, (own.cy_px + 0.5 - height / 2) / width)
        shares.add(tuple(round(x, 12) for x in (*place, own.fx_px / width, own.fy_px / width)))
    assert len(shares) == 1
    wide = read(calibration(), (1024, 1024)).depth
    assert (wide.cx_px, wide.cy_px) == pytest.approx((0.51 * 1024 - 0.5, 0.515 * 1024 - 0.5))
    for size_wh, bins, corner in (
        ((640, 576), 1, (192, 180)),
        (DEPTH_WH, 2, (192, 180)),
        ((512, 512), 2, (0, 0)),
    ):
        own = read(calibration(), size_wh).depth
        assert own.fx_px * bins == pytest.approx(wide.fx_px)
        assert (own.cx_px + 0.5) * bins + corner[0] == pytest.approx(wide.cx_px + 0.5)
        assert (own.cy_px + 0.5) * bins + corner[1] == pytest.approx(wide.cy_px + 0.5)


def test_the_lens_is_opencvs_with_its_tangents_in_the_files_order() -> None:
    # k1 k2 p1 p2 k3 k4 k5 k6 of k1 ... k6 codx cody p2 p1
    expected = (0.52, -0.02, 2e-4, -7e-5, -0.0025, 0.87, 0.085, -0.0135)
    assert read(calibration()).depth.distortion == expected
    assert read(calibration()).color.distortion[2:4] == (-5e-4, -3e-4)


def test_a_calibration_for_16_to_9_is_the_one_for_4_to_3_cut() -> None:
    content = calibration()
    color = content["CalibrationInformation"]["Cameras"][1]
    color["SensorHeight"] = 2304
    parameters = color["Intrinsics"]["ModelParameters"]
    # of 3072 rows, 384 are cut above and below
    parameters[1] = (parameters[1] * 3072 - 384) / 2304
    parameters[3] *= 3072 / 2304
    for color_wh in COLOR_MODES:
        old, new = read(content, color_wh=color_wh).color, read(calibration(), color_wh=color_wh).color
        np.testing.assert_allclose(old.K, new.K, rtol=1e-12)


def _set(keys: list, value):
    def change(content: dict) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


CAMERAS = ["CalibrationInformation", "Cameras"]
LENS = ["Intrinsics", "ModelParameters"]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_set([*CAMERAS, 0, "Location"], "elsewhere"), "no camera is located at .*D0"),
        (_set([*CAMERAS, 1, "Intrinsics", "ModelType"], "Theta"), "lens is 'Theta'"),
        (_set([*CAMERAS, 1, *LENS], [0.5] * 13), "13 numbers"),
        (_set([*CAMERAS, 0, *LENS, 4], float("nan")), "14 numbers"),
        (_set([*CAMERAS, 0, *LENS, 10], 0.01), "centre of distortion"),
        (_set([*CAMERAS, 0, *LENS, 4], -5.0), "folds"),
        (_set([*CAMERAS, 1, *LENS, 7], -9.0), "folds"),
        (_set([*CAMERAS, 0, *LENS, 4], 1e300), "folds"),
        (_set([*CAMERAS, 0, *LENS, 0], 5.0), "principal point"),
        (_set([*CAMERAS, 0, *LENS, 2], -0.5), "focal length"),
        (_set([*CAMERAS, 0, "SensorWidth"], 640), "depth sensor"),
        (_set([*CAMERAS, 1, "SensorWidth"], 3000), "neither 4:3 nor 16:9"),
        (_set([*CAMERAS, 1, "SensorHeight"], 0), "SensorHeight"),
        (_set([*CAMERAS, 0, "MetricRadius"], -1), "MetricRadius"),
        (_set([*CAMERAS, 1, "Rt", "Translation"], [-32.0, -2.2, 3.9]), "moves by 32"),
        (_set([*CAMERAS, 1, "Rt", "Rotation"], [1, 0, 0, 0, -1, 0, 0, 0, 1]), "off a rigid one"),
        (_set([*CAMERAS, 1, "Rt", "Rotation"], "abc"), "calibration.json"),
        (_set(CAMERAS, 7), "calibration.json"),
    ],
)
def test_a_calibration_that_cannot_be_right_is_refused(change, finding) -> None:
    content = copy.deepcopy(calibration())
    change(content)
    with pytest.raises(InputError, match=finding):
        read(content)


def test_a_radius_that_the_factory_did_not_find_is_120_degrees() -> None:
    content = calibration()
    content["CalibrationInformation"]["Cameras"][0]["MetricRadius"] = 0
    assert read(content).depth.max_radius == 1.7


# ---- the real file

DATA_ROOT = os.environ.get("BODYTRUTH_DATA_ROOT")
real_data = [
    pytest.mark.real_data,
    pytest.mark.skipif(DATA_ROOT is None, reason="BODYTRUTH_DATA_ROOT is unset"),
]


@pytest.fixture
def real_path() -> Path:
    return Path(str(DATA_ROOT)) / "azure_kinect_mkv" / "recording.mkv"


class TestRealRecording:
    pytestmark = real_data

    def test_it_holds_one_frame_of_known_depth(self, real_path) -> None:
        capture = open_azure_kinect(real_path)
        assert capture.frames == [0]
        frame = capture.read(0)
        assert frame.image.shape == (486, 864, 3) and frame.world_from_cam is None
        assert frame.timestamp_s == frame.color_timestamp_s == pytest.approx(0.800222)
        blocks = read_matroska(real_path).blocks[2]
        raw = np.frombuffer(real_path.read_bytes(), ">u2", 640 * 576, int(blocks.offsets[0]))
        assert (raw > 0).mean() == pytest.approx(0.765, abs=5e-4)
        assert np.median(raw[raw > 0]) == 1491
        seen = frame.depth_m[frame.depth_m > 0]
        assert 0.5 < seen.size / frame.depth_m.size < 0.56 and np.median(seen) == pytest.approx(
            1.456, abs=0.01
        )

    def test_points_are_where_microsofts_own_library_puts_them(self, real_path) -> None:
        # Its answers for this device in mode 720p, as the tests of pyk4a (MIT) record them, millimetres.
        data = (real_path.parent / "calibration.json").read_bytes()
        own = read_azure_calibration(data, where="", depth_wh=(640, 576), color_wh=(1280, 720))
        color = own.color
        shown = np.array([(250 - color.cx_px) / color.fx_px, (300 - color.cy_px) / color.fy_px])
        point_mm = 250 * np.append(undistort(shown, color.distortion), 1)
        np.testing.assert_allclose(point_mm, [-154.5365753, -26.1217117, 250], atol=1e-4)  # float32 there
        depth_from_color = invert_rigid(own.color_from_depth)
        in_depth_mm = 1000 * transform(depth_from_color, point_mm / 1000)
        np.testing.assert_allclose(in_depth_mm, [-122.2908788, -45.1774139, 243.1952820], atol=1e-4)

    def test_infrared_falls_on_colour_only_with_the_stated_crop(self, real_path) -> None:
        capture = open_azure_kinect(real_path)
        blocks = read_matroska(real_path).blocks[3]
        infrared = np.frombuffer(real_path.read_bytes(), ">u2", 640 * 576, int(blocks.offsets[0]))
        frame = capture.read(0)
        color = _edges(np.log(frame.image.mean(axis=-1) + 20))
        depth_m = capture._read_depth(0)
        found = {}
        for rows in (0, -12, 12, -44):  # 180 is not 192, 168 or the centred 224
            for columns in (0, -8, 8):
                moved = np.roll(depth_m, (rows, columns), (0, 1))
                moved_ir = np.roll(infrared.reshape(576, 640), (rows, columns), (0, 1)).ravel()
                seen = capture.cameras.registration.register(moved)
                shown = np.where(seen.source >= 0, np.log(moved_ir[np.maximum(seen.source, 0)] + 20.0), 0)
                inside = cv2.erode((seen.source >= 0).astype(np.uint8), np.ones((5, 5))) > 0
                inside[:10] = inside[-10:] = False
                found[rows, columns] = np.corrcoef(_edges(shown)[inside], color[inside])[0, 1]
        best = max(found, key=found.get)
        assert best == (0, 0) and found[best] > 0.4
        assert sorted(found.values())[-2] < found[best] - 0.05


def _edges(image: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8)
    return np.sqrt(np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)))
