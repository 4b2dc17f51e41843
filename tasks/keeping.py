"""Looking after what is sealed: verify every byte, remove what nothing refers to, find the report."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.sealing import ASIDE_MARK, PART_MARK, damage, mark_damaged
from tasks.building import locked, sweep
from tasks.context import manifest_of
from tasks.graph import CURRENT, Dataset, all_tasks, output_folders
from tasks.raw_inputs import open_inputs


def verify_outputs(manifest: str) -> tuple[int, list[dict[str, Any]]]:
    """Compare every sealed folder of the dataset with its record; mark the damaged ones.

    Returns:
        (folders read, one row per damaged file).
    """
    folder = manifest_of(manifest).folder
    rows: list[dict[str, Any]] = []
    checked = 0
    with locked(folder):
        for place in output_folders(folder):
            if PART_MARK in place.name or ASIDE_MARK in place.name:
                continue
            checked += 1
            found = damage(place)
            if found:
                mark_damaged(place, found)
                rows += [
                    {"place": str(place), "message": f"{text}. Build again to replace it."} for text in found
                ]
        link = folder / CURRENT
        if link.is_symlink() and not link.exists():
            rows.append(
                {"place": str(link), "message": f"{link}: must lead to a version, does not. Build again."}
            )
    return checked, rows


def clean_outputs(manifests: list[str]) -> tuple[list[Path], int]:
    """Remove what lies in the manifests' datasets and is not named by any of them.

    Temporary folders of a living process stay; the published version stays even where no manifest names it.

    Returns:
        (removed folders, bytes freed).

    Raises:
        InputError: when a raw capture cannot be opened; without it, what it gave would seem to be unused.
    """
    for manifest in manifests:
        _require_inputs(manifest)
    kept = {task.place() for manifest in manifests for task in all_tasks(manifest)}
    removed: list[Path] = []
    freed = 0
    for folder in sorted({manifest_of(manifest).folder for manifest in manifests}):
        with locked(folder):
            sweep(folder)
            published = (folder / CURRENT).resolve()
            for place in output_folders(folder):
                if PART_MARK in place.name or place in kept or published in (place, place.parent):
                    continue
                if place.exists():
                    freed += sum(path.stat().st_size for path in place.rglob("*") if _only_link(path))
                    shutil.rmtree(place)
                    removed.append(place)
    return removed, freed


def report_figures(manifest: str) -> tuple[Path, list[dict[str, Any]]]:
    """The built report's page and its figures.

    Raises:
        ManifestError: when the dataset is not built.
    """
    dataset = Dataset(manifest=manifest)
    page = dataset.version() / "report" / "index.html"
    if not dataset.complete():
        raise ManifestError(
            f"{manifest}: must be built before its report, is not. Run `bodytruth build` first."
        )
    link = manifest_of(manifest).folder / "report" / "index.html"
    return link, json.loads((page.parent / "report.json").read_text())["figures"]


def _require_inputs(manifest: str) -> None:
    loaded = manifest_of(manifest)
    for capture in loaded.captures:
        open_inputs(loaded, capture)


def _only_link(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and os.stat(path).st_nlink == 1
