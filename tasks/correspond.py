"""Points of each picture with their places on the body's surface (Yoshiyasu and Gamez, 2019, section 8.2)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.body_file import read_body
from pipeline.bodies.model import Body, default_body
from pipeline.body_fields import ANNOTATED_SETS
from pipeline.cameras import project
from pipeline.captures.annotation import Joints, SurfacePoints
from pipeline.captures.truth import read_truth
from pipeline.correspondences.chart_file import read_charts
from pipeline.correspondences.charts import DENSEPOSE, OURS, Charts, own_charts
from pipeline.correspondences.geodesic import body_surface
from pipeline.correspondences.point_scores import PointScores, true_places
from pipeline.correspondences.targets import ChartImage, surface_target, target_fields, target_findings
from pipeline.errors import InputError, StageError
from pipeline.manifest import Manifest
from pipeline.quality import QuarantineRow
from pipeline.scan_files import read_portrayable
from pipeline.seeds import stream
from pipeline.simulation.kinect_writer import TRUTH_FOLDER
from pipeline.simulation.label_view import Figure, bare_figure
from pipeline.store import FrameWriter
from tasks.annotated import Annotated
from tasks.bodies import bodies_upstream, body_fields
from tasks.context import file_digest
from tasks.foreground import Foreground
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.picture_network import PictureNetwork, checkpoint_digest, joints_sample
from tasks.rows import refuse_if_empty, row_of, rows_of
from tasks.scan import SCAN_FILE, Scan
from tasks.simulate import RAW_FOLDER, Simulate
from tasks.stage import CaptureStage, SealedTask

Row = dict[str, Any]

LABELS = ("surface_part", "surface_uv", "joints_smpl24_cam_m")
JOINT_FIELDS = ("px", "confidence", "visible")
ANNOTATED_FIELDS = (
    *(f"densepose_points_{what}" for what in ("px", "part", "uv")),
    *("densepose_part", "densepose_uv"),
    *(f"joints_{name}_{what}" for name in ANNOTATED_SETS for what in JOINT_FIELDS),
)


class Correspond(CaptureStage):
    """By the charts drawn of a body, known or fitted; of DensePose's points and charts by the user's chart file."""

    NAME = "surface"

    def upstream(self) -> dict[str, SealedTask]:
        table = self.table()
        if table.chart_file is not None or table.dense is not None:
            views = Annotated if table.role == "image" else Foreground
            return {views.NAME: self.sibling(views)}
        true = [Scan if table.is_scan else Simulate] if table.format == "simulated" else []
        return bodies_upstream(self) | {stage.NAME: self.sibling(stage) for stage in true}

    def identity(self) -> dict[str, Any]:
        files = chart_files(self.loaded(), str(self.capture))
        digests = {key: file_digest(path) for key, path in files.items()}
        if self.table().dense is not None:
            digests["network"] = checkpoint_digest(self.loaded())
        return {"seed": self.loaded().dataset.seed, "capture": self.capture, **digests}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings, dataset = inputs.manifest.stages.surface, inputs.manifest.dataset
        charts, body = self._charts(inputs)
        scores, true_figure = PointScores(), _true_figures(inputs)
        network = None if self.table().dense is None else PictureNetwork(inputs)
        frames = inputs.joined(self._fields(inputs) if network is None else network.fields)
        rows: list[QuarantineRow] = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, row in enumerate(frames):
                frame, size_px = int(row["frame"]), dataset.image_size_px
                if network is not None:
                    try:
                        row = _seen(network, row)
                    except InputError as error:
                        rows.append(row_of(self, frame, error.reason, str(error)))
                        continue
                rng = stream(dataset.seed, self.NAME, str(self.capture), frame)
                target = surface_target(
                    charts,
                    _drawn(row),
                    _joints(row),
                    settings,
                    rng,
                    parametrisation=OURS if "surface_part" in row else DENSEPOSE,
                    size_px=size_px,
                )
                scores.add(target)
                if true_figure is not None:
                    truth = true_places(true_figure(frame), row["K"], row["world_from_cam"], size_px=size_px)
                    scores.add_truth(target, truth, body_surface(body))
                findings = target_findings(frame, target, settings)
                if not findings:
                    fields = target_fields(target, charts, body.arrays.name, count=settings.points)
                    writer.append({"frame": np.int32(frame), **fields})
                rows += rows_of(self, findings)
                progress(done + 1, len(frames))
            kept = writer.samples
        refuse_if_empty(str(self.capture), kept, rows)
        return StageResult(samples=kept, stats=scores.figures(), quarantine=rows)

    def _fields(self, inputs: Inputs) -> dict[str, tuple[str, ...]]:
        if self.table().chart_file is not None:
            there = inputs.fields(Annotated.NAME)
            return {Annotated.NAME: tuple(name for name in ANNOTATED_FIELDS if name in there)}
        taken = body_fields(self)
        *_, bodies = taken
        return {**taken, bodies: (*taken[bodies], *LABELS)}

    def _charts(self, inputs: Inputs) -> tuple[Charts, Body]:
        opened = opened_charts(inputs.manifest, str(self.capture))
        if self.identity() != inputs.record["recipe"]["inputs"]:
            raise StageError("chart files must stay as they are during a build, changed. Build again.")
        return opened


def chart_files(manifest: Manifest, capture: str) -> dict[str, Path]:
    """The user's files of charts and body that a capture names, by key."""
    told = {key: getattr(manifest.captures[capture], key) for key in ("chart_file", "chart_body")}
    return {key: manifest.data_root / name for key, name in told.items() if name is not None}


def opened_charts(manifest: Manifest, capture: str) -> tuple[Charts, Body]:
    """The charts of a capture and the body that they lie on; our own of the default body where it names none.

    Raises:
        InputError: chart-file-missing, chart-file-malformed, chart-body-mismatch, body-missing or body-malformed.
    """
    files = chart_files(manifest, capture)
    body = Body(read_body(files["chart_body"])) if "chart_body" in files else default_body()
    return read_charts(files["chart_file"], body) if files else own_charts(body), body


def _drawn(row: Row) -> SurfacePoints | ChartImage:
    """What a sample says of the surface: the points that annotators set, or charts at its pixels."""
    if "densepose_points_part" in row:
        there = row["densepose_points_part"] > 0
        px, part, uv = (row[f"densepose_points_{name}"][there] for name in ("px", "part", "uv"))
        return SurfacePoints(px=px, part=part, uv=uv)
    drawn = "densepose" if "densepose_part" in row else "surface"
    return ChartImage(part=row[f"{drawn}_part"], uv=row[f"{drawn}_uv"])


def _seen(network: PictureNetwork, row: Row) -> Row:
    """A sample with the charts and key points that the network finds in its picture."""
    person = network.person(row)
    return {**row, **joints_sample(person), "surface_part": person.part, "surface_uv": person.uv}


def _joints(row: Row) -> Joints | None:
    """The body's own joints, else those that were annotated, else None."""
    if "joints_smpl24_cam_m" in row:
        px = project(row["joints_smpl24_cam_m"], row["K"]).astype(np.float32)
        known = np.ones(len(px), dtype=np.float32)
        return Joints(joint_set="smpl24", px=px, confidence=known, visible=known > 0)
    for name in ANNOTATED_SETS:
        if f"joints_{name}_px" in row:
            told = {what: row[f"joints_{name}_{what}"] for what in JOINT_FIELDS}
            return Joints(joint_set=name, **told)
    return None


def _true_figures(inputs: Inputs) -> Callable[[int], Figure] | None:
    """The body that was really there in each frame, from the truth of what is simulated; None of what is not."""
    body = default_body()
    if inputs.has(Scan.NAME):
        surface = read_portrayable(inputs.folder(Scan.NAME) / SCAN_FILE)
        below = surface.body
        assert below is not None
        drawn = Figure(
            body=body,
            vertices_m=surface.vertices_m,
            faces=surface.faces,
            on_body=(below.body_face, below.body_bary),
            joints_m=below.joints_m,
        )
        return lambda _: drawn
    if not inputs.has(Simulate.NAME):
        return None
    known = read_truth(inputs.folder(Simulate.NAME) / RAW_FOLDER / TRUTH_FOLDER)

    def bare(frame: int) -> Figure:
        at = known.frames.index(frame)
        return bare_figure(body, known.pose_rad[at], known.betas[at], known.transl_m[at])

    return bare
