"""Shared ground: a capture of a sphere on a wall, whose every depth is known in closed form."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import pixel_rays

SPHERE_RADIUS_M = 0.3
WALL_Z_M = 1.6
SIZE_HW = (96, 128)
K = np.array([[110.0, 0, 63.2], [0, 110.0, 47.9], [0, 0, 1]])


@pytest.fixture
def data_root() -> Path:
    """Folder of the real captures, or a skip with the reason."""
    told = os.environ.get("BODYTRUTH_DATA_ROOT")
    if not told:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set: the real captures may not be shipped")
    return Path(told)


def sphere_depth(world_from_cam: np.ndarray) -> np.ndarray:
    """z along the optical axis (H W, metres) of a sphere around (0, 0, 1.2) in front of the wall z = 1.6."""
    rays = pixel_rays(K, *SIZE_HW) @ world_from_cam[:3, :3].T
    origin = world_from_cam[:3, 3] - np.array([0, 0, 1.2])
    a, b = np.sum(rays**2, -1), rays @ origin
    inside = b**2 - a * (origin @ origin - SPHERE_RADIUS_M**2)
    sphere = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    wall = (WALL_Z_M - world_from_cam[2, 3]) / rays[..., 2]
    return np.minimum(sphere, wall)


def arc_pose(share: float) -> np.ndarray:
    """world_from_cam on an arc of +-15 degrees around the sphere; share in [-1, 1]."""
    angle = np.radians(15) * share
    c, s = np.cos(angle), np.sin(angle)
    pose = np.eye(4)
    pose[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
    pose[:3, 3] = [1.2 * s, 0.02 * share, 1.2 - 1.2 * c]
    return pose


def make_capture(folder: Path, count: int = 3) -> Path:
    """Write a sphere capture in the layout that `make_manifest` describes."""
    folder.mkdir(parents=True)
    (folder / "K.json").write_text(json.dumps({"width": SIZE_HW[1], "height": SIZE_HW[0], "K": K.tolist()}))
    for frame, share in enumerate(np.linspace(-1, 1, count)):
        pose = arc_pose(float(share))
        depth_mm = np.round(1000 * sphere_depth(pose)).astype(np.uint16)
        cv2.imwrite(str(folder / f"{frame:03d}.depth.png"), depth_mm)
        cv2.imwrite(str(folder / f"{frame:03d}.color.png"), np.full((*SIZE_HW, 3), 40 + frame, np.uint8))
        np.savetxt(folder / f"{frame:03d}.pose.txt", pose)
    return folder


def make_manifest(folder: Path, captures: dict[str, str], stages: str = "") -> Path:
    """Write spheres.toml for captures {id: split} that lie in folder/raw; outputs go to folder/out."""
    tables = "".join(
        f'''
[[capture]]
id = "{capture}"
format = "rgbd-folder"
path = "{capture}"
split = "{split}"
[capture.files]
color = "{{frame}}.color.png"
depth = "{{frame}}.depth.png"
pose = "{{frame}}.pose.txt"
calibration = "K.json"
'''
        for capture, split in captures.items()
    )
    settings = {
        "stages.fuse": "voxel_m = 0.01\ntrunc_m = 0.04\nmin_weight = 1.0",
        "stages.layers": "window_px = 15",
        "stages.report": "frames_per_sheet = 2\nworst_frames = 1",
    }
    tables += "".join(f"[{name}]\n{text}\n" for name, text in settings.items() if f"[{name}]" not in stages)
    path = folder / "spheres.toml"
    head = '[dataset]\nname = "spheres"\nseed = 3\nimage_size_px = 64\ndata_root = "raw"\noutput = "out"\n'
    path.write_text(head + tables + stages)
    return path


@dataclass(frozen=True)
class Ended:
    """How one run of the command line ended."""

    code: int
    out: str
    err: str


def run_command(*words: object) -> Ended:
    """Run `bodytruth` as a user does: its own process, nothing but its arguments to say where things lie."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}
    done = subprocess.run(
        [sys.executable, "-m", "tasks", *map(str, words)], capture_output=True, text=True, env=environment
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Forge:
    """What tests of the whole build make and run."""

    capture: Callable[..., Path] = staticmethod(make_capture)
    manifest: Callable[..., Path] = staticmethod(make_manifest)
    run: Callable[..., Ended] = staticmethod(run_command)


@pytest.fixture(scope="session")
def forge() -> Forge:
    return Forge()
