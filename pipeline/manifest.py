"""The dataset manifest: TOML in, checked records out. Every mistake is named with file, key and next step."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.bodies.named_poses import POSES
from pipeline.captures.rgbd_folder import RgbdFiles
from pipeline.errors import InputError, ManifestError
from pipeline.settings import StagesSettings
from pipeline.toml_tables import Table, read_tables

Format = Literal["7scenes", "rgbd-folder", "tang2019", "kinect2", "simulated"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
DATA_ROOT_VARIABLE = "BODYTRUTH_DATA_ROOT"
OUT_VARIABLE = "BODYTRUTH_OUT"
_PLACEHOLDER = re.compile(r"\{(id|subject|pose|outfit)\}")


class DatasetTable(Table):
    """[dataset]"""

    name: str = Field(pattern=NAME, description="names the folder under the output root")
    seed: int = Field(0, ge=0, description="all random streams derive from it")
    image_size_px: int = Field(256, ge=16, le=4096, description="side of the square crop")
    data_root: str = Field("data", description="folder of the raw captures, relative to the manifest")
    output: str | None = Field(None, description="output root, relative to the manifest; ./out when absent")


class SimulationTable(Table):
    """[capture.simulation]: what a simulated person does, and how it is filmed."""

    motion: Literal["walk", "turn", "reach", "squat"] | None = Field(
        None, description="what a moving person does; a still one keeps its pose"
    )
    camera: Literal["orbit", "arc", "still"] | None = Field(
        None,
        description="orbit: once around the person | arc: a third of that | still: on a tripod; "
        "orbit for a still person, still for a moving one, unless told",
    )
    cameras: int = Field(1, ge=1, le=8, description="synchronised cameras, spread evenly around the person")


class CaptureTable(Table):
    """One [[capture]], or many by placeholders in `path` and `id`."""

    id: str = Field(description="unique name of the capture")
    subject: str | None = Field(None, description="the person; the id when absent")
    format: Format
    path: str | None = Field(None, description="folder of the capture, relative to data_root")
    role: Literal["static", "moving", "fused"] = Field(
        "static",
        description="static: still subject, moving camera; is fused | moving: its raw depth is taken as it is | "
        "fused: its depth is ground truth already",
    )
    frames: str | tuple[int, ...] | None = Field(
        None, description="start:stop:step over the frames in order, or a list of frame numbers"
    )
    count: int | None = Field(None, ge=2, description="number of frames of a simulated capture")
    foreground: Literal["given", "all"] = Field(
        "all", description="given: mask files; all: every valid pixel, centred square"
    )
    split: Literal["train", "val", "test"]
    pose: str | None = Field(None, description="a label; of a simulated capture, one of the named poses")
    outfit: str | None = None
    files: RgbdFiles | None = Field(None, description="rgbd-folder: where each stream lies")
    simulation: SimulationTable | None = Field(None, description="simulated: motion and cameras")

    @model_validator(mode="after")
    def _fits_its_format(self) -> Self:
        simulated = self.format == "simulated"
        if simulated != (self.path is None):
            raise ValueError("path must be given, except for format simulated, which has none")
        if simulated != (self.count is not None):
            raise ValueError("count goes with format simulated and only there")
        if self.simulation is not None and not simulated:
            raise ValueError("[capture.simulation] goes with format simulated and only there")
        if simulated and (self.role == "moving") != (self.simulated.motion is not None):
            raise ValueError('role "moving" and simulation.motion go together: a person moves or does not')
        if simulated and self.pose is not None and self.pose not in POSES:
            near = get_close_matches(self.pose, POSES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"pose of a simulated capture must be one of {', '.join(POSES)}, is {self.pose!r}.{hint}")
        if (self.format == "rgbd-folder") != (self.files is not None):
            raise ValueError("[capture.files] goes with format rgbd-folder and only there")
        if isinstance(self.frames, str):
            frames_slice(self.frames)
        return self

    @property
    def simulated(self) -> SimulationTable:
        """The simulation's table, with every default filled in."""
        table = self.simulation or SimulationTable()
        camera = table.camera or ("still" if self.role == "moving" else "orbit")
        return table.model_copy(update={"camera": camera})


class _File(Table):
    dataset: DatasetTable
    capture: list[CaptureTable] = Field(min_length=1)
    stages: StagesSettings = StagesSettings()


class Manifest:
    """A checked manifest: `dataset`, `captures` by id in sorted order, `stages`, and where things lie."""

    def __init__(self, path: Path, content: _File, sha256: str) -> None:
        self.path = path
        self.sha256 = sha256  # of the file's bytes, so that two processes know that they read the same
        self.dataset, self.stages = content.dataset, content.stages
        self._tables = content.capture

    @cached_property
    def data_root(self) -> Path:
        told = os.environ.get(DATA_ROOT_VARIABLE)
        return Path(told).resolve() if told else (self.path.parent / self.dataset.data_root).resolve()

    @cached_property
    def folder(self) -> Path:
        """OUT/DATASET, where everything that is built lies."""
        told = os.environ.get(OUT_VARIABLE)
        if told or self.dataset.output is None:
            return Path(told or "out").resolve() / self.dataset.name
        return (self.path.parent / self.dataset.output).resolve() / self.dataset.name

    @cached_property
    def captures(self) -> dict[str, CaptureTable]:
        found = [capture for table in self._tables for capture in _expand(table, self)]
        _check_unique(self.path, found)
        return {capture.id: capture for capture in sorted(found, key=lambda capture: capture.id)}

    def capture_folder(self, capture: str) -> Path | None:
        """Where the raw capture lies; None for a simulated one."""
        path = self.captures[capture].path
        return None if path is None else self.data_root / path


def load_manifest(path: Path) -> Manifest:
    """Read and check a dataset manifest.

    Raises:
        ManifestError: file, key, what it must be, what it is, and the nearest known key.
        InputError: when a pattern names no capture.
    """
    content, sha256 = read_tables(path, _File, page="docs/manifest.md")
    manifest = Manifest(path.resolve(), content, sha256)
    _ = manifest.captures
    return manifest


def frames_slice(text: str) -> slice:
    """Parse "start:stop:step" with any part left out."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(re.fullmatch(r"-?\d*", part) for part in parts):
        raise ValueError(f'frames must be a list or a slice like "0:120:2", is {text!r}')
    numbers = [int(part) if part else None for part in parts]
    if len(numbers) == 3 and numbers[2] is not None and numbers[2] <= 0:
        raise ValueError(f"the step of frames must be positive, is {numbers[2]}")
    return slice(*numbers)


def select_frames(frames: list[int], chosen: str | tuple[int, ...] | None) -> list[int]:
    """Apply the manifest's choice: a slice over the ascending list, or numbers (kept even if unknown)."""
    if chosen is None:
        return frames
    return frames[frames_slice(chosen)] if isinstance(chosen, str) else sorted(set(chosen))


def _expand(table: CaptureTable, manifest: Manifest) -> Iterable[CaptureTable]:
    if table.path is None or not _PLACEHOLDER.search(table.path):
        if _PLACEHOLDER.search(table.id):
            raise ManifestError(
                f"{manifest.path}: capture.id {table.id!r} has a placeholder, so capture.path must have it too."
            )
        return [_named(table, manifest, {})]
    if Path(table.path).is_absolute():
        raise ManifestError(
            f"{manifest.path}: capture.path with placeholders must be relative to data_root, is {table.path!r}."
        )
    glob = _PLACEHOLDER.sub("*", table.path)
    pattern = re.compile(_as_regex(table.path))
    matches = [
        (path, match.groupdict())
        for path in sorted(manifest.data_root.glob(glob))
        if path.is_dir()
        and not path.name.startswith(".")
        and (match := pattern.fullmatch(path.relative_to(manifest.data_root).as_posix()))
    ]
    if not matches:
        raise InputError(
            "capture-missing",
            f"{manifest.path}: capture.path {table.path!r} must match folders below {manifest.data_root}, "
            f"matches none. Set --data-root or {DATA_ROOT_VARIABLE}, or mend the pattern.",
        )
    return [
        _named(
            table.model_copy(update={"path": path.relative_to(manifest.data_root).as_posix()}),
            manifest,
            groups,
        )
        for path, groups in matches
    ]


def _named(table: CaptureTable, manifest: Manifest, groups: dict[str, str]) -> CaptureTable:
    values = {key: value for key, value in groups.items() if key != "id"}
    capture_id = _PLACEHOLDER.sub(lambda match: groups.get(match[1], match[0]), table.id)
    if not re.fullmatch(NAME.removesuffix("$"), capture_id):
        raise ManifestError(
            f"{manifest.path}: capture.id must hold letters, digits, '.', '_' and '-', is {capture_id!r}."
        )
    subject = values.pop("subject", None) or table.subject or capture_id
    return table.model_copy(update={**values, "id": capture_id, "subject": subject})


def _as_regex(pattern: str) -> str:
    seen: set[str] = set()
    parts = []
    for index, part in enumerate(_PLACEHOLDER.split(pattern)):
        if index % 2 == 0:
            parts.append(re.escape(part).replace(r"\*", "[^/]*"))
        else:
            parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+)")
            seen.add(part)
    return "".join(parts)


def _check_unique(path: Path, captures: list[CaptureTable]) -> None:
    split_of: dict[str, CaptureTable] = {}
    ids: set[str] = set()
    for capture in captures:
        if capture.id in ids:
            raise ManifestError(
                f"{path}: capture.id must be unique, {capture.id!r} stands twice. Rename one."
            )
        ids.add(capture.id)
        first = split_of.setdefault(str(capture.subject), capture)
        if first.split != capture.split:
            raise ManifestError(
                f"{path}: a subject must stay in one split, {capture.subject!r} is in {first.split!r} "
                f"(capture {first.id}) and {capture.split!r} (capture {capture.id}). Move one of them."
            )
