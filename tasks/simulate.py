"""A simulated capture: raw files as a camera writes them, and the true surface beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.cameras import invert_rigid
from pipeline.meshes import write_ply
from pipeline.seeds import stream
from pipeline.simulation.figure import draw_person
from pipeline.simulation.orbit import HEIGHT_PX, K_DEPTH, WIDTH_PX, orbit_cameras
from pipeline.simulation.person import person_mesh
from pipeline.simulation.record import record_frame
from pipeline.simulation.shading import draw_scene
from pipeline.simulation.writer import SimulatedFrame, write_rgbd_capture
from pipeline.visibility import normals_from_visibility, vertex_normals
from renderers.raycast import RaycastScene
from renderers.views import View
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage

RAW_FOLDER = "raw"
TRUTH_MESH = "truth.ply"


class Simulate(CaptureStage):
    """A person drawn from the subject's own seed, filmed along an orbit by a noisy depth camera."""

    NAME = "simulate"

    def identity(self) -> dict[str, Any]:
        table = self.table()
        seed = self.loaded().dataset.seed
        return {"seed": seed, "capture": self.capture, "subject": table.subject, "count": table.count}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        seed, subject, count = (self.identity()[key] for key in ("seed", "subject", "count"))
        # The person comes from the subject, so that two captures of one subject show one person.
        person = draw_person(stream(seed, "simulate person", subject))
        vertices, faces = person_mesh(person)
        write_ply(part / TRUTH_MESH, vertices, faces, {})
        rng = stream(seed, "simulate orbit", self.capture)
        radius_m = inputs.manifest.stages.simulate.radius_m
        cameras = orbit_cameras(rng, count, radius_m=radius_m, aim_y_m=person.height_m / 2)
        scene = RaycastScene(vertices, faces, threads=inputs.threads)
        normals_world = vertex_normals(vertices, faces)
        light = draw_scene(rng)

        def frames() -> Iterator[SimulatedFrame]:
            for frame, world_from_cam in enumerate(cameras):
                view = View(frame=frame, K=K_DEPTH, world_from_cam=world_from_cam)
                seen = scene.visibility(view, height=HEIGHT_PX, width=WIDTH_PX)
                normal_cam = normals_from_visibility(
                    seen.face_index,
                    seen.bary,
                    vertices=vertices,
                    faces=faces,
                    normals_world=normals_world,
                    cam_from_world=invert_rigid(world_from_cam),
                )
                yield record_frame(
                    frame,
                    person,
                    light,
                    depth_m=seen.depth_m,
                    normal_cam=normal_cam,
                    K=K_DEPTH,
                    world_from_cam=world_from_cam,
                    rng=stream(seed, "simulate depth", self.capture, frame),
                )
                progress(frame + 1, count)

        write_rgbd_capture(part / RAW_FOLDER, frames(), K_DEPTH)
        return StageResult(samples=count)
