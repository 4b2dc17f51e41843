"""ROS bags: ROS 1 (`.bag`), and ROS 2 (a folder with metadata.yaml, or one `.mcap` or `.db3`).

Topics of depth and colour, of their CameraInfo and of poses are named in the manifest (`BagTopics`). Frames are
the depth messages in the order in which they were recorded, numbered by rank; nothing is sorted by stamp, so
that a sensor's clock that was set back shows as timestamps that fall, and a message sent twice as two frames of
one timestamp. Colour and pose belong to a depth image by their header stamps, among what was recorded within
`RECORDED_NEAR_NS` of it: two runs of a clock that was set back do not mix.

Messages are decoded by ROS's own definitions, never by those that a bag brings.
"""

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import intrinsics_problem
from pipeline.captures.capture import Frame
from pipeline.captures.distortion import NO_DISTORTION, LensCamera, distorted_rays
from pipeline.captures.poses import check_rigid, poses_at, transforms_from_quaternions
from pipeline.captures.ros_images import (
    PictureError,
    camera_of_info,
    coarse,
    decode_color,
    decode_depth,
    pose_row,
)
from pipeline.captures.rosbag_messages import Bag, TopicMessages, open_bag
from pipeline.captures.rosbag_topics import BagTopics, check_topics
from pipeline.captures.two_cameras import TwoCameras
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

RECORDED_NEAR_NS = 2 * 10**9  # longer than any queue between a camera and its recorder
SAME_CAMERA_PX = 0.5
VIEW_PER_DEPTH_PX = 1.3  # view pixels per depth pixel, as of `kinect2`


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseTrack:
    """All poses of a bag: their messages' times, and t and quaternion x y z w (N 7)."""

    messages: TopicMessages
    rows: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class RosBag:
    """An open bag; the `Capture` of `rosbag`. Reading in order goes through the bag once.

    Attributes:
        depth_camera: of the raw depth images.
        color_camera: of the raw colour images; the same where depth is registered.
    """

    root: Path
    options: BagTopics
    depth_camera: LensCamera
    color_camera: LensCamera
    depth: TopicMessages
    color: TopicMessages | None
    poses: PoseTrack | None

    @property
    def frames(self) -> list[int]:
        return list(range(len(self.depth.stamp_ns)))

    @cached_property
    def cameras(self) -> TwoCameras | None:
        """The way from the raw images to the view; None where they are the view already."""
        options, of_depth, of_color = self.options, self.depth_camera, self.color_camera
        if options.color_from_depth is None and of_depth.distortion == NO_DISTORTION:
            return None
        way = np.eye(4) if options.color_from_depth is None else np.array(options.color_from_depth)
        share = Fraction(min(1.0, VIEW_PER_DEPTH_PX * of_depth.fx_px / of_color.fx_px)).limit_denominator(20)
        reduction = (1, 1) if options.registered else (max(share.numerator, 1), share.denominator)
        return TwoCameras(depth=of_depth, color=of_color, color_from_depth=way, reduction=reduction)

    def files(self, frames: list[int]) -> list[Path]:
        if self.root.is_file():
            return [self.root]
        return sorted(path for path in self.root.iterdir() if path.is_file())

    def read(self, frame: int) -> Frame:
        if not 0 <= frame < len(self.depth.stamp_ns):
            raise InputError(
                "depth-missing",
                f"{self.root}: frame {frame} must be in the capture, is not; it holds {len(self.frames)} frames "
                "from 0 on. Correct the selection of frames.",
            )
        depth_m = self._depth(frame)
        partner = None if self.color is None else self._color_of(frame)
        image = None if partner is None else self._color(partner)
        K = self.depth_camera.K
        if self.cameras is not None:
            depth_m = self.cameras.registration.register(depth_m).depth_m
            image = None if image is None else self.cameras.undistortion.undistort(image)
            K = self.cameras.K.copy()
        return Frame(
            frame=frame,
            timestamp_s=self.depth.stamp_ns[frame] / 1e9,
            color_timestamp_s=-1.0
            if partner is None or self.color is None
            else self.color.stamp_ns[partner] / 1e9,
            image=image,
            depth_m=depth_m,
            K=K,
            world_from_cam=self._pose(frame),
            mask=None,
        )

    def _depth(self, frame: int) -> NDArray[np.float32]:
        camera, unit_m = self.depth_camera, self.options.depth_unit_m
        try:
            message = self.depth.message(frame)
            depth_m = decode_depth(message, (camera.height, camera.width), depth_unit_m=unit_m)
        except ValueError as error:
            raise self._unreadable("depth", self.depth, frame, error) from None
        if not depth_m.any():
            raise InputError(
                "empty-depth",
                f"{self._place(self.depth, frame)}: depth must have a valid pixel, has none of {depth_m.size}. "
                "Leave the frame out.",
            )
        return depth_m

    def _color(self, index: int) -> NDArray[np.uint8]:
        assert self.color is not None
        try:
            return decode_color(
                self.color.message(index), (self.color_camera.height, self.color_camera.width)
            )
        except ValueError as error:
            raise self._unreadable("color", self.color, index, error) from None

    def _color_of(self, frame: int) -> int:
        """Which colour message is nearest by its stamp; of equals, the one recorded nearest."""
        assert self.color is not None
        recorded_ns, stamp_ns = self.depth.recorded_ns[frame], self.depth.stamp_ns[frame]
        near = self.color.near(self.depth.latest_ns[frame], within_ns=RECORDED_NEAR_NS)
        skew_ns = np.abs(self.color.stamp_ns[near] - stamp_ns)
        order = np.lexsort((np.abs(self.color.recorded_ns[near] - recorded_ns), skew_ns))
        if not order.size or skew_ns[order[0]] > self.options.max_time_skew_s * 1e9:
            raise self._partner_missing("color", self.color, frame)
        return int(near.start + order[0])

    def _pose(self, frame: int) -> Float64 | None:
        if self.poses is None:
            return None
        track = self.poses.messages
        near = track.near(self.depth.latest_ns[frame], within_ns=RECORDED_NEAR_NS)
        # Seconds from the depth image: those of today's clocks would not hold a microsecond.
        times_s = (track.stamp_ns[near] - self.depth.stamp_ns[frame]) / 1e9
        order = np.argsort(times_s, kind="stable")
        rows = self.poses.rows[near][order]
        with np.errstate(over="ignore", invalid="ignore"):  # no rotation comes of it, and is refused below
            transforms = transforms_from_quaternions(rows[:, :3], rows[:, 3:])
        (pose,) = poses_at(times_s[order], transforms, np.zeros(1), max_skew_s=self.options.max_time_skew_s)
        if pose is None:
            raise self._partner_missing("pose", track, frame)
        check_rigid(pose, where=f"{self.root}, {track.topic} at frame {frame}")
        return pose

    def _place(self, topic: TopicMessages, index: int) -> str:
        return f"{self.root}, {topic.topic}, message {index}"

    def _unreadable(self, what: str, topic: TopicMessages, index: int, error: ValueError) -> InputError:
        kind = error.kind if isinstance(error, PictureError) else "unreadable"
        return InputError(
            f"unreadable-{what}" if kind == "unreadable" else f"{what}-{kind}",
            f"{self._place(topic, index)}: the {what} image must be whole and of a kind that is known, but {error}. "
            "Leave the frame out, or correct [capture.topics].",
        )

    def _partner_missing(self, what: str, topic: TopicMessages, frame: int) -> InputError:
        return InputError(
            f"{what}-missing",
            f"{self._place(self.depth, frame)}: a {what} on {topic.topic} must be stamped within "
            f"{self.options.max_time_skew_s} s of it and recorded within {RECORDED_NEAR_NS / 1e9:g} s, none is. "
            "Leave the frame out, or raise max_time_skew_s.",
        )


def open_rosbag(path: Path, options: BagTopics) -> RosBag:
    """Open a bag: goes through its chosen topics once for times and poses, and reads the cameras.

    Raises:
        InputError: capture-missing, bag-malformed, topic-missing, topic-type, no-frames, calibration-missing,
            calibration-malformed, or intrinsics-mismatch.
        StageError: if the package rosbags is not installed.
    """
    if not path.exists() or (path.is_dir() and not (path / "metadata.yaml").is_file()):
        found = "a folder without metadata.yaml" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a .bag, .mcap or .db3 file or the folder of a ROS 2 bag, is {found}. "
            "Correct the manifest's path.",
        )
    try:
        bag = open_bag(path)
        with closing(bag.reader):
            check_topics(path, bag.types, options)
            topics, rows = _indexed(path, bag, options)
            depth_camera = _camera(path, bag, options, options.depth_info)
            color_camera = _camera(path, bag, options, options.color_info or options.depth_info)
    except ValueError as error:
        raise InputError(
            "bag-malformed",
            f"{path}: the capture must be a whole ROS bag, but {error}. "
            "Copy it again, or mend it with `rosbag reindex` or `ros2 bag reindex`.",
        ) from error
    if options.registered:
        _check_same_camera(path, depth_camera, color_camera)
    return RosBag(
        root=path,
        options=options,
        depth_camera=depth_camera,
        color_camera=depth_camera if options.registered else color_camera,
        depth=topics[options.depth],
        color=topics[options.color] if options.color else None,
        poses=PoseTrack(messages=topics[options.pose], rows=rows) if options.pose else None,
    )


def _indexed(path: Path, bag: Bag, options: BagTopics) -> tuple[dict[str, TopicMessages], Float64]:
    """The times of the topics with many messages, in one pass, and the poses (N 7)."""
    names = [name for name in (options.depth, options.color, options.pose) if name is not None]
    times: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    rows: list[list[float]] = []
    for topic, recorded_ns, raw in bag.messages(names):
        times[topic].append((recorded_ns, bag.stamp_ns(raw)))
        if topic == options.pose:
            rows.append(pose_row(bag.decode(raw, topic)))
    if not times[options.depth]:
        raise InputError(
            "no-frames",
            f"{path}: {options.depth} must hold depth images, holds none. Correct [capture.topics].",
        )
    topics = {}
    for name, pairs in times.items():
        recorded_ns, stamp_ns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        topics[name] = TopicMessages(path=path, topic=name, recorded_ns=recorded_ns, stamp_ns=stamp_ns)
    return topics, np.array(rows, dtype=np.float64).reshape(-1, 7)


def _camera(path: Path, bag: Bag, options: BagTopics, topic: str) -> LensCamera:
    first = next(bag.messages([topic]), None)
    if first is None:
        raise InputError(
            "calibration-missing",
            f"{path}: {topic} must hold a CameraInfo, holds none. Correct [capture.topics].",
        )
    message = bag.decode(first[2], topic)
    try:
        camera = camera_of_info(message, rectified=options.rectified)
        problem = intrinsics_problem(camera.K, camera.height, camera.width)
        if problem is None and topic == options.depth_info:  # the colour camera's lens is never inverted
            with np.errstate(all="ignore"):  # what overflows folds
                distorted_rays(coarse(camera))
    except ValueError as error:
        raise InputError(
            "calibration-malformed",
            f"{path}, {topic}: the CameraInfo must describe a camera, but {error}. Record a calibrated camera.",
        ) from None
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{path}, {topic}: the CameraInfo must fit its own images, but {problem}. "
            "Use the calibration of this stream and resolution.",
        )
    return camera


def _check_same_camera(path: Path, depth: LensCamera, color: LensCamera) -> None:
    same_size = (depth.width, depth.height) == (color.width, color.height)
    if not same_size or np.abs(depth.K - color.K).max() > SAME_CAMERA_PX:
        raise InputError(
            "intrinsics-mismatch",
            f"{path}: registered depth must have the colour camera's intrinsics, has "
            f"{depth.width}x{depth.height} px and {depth.K.tolist()}, colour {color.width}x{color.height} px and "
            f"{color.K.tolist()}. Name the registered depth, or set registered = false.",
        )
