"""Runs the benchmarks of tests/benchmarks: modules `bench_NAME.py` and `NAME_PART.py`, each with a function `rows`."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import tasks
from pipeline.errors import ManifestError

PEERS = ("tsdf-fusion-python",)  # what people use and no package index has


def run_benchmarks(names: list[str], peers: list[str]) -> list[dict[str, Any]]:
    """Rows of the named benchmarks, or of all; each row says which benchmark it is of.

    Args:
        peers: "NAME=FOLDER" of peers that are not installed; a benchmark finds the folder in its environment.

    Raises:
        ManifestError: for an unknown name, or where the benchmarks are not installed.
    """
    for told in peers:
        name, _, place = told.partition("=")
        if name not in PEERS or not Path(place).is_dir():
            raise ManifestError(
                f"bench: --peer must be NAME=FOLDER, NAME one of {', '.join(PEERS)} and FOLDER there, is {told!r}."
            )
        os.environ[f"BODYTRUTH_PEER_{name.upper().replace('-', '_')}"] = place
    folder = Path(tasks.__file__).parents[1] / "tests" / "benchmarks"
    known = {path.stem.removeprefix("bench_"): path for path in sorted(folder.glob("bench_*.py"))}
    if not known:
        raise ManifestError(
            f"{folder}: must hold the benchmarks, does not. They come with the repository, not with an "
            "installed package: run `bodytruth bench` from a clone."
        )
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ManifestError(f"bench: names must be among {', '.join(known)}, {', '.join(unknown)} are not.")
    sys.path.insert(0, str(folder))  # what benchmarks share lies beside them
    return [
        {"bench": name, **row}
        for name in names or known
        for path in (known[name], *sorted(folder.glob(f"{name}_*.py")))
        for row in _rows(path)
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ManifestError(f"{path}: must be a Python module, is not.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.rows())
