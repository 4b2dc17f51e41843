"""A mesh and its cameras as the files that the Blender worker reads, and its answers as arrays.

Importable without bpy, which lives in `renderers.blender_worker` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.visibility import lean_to_camera
from renderers.views import RenderedView, View

MISS_FRACTION = 0.99  # of the far clip plane; where nothing is hit, Cycles writes 1e10 m
SENSOR_MM = 36.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A mesh, its cameras and its folder inside the job's."""

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    views: Sequence[View]
    height: int
    width: int
    clip_m: NDArray[np.float64]  # (N 2) near and far

    @property
    def centre_m(self) -> NDArray[np.float64]:
        """The middle of the mesh, around which the worker sees everything, for float32."""
        return np.asarray((self.vertices.min(axis=0) + self.vertices.max(axis=0)) / 2)

    @property
    def whole(self) -> NDArray[np.int64]:
        """Rows of the faces that do not repeat a vertex; the worker gets these alone."""
        a, b, c = self.faces.T
        return np.flatnonzero((a != b) & (b != c) & (c != a))


def scene_of(
    name: str,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    views: Sequence[View],
    *,
    height: int,
    width: int,
) -> Scene:
    """Put a mesh and its cameras together, each with near and far planes that hold the mesh."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    corners = np.stack(np.meshgrid(*np.stack([low, high], axis=1)), axis=-1).reshape(8, 3)
    clip_m = np.zeros((len(views), 2))
    for row, view in zip(clip_m, views, strict=True):
        z_m = transform(invert_rigid(view.world_from_cam), corners)[:, 2]
        # All of the mesh lies before 0.91 of the far plane, so that no hit is taken for a miss.
        far_m = 1.1 * z_m.max() if z_m.max() > 0 else 1.0
        row[:] = max(0.5 * z_m.min(), 1e-4 * far_m), far_m
    return Scene(
        name=name, vertices=vertices, faces=faces, views=views, height=height, width=width, clip_m=clip_m
    )


def write_scene(scene: Scene, folder: Path) -> None:
    """Write the mesh and the cameras as the worker's `geometry` describes them."""
    path = folder / scene.name
    path.mkdir()
    centre_m = scene.centre_m
    np.save(path / "vertices.npy", (scene.vertices - centre_m).astype(np.float32))
    np.save(path / "faces.npy", scene.faces[scene.whole].astype(np.int32))
    cameras = np.zeros((len(scene.views), 26))
    for row, view, clip_m in zip(cameras, scene.views, scene.clip_m, strict=True):
        world_from_blendercam = view.world_from_cam @ np.diag([1.0, -1.0, -1.0, 1.0])
        world_from_blendercam[:3, 3] -= centre_m
        row[:10] = *lens(view.K, scene.height, scene.width), *clip_m
        row[10:] = world_from_blendercam.ravel()
    np.save(path / "cameras.npy", cameras)


def lens(K: NDArray[np.float64], height: int, width: int) -> tuple[float, ...]:
    """Blender's camera for K: width, height, pixel aspects, lens, sensor, shifts.

    Blender has one focal length, in millimetres of a sensor as wide as the image, and stretches the pixels
    for the other; its shifts are fractions of the image's width, to the right and up.
    """
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    aspect_x, aspect_y = max(1.0, fy / fx), max(1.0, fx / fy)  # Blender takes no aspect below 1
    shift_x = ((width - 1) / 2 - cx) / width
    shift_y = (cy - (height - 1) / 2) / width * (aspect_y / aspect_x)
    return width, height, aspect_x, aspect_y, fx * SENSOR_MM / width, SENSOR_MM, shift_x, shift_y


def take(folder: Path, name: str, index: int) -> NDArray[np.float32]:
    """Take one answer off the disk."""
    path = folder / name / f"{index}.npy"
    raw: NDArray[np.float32] = np.load(path, allow_pickle=False)
    path.unlink()
    return raw


def geometry_of(scene: Scene, index: int, raw: NDArray[np.float32]) -> RenderedView:
    """Read depth and world normal (H W 4): misses to 0, normals to the camera's frame.

    Args:
        index: which of the scene's views it is.
    """
    view, far_m = scene.views[index], scene.clip_m[index, 1]
    mask = raw[..., 0] < MISS_FRACTION * far_m
    normals_cam = raw[mask][:, 1:].astype(np.float64) @ view.world_from_cam[:3, :3]
    normals_cam /= np.linalg.norm(normals_cam, axis=1, keepdims=True)
    normal = np.zeros((scene.height, scene.width, 3), dtype=np.float32)
    normal[mask] = lean_to_camera(normals_cam, pixel_rays(view.K, scene.height, scene.width)[mask])
    depth_m = np.where(mask, raw[..., 0], np.float32(0))
    return RenderedView(frame=view.frame, depth_m=depth_m, normal=normal, mask=mask)
