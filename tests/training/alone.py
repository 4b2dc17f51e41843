"""`python alone.py RUN.json` trains as on a machine with a bare source tree and six libraries.

The requirements of those six are there too, but only they may import them.
"""

import importlib.metadata as metadata
import re
import runpy
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

OURS = {"pipeline", "training"}
LIBRARIES = {"numpy", "h5py", "torch", "cv2", "safetensors", "hdf5plugin"}
DISTRIBUTIONS = {"cv2": "opencv-python"}


def with_requirements(name, seen):
    if name in seen:
        return
    seen.add(name)
    try:
        requires = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for each in requires:
        if "extra ==" not in each:
            with_requirements(re.split(r"[^A-Za-z0-9._-]", each)[0].lower().replace("_", "-"), seen)


WANTED = set()
for library in LIBRARIES:
    with_requirements(DISTRIBUTIONS.get(library, library), WANTED)
THEIRS = {
    top
    for top, names in metadata.packages_distributions().items()
    if WANTED & {each.lower().replace("_", "-") for each in names}
}


class OnlyThese:
    """Finds what a machine with the six libraries has; nothing has metadata, as in a bare source tree."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names | OURS | LIBRARIES or top.startswith("_sysconfigdata"):
            return PathFinder.find_spec(name, path, target)
        frame = sys._getframe(1)
        while frame and "importlib" in frame.f_globals.get("__name__", ""):
            frame = frame.f_back
        asks = frame.f_globals.get("__name__", "") if frame else ""
        if top in THEIRS and asks.split(".")[0] not in OURS | {"__main__"}:
            return PathFinder.find_spec(name, path, target)
        return None


sys.meta_path = [finder for finder in sys.meta_path if finder in (BuiltinImporter, FrozenImporter)] + [
    OnlyThese
]
for name in ("pydantic", "luigi", "scipy", "numba", "typer", "jinja2", "tensorboard", "matplotlib", "psutil"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name + " is not blocked")
sys.argv = ["training", "train", sys.argv[1]]
runpy.run_module("training", run_name="__main__", alter_sys=True)
