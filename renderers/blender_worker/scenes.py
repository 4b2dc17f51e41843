# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs share: Blender itself, the passes of the frame rendered last, meshes and cameras.

A camera is a row of float64: CAMERA_ROW and the row-major 4x4 world_from_blendercam (x right, y up,
z backward).
"""

from typing import Any

import numpy as np

CAMERA_ROW = (
    "resolution_x", "resolution_y", "pixel_aspect_x", "pixel_aspect_y",
    "lens", "sensor_width", "shift_x", "shift_y", "clip_start", "clip_end",
)  # fmt: skip


def start() -> tuple[Any, dict[str, np.ndarray[Any, Any]]]:
    """Import bpy, empty it, and return it with the passes of the frame rendered last (H W C, row 0 on top).

    The passes are read inside Cycles' own render call: without a window, Render Result has no pixels, and a
    file would cost as much time as the frame.
    """
    import bpy
    import cycles

    bpy.ops.wm.read_factory_settings(use_empty=True)
    passes: dict[str, np.ndarray[Any, Any]] = {}
    render = cycles.CyclesRender.render

    def render_and_read(engine: Any, depsgraph: Any) -> None:
        render(engine, depsgraph)
        result = engine.get_result()
        passes.clear()
        for layer_pass in result.layers[0].passes:
            pixels = np.zeros(result.resolution_x * result.resolution_y * layer_pass.channels, np.float32)
            layer_pass.rect.foreach_get(pixels)
            rows = pixels.reshape(result.resolution_y, result.resolution_x, layer_pass.channels)
            passes[layer_pass.name] = rows[::-1]  # Blender's row 0 is the bottom one

    cycles.CyclesRender.render = render_and_read
    return bpy, passes


def new_scene(bpy: Any, name: str, threads: int) -> Any:
    """A Cycles scene with a camera, on the CPU, without denoising; the BVH is kept between frames."""
    scene = bpy.data.scenes.new(name)
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_percentage = 100
    render.threads_mode, render.threads = "FIXED", threads
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    cycles.device, cycles.seed = "CPU", 0
    cycles.use_denoising = cycles.use_adaptive_sampling = cycles.use_auto_tile = False
    camera = bpy.data.cameras.new(name)
    camera.sensor_fit = "HORIZONTAL"  # AUTO measures lens and shift along the longer side
    scene.camera = bpy.data.objects.new(name, camera)
    scene.collection.objects.link(scene.camera)
    return scene


def one_sample(scene: Any) -> None:
    """One ray through each pixel centre, no light, no bounce: depth and normal of what it hits."""
    layer, cycles = scene.view_layers[0], scene.cycles
    layer.use_pass_combined, layer.use_pass_z, layer.use_pass_normal = False, True, True
    cycles.samples, cycles.max_bounces = 1, 0
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01


def bare_material(bpy: Any) -> Any:
    """A black surface: no node, so no closure.

    With one that reflects, Cycles bends normals at the rim until the mirrored ray leaves the surface, by up to
    17 degrees on a mesh of 1,280 faces; with one that emits, it sorts every face into a tree of lights, which
    takes ten times as long as the rest of a first frame. Without any, its normal is the interpolated one.
    """
    material = bpy.data.materials.new("bare")
    material.node_tree.nodes.clear()
    return material


def blackened(bpy: Any) -> Any:
    """The bare surface for nodes that write passes of their own.

    With such nodes and no surface, rays would pass through and the passes sum up; black paint stops them and,
    since it weighs nothing, leaves the normal alone.
    """
    material = bare_material(bpy)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    black = nodes.new("ShaderNodeBsdfDiffuse")
    black.inputs["Color"].default_value = (0.0, 0.0, 0.0, 1.0)
    links.new(black.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def write_pass(layer: Any, material: Any, name: str, *, kind: str, value: Any) -> None:
    """Have a layer write what a socket of a material's node gives, as a pass of kind COLOR or VALUE."""
    written = layer.aovs.add()
    written.name, written.type = name, kind
    output = material.node_tree.nodes.new("ShaderNodeOutputAOV")
    output.aov_name = name
    material.node_tree.links.new(value, output.inputs[kind.capitalize()])


def show(bpy: Any, scene: Any, mesh: Any, material: Any) -> Any:
    """Put an object with this mesh into a scene, in a material that only this object has."""
    shown = bpy.data.objects.new(scene.name, mesh)
    scene.collection.objects.link(shown)
    shown.material_slots[0].link = "OBJECT"
    shown.material_slots[0].material = material
    return shown


def fill(mesh: Any, vertices: np.ndarray[Any, Any], faces: np.ndarray[Any, Any]) -> None:
    """Replace a mesh's geometry; faces are smooth: their normals are interpolated from the vertices.

    The same mesh is filled again and again: Blender gives a removed one's memory back only in part.
    """
    mesh.clear_geometry()
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.update(calc_edges=True)


def place_camera(scene: Any, row: np.ndarray[Any, Any]) -> None:
    """Set the camera of one row; raises ValueError where Blender would clamp a value in silence."""
    from mathutils import Matrix

    values = dict(zip(CAMERA_ROW, row[: len(CAMERA_ROW)], strict=True))
    for name, value in values.items():
        owner = scene.render if hasattr(scene.render, name) else scene.camera.data
        setattr(owner, name, type(getattr(owner, name))(value))
        if not np.isclose(getattr(owner, name), value, rtol=1e-6, atol=1e-7):  # they are float32
            raise ValueError(f"Blender makes {getattr(owner, name)} of {name} = {value}")
    # Nested lists would be read column by column; Matrix reads rows.
    scene.camera.matrix_world = Matrix(row[len(CAMERA_ROW) :].reshape(4, 4))


def render(bpy: Any, scene: Any) -> None:
    """Render one frame of one scene; its passes are then those of `start`."""
    bpy.ops.render.render(write_still=False, scene=scene.name)
