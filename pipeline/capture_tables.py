"""The manifest's [[capture]] tables: what each key must be, and the captures that a table stands for."""

import itertools
import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from pipeline.bodies.named_poses import POSES
from pipeline.captures.rgbd_folder import RgbdFiles
from pipeline.toml_tables import Table

Format = Literal["7scenes", "rgbd-folder", "tang2019", "kinect2", "scan", "simulated"]
PLACEHOLDER = re.compile(r"\{(id|subject|pose|outfit)\}")
NAMED = ("subject", "pose", "outfit")  # the keys that may list several names
_RANGE = re.compile(r"(.*?)(\d+)\.\.(.*?)(\d+)")


def names_between(text: str) -> tuple[str, ...]:
    """Return the names of a range such as "p01..p26", both ends included; any other text is one name.

    Raises:
        ValueError: for two dots between anything but two counted names, the lower first.
    """
    if ".." not in text:
        return (text,)
    match = _RANGE.fullmatch(text)
    if match is None or match[1] != match[3] or int(match[4]) < int(match[2]):
        raise ValueError(f'a range of names must be like "p01..p26", is {text!r}')
    stem, first, _, last = match.groups()
    return tuple(f"{stem}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _ranged(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for text in names for name in names_between(text))


Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
Ranges = Annotated[Names, AfterValidator(_ranged)]


Recording = Annotated[str, Field(pattern=r"^[^/\\].*\.(bvh|BVH)$")]


class SimulationTable(Table):
    """[capture.simulation]: what a simulated person does, and how it is filmed."""

    motion: Literal["walk", "turn", "reach", "squat"] | Recording | None = Field(
        None,
        description="what a moving person does, or a BVH file relative to data_root; a still one keeps its pose",
    )
    cloth: Literal["folded", "simulated"] = Field(
        "folded",
        description="folded: drawn folds | simulated: moved by Blender's cloth solver, minutes a capture",
    )
    camera: Literal["orbit", "arc", "still"] | None = Field(
        None,
        description="orbit: once around the person | arc: a third of that | still: on a tripod; "
        "orbit for a still person, still for a moving one, unless told",
    )
    cameras: int = Field(1, ge=1, le=8, description="synchronised cameras, spread evenly around the person")


class ScanTable(Table):
    """[capture.scan]: how a mesh file is read."""

    unit_m: PositiveFloat = Field(description="length in metres of the file's unit")
    up: Literal["x", "y", "z"] = Field("y", description="the file's axis that points up")


class _Keys(Table):
    id: str = Field(description="unique name of the capture")
    format: Format
    path: str | None = Field(
        None, description="folder of the capture, or a scan's file, relative to data_root"
    )
    role: Literal["static", "moving", "fused", "scan"] = Field(
        "static",
        description="static: still subject, moving camera; is fused | moving: its raw depth is taken as it is | "
        "fused: its depth is ground truth already | scan: a mesh, of which pictures are rendered",
    )
    frames: str | tuple[int, ...] | None = Field(
        None, description="start:stop:step over the frames in order, or a list of frame numbers"
    )
    count: int | None = Field(None, ge=1, description="frames of a simulated capture, pictures of a scan")
    foreground: Literal["given", "all"] = Field(
        "all", description="given: mask files; all: every valid pixel, centred square"
    )
    split: Literal["train", "val", "test"]
    files: RgbdFiles | None = Field(None, description="rgbd-folder: where each stream lies")
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
        if (self.format == "rgbd-folder") != (self.files is not None):
            raise ValueError("[capture.files] goes with format rgbd-folder and only there")
        if (self.format == "scan") != (self.scan is not None):
            raise ValueError("[capture.scan] goes with format scan and only there")
        if self.simulation is not None and not simulated:
            raise ValueError("[capture.simulation] goes with format simulated and only there")
        if isinstance(self.frames, str):
            frames_slice(self.frames)
        return self

    @model_validator(mode="after")
    def _has_a_role_of_its_format(self) -> Self:
        simulated = self.format == "simulated"
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

    def _without_frames(self) -> Self:
        if self.format not in ("scan", "simulated"):
            raise ValueError(f'role "scan" goes with format scan or simulated, format is "{self.format}"')
        for key in ("frames", "foreground", "simulation"):
            if key in self.model_fields_set:
                raise ValueError(f'{key} is of captures that are filmed; role "scan" has none. Remove it')
        return self

    @model_validator(mode="after")
    def _has_names_of_its_format(self) -> Self:
        for key in NAMED:
            names = getattr(self, key) or ()
            if self.format != "simulated" and len(names) > 1:
                raise ValueError(
                    f"{key} may list several names with format simulated alone, lists {len(names)}"
                )
        for pose in (self.pose or ()) if self.format == "simulated" else ():
            if pose not in POSES:
                near = get_close_matches(pose, POSES, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"pose of a simulated capture must be one of {', '.join(POSES)}, is {pose!r}.{hint}"
                )
        if self.format == "simulated":
            self._check_id()
        return self

    def _check_id(self) -> None:
        held = set(PLACEHOLDER.findall(self.id))
        for key in NAMED:
            names = getattr(self, key) or ()
            if len(names) > 1 and key not in held:
                raise ValueError(
                    f"id must hold {{{key}}}, for {key} lists {len(names)} names; it is {self.id!r}"
                )
        for key in sorted(held):
            if key == "id" or getattr(self, key) is None:
                raise ValueError(f"id {self.id!r} has a placeholder for {key}, which is not given")

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
