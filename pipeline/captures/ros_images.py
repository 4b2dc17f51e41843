"""What ROS messages hold: pictures (Image, CompressedImage), cameras (CameraInfo) and poses.

Every function takes a message with ROS's own field names, as a deserialiser gives it. Nothing is allocated before
the sizes that a message claims were held against its camera's.
"""

import struct
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.calibration import ImageSize
from pipeline.captures.distortion import NO_DISTORTION, Distortion, LensCamera
from pipeline.captures.images import JPEG_SIGNATURE, PNG_SIGNATURE, jpeg_problem, png_problem

Float64 = NDArray[np.float64]

COLOR_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1}
# ROS 1 and 2 differ in names alone; conversion is OpenCV's: BT.601, black at 16.
YUV_CODES = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUY2", "yuyv": "YUY2"}
DEPTH_TYPES = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
# enum, then the two parameters of the inverse depth, native to the machines that record: little-endian
COMPRESSED_DEPTH_HEAD = struct.Struct("<Iff")
# ROS's distortion models that LensCamera knows, with the most coefficients that each may bring
DISTORTION_MODELS = {"plumb_bob": 5, "rational_polynomial": 8}
MAX_PX = 1 << 25  # of one picture; 8K has a little less
COARSE_PX = 65


class PictureError(ValueError):
    """What is wrong with one message, as a clause.

    Args:
        kind: unreadable, type or size.
    """

    def __init__(self, finding: str, kind: str = "unreadable") -> None:
        super().__init__(finding)
        self.kind = kind


def decode_color(message: Any, size: ImageSize) -> NDArray[np.uint8]:
    """RGB (H W 3) of an Image or CompressedImage.

    Raises:
        PictureError: if it cannot be decoded, or is not of the `size` (height, width) of its camera.
    """
    import cv2

    if not hasattr(message, "encoding"):
        return np.ascontiguousarray(_decoded(message.data.tobytes(), size, cv2.IMREAD_COLOR)[..., ::-1])
    encoding = message.encoding
    if encoding in YUV_CODES:
        if message.width % 2:
            raise PictureError(f"{encoding} must be of an even width, is {message.width} px wide")
        pixels = _pixels(message, "u1", 2, size)
        return np.asarray(
            cv2.cvtColor(pixels, getattr(cv2, f"COLOR_YUV2RGB_{YUV_CODES[encoding]}")), np.uint8
        )
    if encoding not in COLOR_CHANNELS:
        known = ", ".join([*COLOR_CHANNELS, *YUV_CODES])
        raise PictureError(f"its encoding must be one of {known}, is {encoding[:40]!r}", "type")
    pixels = _pixels(message, "u1", COLOR_CHANNELS[encoding], size)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    channels = slice(2, None, -1) if encoding.startswith("bgr") else slice(0, 3)
    return np.ascontiguousarray(pixels[..., channels])


def decode_depth(message: Any, size: ImageSize, *, depth_unit_m: float) -> NDArray[np.float32]:
    """Depth (H W) in metres of an Image or CompressedImage; 0 where there is none, NaN, infinite or negative.

    Args:
        depth_unit_m: metres per step of 16-bit depth; floats are metres, by ROS's convention (REP 118).

    Raises:
        PictureError: if it cannot be decoded, or is not of the `size` (height, width) of its camera.
    """
    if not hasattr(message, "encoding"):
        raw = _compressed_depth(message, size)
    elif message.encoding in DEPTH_TYPES:
        raw = _pixels(message, DEPTH_TYPES[message.encoding], 1, size)[..., 0]
    else:
        raise PictureError(
            f"its encoding must be one of {', '.join(DEPTH_TYPES)}, is {message.encoding[:40]!r}", "type"
        )
    if raw.dtype == np.uint16:
        # raw steps to metres
        return np.asarray(raw * depth_unit_m, dtype=np.float32)
    valid = np.isfinite(raw) & (raw > 0)
    return np.where(valid, raw, 0).astype(np.float32)


def camera_of_info(message: Any, *, rectified: bool) -> LensCamera:
    """The camera that a CameraInfo describes.

    Args:
        rectified: take the camera of the rectified images, P without a lens, instead of the raw one, K and D.

    Raises:
        ValueError: if it has no size, K skew, or a lens of another model.
    """
    # ROS 1 writes D K P, ROS 2 d k p
    fields = {name: getattr(message, name, getattr(message, name.lower(), None)) for name in "DKP"}
    matrix = np.array(fields["P"]).reshape(3, 4)[:, :3] if rectified else np.array(fields["K"]).reshape(3, 3)
    width, height = int(message.width), int(message.height)
    if min(width, height) < 2 or width * height > MAX_PX:
        raise ValueError(f"its size is {width}x{height} px")
    if not np.array_equal(
        matrix, [[matrix[0, 0], 0, matrix[0, 2]], [0, matrix[1, 1], matrix[1, 2]], [0, 0, 1]]
    ):
        raise ValueError(
            f"{'P' if rectified else 'K'} must be of a pinhole camera without skew, is {matrix.tolist()}"
        )
    return LensCamera(
        width=width,
        height=height,
        fx_px=float(matrix[0, 0]),
        fy_px=float(matrix[1, 1]),
        cx_px=float(matrix[0, 2]),
        cy_px=float(matrix[1, 2]),
        distortion=NO_DISTORTION
        if rectified
        else _distortion(message.distortion_model, np.array(fields["D"])),
    )


def pose_row(message: Any) -> list[float]:
    """t and quaternion x y z w of a PoseStamped, TransformStamped or Odometry."""
    if hasattr(message, "transform"):
        t, q = message.transform.translation, message.transform.rotation
    else:
        pose = getattr(message.pose, "pose", message.pose)
        t, q = pose.position, pose.orientation
    return [t.x, t.y, t.z, q.x, q.y, q.z, q.w]


def coarse(camera: LensCamera) -> LensCamera:
    """The same camera with few pixels, corner on corner: enough to see whether its lens folds the image."""
    across, down = (COARSE_PX - 1) / (camera.width - 1), (COARSE_PX - 1) / (camera.height - 1)
    return replace(
        camera,
        width=COARSE_PX,
        height=COARSE_PX,
        fx_px=camera.fx_px * across,
        fy_px=camera.fy_px * down,
        cx_px=camera.cx_px * across,
        cy_px=camera.cy_px * down,
    )


def _distortion(model: str, coefficients: Float64) -> Distortion:
    if not coefficients.any():
        return NO_DISTORTION
    if not np.isfinite(coefficients).all() or coefficients.size > DISTORTION_MODELS.get(model, 0):
        raise ValueError(
            f"the lens must be plumb_bob of 5 or rational_polynomial of 8 finite coefficients, is {model[:40]!r} "
            f"of {coefficients.tolist()[:14]}"
        )
    length = 8 if coefficients.size > len(NO_DISTORTION) else len(NO_DISTORTION)
    return cast(Distortion, tuple(np.pad(coefficients, (0, length - coefficients.size)).tolist()))


def _pixels(message: Any, kind: str, channels: int, size: ImageSize) -> NDArray[Any]:
    """Pixels (H W channels) of an Image in the machine's own byte order."""
    _check_size((message.height, message.width), size)
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row_bytes = message.width * channels * dtype.itemsize
    if message.step < row_bytes:
        raise PictureError(f"its rows must be {row_bytes} bytes long at least, are {message.step}")
    if message.data.size < message.step * message.height:
        wanted = message.step * message.height
        raise PictureError(f"it must bring {wanted} bytes, brings {message.data.size}")
    rows = message.data[: message.step * message.height].reshape(message.height, message.step)
    pixels = (
        np.ascontiguousarray(rows[:, :row_bytes]).view(dtype).reshape(message.height, message.width, channels)
    )
    return np.asarray(pixels.astype(dtype.newbyteorder("="), copy=False))


def _compressed_depth(message: Any, size: ImageSize) -> NDArray[Any]:
    """Depth as compressed_depth_image_transport writes it: a head, then a PNG of it or of its inverse.

    A PNG without that head, as the transport for colour writes 16-bit images, is depth as well.
    """
    import cv2

    data, inverse = message.data.tobytes(), False
    if "compressedDepth" in message.format:
        if len(data) < COMPRESSED_DEPTH_HEAD.size:
            raise PictureError(f"compressedDepth must start with 12 bytes, has {len(data)}")
        _, quant_a, quant_b = COMPRESSED_DEPTH_HEAD.unpack_from(data)
        data = data[COMPRESSED_DEPTH_HEAD.size :]
        encoding = message.format.partition(";")[0].strip()
        if encoding not in DEPTH_TYPES:
            raise PictureError(
                f"its format must begin with one of {', '.join(DEPTH_TYPES)}, is {message.format[:60]!r}",
                "type",
            )
        inverse = DEPTH_TYPES[encoding] == "f4"
    if not data.startswith(PNG_SIGNATURE):
        raise PictureError(f"it must be coded as PNG, is {message.format[:60]!r}", "type")
    raw = _decoded(data, size, cv2.IMREAD_UNCHANGED)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise PictureError(f"its PNG must be of 16 bit in one channel, is {raw.dtype} {raw.shape}", "type")
    if not inverse:
        return raw
    # depth = a / (code - b), where the code 0 means none
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(np.where(raw > 0, np.float32(quant_a) / (raw - np.float32(quant_b)), 0), np.float32)


def _decoded(data: bytes, size: ImageSize, flags: int) -> NDArray[Any]:
    import cv2

    if data.startswith(JPEG_SIGNATURE):
        problem, found = jpeg_problem(data), _jpeg_size(data)
    else:
        problem = png_problem(data)
        found = None if problem else cast(ImageSize, struct.unpack_from(">II", data, 16)[::-1])
    if problem is not None or found is None:
        raise PictureError(f"it {problem or 'has no size'}")
    _check_size(found, size)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError(f"it cannot be decoded ({error.err})") from None
    if image is None:
        raise PictureError("it cannot be decoded")
    return np.asarray(image)


def _jpeg_size(data: bytes) -> ImageSize | None:
    """Height and width from the frame header of a JPEG; None where there is none (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        # of SOF0 to SOF15, three are tables and reserved
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + length
    return None


def _check_size(found: ImageSize, size: ImageSize) -> None:
    if tuple(found) != tuple(size):
        raise PictureError(
            f"it must be {size[1]}x{size[0]} px as its CameraInfo says, is {found[1]}x{found[0]} px",
            "size",
        )
