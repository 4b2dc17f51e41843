"""Ingest of a Kinect v2's raw frames against bare decoding of the same files. A script prints a table.

Bare decoding is `cv2.imdecode` of a 512x424 depth PNG and a 1920x1080 colour JPEG at full size, one thread, same
process, and nothing else. Ingest is the loop of the stage, with the stage's own functions: the capture is opened,
files are checked and decoded, depth registered, colour undistorted, every frame goes through the gates of a
moving capture and is written through the lz4 filter. It reads ahead on two threads; what it would do on one core
is told by the time that all cores spent. Reading alone stands beside it. All go through the same frames in turns;
the median of the rounds counts.

Memory is what the process holds after 2,000 frames of ingest over what it held after 200. A file of all of them
would take 5 GB, so that every two hundred frames go into a new one.

The frames are synthetic, of the size of real ones: a JPEG of some 500 kB, a person in a room with noise, shadows
of no return at the outline and dark hair, and lone pixels that drop out.
"""

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipeline.captures.distortion import LensCamera
from pipeline.captures.kinect2 import Kinect2Folder, open_kinect2
from pipeline.captures.kinect2_calibration import Kinect2Calibration, calibration_text
from pipeline.captures.reading import read_in_order
from pipeline.screening import Screening
from pipeline.settings import IngestSettings
from pipeline.store import FrameWriter
from tasks.ingest import sample_of

Row = dict[str, Any]

DISTINCT, FRAMES = 6, 2000
ROUND = 200  # frames that are timed together, and written into one file
JPEG_QUALITY = 88
# Over 1,800 frames: a frame is 2.9 MB, and how many of them are on their way, up to 5, is chance.
MAX_GROWTH_MB = 16.0
DEPTH = LensCamera(
    width=512, height=424, fx_px=365.4, fy_px=365.4, cx_px=257.2, cy_px=206.1,
    distortion=(0.091, -0.270, 0.0004, -0.0003, 0.095),
)  # fmt: skip
COLOR = LensCamera(
    width=1920, height=1080, fx_px=1063.2, fy_px=1062.6, cx_px=955.4, cy_px=538.7,
    distortion=(0.025, -0.026, -0.0005, 0.0004, 0.0),
)  # fmt: skip


def rows(*, rounds: int = 4, frames: int = FRAMES) -> list[Row]:
    """All rows of the benchmark `ingest`."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_capture(place, frames)
        capture = open_kinect2(place)
        some = capture.frames[:ROUND]
        ways: dict[str, Callable[[], None]] = {
            "bare": lambda: _decode(place, some),
            "ingest": lambda: _ingest(place, some),
            "ahead": lambda: _consume(read_in_order(capture, some)),
            "read": lambda: _read(capture, some),
        }
        wall, cores = _rates(ways, len(some), rounds)
        growth_mb = _growth_mb(place, capture.frames)
    files = "512x424 PNG + 1920x1080 JPEG"
    return [
        _row(f"ingest, {files}", wall["ingest"], wall["bare"], 0.9),
        _row(f"ingest by the time of all cores, {files}", cores["ingest"], cores["bare"], None),
        _row(f"reading ahead alone, {files}", wall["ahead"], wall["bare"], None),
        _row(f"reading one by one alone, {files}", wall["read"], wall["bare"], None),
        {
            "name": f"growth of memory from frame {frames // 10} to {frames}",
            "value": growth_mb,
            "unit": "MB",
            "peer": None,
            "peer_value": None,
            "ratio": None,
            "target": f"<= {MAX_GROWTH_MB:g} MB",
            "holds": None if growth_mb is None else growth_mb <= MAX_GROWTH_MB,
        },
    ]


def _row(name: str, value: float, peer_value: float, least: float | None) -> Row:
    ratio = value / peer_value
    return {
        "name": name,
        "value": value,
        "unit": "frames/s",
        "peer": "bare decode: cv2.imdecode, full size, one thread",
        "peer_value": peer_value,
        "ratio": ratio,
        "target": None if least is None else f"ratio >= {least:g}",
        "holds": None if least is None else ratio >= least,
    }


def write_capture(place: Path, frames: int) -> None:
    """A capture in the `kinect2` layout; its frames are hard links to few files."""
    for name in ("depth", "color"):
        (place / name).mkdir(parents=True)
    color_from_depth = np.eye(4)
    color_from_depth[:3, :3] = Rotation.from_rotvec([0.003, -0.004, 0.002]).as_matrix()
    color_from_depth[:3, 3] = [-0.052, -0.0005, 0.001]
    device = Kinect2Calibration(
        device="synthetic", serial="1", depth=DEPTH, color=COLOR, color_from_depth=color_from_depth
    )
    (place / "calibration.json").write_text(calibration_text(device))
    lines = ["frame,depth_s,color_s"] + [f"{k},{k / 30:.6f},{k / 30 + 0.004:.6f}" for k in range(frames)]
    (place / "timestamps.csv").write_text("\n".join(lines) + "\n")
    texture = _texture(np.random.default_rng(0))
    for number in range(frames):
        files = [place / f"depth/{number:06d}.png", place / f"color/{number:06d}.jpg"]
        if number < DISTINCT:
            rng = np.random.default_rng(number)
            image = np.roll(texture, 40 * number, axis=1) + rng.normal(0, 1.5, texture.shape)
            _write(files[0], _depth_mm(rng), [cv2.IMWRITE_PNG_COMPRESSION, 3])
            _write(
                files[1], np.clip(image, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            )
        else:
            for path in files:
                os.link(path.with_stem(f"{number % DISTINCT:06d}"), path)


def _texture(rng: np.random.Generator) -> NDArray[np.float32]:
    """BGR (1080 1920 3) with detail at all sizes, as rooms have it."""
    image = np.full((COLOR.height, COLOR.width, 3), 128, np.float32)
    for cells, spread in ((8, 40), (32, 30), (128, 20), (512, 8)):
        grid = rng.normal(0, spread, (cells, 2 * cells, 3)).astype(np.float32)
        image += cv2.resize(grid, (COLOR.width, COLOR.height), interpolation=cv2.INTER_CUBIC)
    return image


def _depth_mm(rng: np.random.Generator) -> NDArray[np.uint16]:
    v, u = np.mgrid[: DEPTH.height, : DEPTH.width].astype(np.float64)
    far = 2600 + 300 * np.sin(u / 60) + 0.8 * u
    outline = ((u - 256) / 70) ** 2 + ((v - 230) / 170) ** 2
    near = 2000 + 100 * np.sin(u / 20) * np.cos(v / 25)
    depth = np.where(outline < 1, near, far) + rng.normal(0, 3, far.shape)
    shadow = (outline > 1) & (((u - 262) / 74) ** 2 + ((v - 230) / 171) ** 2 < 1)
    hair = ((u - 256) / 25) ** 2 + ((v - 75) / 15) ** 2 < 1
    lone = rng.uniform(size=far.shape) < 0.004
    corners = ((u - 256) / 330) ** 2 + ((v - 212) / 270) ** 2 > 1
    depth[shadow | hair | lone | corners] = 0
    return np.asarray(np.rint(depth), dtype=np.uint16)


def _write(path: Path, image: NDArray[Any], settings: list[int]) -> None:
    done, data = cv2.imencode(path.suffix, image, settings)
    if not done:
        raise ValueError(f"{path}: the image cannot be encoded")
    path.write_bytes(data.tobytes())


def _rates(
    ways: dict[str, Callable[[], None]], count: int, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Frames/s of each way, in turns, by the clock and by the time of all cores; the first round, which compiles,
    does not count."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            wall, cores = time.perf_counter(), time.process_time()
            way()
            found[name].append((time.perf_counter() - wall, time.process_time() - cores))
    seconds = {name: np.median(taken[1:], axis=0) for name, taken in found.items()}
    wall_rates = {name: float(count / both[0]) for name, both in seconds.items()}
    return wall_rates, {name: float(count / both[1]) for name, both in seconds.items()}


def _ingest(place: Path, numbers: list[int]) -> None:
    screening = Screening(
        open_kinect2(place), IngestSettings(), needs_poses=False, needs_masks=False, recorded=True
    )
    path = place / "frames.h5"
    path.unlink(missing_ok=True)
    with FrameWriter(path, {"capture": "c01"}) as writer:
        for screened in screening.frames(numbers):
            if screened.frame is None or screened.dropped:
                raise ValueError(
                    f"every frame must pass, frame {screened.number} does not: {screened.findings}"
                )
            writer.append(sample_of(screened.frame, masked=False))


def _read(capture: Kinect2Folder, numbers: list[int]) -> None:
    for number in numbers:
        capture.read(number)


def _consume(frames: Iterator[Any]) -> None:
    deque(frames, maxlen=0)


def _decode(place: Path, numbers: list[int]) -> None:
    for number in numbers:
        depth = np.frombuffer((place / f"depth/{number:06d}.png").read_bytes(), np.uint8)
        color = np.frombuffer((place / f"color/{number:06d}.jpg").read_bytes(), np.uint8)
        cv2.imdecode(depth, cv2.IMREAD_UNCHANGED)
        cv2.imdecode(color, cv2.IMREAD_COLOR)


def _growth_mb(place: Path, numbers: list[int]) -> float | None:
    """How much more memory the process holds after ingest of all frames than after the first tenth of them."""
    try:
        import psutil
    except ImportError:
        return None
    process = psutil.Process()
    tenth = len(numbers) // 10
    held: list[int] = []
    for part in (numbers[:tenth], numbers[tenth:]):
        for first in range(0, len(part), ROUND):
            _ingest(place, part[first : first + ROUND])
        held.append(process.memory_info().rss)
    return float(held[1] - held[0]) / 1e6


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':66} {'ours':>8} {'peer':>8} {'unit':9} {'ratio':>6}  target / holds"]
    for row in found:
        figures = ["-" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "peer_value", "ratio")]
        text = f"{figures[0]:>8} {figures[1]:>8} {row['unit']:9} {figures[2]:>6}"
        lines.append(f"{row['name']:66} {text}  {row['target']} / {row['holds']}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(rows()))  # noqa: T201
