import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore

from pipeline.captures.rosbag import open_rosbag
from pipeline.captures.rosbag_messages import TopicMessages
from pipeline.captures.rosbag_topics import BagTopics
from pipeline.errors import InputError, StageError

HEIGHT, WIDTH = 12, 16
K = np.array([[18.0, 0, 7.25], [0, 18.5, 5.5], [0, 0, 1]])
START_NS = 1_700_000_000 * 10**9
TICK_NS = 33_333_333
KINDS = ("ros1", "ros1-bz2", "ros1-lz4", "sqlite3", "mcap", "sqlite3-messages", "mcap-file", "mcap-bigendian")
DEPTH, COLOR, INFO, COLOR_INFO, POSE = "/depth/image", "/color/image", "/depth/info", "/color/info", "/pose"
REGISTERED = BagTopics(depth=DEPTH, depth_info=INFO, color=COLOR)
STORES = {True: get_typestore(Stores.ROS1_NOETIC), False: get_typestore(Stores.ROS2_HUMBLE)}


@dataclass
class Made:
    """One message to record; `kind` without sensor_msgs and the like where it is unique."""

    topic: str
    type: str
    recorded_ns: int
    message: object


class Ros:
    """Messages of one of the two generations."""

    def __init__(self, is_ros1):
        self.is_ros1, self.types = is_ros1, STORES[is_ros1].types

    def header(self, stamp_ns):
        stamp = self.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        numbered = {"seq": 0} if self.is_ros1 else {}
        return self.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera_optical_frame", **numbered)

    def image(self, array, encoding, stamp_ns=START_NS, *, big=False, padding=0):
        """`array` (H W) or (H W C) of the encoding's own layout; `padding` bytes at the end of each row."""
        height, width = array.shape[:2]
        rows = array.astype(array.dtype.newbyteorder(">" if big else "<")).reshape(height, -1).view(np.uint8)
        rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
        return self.types["sensor_msgs/msg/Image"](
            header=self.header(stamp_ns),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=int(big),
            step=rows.shape[1],
            data=np.ascontiguousarray(rows).ravel(),
        )

    def compressed(self, data, format, stamp_ns=START_NS):
        return self.types["sensor_msgs/msg/CompressedImage"](
            header=self.header(stamp_ns), format=format, data=np.frombuffer(data, np.uint8)
        )

    def info(self, K=K, D=(0.0,) * 5, *, size_wh=(WIDTH, HEIGHT), model="plumb_bob", P=None):
        P = np.column_stack([K if P is None else P, np.zeros(3)])
        matrices = {"D": np.array(D, float), "K": K.ravel(), "R": np.eye(3).ravel(), "P": P.ravel()}
        if not self.is_ros1:
            matrices = {name.lower(): matrix for name, matrix in matrices.items()}
        roi = self.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        return self.types["sensor_msgs/msg/CameraInfo"](
            header=self.header(START_NS),
            height=size_wh[1],
            width=size_wh[0],
            distortion_model=model,
            binning_x=0,
            binning_y=0,
            roi=roi,
            **matrices,
        )

    def pose(self, kind, t, q, stamp_ns):
        point = self.types["geometry_msgs/msg/" + ("Vector3" if kind == "TransformStamped" else "Point")](*t)
        turn = self.types["geometry_msgs/msg/Quaternion"](*q)
        if kind == "TransformStamped":
            transform = self.types["geometry_msgs/msg/Transform"](point, turn)
            return self.types["geometry_msgs/msg/TransformStamped"](
                self.header(stamp_ns), "camera", transform
            )
        pose = self.types["geometry_msgs/msg/Pose"](point, turn)
        if kind == "PoseStamped":
            return self.types["geometry_msgs/msg/PoseStamped"](self.header(stamp_ns), pose)
        none = np.zeros(36)
        vector = self.types["geometry_msgs/msg/Vector3"](0, 0, 0)
        twist = self.types["geometry_msgs/msg/Twist"](vector, vector)
        return self.types["nav_msgs/msg/Odometry"](
            header=self.header(stamp_ns),
            child_frame_id="camera",
            pose=self.types["geometry_msgs/msg/PoseWithCovariance"](pose, none),
            twist=self.types["geometry_msgs/msg/TwistWithCovariance"](twist, none),
        )


def made(topic, message, recorded_ns=START_NS):
    return Made(topic, message.__msgtype__, recorded_ns, message)


def write_bag(folder, kind, messages):
    is_ros1, store = kind.startswith("ros1"), STORES[kind.startswith("ros1")]
    path = folder / ("bag.bag" if is_ros1 else "bag")
    if is_ros1:
        writer = Ros1Writer(path)
        if "-" in kind:
            writer.set_compression(Ros1Writer.CompressionFormat[kind.partition("-")[2].upper()])
    else:
        plugin = StoragePlugin.MCAP if kind.startswith("mcap") else StoragePlugin.SQLITE3
        writer = Ros2Writer(path, version=9, storage_plugin=plugin)
        if kind.endswith(("-messages", "-file")):
            mode = CompressionMode.FILE if kind.endswith("file") else CompressionMode.MESSAGE
            writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for item in messages:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.type, typestore=store)
            if is_ros1:
                raw = store.serialize_ros1(item.message, item.type)
            else:
                raw = store.serialize_cdr(item.message, item.type, little_endian="bigendian" not in kind)
            writer.write(connections[item.topic], item.recorded_ns, bytes(raw))
    return path


def scene(i):
    """Depth in mm and colour of frame i: a slanted wall with a hole; no two frames are alike."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    depth_mm = (1000 + 7 * u + 5 * v + 100 * i).astype(np.uint16)
    depth_mm[2, 3] = 0
    return depth_mm, np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def recording(ros, frames, *, color_late_ns=4_000_000, recorded_late_ns=20_000_000, depth_only=False):
    """Depth and colour of the given frames; colour is stamped and recorded a little later than depth."""
    messages = [made(INFO, ros.info()), made(COLOR_INFO, ros.info())]
    for i in frames:
        depth_mm, rgb = scene(i)
        stamp_ns = START_NS + i * TICK_NS
        messages.append(made(DEPTH, ros.image(depth_mm, "16UC1", stamp_ns), stamp_ns + 1_000_000))
        if not depth_only:
            color = ros.image(rgb, "rgb8", stamp_ns + color_late_ns)
            messages.append(made(COLOR, color, stamp_ns + recorded_late_ns))
    return messages


def one_picture(folder, *, depth=None, color=None, info=None, options=REGISTERED):
    ros = Ros(True)
    depth_mm, rgb = scene(0)
    messages = [
        made(INFO, info or ros.info()),
        made(DEPTH, depth or ros.image(depth_mm, "16UC1")),
        made(COLOR, color or ros.image(rgb, "rgb8")),
    ]
    return open_rosbag(write_bag(folder, "ros1", messages), options)


def reason_of(action):
    with pytest.raises(InputError) as caught:
        action()
    return caught.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bag_gives_its_frames_in_any_order(tmp_path, kind):
    path = write_bag(tmp_path, kind, recording(Ros(kind.startswith("ros1")), range(40)))
    capture = open_rosbag(path, REGISTERED)
    assert capture.frames == list(range(40))
    for i in [0, 1, 2, 2, 5, 39, 38, 0, 3, 36]:
        frame = capture.read(i)
        depth_mm, rgb = scene(i)
        np.testing.assert_array_equal(frame.depth_m, (depth_mm * 0.001).astype(np.float32))
        np.testing.assert_array_equal(frame.image, rgb)
        np.testing.assert_array_equal(frame.K, K)
        # a float64 of today's seconds is good to a quarter of a microsecond
        assert frame.timestamp_s == pytest.approx((START_NS + i * TICK_NS) / 1e9, abs=3e-7)
        assert frame.color_timestamp_s - frame.timestamp_s == pytest.approx(0.004, abs=1e-6)
        assert frame.world_from_cam is None and frame.mask is None
    assert path in [*capture.files([0]), *(file.parent for file in capture.files([0]))]
    assert reason_of(lambda: capture.read(40)) == "depth-missing"


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_storage_file_without_its_metadata_is_read_alone(tmp_path, suffix):
    path = write_bag(tmp_path, "mcap" if suffix == ".mcap" else "sqlite3", recording(Ros(False), range(3)))
    (file,) = path.glob(f"*{suffix}")
    capture = open_rosbag(file, REGISTERED)
    np.testing.assert_array_equal(capture.read(2).image, scene(2)[1])
    assert capture.files([0, 1]) == [file]


@pytest.mark.parametrize("kind", ["ros1-lz4", "sqlite3", "mcap"])
def test_reading_in_order_goes_through_the_bag_once(tmp_path, kind, monkeypatch):
    path = write_bag(tmp_path, kind, recording(Ros(kind.startswith("ros1")), range(60)))
    capture = open_rosbag(path, REGISTERED)
    capture.read(0)  # finds the places
    opened, taken = [], []
    reader_messages = type(capture.depth._cursor.bag.reader).messages

    def counted(self, *args, **kwargs):
        opened.append(args)
        for found in reader_messages(self, *args, **kwargs):
            taken.append(found[1])
            yield found

    monkeypatch.setattr(type(capture.depth._cursor.bag.reader), "messages", counted)
    capture.depth._cursor.ahead = capture.color._cursor.ahead = None
    for i in range(60):
        capture.read(i)
    assert len(opened) == 2 and len(taken) == 120


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_encodings_byte_order_and_row_step(tmp_path, big, padding):
    ros, (depth_mm, _) = Ros(True), scene(0)
    expected = (depth_mm * 0.001).astype(np.float32)
    metres = expected.copy()
    metres[0, :4] = np.nan, np.inf, -np.inf, -1
    for i, (array, encoding) in enumerate([(depth_mm, "16UC1"), (depth_mm, "mono16"), (metres, "32FC1")]):
        folder = tmp_path / str(i)
        folder.mkdir()
        capture = one_picture(folder, depth=ros.image(array, encoding, big=big, padding=padding))
        wanted = expected.copy()
        if encoding == "32FC1":
            wanted[0, :4] = 0
        np.testing.assert_array_equal(capture.read(0).depth_m, wanted)


def test_depth_unit_scales_integers_alone(tmp_path):
    ros, (depth_mm, _) = Ros(True), scene(0)
    options = REGISTERED.model_copy(update={"depth_unit_m": 0.0001})
    (tmp_path / "a").mkdir()
    capture = one_picture(tmp_path, options=options)
    np.testing.assert_allclose(capture.read(0).depth_m, depth_mm * 1e-4, rtol=1e-7)
    metres = ros.image((depth_mm * 0.001).astype(np.float32), "32FC1")
    capture = one_picture(tmp_path / "a", depth=metres, options=options)
    np.testing.assert_allclose(capture.read(0).depth_m, depth_mm * 1e-3, rtol=1e-7)


def yuv422(rgb, order):
    """BT.601 of even columns' chroma, by the standard's own numbers, packed in `order`."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    planes = {"Y": y, "U": u[:, ::2], "V": v[:, ::2]}
    packed = np.zeros((*rgb.shape[:2], 2))
    flat = packed.reshape(HEIGHT, WIDTH // 2, 4)
    lumas = iter([planes["Y"][:, 0::2], planes["Y"][:, 1::2]])
    for place, letter in enumerate(order):
        flat[..., place] = next(lumas) if letter == "Y" else planes[letter]
    return np.round(packed).astype(np.uint8)


def test_colour_encodings(tmp_path):
    ros, (_, rgb) = Ros(True), scene(0)
    bgr, grey = rgb[..., ::-1], rgb[..., 1]
    alpha = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
    flat = np.repeat(rgb[:, ::2] // 2 + 64, 2, axis=1)  # chroma is shared by two pixels
    cases = [
        (rgb, "rgb8", rgb, 0),
        (bgr, "bgr8", rgb, 0),
        (np.dstack([rgb, alpha]), "rgba8", rgb, 0),
        (np.dstack([bgr, alpha]), "bgra8", rgb, 0),
        (grey, "mono8", np.dstack([grey] * 3), 0),
        # rounded to 8 bit twice, on a matrix with entries up to 2
        *((yuv422(flat, "UYVY"), name, flat, 3) for name in ("yuv422", "uyvy")),
        *((yuv422(flat, "YUYV"), name, flat, 3) for name in ("yuv422_yuy2", "yuyv")),
    ]
    for i, (array, encoding, expected, tolerance) in enumerate(cases):
        folder = tmp_path / str(i)
        folder.mkdir()
        image = (
            one_picture(folder, color=ros.image(np.ascontiguousarray(array), encoding, padding=5))
            .read(0)
            .image
        )
        assert image.dtype == np.uint8 and image.flags.c_contiguous
        assert np.abs(image.astype(int) - expected).max() <= tolerance, encoding


def encoded(suffix, image, *parameters):
    return cv2.imencode(suffix, image, list(parameters))[1].tobytes()


def test_compressed_colour(tmp_path):
    ros, (_, rgb) = Ros(True), scene(0)
    smooth = cv2.GaussianBlur(rgb, (0, 0), 4)
    png = ros.compressed(encoded(".png", smooth[..., ::-1]), "rgb8; png compressed bgr8")
    jpeg = ros.compressed(encoded(".jpg", smooth[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 100), "jpeg")
    for name, message, tolerance in [("png", png, 0), ("jpeg", jpeg, 12)]:
        (tmp_path / name).mkdir()
        image = one_picture(tmp_path / name, color=message).read(0).image
        assert np.abs(image.astype(int) - smooth).max() <= tolerance


def compressed_depth(ros, raw, format, parameters=(0.0, 0.0)):
    return ros.compressed(struct.pack("<Iff", 0, *parameters) + encoded(".png", raw), format)


def test_compressed_depth_of_integers(tmp_path):
    ros, (depth_mm, _) = Ros(True), scene(0)
    plain = ros.compressed(encoded(".png", depth_mm), "16UC1; png compressed ")
    for i, message in enumerate([compressed_depth(ros, depth_mm, "16UC1; compressedDepth png"), plain]):
        (tmp_path / str(i)).mkdir()
        frame = one_picture(tmp_path / str(i), depth=message).read(0)
        np.testing.assert_array_equal(frame.depth_m, (depth_mm * 0.001).astype(np.float32))


def test_compressed_depth_of_floats_is_inverse_depth(tmp_path):
    """Quantised as compressed_depth_image_transport does by default: steps of 1/100 at 1 m, 10 m at most."""
    ros, depth_m = Ros(True), scene(0)[0] * 0.001
    a = 100.0 * (100.0 + 1)
    b = 1 - a / 10.0
    with np.errstate(divide="ignore"):
        raw = np.where(depth_m > 0, a / depth_m + b, 0).astype(np.uint16)
    message = compressed_depth(ros, raw, "32FC1; compressedDepth", (a, b))
    found = one_picture(tmp_path, depth=message).read(0).depth_m
    assert ((found > 0) == (depth_m > 0)).all()
    # a code is cut off, not rounded: one step of inverse depth
    assert (np.abs(found - depth_m) <= depth_m**2 / (a - depth_m) + 1e-6).all()
    assert not np.array_equal(found, depth_m)


@pytest.mark.parametrize("kind", ["ros1", "sqlite3", "mcap"])
def test_dropped_late_and_repeated_images_pair_by_their_stamps(tmp_path, kind):
    ros = Ros(kind.startswith("ros1"))
    messages = recording(ros, range(8))
    dropped_color, dropped_depth = START_NS + 3 * TICK_NS + 20_000_000, START_NS + 5 * TICK_NS + 1_000_000
    messages = [item for item in messages if item.recorded_ns not in (dropped_color, dropped_depth)]
    repeated = next(item for item in messages if item.recorded_ns == START_NS + 6 * TICK_NS + 1_000_000)
    messages.append(Made(DEPTH, repeated.type, repeated.recorded_ns + 500_000, repeated.message))
    messages.sort(key=lambda item: item.recorded_ns)
    capture = open_rosbag(write_bag(tmp_path, kind, messages), REGISTERED)
    shown = [0, 1, 2, 3, 4, 6, 6, 7]
    assert len(capture.frames) == len(shown)
    for frame, i in enumerate(shown):
        if i == 3:
            assert reason_of(lambda frame=frame: capture.read(frame)) == "color-missing"
            continue
        np.testing.assert_array_equal(capture.read(frame).image, scene(i)[1])
    assert capture.read(5).timestamp_s == capture.read(6).timestamp_s


@pytest.mark.parametrize("kind", ["ros1", "sqlite3", "mcap"])
def test_clock_set_back_keeps_the_order_and_never_mixes_its_two_runs(tmp_path, kind):
    ros = Ros(kind.startswith("ros1"))
    before = recording(ros, range(5))
    # stamped nearer to the depth images of the first run than the colour of that run itself
    after = recording(ros, range(5), color_late_ns=0)[2:]
    ros_late = 100 * 10**9  # the second run carries the first one's stamps, and other pictures
    for item in after:
        image = np.frombuffer(item.message.data, np.uint8).copy()
        item.message.data = 255 - image if item.topic == COLOR else image
        item.recorded_ns += ros_late
    capture = open_rosbag(write_bag(tmp_path, kind, before + after), REGISTERED)
    times_s = [capture.read(frame).timestamp_s for frame in capture.frames]
    assert times_s[:5] == times_s[5:] and np.diff(times_s)[4] < 0
    for i in range(5):
        np.testing.assert_array_equal(capture.read(i).image, scene(i)[1])
        np.testing.assert_array_equal(capture.read(5 + i).image, 255 - scene(i)[1])


def test_stamps_that_were_never_set_pair_by_the_time_of_recording(tmp_path):
    messages = recording(Ros(False), range(4))
    for item in messages:
        item.message.header.stamp.sec = item.message.header.stamp.nanosec = 0
    capture = open_rosbag(write_bag(tmp_path, "mcap", messages), REGISTERED)
    for i in range(3):
        # recorded 19 ms after its depth image, the one before 14 ms earlier
        assert (capture.read(i + 1).image == scene(i)[1]).all()


@pytest.mark.parametrize("kind", ["PoseStamped", "TransformStamped", "Odometry"])
@pytest.mark.parametrize("bag", ["ros1", "mcap"])
def test_poses_are_world_from_cam_at_the_depth_image(tmp_path, kind, bag):
    ros = Ros(bag == "ros1")
    messages = recording(ros, range(4))
    half = np.sqrt(0.5)
    for i in range(3):  # stamped 5 ms before and after the depth images, which move by 1 m each
        for late_ns in (-5_000_000, 5_000_000):
            stamp_ns = START_NS + i * TICK_NS + late_ns
            t = [i + late_ns / 1e9, 2.0, 3.0]
            messages.append(made(POSE, ros.pose(kind, t, [0, 0, half, half], stamp_ns), stamp_ns + 3_000_000))
    messages.sort(key=lambda item: item.recorded_ns)
    options = REGISTERED.model_copy(update={"pose": POSE})
    capture = open_rosbag(write_bag(tmp_path, bag, messages), options)
    for i in range(3):
        expected = np.array(
            [[0, -1, 0, i], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]]
        )  # a quarter turn about z
        np.testing.assert_allclose(capture.read(i).world_from_cam, expected, atol=1e-9)
    assert reason_of(lambda: capture.read(3)) == "pose-missing"


def test_pose_whose_quaternion_is_no_turn_is_refused(tmp_path):
    ros = Ros(False)
    messages = [*recording(ros, [0]), made(POSE, ros.pose("PoseStamped", [0, 0, 0], [0, 0, 0, 0], START_NS))]
    path = write_bag(tmp_path, "mcap", messages)
    capture = open_rosbag(path, REGISTERED.model_copy(update={"pose": POSE}))
    assert reason_of(lambda: capture.read(0)) == "pose-not-rigid"


def test_unregistered_depth_is_seen_from_the_colour_camera(tmp_path):
    """A wall at 2 m, parallel to both cameras, the colour camera 0.1 m to the right and 0.5 m behind."""
    ros = Ros(False)
    K_color = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
    color_from_depth = ((1, 0, 0, -0.1), (0, 1, 0, 0), (0, 0, 1, 0.5), (0, 0, 0, 1))
    rgb = np.full((48, 64, 3), (200, 100, 50), np.uint8)
    messages = [
        made(INFO, ros.info()),
        made(COLOR_INFO, ros.info(K_color, size_wh=(64, 48))),
        made(DEPTH, ros.image(np.full((HEIGHT, WIDTH), 2000, np.uint16), "16UC1")),
        made(COLOR, ros.image(rgb, "rgb8")),
    ]
    options = BagTopics(
        depth=DEPTH,
        depth_info=INFO,
        color=COLOR,
        color_info=COLOR_INFO,
        registered=False,
        color_from_depth=color_from_depth,
    )
    frame = open_rosbag(write_bag(tmp_path, "mcap", messages), options).read(0)
    # 1.3 * 18 / 60 = 0.39 = 7/18 within a denominator of 20
    assert frame.depth_m.shape == (48 * 7 // 18, 64 * 7 // 18) == frame.image.shape[:2]
    assert frame.K[0, 0] == pytest.approx(60 * 7 / 18)
    seen = frame.depth_m > 0
    np.testing.assert_allclose(frame.depth_m[seen], 2.5, rtol=1e-6)
    # the wall's outermost pixel centres, carried over by hand
    corners = [
        ((u - 7.25) / 18 * 2 - 0.1, (v - 5.5) / 18.5 * 2) for u, v in [(0, 0), (WIDTH - 1, HEIGHT - 1)]
    ]
    (left, top), (right, bottom) = [
        (frame.K[0, 0] * x / 2.5 + frame.K[0, 2], frame.K[1, 1] * y / 2.5 + frame.K[1, 2]) for x, y in corners
    ]
    v, u = np.nonzero(seen)
    assert (u.min(), v.min()) == (np.ceil(left), np.ceil(top))
    assert (u.max(), v.max()) == (np.floor(right), np.floor(bottom))
    assert (frame.image[seen] == (200, 100, 50)).all()


@pytest.mark.parametrize(
    ("model", "D"),
    [
        ("plumb_bob", [-0.3, 0.1, 0.001, -0.002, 0.0]),
        ("rational_polynomial", [0.5, 0.1, 0, 0, 0, 0.8, 0.2, 0.01]),
    ],
)
def test_lens_of_registered_images_is_undone(tmp_path, model, D):
    """A plane across the view: each point of it lands where a pinhole camera sees it."""
    ros = Ros(True)
    size_wh, K_lens = (64, 48), np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
    rays = cv2.undistortPointsIter(
        np.stack([u, v], -1).reshape(-1, 1, 2), K_lens, np.array(D), None, None, (3, 200, 1e-14)
    ).reshape(48, 64, 2)
    depth_m = (1 / (0.5 + 0.2 * rays[..., 0] - 0.1 * rays[..., 1])).astype(np.float32)
    rgb = np.full((48, 64, 3), 90, np.uint8)
    info = ros.info(
        K_lens, D, size_wh=size_wh, model=model, P=np.array([[40.0, 0, 30], [0, 40, 20], [0, 0, 1]])
    )
    pictures = {
        "depth": ros.image(depth_m, "32FC1"),
        "color": ros.image(rgb, "rgb8"),
        "info": info,
    }
    frame = one_picture(tmp_path, **pictures).read(0)
    np.testing.assert_array_equal(frame.K, K_lens)
    flat = 1 / (0.5 + 0.2 * (u - 31.5) / 50 - 0.1 * (v - 23.5) / 50)
    seen = frame.depth_m > 0
    assert seen[8:40, 8:56].all()
    # triangles are flat in 1/z: exact but for float32 on both sides
    np.testing.assert_allclose(frame.depth_m[seen], flat[seen], rtol=3e-6)
    assert np.abs(depth_m - flat).max() > 0.01
    (tmp_path / "r").mkdir()
    options = REGISTERED.model_copy(update={"rectified": True})
    rectified = one_picture(tmp_path / "r", **pictures, options=options).read(0)
    np.testing.assert_array_equal(rectified.depth_m, depth_m)
    np.testing.assert_array_equal(rectified.K, [[40, 0, 30], [0, 40, 20], [0, 0, 1]])


def test_depth_without_colour_has_no_image(tmp_path):
    path = write_bag(tmp_path, "sqlite3", recording(Ros(False), range(2), depth_only=True))
    frame = open_rosbag(path, BagTopics(depth=DEPTH, depth_info=INFO)).read(1)
    assert frame.image is None and frame.color_timestamp_s == -1
    np.testing.assert_array_equal(frame.depth_m, (scene(1)[0] * 0.001).astype(np.float32))


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"K": np.zeros((3, 3))}, "calibration-malformed"),  # as an uncalibrated camera says
        ({"K": np.array([[18, 0, 90], [0, 18, 5], [0, 0, 1.0]])}, "intrinsics-mismatch"),
        ({"K": np.array([[18, 3, 7], [0, 18, 5], [0, 0, 1.0]])}, "calibration-malformed"),
        ({"K": np.full((3, 3), np.nan)}, "calibration-malformed"),
        ({"D": [0.1, 0.2, 0, 0], "model": "equidistant"}, "calibration-malformed"),
        ({"D": [-9.0, 0, 0, 0, 0]}, "calibration-malformed"),  # folds the image
        ({"D": [np.nan] * 5}, "calibration-malformed"),
        ({"size_wh": (0, 12)}, "calibration-malformed"),
        ({"size_wh": (2**32 - 1, 2**32 - 1)}, "calibration-malformed"),
    ],
)
def test_camera_info_that_is_no_camera_is_refused(tmp_path, info, reason):
    assert reason_of(lambda: one_picture(tmp_path, info=Ros(True).info(**info))) == reason


def wrong_pictures():
    ros, (depth_mm, rgb) = Ros(True), scene(0)
    jpeg, png = encoded(".jpg", rgb), encoded(".png", depth_mm)
    half = ros.image(rgb, "rgb8")
    half.data = half.data[: half.data.size // 2]
    narrow = ros.image(depth_mm, "16UC1")
    narrow.step = 3
    return {
        "color encoding": ("color", ros.image(rgb, "bayer_rggb8"), "color-type"),
        "color size": ("color", ros.image(rgb[:6], "rgb8"), "color-size"),
        "color cut off": ("color", half, "unreadable-color"),
        "jpeg cut off": ("color", ros.compressed(jpeg[:-40], "jpeg"), "unreadable-color"),
        "jpeg size": ("color", ros.compressed(encoded(".jpg", rgb[:6]), "jpeg"), "color-size"),
        "jpeg empty": ("color", ros.compressed(b"", "jpeg"), "unreadable-color"),
        "depth encoding": ("depth", ros.image(rgb, "rgb8"), "depth-type"),
        "depth size": ("depth", ros.image(depth_mm[:, :8].copy(), "16UC1"), "depth-size"),
        "depth step": ("depth", narrow, "unreadable-depth"),
        "depth empty": ("depth", ros.image(np.zeros_like(depth_mm), "16UC1"), "empty-depth"),
        "depth NaN": (
            "depth",
            ros.image(np.full((HEIGHT, WIDTH), np.nan, np.float32), "32FC1"),
            "empty-depth",
        ),
        "depth 8 bit": ("depth", compressed_depth(ros, rgb[..., 0], "16UC1; compressedDepth"), "depth-type"),
        "depth rvl": ("depth", ros.compressed(b"\0" * 40, "16UC1; compressedDepth rvl"), "depth-type"),
        "depth head": ("depth", ros.compressed(b"\0" * 5, "16UC1; compressedDepth png"), "unreadable-depth"),
        "depth png": ("depth", ros.compressed(png[:-20], "16UC1; png compressed"), "unreadable-depth"),
    }


@pytest.mark.parametrize("name", wrong_pictures())
def test_picture_that_is_not_what_it_should_be_is_refused(tmp_path, name):
    stream, message, reason = wrong_pictures()[name]
    capture = one_picture(tmp_path, **{stream: message})
    assert reason_of(lambda: capture.read(0)) == reason


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_topic_that_is_not_there_is_answered_with_those_that_are(tmp_path, kind):
    path = write_bag(tmp_path, kind, recording(Ros(kind == "ros1"), range(2)))
    with pytest.raises(InputError) as caught:
        open_rosbag(path, REGISTERED.model_copy(update={"color": "/rgb"}))
    assert caught.value.reason == "topic-missing"
    assert "topics.color = '/rgb'" in str(caught.value)
    assert f"{COLOR} (sensor_msgs/msg/Image)" in str(caught.value)
    wrong = REGISTERED.model_copy(update={"depth": INFO})
    assert reason_of(lambda: open_rosbag(path, wrong)) == "topic-type"


def test_registered_depth_of_another_camera_is_refused(tmp_path):
    ros = Ros(False)
    messages = [made(COLOR_INFO, ros.info(K * [[1.2], [1.2], [1]])), *recording(ros, [0])]
    options = REGISTERED.model_copy(update={"color_info": COLOR_INFO})
    assert (
        reason_of(lambda: open_rosbag(write_bag(tmp_path, "mcap", messages), options))
        == "intrinsics-mismatch"
    )


def test_options_that_contradict_each_other_are_refused():
    names = {"depth": DEPTH, "depth_info": INFO, "color": COLOR, "color_info": COLOR_INFO}
    for wrong in [
        {"registered": False},
        {"color_from_depth": np.eye(4).tolist()},
        {"registered": False, "color_from_depth": (2 * np.eye(4)).tolist()},
        {"registered": False, "color_info": None, "color_from_depth": np.eye(4).tolist()},
        {"depth_unit_m": 0},
        {"colour": COLOR},
    ]:
        with pytest.raises(ValidationError):
            BagTopics.model_validate(names | wrong)


def test_missing_library_is_named(tmp_path, monkeypatch):
    path = write_bag(tmp_path, "mcap", recording(Ros(False), [0]))
    monkeypatch.setitem(sys.modules, "rosbags.rosbag1", None)
    with pytest.raises(StageError, match="pip install 'bodytruth\\[formats\\]'"):
        open_rosbag(path, REGISTERED)


def test_paths_that_are_no_bag_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty.bag").write_bytes(b"")
    assert reason_of(lambda: open_rosbag(tmp_path, REGISTERED)) == "capture-missing"
    assert reason_of(lambda: open_rosbag(tmp_path / "none.bag", REGISTERED)) == "capture-missing"
    assert reason_of(lambda: open_rosbag(tmp_path / "notes.txt", REGISTERED)) == "bag-malformed"
    assert reason_of(lambda: open_rosbag(tmp_path / "empty.bag", REGISTERED)) == "bag-malformed"


def storage(path: Path) -> Path:
    return (
        path if path.is_file() else next(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    )


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_truncated_bag_is_refused(tmp_path, kind):
    file = storage(write_bag(tmp_path, kind, recording(Ros(kind == "ros1"), range(3))))
    data = file.read_bytes()
    for kept in np.linspace(0, len(data) - 1, 12).astype(int):
        file.write_bytes(data[:kept])
        assert reason_of(lambda: open_rosbag(file, REGISTERED)) == "bag-malformed"


@pytest.mark.parametrize("kind", ["ros1-lz4", "mcap", "sqlite3"])
def test_mutated_bags_are_read_or_refused(tmp_path, kind):
    file = storage(write_bag(tmp_path, kind, recording(Ros(kind.startswith("ros1")), range(2))))
    data = file.read_bytes()
    rng = np.random.default_rng(21)
    refused = 0
    for _ in range(100):
        harmed = bytearray(data)
        for at in rng.integers(len(data), size=rng.integers(1, 30)):
            harmed[at] = rng.integers(256)
        if rng.random() < 0.2:
            del harmed[rng.integers(len(harmed)) :]
        file.write_bytes(bytes(harmed))
        try:
            capture = open_rosbag(file, REGISTERED)
            frame = capture.read(capture.frames[-1])
        except InputError:
            refused += 1
            continue
        assert frame.depth_m.shape == (HEIGHT, WIDTH) and np.isfinite(frame.depth_m).all()
    assert refused > 20


def test_bag_that_was_exchanged_after_opening_is_refused(tmp_path):
    path = write_bag(tmp_path, "ros1", recording(Ros(True), range(3)))
    capture = open_rosbag(path, REGISTERED)
    path.unlink()
    messages = recording(Ros(True), range(3))
    for item in messages:
        item.message.header.stamp.nanosec += 1
    write_bag(tmp_path, "ros1", messages)
    assert reason_of(lambda: capture.read(1)) == "unreadable-depth"


def test_bag_that_is_whole_again_is_read_again(tmp_path):
    path = write_bag(tmp_path, "ros1-bz2", recording(Ros(True), range(3)))
    capture, data = open_rosbag(path, REGISTERED), path.read_bytes()
    path.write_bytes(data[:5000] + bytes(2000) + data[7000:])
    assert reason_of(lambda: capture.read(1)) == "unreadable-depth"
    path.write_bytes(data)
    np.testing.assert_array_equal(capture.read(1).image, scene(1)[1])


@pytest.mark.parametrize("kind", ["ros1", "sqlite3", "mcap"])
def test_messages_recorded_at_one_time_are_told_apart(tmp_path, kind):
    messages = recording(Ros(kind == "ros1"), range(6))
    for item in messages:
        item.recorded_ns = START_NS
    capture = open_rosbag(write_bag(tmp_path, kind, messages), REGISTERED)
    for i in [3, 0, 5, 1]:
        np.testing.assert_array_equal(capture.read(i).image, scene(i)[1])
        assert capture.read(i).depth_m[0, 0] == np.float32(0.001 * scene(i)[0][0, 0])


def test_storage_files_whose_times_overlap_give_what_may_be_near():
    recorded_ns = np.array([30, 10, 20, 40])
    topic = TopicMessages(path=Path(), topic=DEPTH, recorded_ns=recorded_ns, stamp_ns=recorded_ns)
    found = [topic.near(time_ns, within_ns=5) for time_ns in (30, 40, 10)]
    assert found == [slice(0, 3), slice(3, 4), slice(0, 0)]
