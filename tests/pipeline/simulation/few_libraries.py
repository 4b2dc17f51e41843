"""`python few_libraries.py OUT ...` makes samples as on a machine with a bare source tree and six libraries.

The processes that it spawns run this file first, as every spawned process does, and so have no more.
"""

import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

ALLOWED = {"pipeline", "numpy", "scipy", "numba", "llvmlite", "cv2", "h5py", "hdf5plugin"}


class OnlyThese:
    """Finds the standard library and what is allowed; nothing has metadata, as in a bare source tree."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names | ALLOWED or top.startswith("_sysconfigdata"):
            return PathFinder.find_spec(name, path, target)
        return None


sys.meta_path = [finder for finder in sys.meta_path if finder in (BuiltinImporter, FrozenImporter)]
sys.meta_path.append(OnlyThese)
for name in ("pydantic", "luigi", "torch", "open3d", "bpy", "trimesh", "psutil", "training"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name + " is not blocked")
if __name__ == "__main__":
    from pipeline.simulation.make_samples import main

    sys.exit(main(sys.argv[1:]))
