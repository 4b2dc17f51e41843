# SPDX-License-Identifier: GPL-3.0-or-later
"""A garment that hangs, is held and is pushed, frame after frame.

The scene's folder holds `faces.npy` (F 3, int32), `held.npy` (V,) weights, `targets.npy` (T V 3, float32 m):
where held vertices are, and in its first frame the garment without strain; for each of the colliders k from 0
on `collider-k-faces.npy` and `collider-k.npy` (T C 3); and `settings.npy`, SETTINGS as float64. +Y is up. The
answer to INDEX, which must be asked for in order, is float32 (V 3): the garment in that frame.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from . import scenes

SETTINGS = (
    "fps", "quality", "collision_quality", "mass_kg", "tension", "shear", "bending", "damping", "air",
    "friction", "gap_m", "self_gap_m",
)  # fmt: skip


class Cloth:
    """A Blender scene with the garment of one folder and its colliders."""

    def __init__(self, bpy: Any, passes: dict[str, np.ndarray[Any, Any]], threads: int) -> None:
        self.bpy, self.loaded = bpy, Path()
        self.garment: Any = None
        self.scene = bpy.context.scene

    def answer(self, folder: Path, index: int) -> None:
        if folder != self.loaded:
            self.load(folder)
            self.loaded = folder
        self.scene.frame_set(index)
        shape = self.garment.evaluated_get(self.bpy.context.evaluated_depsgraph_get()).data
        vertices = np.zeros((len(shape.vertices), 3), dtype=np.float32)
        shape.vertices.foreach_get("co", vertices.ravel())
        np.save(folder / f"{index}.npy", vertices)

    def load(self, folder: Path) -> None:
        """Build the scene anew: what a simulation remembers belongs to its objects."""
        for old in list(self.bpy.data.objects):
            if old.name in self.scene.objects:
                self.bpy.data.objects.remove(old)
        settings = dict(zip(SETTINGS, np.load(folder / "settings.npy").tolist(), strict=True))
        count = 0
        while (folder / f"collider-{count}.npy").exists():
            shown = self.moving(folder, f"collider-{count}", np.load(folder / f"collider-{count}-faces.npy"))
            collide(shown, settings)
            count += 1
        self.garment = self.moving(folder, "targets", np.load(folder / "faces.npy"))
        frames = len(np.load(folder / "targets.npy", mmap_mode="r"))
        hold(self.garment, np.load(folder / "held.npy"), settings, frames)
        self.scene.frame_start, self.scene.frame_end = 0, frames
        self.scene.render.fps = round(settings["fps"])
        self.scene.gravity = (0.0, -9.81, 0.0)

    def moving(self, folder: Path, name: str, faces: np.ndarray[Any, Any]) -> Any:
        """An object that is at NAME.npy's row in each frame, by a file of point positions."""
        places = np.load(folder / f"{name}.npy")
        mesh = self.bpy.data.meshes.new(name)
        scenes.fill(mesh, places[0], faces)
        shown = self.bpy.data.objects.new(name, mesh)
        self.scene.collection.objects.link(shown)
        file = folder / f"{name}.pc2"
        header = struct.pack("<12siiffi", b"POINTCACHE2\0", 1, places.shape[1], 0.0, 1.0, len(places))
        file.write_bytes(header + places.astype("<f4").tobytes())
        cache = shown.modifiers.new("places", "MESH_CACHE")
        cache.cache_format, cache.filepath = "PC2", str(file)
        cache.frame_start, cache.interpolation = 0.0, "NONE"
        return shown


def collide(shown: Any, settings: dict[str, float]) -> None:
    """Make an object push cloth away, to the outside of its faces."""
    shown.modifiers.new("pushes", "COLLISION")
    shown.collision.thickness_outer = settings["gap_m"] / 2  # the other half is the garment's
    shown.collision.cloth_friction = settings["friction"]
    shown.collision.use_culling = True


def hold(shown: Any, held: np.ndarray[Any, Any], settings: dict[str, float], frames: int) -> None:
    """Make an object cloth; where `held` is 1 its vertices stay at their places."""
    group = shown.vertex_groups.new(name="held")
    for weight in np.unique(held[held > 0]):
        group.add(np.flatnonzero(held == weight).tolist(), float(weight), "REPLACE")
    modifier = shown.modifiers.new("cloth", "CLOTH")
    cloth, touch, cache = modifier.settings, modifier.collision_settings, modifier.point_cache
    cache.frame_start, cache.frame_end = 0, frames
    if (held > 0).any():
        cloth.vertex_group_mass = "held"
    cloth.quality = round(settings["quality"])
    cloth.mass = settings["mass_kg"]
    cloth.tension_stiffness = cloth.compression_stiffness = settings["tension"]
    cloth.shear_stiffness, cloth.bending_stiffness = settings["shear"], settings["bending"]
    cloth.tension_damping = cloth.compression_damping = cloth.shear_damping = settings["damping"]
    cloth.air_damping = settings["air"]
    touch.collision_quality = round(settings["collision_quality"])
    touch.distance_min = settings["gap_m"] / 2
    touch.use_self_collision = settings["self_gap_m"] > 0
    if touch.use_self_collision:
        touch.self_distance_min = settings["self_gap_m"]
