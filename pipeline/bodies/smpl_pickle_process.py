"""The process that reads one SMPL pickle: `python -m pipeline.bodies.smpl_pickle_process FILE OUT`.

Nothing in a file can make the reader run anything; what a file can do is to ask for all memory or for ever, and
then it is this process alone that ends. It writes the arrays to OUT (npz), or one JSON object to stdout:
{"reason", "message"}.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

from pipeline.bodies.restricted_unpickler import RefusedPickle
from pipeline.bodies.smpl_objects import smpl_arrays

MEMORY_BYTES = 4 << 30  # SMPL 1.1 in protocol 0, 233 MB of file, takes 0.7 GB
CPU_S = 120
EXIT_REFUSED = 3


def main(file: Path, out: Path) -> int:
    """Read within the limits; returns the exit code."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))
    try:
        arrays = smpl_arrays(file.read_bytes())
        np.savez(out, **arrays)
    except RefusedPickle as refusal:
        return _refuse("body-unsafe", f"{refusal}. Nothing of it was run")
    except (ValueError, RecursionError) as error:
        return _refuse("body-malformed", str(error))
    except MemoryError:
        return _refuse("body-unsafe", f"must be read within {MEMORY_BYTES >> 30} GiB of memory, needs more")
    return 0


def _refuse(reason: str, message: str) -> int:
    json.dump({"reason": reason, "message": message}, sys.stdout)
    return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
