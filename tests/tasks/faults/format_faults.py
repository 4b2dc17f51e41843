"""Sound captures of other formats, each of a few frames of a wall, and faults that are planted into them."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from fault import FEW, FRAME, Fault, Format, garbled, truncated, without
from kinect2_faults import KINECT2, of_capture, of_file
from kinect2_scene import COUNT, write_sound_capture

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, 31.25], [0, 60.0, 23.5], [0, 0, 1]])
START_S, PERIOD_S = 1000.0, 1 / 30
READERS = Path(__file__).parents[2] / "pipeline" / "captures"


def writer_of(test: str) -> ModuleType:
    """A test of a reader, for the writer that it holds."""
    name = f"writer_in_{test}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, READERS / f"{test}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def wall(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy depth in mm (H W) of a slanted wall, and grey RGB (H W 3)."""
    rng = np.random.default_rng(frame)
    depth_mm = 1500 + 8 * np.arange(WIDTH) + rng.normal(0, 2, (HEIGHT, WIDTH))
    return np.rint(depth_mm).astype(np.uint16), rng.integers(90, 150, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def write_calibration(folder: Path) -> None:
    write_json(folder / "K.json", {"width": WIDTH, "height": HEIGHT, "K": K.tolist()})


def write_buffers(folder: Path) -> None:
    """A `kinect2` capture whose depth lies in frame buffers without a head."""
    write_sound_capture(folder, FEW)
    for path in sorted((folder / "depth").iterdir()):
        raw_mm = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        path.with_suffix(".bin").write_bytes(raw_mm.astype("<u2").tobytes())
        path.unlink()


def swap_bytes(folder: Path, frame: int) -> None:
    path = folder / f"depth/{frame:06d}.bin"
    path.write_bytes(np.frombuffer(path.read_bytes(), "<u2").byteswap().tobytes())


def write_rgbd(folder: Path) -> None:
    folder.mkdir()
    write_calibration(folder)
    for frame in range(FEW):
        depth_mm, rgb = wall(frame)
        cv2.imwrite(str(folder / f"{frame:03d}.depth.png"), depth_mm)
        cv2.imwrite(str(folder / f"{frame:03d}.color.png"), rgb)
        np.savetxt(folder / f"{frame:03d}.pose.txt", np.eye(4))


def write_tum(folder: Path) -> None:
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    write_calibration(folder)
    times = [f"{START_S + frame * PERIOD_S:.6f}" for frame in range(FEW)]
    for frame, time in enumerate(times):
        depth_mm, rgb = wall(frame)
        cv2.imwrite(str(folder / f"depth/{time}.png"), 5 * depth_mm)
        cv2.imwrite(str(folder / f"rgb/{time}.png"), rgb)
    for name in ("rgb", "depth"):
        (folder / f"{name}.txt").write_text("".join(f"{time} {name}/{time}.png\n" for time in times))
    (folder / "groundtruth.txt").write_text("".join(f"{time} 0 0 0 0 0 0 1\n" for time in times))


def lose_pose(folder: Path, frame: int) -> None:
    path = folder / "groundtruth.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[frame] = lines[frame].removesuffix("1") + "0"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_azure(folder: Path) -> None:
    azure = writer_of("test_azure_kinect")
    folder.mkdir()
    clusters = []
    for frame in range(FEW):
        image = azure.block(1, azure.gray(100 + 3 * frame))
        depth = azure.block(2, azure.wall(1500 + 10 * frame))
        clusters.append(azure.cluster(frame * azure.PERIOD_US, image, depth))
    tracks = (azure.COLOR_TRACK, azure.DEPTH_TRACK, azure.IR_TRACK)
    (folder / "a.mkv").write_bytes(azure.recording(clusters, tracks=tracks))


def garble_cameras(folder: Path, frame: int) -> None:
    """The cameras of the embedded calibration get other names, of the same length."""
    path = folder / "a.mkv"
    path.write_bytes(path.read_bytes().replace(b"CALIBRATION_CameraLocation", b"CALIBRATION_CameraLocatiom"))


def write_rosbag(folder: Path) -> None:
    rosbag = writer_of("test_rosbag")
    folder.mkdir()
    ros = rosbag.Ros(True)
    messages = [rosbag.made(rosbag.INFO, ros.info(K, size_wh=(WIDTH, HEIGHT)))]
    for frame in range(FEW):
        depth_mm, rgb = wall(frame)
        stamp_ns = rosbag.START_NS + frame * rosbag.TICK_NS
        messages.append(rosbag.made(rosbag.DEPTH, ros.image(depth_mm, "16UC1", stamp_ns), stamp_ns))
        messages.append(rosbag.made(rosbag.COLOR, ros.image(rgb, "rgb8", stamp_ns), stamp_ns + 1_000_000))
    rosbag.write_bag(folder, "ros1", messages)


def garble_size(folder: Path, frame: int) -> None:
    """The height that the first depth image claims: an image with one row more than it has bytes."""
    path = folder / "bag.bag"
    size = HEIGHT.to_bytes(4, "little") + WIDTH.to_bytes(4, "little") + len("16UC1").to_bytes(4, "little")
    data = path.read_bytes()
    assert size in data
    path.write_bytes(data.replace(size, (HEIGHT + 1).to_bytes(4, "little") + size[4:], 1))


def write_pcd(folder: Path) -> None:
    pcd = writer_of("test_pcd")
    folder.mkdir()
    for frame in range(FEW):
        depth_mm, _ = wall(frame)
        v, u = np.mgrid[:HEIGHT, :WIDTH]
        z = depth_mm / 1000
        points = {"x": (u - K[0, 2]) / K[0, 0] * z, "y": (v - K[1, 2]) / K[1, 1] * z, "z": z}
        columns = {name: ("F4", values.ravel().astype("<f4")) for name, values in points.items()}
        (folder / f"{frame}.pcd").write_bytes(pcd.pcd_bytes(columns, "binary", size_wh=(WIDTH, HEIGHT)))


def one_row(folder: Path, frame: int) -> None:
    """The head claims what PCL writes of a cloud that is no image."""
    path = folder / f"{frame}.pcd"
    size = f"WIDTH {WIDTH}\nHEIGHT {HEIGHT}\n".encode()
    data = path.read_bytes()
    assert size in data
    path.write_bytes(data.replace(size, f"WIDTH {WIDTH * HEIGHT}\nHEIGHT 1\n".encode()))


def write_coco(folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    images, people = [], []
    for frame in range(FEW):
        cv2.imwrite(str(folder / f"pictures/{frame}.png"), wall(frame)[1])
        images.append({"id": frame, "file_name": f"{frame}.png", "width": WIDTH, "height": HEIGHT})
        person = {"id": frame, "image_id": frame, "category_id": 1, "iscrowd": 0, "num_keypoints": 2}
        keypoints = [30, 20, 2, 32, 18, 1] + [0, 0, 0] * 15
        people.append({**person, "keypoints": keypoints, "bbox": [10.0, 5.0, 40.0, 40.0], "area": 1600.0})
    write_json(folder / "set.json", {"images": images, "annotations": people})


def shorten_keypoints(folder: Path, frame: int) -> None:
    path = folder / "set.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["annotations"][frame]["keypoints"][-1]
    write_json(path, content)


def gone(folder: Path, frame: int) -> None:
    shutil.rmtree(folder)


MOVING = 'role = "moving"\n'
GIVEN = f'{MOVING}foreground = "given"\n'
FORMATS = (
    Format("kinect2", f'format = "kinect2"\n{GIVEN}', write_sound_capture, KINECT2, count=COUNT, frame=6),
    Format(
        "kinect2, frame buffers without a head",
        f'format = "kinect2"\n{GIVEN}[capture.kinect2]\ndepth = "depth/{{frame}}.bin"\ndepth_coding = "uint16"\n',
        write_buffers,
        (
            of_file("wrong byte order", "both bytes of each depth have changed places", swap_bytes,
                    "depth-byte-order"),
            of_file("truncated depth", "a buffer ends in its middle", truncated("depth/{:06d}.bin"),
                    "unreadable-depth"),
        ),
    ),
    Format(
        "rgbd-folder",
        f'format = "rgbd-folder"\n{MOVING}[capture.files]\ncolor = "{{frame}}.color.png"\n'
        'depth = "{frame}.depth.png"\npose = "{frame}.pose.txt"\ncalibration = "K.json"\n',
        write_rgbd,
        (
            of_capture("missing folder", "the folder is gone", gone, "capture-missing"),
            of_capture("missing calibration", "the calibration is gone", without("K.json"), "calibration-missing"),
            of_capture("truncated calibration", "the calibration ends in its middle", truncated("K.json"),
                       "calibration-malformed"),
            of_file("missing colour", "a colour file is gone", without("{:03d}.color.png"), "color-missing"),
            of_file("truncated depth", "a depth file ends in its middle", truncated("{:03d}.depth.png"),
                    "unreadable-depth"),
            of_file("garbled pose", "half of a pose is noise", garbled("{:03d}.pose.txt"), "pose-malformed"),
        ),
    ),
    Format(
        "tum",
        f'format = "tum"\n{MOVING}[capture.tum]\ncalibration = "K.json"\n',
        write_tum,
        (
            of_capture("missing list", "depth.txt is gone", without("depth.txt"), "depth-missing"),
            of_capture("garbled list", "half of rgb.txt is noise", garbled("rgb.txt"), "list-malformed"),
            of_file("missing depth", "a depth file of the list is gone", without("depth/1000.066667.png"),
                    "depth-missing"),
            of_file("lost pose", "the quaternion of a pose is 0", lose_pose, "pose-not-rigid"),
        ),
    ),
    Format(
        "azure-kinect",
        f'format = "azure-kinect"\n{MOVING}',
        write_azure,
        (
            of_capture("missing recording", "the file is gone", without("a.mkv"), "capture-missing"),
            of_capture("garbled calibration", "the calibration inside names no camera", garble_cameras,
                       "calibration-malformed"),
            Fault("truncated recording", "the file ends in its middle, inside the third of five frames",
                  truncated("a.mkv"), "unreadable-depth", also=(("recording-malformed", 1),), lost=2, code=3),
        ),
        place="a.mkv",
    ),
    Format(
        "rosbag",
        f'format = "rosbag"\n{MOVING}[capture.topics]\ndepth = "/depth/image"\ndepth_info = "/depth/info"\n'
        'color = "/color/image"\n',
        write_rosbag,
        (
            of_capture("missing bag", "the file is gone", without("bag.bag"), "capture-missing"),
            of_capture("truncated bag", "the file ends in its middle", truncated("bag.bag"), "bag-malformed"),
            Fault("garbled size", "the first depth image claims a row more than it has", garble_size,
                  "depth-size", shift=-FRAME, code=3),
        ),
        place="bag.bag",
    ),
    Format(
        "pcd",
        f'format = "pcd"\n{MOVING}',
        write_pcd,
        (
            of_file("truncated cloud", "a cloud ends in its middle", truncated("{}.pcd"), "unreadable-depth"),
            of_file("garbled cloud", "the points of a cloud's lower half are noise", garbled("{}.pcd"),
                    "cloud-not-pinhole"),
            of_file("unorganised cloud", "a cloud claims one row", one_row, "cloud-not-organised"),
        ),
    ),
    Format(
        "keypoints",
        'format = "keypoints"\nrole = "image"\n[capture.annotations]\nkind = "coco"\nfile = "set.json"\n'
        'images = "pictures"\n',
        write_coco,
        (
            of_capture("missing annotations", "the file is gone", without("set.json"), "annotation-missing"),
            of_capture("truncated annotations", "the file ends in its middle", truncated("set.json"),
                       "annotation-malformed"),
            of_file("key points missing", "a person has one number too few", shorten_keypoints, "annotation-malformed"),
            of_file("missing picture", "a picture is gone", without("pictures/{}.png"), "color-missing"),
            of_file("truncated picture", "a picture ends in its middle", truncated("pictures/{}.png"),
                    "unreadable-color"),
        ),
        stage="annotated",
    ),
)  # fmt: skip
