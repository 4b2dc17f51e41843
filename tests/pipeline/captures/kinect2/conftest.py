"""A plane seen by a Kinect v2, as common recorders write it; the fixtures are folders nobody may change."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.captures.distortion import LensCamera, distorted_points, distorted_rays
from pipeline.captures.kinect2_calibration import Kinect2Calibration, mirrored

DEPTH = LensCamera(
    width=512, height=424, fx_px=365.4, fy_px=365.4, cx_px=251.2, cy_px=206.1,
    distortion=(0.091, -0.270, 0.0, 0.0, 0.095),
)  # fmt: skip
COLOR = LensCamera(
    width=1920, height=1080, fx_px=1063.2, fy_px=1062.6, cx_px=945.4, cy_px=538.7,
    distortion=(0.025, -0.026, -0.0005, 0.0014, 0.0),
)  # fmt: skip
COLOR_FROM_DEPTH = np.eye(4)
COLOR_FROM_DEPTH[:3, :3] = Rotation.from_rotvec([0.003, -0.004, 0.012]).as_matrix()
COLOR_FROM_DEPTH[:3, 3] = [-0.052, -0.0005, 0.001]
DEVICE = Kinect2Calibration(
    device="Kinect v2", serial="1", depth=DEPTH, color=COLOR, color_from_depth=COLOR_FROM_DEPTH
)
NORMAL, PLANE_M = np.array([0.25, -0.1, 0.963]), 2.0  # in the depth camera's frame, upright
SHIFT_MM = -26.022681701386528

# A factory calibration as libfreenect2 printed it.
IR = {
    "fx": 365.150208, "fy": 365.150208, "cx": 253.9832, "cy": 211.093994,
    "k1": 0.0922871977, "k2": -0.266797304, "k3": 0.0901915208, "p1": 0.0, "p2": 0.0,
}  # fmt: skip
RGB = {
    "fx": 1081.37207, "fy": 1081.37207, "cx": 959.5, "cy": 539.5, "shift_d": 863.0, "shift_m": 52.0,
    "mx_x3y0": 0.000523260387, "mx_x0y3": 2.66473307e-05, "mx_x2y1": 7.26420622e-05, "mx_x1y2": 0.000386019994,
    "mx_x2y0": -8.80247826e-05, "mx_x0y2": -8.62425368e-05, "mx_x1y1": 0.000260630302, "mx_x1y0": 0.640707493,
    "mx_x0y1": 0.00462980801, "mx_x0y0": 0.152766302,
    "my_x3y0": 1.641368e-05, "my_x0y3": 0.000705449376, "my_x2y1": 0.000468305807, "my_x1y2": 3.74624688e-05,
    "my_x2y0": -9.42075494e-05, "my_x0y2": 0.000211564999, "my_x1y1": 6.66987689e-05,
    "my_x1y0": -0.00469533494, "my_x0y1": 0.640462875, "my_x0y0": 0.035591729,
}  # fmt: skip


def plane_mm(camera: LensCamera) -> np.ndarray:
    """Millimetres to the plane along the raw rays of an upright depth camera."""
    return 1000.0 * PLANE_M / (distorted_rays(camera) @ NORMAL)


def painted() -> np.ndarray:
    """RGB (1080 1920 3) that tells the place in the raw, upright colour image; blue tells nothing."""
    image = np.full((1080, 1920, 3), 128, np.uint8)
    image[..., 0] = np.rint(20 + np.arange(1920) / 10)[None]
    image[..., 1] = np.rint(20 + np.arange(1080) / 6)[:, None]
    return image


def on_the_right() -> np.ndarray:
    """A mask (424 512) that differs from its mirror image."""
    return np.broadcast_to(np.arange(512) > 300, (424, 512))


def write_yaml(path: Path, **content: object) -> None:
    """OpenCV's own writer, as iai_kinect2 uses it."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in content.items():
        storage.write(name, value)
    storage.release()


def write_iai_calibration(folder: Path, device: Kinect2Calibration) -> None:
    for name, camera in (("calib_color.yaml", device.color), ("calib_ir.yaml", device.depth)):
        projection = np.eye(4)
        projection[:3, :3] = camera.K
        write_yaml(
            folder / name, cameraMatrix=camera.K, distortionCoefficients=np.array([camera.distortion]),
            rotation=np.eye(3), projection=projection,
        )  # fmt: skip
    way = device.color_from_depth
    write_yaml(
        folder / "calib_pose.yaml", rotation=way[:3, :3].copy(), translation=way[:3, 3:].copy(),
        essential=np.eye(3), fundamental=np.eye(3),
    )  # fmt: skip
    write_yaml(folder / "calib_depth.yaml", depthShift=SHIFT_MM)


def write_iai(folder: Path) -> None:
    """As `kinect2_calibration record sync` does: grey colour, upright images."""
    folder.mkdir()
    write_iai_calibration(folder, DEVICE)
    depth = np.rint(plane_mm(DEPTH) - SHIFT_MM).astype(np.uint16)
    depth[:4] = 0
    for number in (0, 3):
        cv2.imwrite(str(folder / f"{number:04d}_sync_depth.png"), depth)
        cv2.imwrite(str(folder / f"{number:04d}_sync_color.png"), painted()[..., 0])


def sdk_calibration() -> dict[str, object]:
    """What the CoordinateMapper of a device whose images are mirrored says."""
    device = mirrored(DEVICE)
    lens = device.depth.distortion
    v, u = np.mgrid[2:424:28, 2:512:28].reshape(2, -1)
    rows = []
    for depth_mm in (800.0, 1500.0, 4000.0):
        points_m = distorted_rays(device.depth)[v, u] * depth_mm / 1000
        way = device.color_from_depth
        shown = distorted_points(points_m @ way[:3, :3].T + way[:3, 3], device.color)
        rows += np.column_stack([u, v, np.full(len(u), depth_mm), shown]).tolist()
    rows.append([0.0, 0.0, 900.0, -np.inf, -np.inf])
    return {
        "DepthCameraIntrinsics": {
            "FocalLengthX": device.depth.fx_px, "FocalLengthY": device.depth.fy_px,
            "PrincipalPointX": device.depth.cx_px, "PrincipalPointY": device.depth.cy_px,
            "RadialDistortionSecondOrder": lens[0], "RadialDistortionFourthOrder": lens[1],
            "RadialDistortionSixthOrder": lens[4],
        },
        "DepthToColor": rows,
    }  # fmt: skip


def write_sdk(folder: Path) -> None:
    for name in ("depth", "color", "bodyindex"):
        (folder / name).mkdir(parents=True)
    (folder / "kinect-sdk.json").write_text(json.dumps(sdk_calibration()))
    depth = np.rint(plane_mm(DEPTH)).astype("<u2")[:, ::-1]
    index = np.where(on_the_right(), 2, 255).astype(np.uint8)[:, ::-1]
    image = np.ascontiguousarray(painted()[:, ::-1, ::-1])
    for number in (5, 6):
        (folder / f"depth/{number}.bin").write_bytes(depth.tobytes())
        (folder / f"bodyindex/{number}.bin").write_bytes(index.tobytes())
        cv2.imwrite(str(folder / f"color/{number}.jpg"), image)
    (folder / "ticks.txt").write_text("5,637000000000000000,637000000000100000\n6,637000000000333333,\n")


def write_libfreenect2(folder: Path) -> None:
    for name in ("depth", "color"):
        (folder / name).mkdir(parents=True)
    (folder / "libfreenect2.json").write_text(json.dumps({"ir": IR, "color": RGB}))
    lens = tuple(IR[key] for key in ("k1", "k2", "p1", "p2", "k3"))
    camera = LensCamera(
        width=512, height=424, fx_px=IR["fx"], fy_px=IR["fy"], cx_px=511 - IR["cx"], cy_px=IR["cy"],
        distortion=lens,
    )  # fmt: skip
    depth = plane_mm(camera).astype("<f4")
    depth[0, :3] = [np.nan, np.inf, -1.0]
    bgrx = np.zeros((1080, 1920, 4), np.uint8)
    bgrx[..., :3] = painted()[..., ::-1]
    (folder / "depth/7.bin").write_bytes(depth[:, ::-1].tobytes())
    (folder / "color/7.bin").write_bytes(bgrx[:, ::-1].tobytes())


@pytest.fixture(scope="session")
def iai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iai") / "capture"
    write_iai(folder)
    return folder


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdk") / "capture"
    write_sdk(folder)
    return folder


@pytest.fixture(scope="session")
def libfreenect2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libfreenect2") / "capture"
    write_libfreenect2(folder)
    return folder


@pytest.fixture
def device() -> Kinect2Calibration:
    """The upright device of `iai` and `sdk`."""
    return DEVICE


@pytest.fixture
def factory() -> tuple[dict[str, float], dict[str, float]]:
    """IrCameraParams and ColorCameraParams of `libfreenect2`."""
    return IR, RGB


@pytest.fixture
def plane() -> tuple[np.ndarray, float]:
    """Normal and distance in metres, in the upright depth camera's frame."""
    return NORMAL, PLANE_M


@pytest.fixture
def depth_mm() -> np.ndarray:
    """The plane (424 512) in the device's raw depth pixels, float64."""
    return plane_mm(DEPTH)


@pytest.fixture
def image() -> np.ndarray:
    """What `painted` paints."""
    return painted()


@pytest.fixture
def calibrate_by_iai() -> Callable[[Path, Kinect2Calibration], None]:
    return write_iai_calibration
