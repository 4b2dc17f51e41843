# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders depth and normals in Blender; runs only as a process of its own.

`python -m renderers.blender_worker JOB_FOLDER PARENT_PID THREADS`

This one file is GPL-3.0-or-later because it imports bpy, which is. Nothing imports it, and it imports nothing
of the project: the border to the Apache-2.0 rest is a process, a folder of .npy files and lines of text.

Requests come on stdin, a line `SCENE VIEW` each, answered on stdout by the same line once
`JOB_FOLDER/SCENE/VIEW.npy` is written; end of file on stdin ends the process. A scene is a folder with
`vertices.npy` (V 3, float32 m), `faces.npy` (F 3, int32) and `cameras.npy` (N 10 + 16, float64), a row of
which is CAMERA_ROW and the row-major 4x4 world_from_blendercam (x right, y up, z backward). The answer is
float32 (H W 4), row 0 at the top: planar z in metres, 1e10 where nothing is hit, then the world normal.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

CAMERA_ROW = (
    "resolution_x", "resolution_y", "pixel_aspect_x", "pixel_aspect_y",
    "lens", "sensor_width", "shift_x", "shift_y", "clip_start", "clip_end",
)  # fmt: skip
PR_SET_PDEATHSIG = 1
EXIT_NO_BLENDER = 3


def main(job_folder: Path, parent_pid: int, threads: int) -> int:
    """Answer requests until stdin ends; returns the exit code."""
    die_with(parent_pid)
    requests, answers = claim_pipes()
    try:
        renderer = Renderer(job_folder, threads)
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO_BLENDER
    for line in requests:
        scene, view = line.decode().split()
        renderer.render(scene, int(view))
        answers.write(line)
        answers.flush()
    return 0


def die_with(parent_pid: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of stdin does, a frame later."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(1)


def claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for the protocol and send whatever Blender prints to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


class Renderer:
    """A Blender scene with one mesh and one camera, and the passes of the frame rendered last."""

    def __init__(self, job_folder: Path, threads: int) -> None:
        import bpy
        from mathutils import Matrix

        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.bpy, self.matrix, self.job_folder, self.scene_name = bpy, Matrix, job_folder, ""
        self.cameras = np.zeros((0, 0))
        self.passes: dict[str, np.ndarray[Any, Any]] = {}
        self.scene = bpy.context.scene
        self.camera = bpy.data.cameras.new("camera")
        self.camera.sensor_fit = "HORIZONTAL"  # AUTO measures lens and shift along the longer side
        self.camera_object = bpy.data.objects.new("camera", self.camera)
        self.scene.collection.objects.link(self.camera_object)
        self.scene.camera = self.camera_object
        self.material = bare_material(bpy)
        configure(self.scene, threads)
        self.keep_passes()

    def keep_passes(self) -> None:
        """Read the float passes inside Cycles' own render call.

        Without a window, Render Result has no pixels, and a file would cost as much time as the frame.
        """
        import cycles

        render = cycles.CyclesRender.render

        def render_and_read(engine: Any, depsgraph: Any) -> None:
            render(engine, depsgraph)
            result = engine.get_result()
            for layer_pass in result.layers[0].passes:
                pixels = np.zeros(result.resolution_x * result.resolution_y * layer_pass.channels, np.float32)
                layer_pass.rect.foreach_get(pixels)
                rows = pixels.reshape(result.resolution_y, result.resolution_x, layer_pass.channels)
                self.passes[layer_pass.name] = rows[::-1]  # Blender's row 0 is the bottom one

        cycles.CyclesRender.render = render_and_read

    def render(self, scene_name: str, view: int) -> None:
        """Write JOB_FOLDER/SCENE/VIEW.npy."""
        folder = self.job_folder / scene_name
        if scene_name != self.scene_name:
            self.load(folder)
            self.scene_name = scene_name
        self.place_camera(self.cameras[view])
        self.passes.clear()
        self.bpy.ops.render.render(write_still=False)
        np.save(folder / f"{view}.npy", np.concatenate([self.passes["Depth"], self.passes["Normal"]], axis=2))

    def load(self, folder: Path) -> None:
        """Replace the mesh; new faces are smooth: their normals are interpolated from the vertices."""
        vertices, faces = np.load(folder / "vertices.npy"), np.load(folder / "faces.npy")
        self.cameras = np.load(folder / "cameras.npy")
        for old in list(self.bpy.data.meshes):
            self.bpy.data.meshes.remove(old)  # takes its object along
        mesh = self.bpy.data.meshes.new("mesh")
        mesh.vertices.add(len(vertices))
        mesh.vertices.foreach_set("co", vertices.ravel())
        mesh.loops.add(faces.size)
        mesh.loops.foreach_set("vertex_index", faces.ravel())
        mesh.polygons.add(len(faces))
        mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
        mesh.update(calc_edges=True)
        mesh.materials.append(self.material)
        self.scene.collection.objects.link(self.bpy.data.objects.new("mesh", mesh))

    def place_camera(self, row: np.ndarray[Any, Any]) -> None:
        """Set the camera of one row; raises ValueError where Blender would clamp a value in silence."""
        values = dict(zip(CAMERA_ROW, row[: len(CAMERA_ROW)], strict=True))
        for name, value in values.items():
            owner = self.scene.render if hasattr(self.scene.render, name) else self.camera
            setattr(owner, name, type(getattr(owner, name))(value))
            if not np.isclose(getattr(owner, name), value, rtol=1e-6, atol=1e-7):  # they are float32
                raise ValueError(f"Blender makes {getattr(owner, name)} of {name} = {value}")
        # Nested lists would be read column by column; Matrix reads rows.
        self.camera_object.matrix_world = self.matrix(row[len(CAMERA_ROW) :].reshape(4, 4))


def bare_material(bpy: Any) -> Any:
    """A black surface: no node, so no closure.

    With one that reflects, Cycles bends normals at the rim until the mirrored ray leaves the surface, by up to
    17 degrees on a mesh of 1,280 faces; with one that emits, it sorts every face into a tree of lights, which
    takes ten times as long as the rest of a first frame. Without any, its normal is the interpolated one.
    """
    material = bpy.data.materials.new("bare")
    material.node_tree.nodes.clear()
    return material


def configure(scene: Any, threads: int) -> None:
    """One ray through each pixel centre, no light, no bounce, no denoising; the BVH is kept."""
    render, layer = scene.render, scene.view_layers[0]
    render.engine = "CYCLES"
    render.resolution_percentage = 100
    render.threads_mode, render.threads = "FIXED", threads
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    layer.use_pass_combined, layer.use_pass_z, layer.use_pass_normal = False, True, True
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.max_bounces, cycles.seed = "CPU", 1, 0, 0
    cycles.use_denoising = cycles.use_adaptive_sampling = cycles.use_auto_tile = False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
