"""The dataset manifest: TOML in, checked records out. Every mistake is named with file, key and next step."""

import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from pydantic import Field

from pipeline.capture_tables import PLACEHOLDER, CapturesTable, CaptureTable, frames_slice
from pipeline.errors import InputError, ManifestError
from pipeline.settings import StagesSettings
from pipeline.toml_tables import Table, read_tables

# What a capture's path is; else a folder.
FILES, FILES_OR_FOLDERS = ("azure-kinect", "scan"), ("pcd", "rosbag")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
DATA_ROOT_VARIABLE = "BODYTRUTH_DATA_ROOT"
OUT_VARIABLE = "BODYTRUTH_OUT"


class DatasetTable(Table):
    """[dataset]"""

    name: str = Field(pattern=NAME, description="names the folder under the output root")
    seed: int = Field(0, ge=0, description="all random streams derive from it")
    image_size_px: int = Field(256, ge=16, le=4096, description="side of the square crop")
    data_root: str = Field("data", description="folder of the raw captures, relative to the manifest")
    output: str | None = Field(None, description="output root, relative to the manifest; ./out when absent")


class _File(Table):
    dataset: DatasetTable
    capture: list[CapturesTable] = Field(min_length=1)
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
        found = [
            capture for table in self._tables for one in table.captures() for capture in _expand(one, self)
        ]
        _check_unique(self.path, found)
        return {capture.id: capture for capture in sorted(found, key=lambda capture: capture.id)}

    def capture_folder(self, capture: str) -> Path | None:
        """Where the raw capture, a folder or a scan's file, lies; None for a simulated one."""
        path = self.captures[capture].path
        return None if path is None else self.data_root / path

    def motion_file(self, capture: str) -> Path | None:
        """The BVH file that a simulated person moves by; None where the manifest names none."""
        table = self.captures[capture].simulation
        recorded = table is not None and str(table.motion).lower().endswith(".bvh")
        return self.data_root / str(table.motion) if table is not None and recorded else None


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


def select_frames(frames: list[int], chosen: str | tuple[int, ...] | None) -> list[int]:
    """Apply the manifest's choice: a slice over the ascending list, or numbers (kept even if unknown)."""
    if chosen is None:
        return frames
    return frames[frames_slice(chosen)] if isinstance(chosen, str) else sorted(set(chosen))


def _expand(table: CaptureTable, manifest: Manifest) -> Iterable[CaptureTable]:
    if table.path is None or not PLACEHOLDER.search(table.path):
        if PLACEHOLDER.search(table.id):
            raise ManifestError(
                f"{manifest.path}: capture.id {table.id!r} has a placeholder, so capture.path must have it too."
            )
        return [_named(table, manifest, {})]
    if Path(table.path).is_absolute():
        raise ManifestError(
            f"{manifest.path}: capture.path with placeholders must be relative to data_root, is {table.path!r}."
        )
    glob = PLACEHOLDER.sub("*", table.path)
    pattern = re.compile(_as_regex(table.path))
    matches = [
        (path, match.groupdict())
        for path in sorted(manifest.data_root.glob(glob))
        if _is_capture(path, table)
        and not path.name.startswith(".")
        and (match := pattern.fullmatch(path.relative_to(manifest.data_root).as_posix()))
    ]
    if not matches:
        kind = "files" if table.format in FILES and table.rig is None else "folders"
        raise InputError(
            "capture-missing",
            f"{manifest.path}: capture.path {table.path!r} must match {kind} below {manifest.data_root}, "
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


def _is_capture(path: Path, table: CaptureTable) -> bool:
    """Whether a capture of this format may lie there; several cameras lie in a folder, whatever each of them is."""
    if table.rig is not None:
        return path.is_dir()
    return path.is_file() if table.format in FILES else path.is_dir() or table.format in FILES_OR_FOLDERS


def _named(table: CaptureTable, manifest: Manifest, groups: dict[str, str]) -> CaptureTable:
    values = {key: value for key, value in groups.items() if key != "id"}
    capture_id = PLACEHOLDER.sub(lambda match: groups.get(match[1], match[0]), table.id)
    if not re.fullmatch(NAME.removesuffix("$"), capture_id):
        raise ManifestError(
            f"{manifest.path}: capture.id must hold letters, digits, '.', '_' and '-', is {capture_id!r}."
        )
    subject = values.pop("subject", None) or table.subject or capture_id
    return table.model_copy(update={**values, "id": capture_id, "subject": subject})


def _as_regex(pattern: str) -> str:
    seen: set[str] = set()
    parts = []
    for index, part in enumerate(PLACEHOLDER.split(pattern)):
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
