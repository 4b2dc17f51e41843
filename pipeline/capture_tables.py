"""The manifest's [[capture]] tables: what each key must be, and the captures that a table stands for."""

import itertools
import re
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.body_tables import body_problem
from pipeline.capture_names import Names, Ranges, names_problem
from pipeline.capture_options import OPTION_TABLES, options_key, options_problem
from pipeline.captures.annotation_files import DENSEPOSE_KINDS, KEYPOINT_KINDS, AnnotationFiles
from pipeline.captures.kinect2_files import Kinect2Files
from pipeline.captures.landmark_files import LandmarkFiles
from pipeline.captures.open3d_folder import Open3dFiles
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rig_files import RigOptions, RigTable, rig_problem
from pipeline.captures.rosbag_topics import BagTopics
from pipeline.captures.tum import TumFiles
from pipeline.making_tables import ScanTable, SimulationTable
from pipeline.surface_tables import ChartFile, surface_problem, targets_of_bodies
from pipeline.toml_tables import Table

Format = Literal[
    "7scenes", "azure-kinect", "deepdeform", "densepose-coco", "infinitam", "keypoints", "kinect2", "open3d", "pcd",
    "rgbd-folder", "rosbag", "scan", "simulated", "tang2019", "tum",
]  # fmt: skip
Options = AnnotationFiles | BagTopics | Kinect2Files | Open3dFiles | RgbdFiles | RigOptions | TumFiles | None
BRING_JOINTS = (*KEYPOINT_KINDS, "points")  # of annotations; the charts of a network bring none
ANNOTATED = {"keypoints": KEYPOINT_KINDS, "densepose-coco": DENSEPOSE_KINDS}
PLACEHOLDER = re.compile(r"\{(id|subject|pose|outfit)\}")
NAMED = ("subject", "pose", "outfit")  # the keys that may list several names


class _Keys(Table):
    id: str = Field(description="unique name of the capture")
    format: Format
    path: str | None = Field(
        None, description="folder of the capture, or a scan's file, relative to data_root"
    )
    role: Literal["static", "moving", "fused", "scan", "image"] = Field(
        "static",
        description="static: still subject, moving camera; is fused | moving: its raw depth is taken as it is | "
        "fused: its depth is ground truth already | scan: a mesh, of which pictures are rendered | "
        "image: annotated pictures without depth",
    )
    frames: str | tuple[int, ...] | None = Field(
        None, description="start:stop:step over the frames in order, or a list of frame numbers"
    )
    count: int | None = Field(None, ge=1, description="frames of a simulated capture, pictures of a scan")
    poses: Literal["given", "tracked"] = Field(
        "given",
        description="role static: the capture brings the camera's poses, or they are found by tracking",
    )
    foreground: Literal["person", "given", "all"] = Field(
        "all",
        description="person: found in the depth | given: mask files | all: every valid pixel, centred square",
    )
    person: int | None = Field(
        None, ge=1, description="which of several people, counted from the left; the largest unless told"
    )
    camera: Literal["still", "moving"] | None = Field(
        None,
        description="with foreground person: whether the camera stood still; told by the poses unless given",
    )
    empty_frames: str | None = Field(
        None, description="frames of the room without anybody, as a slice; they become no samples"
    )
    targets: tuple[Literal["body", "surface", "voxels", "motion"], ...] = Field(
        (), description="what is made of bodies, known or fitted: labels, surface points, volumes, motion"
    )
    chart_file: ChartFile | None = Field(
        None, description="densepose-coco: its atlas as convert-charts makes it, relative to data_root"
    )
    chart_body: ChartFile | None = Field(
        None, description="body file that chart_file lies on, likewise; the default body unless given"
    )
    landmarks: Literal["truth", "file", "network"] | None = Field(
        None,
        description="what bodies are fitted to: truth: the drawn person's own joints, with noise | file: what the "
        "capture's files say; of role image unless told | network: what stages.fit.checkpoint finds in the "
        "pictures. Without it a drawn body is taken as it is",
    )
    dense: Literal["network"] | None = Field(
        None,
        description="targets surface: the charts that stages.fit.checkpoint finds in the pictures, in place of a "
        "body's or an annotation's",
    )
    fov_deg: float | None = Field(
        None, gt=5, lt=150, description="role image: field of view over the longer side of every picture"
    )
    split: Literal["train", "val", "test"]
    files: RgbdFiles | None = Field(None, description="rgbd-folder: where each stream lies")
    topics: BagTopics | None = Field(None, description="rosbag: the topic of each stream")
    annotations: AnnotationFiles | None = Field(
        None, description="keypoints and densepose-coco: where annotations and pictures lie"
    )
    landmark_files: LandmarkFiles | None = Field(
        None, description="captures with depth: where a network's key points of the frames lie"
    )
    kinect2: Kinect2Files | None = Field(None, description="kinect2: a foreign recorder's layout")
    tum: TumFiles | None = Field(None, description="tum: calibration of another camera than the benchmark's")
    open3d: Open3dFiles | None = Field(None, description="open3d: names of camera and trajectory files")
    rig: RigTable | None = Field(None, description="several synchronised cameras: paths and transforms")
    simulation: SimulationTable | None = Field(None, description="simulated: motion and cameras")
    scan: ScanTable | None = Field(None, description="scan: unit and axis of the file")

    @property
    def simulated(self) -> SimulationTable:
        """The simulation's table, with every default filled in."""
        table = self.simulation or SimulationTable()
        camera = table.camera or ("still" if self.role == "moving" else "orbit")
        return table.model_copy(update={"camera": camera})

    @property
    def has_simulated_cloth(self) -> bool:
        """Whether a solver moves the garments."""
        return self.format == "simulated" and not self.is_scan and self.simulated.cloth == "simulated"

    @property
    def options_key(self) -> str:
        """The name of the table that says how this format is read; "files" for those that have none."""
        return options_key(self.format)

    @property
    def options(self) -> Options:
        """How the raw files of this format are read; None where there is nothing to say."""
        options: Options = None if self.format in ("scan", "simulated") else getattr(self, self.options_key)
        return options if self.rig is None else RigOptions(rig=self.rig, each=options)

    @property
    def camera_count(self) -> int:
        """How many cameras filmed: frame n is camera n % camera_count at moment n // camera_count."""
        if self.rig is not None:
            return len(self.rig.cameras)
        return self.simulated.cameras if self.format == "simulated" else 1

    @property
    def body_targets(self) -> tuple[str, ...]:
        """The targets that stand on bodies of stages of their own."""
        return targets_of_bodies(self.targets, self.role, charted=(self.chart_file or self.dense) is not None)

    @property
    def fitted_to(self) -> Literal["truth", "file", "network"] | None:
        """What the capture's bodies are fitted to; None where none are."""
        if not self.body_targets or self.is_scan:
            return None
        return self.landmarks or (None if self.format == "simulated" else "file")

    @property
    def is_scan(self) -> bool:
        """Whether the capture is one mesh, of which pictures are rendered."""
        return self.role == "scan"

    @property
    def is_drawn_scan(self) -> bool:
        """Whether it is one of a drawn person, so that the body below is known."""
        return self.is_scan and self.format == "simulated"


class CaptureTable(_Keys):
    """One capture."""

    subject: str | None = Field(None, description="the person; the id when absent")
    pose: str | None = Field(None, description="a label; of a simulated capture, one of the named poses")
    outfit: str | None = None


class CapturesTable(_Keys):
    """One [[capture]] as a manifest has it: one capture, or many by lists of names or by placeholders."""

    subject: Ranges | None = Field(None, description="the person, or people; p01..p26 is a range")
    pose: Names | None = None
    outfit: Names | None = None

    @model_validator(mode="after")
    def _has_the_keys_of_its_format(self) -> Self:
        simulated = self.format == "simulated"
        if simulated != (self.path is None):
            raise ValueError("path must be given, except for format simulated, which has none")
        if (simulated or self.format == "scan") != (self.count is not None):
            raise ValueError("count goes with format simulated or scan and only there")
        given = {key for key in OPTION_TABLES if getattr(self, key) is not None}
        problem = options_problem(self.format, given)
        problem = problem or rig_problem(self.rig, format=self.format, poses=self.poses, person=self.person)
        if problem is not None:
            raise ValueError(problem)
        if isinstance(self.frames, str):
            frames_slice(self.frames)
        return self

    @model_validator(mode="after")
    def _has_the_foreground_of_its_role(self) -> Self:
        if self.foreground != "person":
            for key in ("person", "camera", "empty_frames"):
                if getattr(self, key) is not None:
                    raise ValueError(f'{key} goes with foreground "person" and only there')
        elif self.role == "image":
            raise ValueError('foreground "person" needs depth; a capture of role "image" has none')
        if self.empty_frames is not None:
            frames_slice(self.empty_frames)
            if self.camera != "still":
                raise ValueError('empty_frames show the room to a still camera alone: set camera = "still"')
        kinds = ANNOTATED.get(self.format)
        if kinds is not None and self.annotations is not None and self.annotations.kind not in kinds:
            raise ValueError(
                f"annotations.kind of format {self.format} must be one of {', '.join(kinds)}, "
                f"is {self.annotations.kind!r}"
            )
        return self

    @model_validator(mode="after")
    def _has_a_role_of_its_format(self) -> Self:
        simulated = self.format == "simulated"
        if (self.format in ANNOTATED) != (self.role == "image"):
            raise ValueError(
                f'role "image" goes with format {" and ".join(ANNOTATED)} and only there, format is '
                f'"{self.format}" and role "{self.role}"'
            )
        if self.format == "scan" and not self.is_scan:
            raise ValueError(f'format scan goes with role "scan" alone, role is "{self.role}"')
        if self.is_scan:
            return self._without_frames()
        if simulated and (self.role == "moving") != (self.simulated.motion is not None):
            raise ValueError('role "moving" and simulation.motion go together: a person moves or does not')
        if self.count is not None and self.count < 2:
            raise ValueError(f"count must be at least 2 frames of a filmed person, is {self.count}")
        if self.count is not None and self.count % self.simulated.cameras:
            raise ValueError(f"count must be a multiple of simulation.cameras, {self.count} is not")
        return self

    @model_validator(mode="after")
    def _can_be_tracked(self) -> Self:
        if self.poses == "given":
            return self
        if self.role != "static":
            raise ValueError(f'poses = "tracked" goes with role "static" alone, role is "{self.role}"')
        if self.format == "simulated" and (self.targets or self.simulated.cameras > 1):
            raise ValueError(
                'poses = "tracked" of a simulated capture goes with one camera and without targets: its bodies '
                "are known in the simulator's world, which tracking does not know"
            )
        return self

    @model_validator(mode="after")
    def _has_targets_of_its_kind(self) -> Self:
        brings = self.annotations is not None and self.annotations.kind in BRING_JOINTS
        keys: tuple[str, ...] = ("format", "role", "targets", "chart_file", "chart_body", "dense")
        problem = surface_problem(**{key: getattr(self, key) for key in keys})
        keys = ("format", "role", "landmarks", "landmark_files", "fov_deg")
        told = {key: getattr(self, key) for key in keys}
        problem = problem or body_problem(**told, targets=self.body_targets, annotated=brings)
        if problem is not None:
            raise ValueError(problem)
        return self

    def _without_frames(self) -> Self:
        if self.format not in ("scan", "simulated"):
            raise ValueError(f'role "scan" goes with format scan or simulated, format is "{self.format}"')
        for key in ("frames", "foreground", "simulation"):
            if key in self.model_fields_set:
                raise ValueError(f'{key} is of captures that are filmed; role "scan" has none. Remove it')
        return self

    @model_validator(mode="after")
    def _has_names_of_its_format(self) -> Self:
        held = set(PLACEHOLDER.findall(self.id))
        names = {key: getattr(self, key) for key in NAMED}
        problem = names_problem(self.id, held, names, simulated=self.format == "simulated")
        if problem is not None:
            raise ValueError(problem)
        return self

    def captures(self) -> list[CaptureTable]:
        """Every combination of the listed names as a capture of its own; placeholders of a path stay."""
        shared = {key: getattr(self, key) for key in _Keys.model_fields}
        made = []
        for names in itertools.product(*(getattr(self, key) or (None,) for key in NAMED)):
            chosen = dict(zip(NAMED, names, strict=True))
            named = self.id
            for key, name in chosen.items():
                if self.format == "simulated" and name is not None:
                    named = named.replace(f"{{{key}}}", name)
            made.append(CaptureTable(**{**shared, **chosen, "id": named}))
        return made


def frames_slice(text: str) -> slice:
    """Parse "start:stop:step" with any part left out."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(re.fullmatch(r"-?\d*", part) for part in parts):
        raise ValueError(f'frames must be a list or a slice like "0:120:2", is {text!r}')
    numbers = [int(part) if part else None for part in parts]
    if len(numbers) == 3 and numbers[2] is not None and numbers[2] <= 0:
        raise ValueError(f"the step of frames must be positive, is {numbers[2]}")
    return slice(*numbers)
