# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth and normals of a still mesh from several cameras, as far as it is seen from the front.

The scene's folder holds `vertices.npy` (V 3, float32 m), `faces.npy` (F 3, int32) and `cameras.npy`, a row of
`scenes` for each INDEX. The answer is float32 (H W 4): planar z in metres, 1e10 where nothing is hit or a face
from behind, then the world normal.
"""

from pathlib import Path
from typing import Any

import numpy as np

from . import scenes

MISS_M = np.float32(1e10)  # Cycles' own


class Geometry:
    """A Blender scene with one mesh and one camera."""

    def __init__(self, bpy: Any, passes: dict[str, np.ndarray[Any, Any]], threads: int) -> None:
        self.bpy, self.passes, self.loaded = bpy, passes, Path()
        self.cameras = np.zeros((0, 0))
        self.mesh = bpy.data.meshes.new("geometry")
        self.mesh.materials.append(None)
        self.scene = scenes.new_scene(bpy, "geometry", threads)
        scenes.one_sample(self.scene)
        scenes.show(bpy, self.scene, self.mesh, one_sided_material(bpy, self.scene.view_layers[0]))

    def answer(self, folder: Path, index: int) -> None:
        if folder != self.loaded:
            scenes.fill(self.mesh, np.load(folder / "vertices.npy"), np.load(folder / "faces.npy"))
            self.cameras = np.load(folder / "cameras.npy")
            self.loaded = folder
        scenes.place_camera(self.scene, self.cameras[index])
        scenes.render(self.bpy, self.scene)
        depth_m = np.where(self.passes["behind"] > 0.5, MISS_M, self.passes["Depth"])
        np.save(folder / f"{index}.npy", np.concatenate([depth_m, self.passes["Normal"]], axis=2))


def one_sided_material(bpy: Any, layer: Any) -> Any:
    """The bare surface, which also writes the pass `behind`: 1 where a face is seen from its back."""
    material = scenes.blackened(bpy)
    geometry = material.node_tree.nodes.new("ShaderNodeNewGeometry")
    scenes.write_pass(layer, material, "behind", kind="VALUE", value=geometry.outputs["Backfacing"])
    return material
