"""Processor, memory, disks and limits of the machine, against what a build of the demo and its training need."""

import math
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tasks.doctoring.control_groups import cores_allowed, memory_left_bytes
from tasks.doctoring.requirements import fits, required_python
from tasks.doctoring.row import Row

# The hungriest stage peaks at 1.3 GB (stage_costs.json); Blender beside it takes 0.3 and more, the scheduler 0.1.
NEEDED_MEMORY_GB = 2.5
NEEDED_OUT_GB = 2.0  # the demo's stages write 0.85 GB, a training run of it less
NEEDED_TEMPORARY_GB = 0.5  # a job of Blender holds its mesh and a few frames
NEEDED_SHARED_GB = 0.25  # two workers, each with two batches of 8 samples of 256 px and 40 bytes a pixel: 0.1
NEEDED_FILES = 512  # a reader keeps up to 128 shards open, beside libraries, pipes and log files
TRIAL_BYTES = 1 << 20

DISK, MACHINE = "Disk", "Machine"


def python_row() -> Row:
    """The interpreter's version."""
    version, wanted = platform.python_version(), required_python()
    if fits(version, wanted):
        return Row(
            group=MACHINE, check="Python", state="ok", finding=f"{version} (needs {wanted}), {sys.executable}"
        )
    return Row(
        group=MACHINE,
        check="Python",
        state="broken",
        finding=f"version must be {wanted}, is {version}, {sys.executable}",
        next="Install Python 3.11, for which Blender's wheel is built, and make the virtual environment anew.",
    )


def processor_row() -> Row:
    """Cores that this process may use, and how many the verbs would take without `--workers`."""
    counted, usable = os.cpu_count() or 1, usable_cores()
    figures = (("usable cores", float(usable), "1"), ("cores", float(counted), "1"))
    if usable == counted:
        finding = f"{usable} {'core' if usable == 1 else 'cores'}"
        return Row(group=MACHINE, check="processor", state="ok", finding=finding, figures=figures)
    finding = f"{usable} of {counted} cores: this process is bound to them"
    told = os.environ.get("BODYTRUTH_WORKERS")
    next = "" if told else f"Give `build` --workers {usable}: by itself it would take {counted}."
    return Row(group=MACHINE, check="processor", state="ok", finding=finding, next=next, figures=figures)


def usable_cores() -> int:
    """Cores that affinity and control groups leave to this process; a started core counts."""
    counted = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if sys.platform == "linux" else counted
    return max(1, min(counted, bound, math.ceil(cores_allowed() or counted)))


def memory_row() -> Row:
    """Memory that is free to be taken, within the container's limit."""
    import psutil

    memory = psutil.virtual_memory()
    left = memory_left_bytes()
    available_gb = min(memory.available, memory.available if left is None else left) / 1e9
    figures = (("available memory", round(available_gb, 2), "GB"), ("needed memory", NEEDED_MEMORY_GB, "GB"))
    bound = "" if left is None or left >= memory.available else " within this container's limit"
    finding = (
        f"{available_gb:.1f} GB available{bound} of {memory.total / 1e9:.1f} (needs {NEEDED_MEMORY_GB:g})"
    )
    next = "End other programs, raise the container's limit, or take a larger machine."
    enough = available_gb >= NEEDED_MEMORY_GB
    return Row(
        group=MACHINE,
        check="memory",
        state="ok" if enough else "missing",
        finding=finding,
        next="" if enough else next,
        figures=figures,
    )


def open_files_row() -> Row:
    """How many files one process may hold open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = soft == resource.RLIM_INFINITY
    enough = endless or soft >= NEEDED_FILES
    may_raise = hard == resource.RLIM_INFINITY or hard >= NEEDED_FILES
    next = f"ulimit -n {NEEDED_FILES}" if may_raise else "Have the administrator raise the limit (nofile)."
    return Row(
        group=MACHINE,
        check="open files",
        state="ok" if enough else "missing",
        finding=f"{'any number' if endless else soft} a process (needs {NEEDED_FILES})",
        next="" if enough else next,
        figures=(("open files", None if endless else float(soft), "1"), ("needed", float(NEEDED_FILES), "1")),
    )


def out_row(out: Path) -> Row:
    """Room and rights where outputs will go; nothing is written there, and it need not exist."""
    place = out.absolute()
    standing = next(folder for folder in (place, *place.parents) if os.path.exists(folder))
    other = "Choose another place by --out or BODYTRUTH_OUT"
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        finding = f"must be a folder that can be written, is not: {standing}"
        return Row(
            group=DISK, check="output", state="broken", finding=finding, next=f"{other}, or mend its rights."
        )
    return _room("output", place, standing, NEEDED_OUT_GB, f"Free the disk, or c{other[1:]}.")


def temporary_row() -> Row:
    """Room in the temporary folder, and whether a file written there can be read back."""
    next = "Free it, or set TMPDIR to a folder that can be written and has room."
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(prefix="doctor-") as file:
            file.write(bytes(TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            same = file.read() == bytes(TRIAL_BYTES)
        if not same:
            raise OSError(f"{folder} gives other bytes than were written")
    except OSError as error:
        finding = f"must take a file of 1 MB, does not: {error}"
        return Row(group=DISK, check="temporary", state="broken", finding=finding, next=next)
    return _room("temporary", folder, folder, NEEDED_TEMPORARY_GB, next)


def shared_memory_row(folder: Path = Path("/dev/shm")) -> Row:
    """Room through which reading processes hand batches to the trainer; containers often have 64 MB."""
    if not folder.is_dir():
        finding = f"no {folder} here; batches go another way"
        return Row(group=DISK, check="shared memory", state="optional", finding=finding, required=False)
    next = "Start the container with --shm-size=1g, or train with workers = 0."
    # Not required: without worker processes nothing goes through it.
    return replace(_room("shared memory", folder, folder, NEEDED_SHARED_GB, next), required=False)


def _room(check: str, place: Path, standing: Path, needed_gb: float, next: str) -> Row:
    """Free space around a folder that stands, for a place in it."""
    free_gb = shutil.disk_usage(standing).free / 1e9
    enough = free_gb >= needed_gb
    return Row(
        group=DISK,
        check=check,
        state="ok" if enough else "missing",
        finding=f"{free_gb:.1f} GB free (needs {needed_gb:g}): {place}",
        next="" if enough else next,
        figures=(("free", round(free_gb, 3), "GB"), ("needed", needed_gb, "GB")),
    )
