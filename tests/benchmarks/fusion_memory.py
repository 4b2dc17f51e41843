"""By how much a process grows while it fuses a real capture and takes its mesh out, and one that uses Open3D."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from bench_fusion import (
    MIN_WEIGHT,
    REACH,
    FolderViews,
    Row,
    add_frame,
    bare_integration,
    empty_grid,
    row_of,
    views_of,
)

from pipeline.fusion.bounds import estimate_volume
from pipeline.fusion.integrate import fuse


def rows() -> list[Row]:
    """MB by which a process grows while it fuses all frames and takes the mesh out."""
    views = views_of(None)
    if not isinstance(views, FolderViews):
        return []
    ours, peer = (_growth_mb(what, views.folder) for what in ("ours", "peer"))
    return [row_of(f"memory, {views.name}, {len(views)} frames", ours, peer, unit="MB", least_ratio=2.0)]


def _growth_mb(what: str, folder: Path) -> float:
    """Watched from outside: neither library lets another thread look while it works."""
    paths = os.pathsep.join(path for path in sys.path if path)
    child = subprocess.Popen(
        [sys.executable, __file__, what, str(folder)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert child.stdout is not None
    while child.stdout.readline().strip() != "ready":
        pass
    process = psutil.Process(child.pid)
    before = most = process.memory_info().rss
    while child.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            most = max(most, process.memory_info().rss)
        time.sleep(0.01)
    return (most - before) / 1e6


def fuse_once(what: str, folder: Path) -> None:
    """In a process of its own: load and compile everything on one coarse frame, say so, then fuse all frames."""
    views = FolderViews(folder)
    coarse = {**REACH, "voxel_m": 0.04, "trunc_m": 0.2}
    if what == "ours":
        fuse(views[:1], **coarse, min_weight=1.0, block_count=estimate_volume(views[:1], **coarse).blocks)
    else:
        grid = empty_grid(0.04)
        add_frame(grid, views[0], 5.0)
        grid.extract_triangle_mesh(0.5)
        del grid
    print("ready", flush=True)  # noqa: T201
    if what == "ours":
        fuse(views, **REACH, min_weight=MIN_WEIGHT, block_count=estimate_volume(views, **REACH).blocks)
    else:
        bare_integration(views).extract_triangle_mesh(MIN_WEIGHT - 0.5)


if __name__ == "__main__":
    fuse_once(sys.argv[1], Path(sys.argv[2]))
