"""Recordings of an Azure Kinect: one Matroska file with depth, colour and the device's own calibration.

The capture's path is the .mkv as k4arecorder wrote it; nothing of Microsoft's is needed to read it:

    DEPTH             b16g: big-endian 16 bit, whole millimetres along the optical axis, 0 is no measurement
    COLOR             MJPG, NV12, YUY2 or BGRA; may be missing
    calibration.json  attached: azure_calibration.py
    K4A_*             tags: which track is which, the time from colour to depth, the device clock at the start

Frames are numbered by the rank of their depth image in time. Times are on the device's clock. Depth is
triggered K4A_DEPTH_DELAY_NS after colour, so its colour is the one nearest to that much earlier. A frame is
read into the colour camera without its lens, 864 px wide; without colour, into the depth camera without its
lens. The infrared and inertial tracks are left alone, and there are no poses.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.azure_calibration import AzureCalibration, read_azure_calibration
from pipeline.captures.azure_images import COLOR_FORMATS, DEPTH_FORMAT, decode_color, decode_depth, fourcc
from pipeline.captures.capture import Frame
from pipeline.captures.kinect2 import MAX_SKEW_S
from pipeline.captures.matroska import Matroska, Track, read_matroska
from pipeline.captures.pairing import nearest
from pipeline.captures.two_cameras import TwoCameras, pinhole_of
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

CALIBRATION_NAME, CALIBRATION_TAG = "calibration.json", "K4A_CALIBRATION_FILE"
MAX_CALIBRATION_BYTES = 2**20  # a real one has 8 kB
VIEW_WIDTH_PX = 864
CODEC = "V_MS/VFW/FOURCC"
MAX_BYTES_PER_PX = 4  # of an image: BGRA's
MAX_TAG_NS = 2**62  # of a time in a tag: 146 years


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stream:
    """The frames of one video track, ascending in time.

    Attributes:
        format: four letters.
        times_s: (N) seconds on the device's clock.
        offsets, sizes: (N) bytes of each frame in the file.
    """

    format: str
    width: int
    height: int
    times_s: Float64
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class AzureKinectRecording:
    """An open recording; its `Capture`.

    Attributes:
        color: None where the recording has no colour track.
        color_to_depth_s: how long after its colour a depth image is taken.
        is_cut_off: whether the file ends inside an element.
    """

    path: Path
    calibration: AzureCalibration
    depth: Stream
    color: Stream | None
    color_to_depth_s: float
    is_cut_off: bool

    @property
    def frames(self) -> list[int]:
        # What a cut-off file has lost is one frame more, which no one can read: it leaves a row.
        return list(range(len(self.depth.times_s) + self.is_cut_off))

    def files(self, frames: list[int]) -> list[Path]:
        return [self.path]

    @cached_property
    def cameras(self) -> TwoCameras:
        depth, color = self.calibration.depth, self.calibration.color
        if color is None:
            view = pinhole_of(depth, max_side_px=VIEW_WIDTH_PX)
            return TwoCameras(depth=depth, color=view, color_from_depth=np.eye(4), reduction=(1, 1))
        return TwoCameras(
            depth=depth,
            color=color,
            color_from_depth=self.calibration.color_from_depth,
            reduction=(VIEW_WIDTH_PX, color.width),
        )

    def read(self, frame: int) -> Frame:
        if self.is_cut_off and frame == len(self.depth.times_s):
            raise InputError(
                "recording-malformed",
                f"{self.path}: the recording must be whole, is cut off after depth image {frame - 1}; whatever "
                "followed is lost. Copy it again from the source, or leave this frame out.",
            )
        if not 0 <= frame < len(self.depth.times_s):
            raise InputError(
                "depth-missing",
                f"{self.path}: frame {frame} must be in the recording, is not; it holds "
                f"{len(self.depth.times_s)} depth images. Correct the selection of frames.",
            )
        depth_m = self._read_depth(frame)
        color_s, image = -1.0, None
        if self.color is not None:
            partner = self._partner(self.color, frame)
            color_s = float(self.color.times_s[partner])
            image = self.cameras.undistortion.undistort(self._read_color(self.color, partner, frame))
        return Frame(
            frame=frame,
            timestamp_s=float(self.depth.times_s[frame]),
            color_timestamp_s=color_s,
            image=image,
            depth_m=self.cameras.registration.register(depth_m).depth_m,
            K=self.cameras.K.copy(),
            world_from_cam=None,
            mask=None,
        )

    def _read_depth(self, frame: int) -> NDArray[np.float32]:
        stream = self.depth
        data = self._payload(stream, frame, frame, "depth")
        try:
            raw_mm = decode_depth(data, height=stream.height, width=stream.width)
        except ValueError as error:
            raise self._unreadable("depth", frame, str(error)) from None
        if not raw_mm.any():
            raise InputError(
                "empty-depth",
                f"{self.path}, frame {frame}: depth must have a valid pixel, has none of {raw_mm.size}. "
                "Leave the frame out.",
            )
        # millimetres to metres
        return (raw_mm / 1000.0).astype(np.float32)

    def _read_color(self, stream: Stream, index: int, frame: int) -> NDArray[np.uint8]:
        data = self._payload(stream, index, frame, "color")
        try:
            return decode_color(data, stream.format, height=stream.height, width=stream.width)
        except ValueError as error:
            raise self._unreadable("color", frame, str(error)) from None

    def _partner(self, color: Stream, frame: int) -> int:
        wanted_s = float(self.depth.times_s[frame]) - self.color_to_depth_s
        partner = nearest(color.times_s, wanted_s, max_skew_s=MAX_SKEW_S)
        if partner is None:
            off_s = color.times_s - wanted_s
            found = (
                f"the nearest is {off_s[np.abs(off_s).argmin()]:+.3f} s off"
                if len(off_s)
                else "there is none"
            )
            raise InputError(
                "color-missing",
                f"{self.path}, frame {frame}: a colour image must lie within {MAX_SKEW_S} s of the depth's "
                f"{wanted_s:.3f} s, {found}. Leave the frame out.",
            )
        return partner

    def _payload(self, stream: Stream, index: int, frame: int, what: str) -> bytes:
        size = int(stream.sizes[index])
        if size > MAX_BYTES_PER_PX * stream.width * stream.height:
            finding = f"has {size} bytes for {stream.width}x{stream.height} px"
            raise self._unreadable(what, frame, finding)
        data = _read_span(self.path, int(stream.offsets[index]), size)
        if len(data) < size:
            raise self._unreadable(what, frame, f"is cut off after {len(data)} of {size} bytes")
        return data

    def _unreadable(self, what: str, frame: int, finding: str) -> InputError:
        return InputError(
            f"unreadable-{what}",
            f"{self.path}, frame {frame}: the {what} image must be whole, but {finding}. "
            "Copy the recording again from the source.",
        )


def open_azure_kinect(path: Path) -> AzureKinectRecording:
    """Open a recording: walks over its elements and reads its calibration, no image.

    Raises:
        InputError: capture-missing, recording-malformed, depth-missing for a recording without a depth track,
            depth-type and color-type for tracks of other formats, no-frames, calibration-missing,
            calibration-malformed, or intrinsics-mismatch.
    """
    content = read_matroska(path)
    if content.is_cut_off and not any(len(blocks.sizes) for blocks in content.blocks.values()):
        raise InputError(
            "recording-malformed",
            f"{path}: the recording must hold images, is cut off before the first. "
            "Copy it again from the source.",
        )
    start_ns, delay_ns = (_tag_ns(path, content, name) for name in ("START_OFFSET", "DEPTH_DELAY"))
    depth_track, color_track = (_track(content, name) for name in ("DEPTH", "COLOR"))
    if depth_track is None:
        mode = content.tags.get("K4A_DEPTH_MODE", "none said")
        raise InputError(
            "depth-missing",
            f"{path}: the recording must have a depth track, has none (depth mode: {mode}). "
            "Record with depth: NFOV or WFOV, not PASSIVE_IR or OFF.",
        )
    depth = _stream(path, content, depth_track, start_ns, formats=(DEPTH_FORMAT,))
    color = None
    if color_track is not None:
        color = _stream(path, content, color_track, start_ns, formats=COLOR_FORMATS)
    if not len(depth.times_s):
        raise InputError(
            "no-frames",
            f"{path}: the recording must hold a depth image, holds none. Record again.",
        )
    return AzureKinectRecording(
        path=path,
        is_cut_off=content.is_cut_off,
        calibration=read_azure_calibration(
            _calibration_bytes(path, content),
            where=f"{path}, {CALIBRATION_NAME}",
            depth_wh=(depth.width, depth.height),
            color_wh=(color.width, color.height) if color else None,
        ),
        depth=depth,
        color=color,
        color_to_depth_s=delay_ns * 1e-9,
    )


def _track(content: Matroska, name: str) -> Track | None:
    """The track that a tag names by its id, else the one of this name."""
    uid = content.tags.get(f"K4A_{name}_TRACK")
    tagged = [track for track in content.tracks if str(track.uid) == uid]
    return next(iter(tagged + [track for track in content.tracks if track.name == name]), None)


def _stream(
    path: Path, content: Matroska, track: Track, start_ns: int, *, formats: tuple[str, ...]
) -> Stream:
    format = fourcc(track.private) if track.codec == CODEC else track.codec
    if format not in formats:
        what = "depth" if DEPTH_FORMAT in formats else "color"
        raise InputError(
            f"{what}-type",
            f"{path}: the {track.name} track must be coded as {' or '.join(formats)}, is {format!r}. "
            "Give the recording as k4arecorder wrote it.",
        )
    blocks = content.blocks[track.number]
    order = np.argsort(blocks.times_ns, kind="stable")
    return Stream(
        format=format,
        width=track.width,
        height=track.height,
        # nanoseconds to seconds
        times_s=(blocks.times_ns[order] + float(start_ns)) * 1e-9,
        offsets=blocks.offsets[order],
        sizes=blocks.sizes[order],
    )


def _tag_ns(path: Path, content: Matroska, name: str) -> int:
    text = content.tags.get(f"K4A_{name}_NS", "0")
    try:
        time_ns = int(text)
    except ValueError:
        time_ns = MAX_TAG_NS
    if abs(time_ns) >= MAX_TAG_NS:
        raise InputError(
            "recording-malformed",
            f"{path}: the tag K4A_{name}_NS must be whole nanoseconds, is {text[:40]!r}. "
            "Copy it again from the source.",
        )
    return time_ns


def _calibration_bytes(path: Path, content: Matroska) -> bytes:
    names = (content.tags.get(CALIBRATION_TAG, CALIBRATION_NAME), CALIBRATION_NAME)
    name = next((name for name in names if name in content.attachments), None)
    if name is None:
        raise InputError(
            "calibration-missing",
            f"{path}: the device's {CALIBRATION_NAME} must be attached, is not. "
            "Give the recording as k4arecorder wrote it.",
        )
    offset, size = content.attachments[name]
    if size > MAX_CALIBRATION_BYTES:
        raise InputError(
            "calibration-malformed",
            f"{path}: {name} must have at most {MAX_CALIBRATION_BYTES} bytes, has {size}. Record again.",
        )
    return _read_span(path, offset, size)


def _read_span(path: Path, offset: int, size: int) -> bytes:
    """Up to `size` bytes of the file; fewer where it ends before."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(
            "capture-missing",
            f"{path}: the recording must be a readable file, is not any more ({error.strerror}). Restore it.",
        ) from None
