"""What was really there in a simulated capture: the folder `truth/` beside its raw files.

    truth.json          schema, units, and per frame its number, its mesh and its depth; written last of all
    surface.npz         faces (F 3) int32, outward; vertex_rgb (V 3) uint8
    mesh/%06d.npz       vertices_m (V 3) float32, world; one for all the frames that show it unchanged
    depth/%06d.npz      depth_m (H W) float32, noise-free z at the raw depth pixels; 0 where nothing is hit
    cameras.npz         frame (N) int64; world_from_depth and world_from_color (N 4 4) float64, each at the
                        moment of its own exposure (world_from_color also where the image was dropped)
    body.npz            frame (N) int64; pose_rad (N 24 3), betas (N B), transl_m (N 3) float64

The mesh and the cameras give the true depth of any other camera, such as the registered one, by casting rays.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Float64 = NDArray[np.float64]

SCHEMA = 1
UNITS = {"vertices_m": "m", "depth_m": "m", "world_from_depth": "m", "pose_rad": "rad", "transl_m": "m"}
INDEX_FILE, SURFACE_FILE = "truth.json", "surface.npz"
CAMERAS_FILE, BODY_FILE = "cameras.npz", "body.npz"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """The truth of one capture; meshes and depth are read when asked for.

    Attributes:
        frames: (N) numbers, ascending; the leading axis of the arrays below.
        files: frame to the names of its mesh and its depth.
        faces: (F 3) int32, outward.
        vertex_rgb: (V 3) uint8.
        world_from_depth, world_from_color: (N 4 4) rigid, metres, at each camera's own exposure.
        pose_rad, betas, transl_m: (N 24 3), (N B), (N 3) of the body.
    """

    root: Path
    frames: list[int]
    files: dict[int, tuple[str, str]]
    faces: NDArray[np.int32]
    vertex_rgb: NDArray[np.uint8]
    world_from_depth: Float64
    world_from_color: Float64
    pose_rad: Float64
    betas: Float64
    transl_m: Float64

    def vertices_m(self, frame: int) -> NDArray[np.float32]:
        """Vertices (V 3) of the person in one frame, world.

        Raises:
            KeyError: if the frame is not in the truth.
            InputError: truth-missing or truth-malformed.
        """
        path = self.root / self.files[frame][0]
        vertices = np.asarray(_arrays(path, vertices_m=2)["vertices_m"], dtype=np.float32)
        if vertices.shape != self.vertex_rgb.shape:
            raise _malformed(path, f"vertices_m is {vertices.shape}, vertex_rgb {self.vertex_rgb.shape}")
        return vertices

    def depth_m(self, frame: int) -> NDArray[np.float32]:
        """Noise-free z (H W) at the raw depth pixels in one frame; raises as `vertices_m`."""
        return np.asarray(_arrays(self.root / self.files[frame][1], depth_m=2)["depth_m"], dtype=np.float32)


def read_truth(root: Path) -> Truth:
    """Open the folder `truth/` of a simulated capture.

    Raises:
        InputError: truth-missing or truth-malformed.
    """
    files = _read_index(root / INDEX_FILE)
    frames = sorted(files)
    surface = _arrays(root / SURFACE_FILE, faces=2, vertex_rgb=2)
    cameras = _arrays(root / CAMERAS_FILE, frame=1, world_from_depth=3, world_from_color=3)
    body = _arrays(root / BODY_FILE, frame=1, pose_rad=3, betas=2, transl_m=2)
    for name, table in ((CAMERAS_FILE, cameras), (BODY_FILE, body)):
        for key, array in table.items():
            if len(array) != len(frames):
                raise _malformed(root / name, f"{key} has {len(array)} rows for {len(frames)} frames")
        if table["frame"].tolist() != frames:
            raise _malformed(root / name, f"its frames are not those of {INDEX_FILE}")
    return Truth(
        root=root,
        frames=frames,
        files=files,
        faces=surface["faces"],
        vertex_rgb=surface["vertex_rgb"],
        world_from_depth=cameras["world_from_depth"],
        world_from_color=cameras["world_from_color"],
        pose_rad=body["pose_rad"],
        betas=body["betas"],
        transl_m=body["transl_m"],
    )


def _read_index(path: Path) -> dict[int, tuple[str, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMA}")
        return {int(row["frame"]): (str(row["mesh"]), str(row["depth"])) for row in content["frames"]}
    except FileNotFoundError:
        raise _missing(path) from None
    except KeyError as error:
        raise _malformed(path, f"the key {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise _malformed(path, str(error)) from None


def _arrays(path: Path, **dimensions: int) -> dict[str, NDArray[Any]]:
    """The named arrays of an npz, each with its number of dimensions; no pickle is ever read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in dimensions}
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _malformed(path, str(error)) from None
    for name, count in dimensions.items():
        if arrays[name].ndim != count:
            raise _malformed(path, f"{name} has {arrays[name].ndim} dimensions, not {count}")
    return arrays


def _missing(path: Path) -> InputError:
    return InputError(
        "truth-missing", f"{path}: the truth must be whole, but this file is missing. Simulate it again."
    )


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "truth-malformed", f"{path}: the truth must be as written, but {finding}. Simulate it again."
    )
