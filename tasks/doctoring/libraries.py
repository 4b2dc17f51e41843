"""Whether each library is there, fits, and can be imported."""

import importlib.util
import sys
from pathlib import Path

from pipeline.system_libraries import DEBIAN_LINE, missing_library
from tasks.doctoring.requirements import PROJECT, Requirement, checkout, fits
from tasks.doctoring.row import Row, State
from tasks.doctoring.trying import ProbeError, attempt

# What we import, where it is not the library's own name; compiled parts that load late are named.
MODULES = {
    "opencv-python": ("cv2",),
    "rosbags": ("rosbags.rosbag1", "rosbags.rosbag2", "rosbags.typesys"),
    "safetensors": ("safetensors.numpy",),
    "scipy": ("scipy.ndimage", "scipy.sparse.linalg", "scipy.spatial"),
    "tensorboard": ("tensorboard.compat.proto.event_pb2",),
}
# What cannot be done without an optional library.
PURPOSES = {
    "rosbags": "read rosbag captures",
    "tensorboard": "watch a training run in TensorBoard",
}


def library_row(requirement: Requirement) -> Row:
    """Try one library in a process of its own."""
    modules = MODULES.get(requirement.name, (requirement.name.replace("-", "_"),))
    try:
        found = attempt("library", requirement.name, *modules)
    except ProbeError as error:
        return _failed(requirement, modules[0].split(".")[0], error)
    version, wanted = found["version"], _wanted(requirement)
    figures = (("import time", round(float(found["seconds"]), 3), "s"),)
    if version is None or not fits(version, requirement.versions):
        had = f"is {version}" if version else "has none"
        where = f", imported from {found['path']}" if found["path"] else ""
        finding = f"version must be {requirement.versions}, {had}{where}"
        return _row(requirement, "broken", finding, next=pip(wanted), figures=figures)
    can = f", to {PURPOSES[requirement.name]}" if requirement.name in PURPOSES else ""
    return _row(requirement, "ok", f"{version} (needs {requirement.versions or 'any'}){can}", figures=figures)


def group_of(requirement: Requirement) -> str:
    """Heading that a library stands under."""
    return "Libraries" if requirement.extra is None else "Optional libraries"


def pip(wanted: str, *options: str) -> str:
    """The command that installs something for the Python that runs now."""
    return " ".join([sys.executable, "-m pip install", *options, f"'{wanted}'"])


def _pip_extra(extra: str) -> str:
    clone = checkout()
    return pip(f"{PROJECT}[{extra}]") if clone is None else pip(f"{clone}[{extra}]", "-e")


def reinstall(requirement: Requirement) -> str:
    """The command that puts a library's files in order again."""
    return pip(_wanted(requirement), "--force-reinstall", "--no-deps")


def _failed(requirement: Requirement, top: str, error: ProbeError) -> Row:
    wanted = _wanted(requirement)
    if error.missing_module == top:
        if requirement.extra is None:
            return _row(
                requirement, "missing", f"not installed (needs {requirement.versions})", next=pip(wanted)
            )
        use = PURPOSES.get(requirement.name, f"use the extra {requirement.extra!r}")
        finding = f"not installed; needed to {use}"
        return _row(requirement, "optional", finding, next=_pip_extra(requirement.extra))
    finding, next = f"cannot be imported: {error}", reinstall(requirement)
    if missing_library(ImportError(str(error))):
        next = f"On Debian: {DEBIAN_LINE}"
    elif error.missing_module is not None:
        next = pip(wanted)  # which looks after what the library itself needs
    place = _place(top)
    return _row(requirement, "broken", f"{finding} (from {place})" if place else finding, next=next)


def _row(
    requirement: Requirement,
    state: State,
    finding: str,
    *,
    next: str = "",
    figures: tuple[tuple[str, float | None, str], ...] = (),
) -> Row:
    return Row(
        group=group_of(requirement),
        check=requirement.name,
        state=state,
        finding=finding,
        next=next,
        required=requirement.extra is None,
        figures=figures,
    )


def _wanted(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.versions}"


def _place(top: str) -> Path | None:
    """Folder of the module that would be imported: a stray one of the same name is a common cause."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None
