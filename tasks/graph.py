"""The whole graph of one manifest, from its captures to the published dataset.

Every stage runs as a plain Luigi task too:
`luigi --module tasks.graph Layers --manifest manifests/demo.toml --capture p01 --local-scheduler`.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import luigi

from pipeline.errors import StageError
from pipeline.sealing import PART_MARK, fsync_folder
from tasks.make_report import MakeReport
from tasks.render_chunk import RenderChunk
from tasks.shards import Shards, stages_of
from tasks.stage import CaptureStage, SealedTask

CURRENT = "current"
FIXED_LINKS = ("dataset.json", "shards", "report")  # each points through `current`

# Luigi by itself exits 0 after a task that failed or wrote nothing.
_config = luigi.configuration.get_config()
_config.set("worker", "check_complete_on_run", "true")
_config.set("worker", "force_multiprocessing", "false")
for _name, _code in (
    ("task_failed", "4"),
    ("not_run", "4"),
    ("missing_data", "3"),
    ("scheduling_error", "1"),
):
    _config.set("retcode", _name, _code)
_config.set("retcode", "unhandled_exception", "1")


class Dataset(luigi.Task):
    """Publishes: switches the dataset's one link to the version that the manifest describes."""

    manifest = luigi.Parameter(description="path of the dataset manifest")

    def requires(self) -> list[SealedTask]:
        # All of them, not the last alone: a damaged output above a whole one is made again too.
        return list(all_tasks(self.manifest))

    def version(self) -> Path:
        return Shards(manifest=self.manifest).place()

    def complete(self) -> bool:
        folder = self.version().parents[1]
        link = folder / CURRENT
        linked = all((folder / name).is_symlink() for name in FIXED_LINKS)
        sealed = all(task.complete() for task in self.requires())
        return sealed and linked and link.resolve() == self.version().resolve()

    def run(self) -> None:
        version = self.version()
        folder = version.parents[1]
        for name in FIXED_LINKS:
            _point(folder / name, Path(CURRENT) / name)
        _point(folder / CURRENT, version.relative_to(folder))
        fsync_folder(folder)


def capture_stages(manifest: str, capture: str) -> list[CaptureStage]:
    """All stages of one capture, each after what it stands on."""
    return [stage(manifest=manifest, capture=capture) for stage in stages_of(manifest, capture)]


def all_tasks(manifest: str) -> Iterator[SealedTask]:
    """Every sealed task of a manifest, each after what it stands on."""
    for capture in Shards(manifest=manifest).loaded().captures:
        for stage in capture_stages(manifest, capture):
            yield from (task for task in stage.upstream().values() if isinstance(task, RenderChunk))
            yield stage
    yield Shards(manifest=manifest)
    yield MakeReport(manifest=manifest)


def output_folders(folder: Path) -> Iterator[Path]:
    """Everything that lies where sealed outputs of a dataset lie, temporary and damaged ones too."""
    yield from (path for path in sorted(folder.glob("stages/*/*/*")) if path.is_dir())
    for version in sorted(folder.glob("versions/*")):
        if version.is_dir():
            yield version
            if PART_MARK not in version.name:
                yield from (path for path in sorted(version.glob("report*")) if path.is_dir())


def _point(link: Path, target: Path) -> None:
    """Make or move a relative link in one step; a reader sees the old or the new, never none."""
    if link.exists() and not link.is_symlink():
        raise StageError(f"{link}: must be a link of ours, is something else. Move it away and build again.")
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    fresh = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    fresh.symlink_to(target)
    os.replace(fresh, link)
