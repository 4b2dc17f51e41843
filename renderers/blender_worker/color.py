# SPDX-License-Identifier: GPL-3.0-or-later
"""Light on a painted mesh, and in a layer of one sample what each pixel sees of it.

The scene's folder holds the mesh and the cameras as for `geometry`, `colors.npy` (V 3) or (F 3 3), float32,
linear, and for each INDEX a file `look-INDEX.npz` whose arrays LOOK names. All directions and places are
relative to the mesh's own frame, +Y up. The answer is float32 (H W 11): radiance (RGB, premultiplied) and
coverage, both antialiased; then of the one sample planar z (1e10 where nothing is hit), the world normal,
the weights of the face's second and third corner, and the face's row.
"""

from pathlib import Path
from typing import Any

import numpy as np

from . import scenes

LOOK = {
    "lamps": "(L 9) 0 sun or 1 disc; direction to it (3); irradiance at the origin (3); size; distance",
    "sky": "(3 3) radiance straight down, at the horizon, straight up",
    "surface": "(2) roughness, specular level",
    "ground": "(0) or (10) height, half side, colours (3) and (3), kind of pattern, its size",
    "grain": "(2) samples of light per pixel, seed of the grain that so few leave",
}
GROUND_PATTERNS = ("plain", "noise", "checker", "planks")


class Color:
    """A lit scene and a scene of one sample around the same mesh."""

    def __init__(self, bpy: Any, passes: dict[str, np.ndarray[Any, Any]], threads: int) -> None:
        self.bpy, self.passes, self.loaded = bpy, passes, Path()
        self.cameras = np.zeros((0, 0))
        self.mesh = bpy.data.meshes.new("painted")
        self.mesh.materials.append(None)
        self.hits = scenes.new_scene(bpy, "hits", threads)
        scenes.one_sample(self.hits)
        scenes.show(bpy, self.hits, self.mesh, hit_material(bpy, self.hits.view_layers[0]))
        self.lit = scenes.new_scene(bpy, "lit", threads)
        configure_light(self.lit)
        self.paint, self.surface = painted_material(bpy)
        scenes.show(bpy, self.lit, self.mesh, self.paint)
        self.ramp = sky_of(bpy, self.lit)
        self.lamps: list[Any] = []
        self.ground = bpy.data.meshes.new("ground")
        self.ground.materials.append(bpy.data.materials.new("ground"))
        self.ground_object = bpy.data.objects.new("ground", self.ground)
        self.lit.collection.objects.link(self.ground_object)

    def answer(self, folder: Path, index: int) -> None:
        if folder != self.loaded:
            self.load(folder)
            self.loaded = folder
        look = np.load(folder / f"look-{index}.npz", allow_pickle=False)
        row = self.cameras[index]
        scenes.place_camera(self.hits, row)
        scenes.render(self.bpy, self.hits)
        seen = [
            self.passes["Depth"],
            self.passes["Normal"],
            self.passes["corners"][..., :2],
            self.passes["face"],
        ]
        self.light(look)
        far = row.copy()
        far[scenes.CAMERA_ROW.index("clip_end")] *= 1e3  # the ground goes on behind the mesh
        scenes.place_camera(self.lit, far)
        self.lit.cycles.samples, self.lit.cycles.seed = look["grain"].tolist()
        scenes.render(self.bpy, self.lit)
        np.save(folder / f"{index}.npy", np.concatenate([self.passes["Combined"], *seen], axis=2))

    def load(self, folder: Path) -> None:
        """Fill the mesh, its colours, and what the one sample reads: each face's row and its corners."""
        vertices, faces = np.load(folder / "vertices.npy"), np.load(folder / "faces.npy")
        self.cameras = np.load(folder / "cameras.npy")
        scenes.fill(self.mesh, vertices, faces)
        colors = np.load(folder / "colors.npy")
        attributes = self.mesh.attributes
        # The rows of faces are a face's and never interpolated: float32 holds them up to 2^24.
        rows = attributes.new("face", "FLOAT", "FACE")
        rows.data.foreach_set("value", np.arange(len(faces), dtype=np.float32))
        corners = np.tile(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32), (len(faces), 1))
        attributes.new("corners", "FLOAT_VECTOR", "CORNER").data.foreach_set("vector", corners.ravel())
        painted = attributes.new("paint", "FLOAT_COLOR", "POINT" if colors.ndim == 2 else "CORNER")
        rgba = np.ones((colors.size // 3, 4), dtype=np.float32)
        rgba[:, :3] = colors.reshape(-1, 3)
        painted.data.foreach_set("color", rgba.ravel())

    def light(self, look: Any) -> None:
        """Place the lamps, colour the sky, lay the ground and set the mesh's surface."""
        for lamp in self.lamps:
            self.bpy.data.lights.remove(lamp)  # takes its object along
        self.lamps = [add_lamp(self.bpy, self.lit, row) for row in look["lamps"]]
        for element, radiance in zip(self.ramp.elements, look["sky"], strict=True):
            element.color = (*radiance, 1.0)
        roughness, specular = look["surface"]
        self.surface.inputs["Roughness"].default_value = roughness
        self.surface.inputs["Specular IOR Level"].default_value = specular
        self.ground_object.hide_render = len(look["ground"]) == 0
        if len(look["ground"]):
            lay_ground(self.ground, look["ground"])


def configure_light(scene: Any) -> None:
    """Few bounces of light, behind which the picture is transparent."""
    layer, cycles = scene.view_layers[0], scene.cycles
    layer.use_pass_combined = True
    # With data kept from frame to frame, new settings such as the seed are at times overlooked.
    scene.render.use_persistent_data = False
    scene.render.film_transparent = True
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 2, 2, 1
    cycles.use_light_tree = False  # a tree of three lamps costs more than it saves
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5


def hit_material(bpy: Any, layer: Any) -> Any:
    """The bare surface, which also writes the passes `corners` and `face`."""
    material = scenes.blackened(bpy)
    for name, kind, given in (("corners", "COLOR", "Vector"), ("face", "VALUE", "Fac")):
        attribute = material.node_tree.nodes.new("ShaderNodeAttribute")
        attribute.attribute_name = name
        scenes.write_pass(layer, material, name, kind=kind, value=attribute.outputs[given])
    return material


def painted_material(bpy: Any) -> tuple[Any, Any]:
    """A surface in the mesh's own colours, and its node."""
    material = bpy.data.materials.new("painted")
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    attribute, surface = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeBsdfPrincipled")
    attribute.attribute_name = "paint"
    links.new(attribute.outputs["Color"], surface.inputs["Base Color"])
    links.new(surface.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material, surface


def sky_of(bpy: Any, scene: Any) -> Any:
    """Give a scene a sky whose radiance depends on the height alone; returns the ramp that holds it."""
    world = scene.world = bpy.data.worlds.new("sky")
    # It is smooth: rays that leave a surface find it, and no map of its bright places need be built.
    world.cycles.sampling_method = "NONE"
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    place, split = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
    height, ramp = nodes.new("ShaderNodeMapRange"), nodes.new("ShaderNodeValToRGB")
    sky, output = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeOutputWorld")
    height.inputs["From Min"].default_value = -1.0
    ramp.color_ramp.elements.new(0.5)
    links.new(place.outputs["Generated"], split.inputs["Vector"])
    links.new(split.outputs["Y"], height.inputs["Value"])
    links.new(height.outputs["Result"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], sky.inputs["Color"])
    links.new(sky.outputs["Background"], output.inputs["Surface"])
    return ramp.color_ramp


def add_lamp(bpy: Any, scene: Any, row: np.ndarray[Any, Any]) -> Any:
    """A sun, its size in radians, or a disc that faces the origin, its size and distance in metres."""
    from mathutils import Vector

    kind, direction, irradiance, size, distance = row[0], row[1:4], row[4:7], row[7], row[8]
    lamp = bpy.data.lights.new("lamp", "AREA" if kind else "SUN")
    strength = irradiance.max()
    lamp.color = irradiance / strength
    if kind:
        lamp.shape, lamp.size = "DISK", size
        # A disc of radius r sends pi L r^2 / (r^2 + d^2) to where it faces, and has the power L pi r^2 pi.
        lamp.energy = np.pi * strength * (distance**2 + size**2 / 4)
    else:
        lamp.energy, lamp.angle = strength, size
    shown = bpy.data.objects.new("lamp", lamp)
    shown.location = direction * distance
    shown.visible_camera = False  # it may hang between the camera and the subject, or behind it
    shown.rotation_mode = "QUATERNION"
    shown.rotation_quaternion = Vector(direction).to_track_quat("Z", "Y")  # lamps shine along -z
    scene.collection.objects.link(shown)
    return lamp


def lay_ground(mesh: Any, row: np.ndarray[Any, Any]) -> None:
    """A square below the mesh in two colours."""
    height, half = row[:2]
    corners = np.array([[-1, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1]]) * half + [0, height, 0]
    scenes.fill(mesh, corners.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32))
    nodes, links = mesh.materials[0].node_tree.nodes, mesh.materials[0].node_tree.links
    nodes.clear()
    place, mix = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    first, second = (socket for socket in mix.inputs if socket.type == "RGBA")
    first.default_value, second.default_value = (*row[2:5], 1.0), (*row[5:8], 1.0)
    mix.inputs["Factor"].default_value = 0.0
    pattern = GROUND_PATTERNS[int(row[8])]
    if pattern != "plain":
        names = {
            "noise": "ShaderNodeTexNoise",
            "checker": "ShaderNodeTexChecker",
            "planks": "ShaderNodeTexWave",
        }
        texture = nodes.new(names[pattern])
        texture.inputs["Scale"].default_value = 1.0 / row[9]
        if pattern == "planks":
            texture.inputs["Distortion"].default_value = 4.0
        links.new(place.outputs["Object"], texture.inputs["Vector"])
        links.new(texture.outputs["Fac"], mix.inputs["Factor"])
    surface = nodes.new("ShaderNodeBsdfDiffuse")
    links.new(next(s for s in mix.outputs if s.type == "RGBA"), surface.inputs["Color"])
    links.new(surface.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
