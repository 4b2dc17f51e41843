"""The program that tries one thing in a process of its own: `python -m tasks.doctoring.probe LIMIT_S NAME WORD...`.

It writes one JSON object to where its stdout was; whatever libraries print goes to stderr. Heavy libraries, those
that break, and those that hang stay in here.
"""

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any


def library(name: str, *modules: str) -> dict[str, Any]:
    """Import a library's modules; its version as installed, else as it says itself."""
    started = time.monotonic()
    loaded = [importlib.import_module(module) for module in modules]
    seconds = time.monotonic() - started
    try:
        version: str | None = importlib.metadata.version(name)
    except (
        importlib.metadata.PackageNotFoundError
    ):  # another distribution of the same modules, or a stray folder
        top = sys.modules[modules[0].split(".")[0]]
        version = getattr(top, "__version__", None)
    return {"version": version, "seconds": seconds, "path": getattr(loaded[0], "__file__", None)}


def gpu(module: str) -> dict[str, Any]:
    """What PyTorch sees of GPUs; on each one, a product of matrices is held against the processor's."""
    torch = importlib.import_module(module)
    facts: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or getattr(torch.version, "hip", None),
        "driver": _driver(),
        "devices": [],
        "error": None,
    }
    try:
        if facts["cuda"] and not torch.cuda.is_available():
            torch.zeros(1, device="cuda")  # its error says why
        numbers = torch.arange(64.0 * 64).reshape(64, 64) % 7  # products stay exact in float32
        for index in range(torch.cuda.device_count() if facts["cuda"] else 0):
            properties = torch.cuda.get_device_properties(index)
            facts["devices"].append({"name": properties.name, "memory_bytes": properties.total_memory})
            there = numbers.to(f"cuda:{index}")
            if not torch.equal((there @ there).cpu(), numbers @ numbers):
                raise ArithmeticError(f"GPU {index} multiplies two matrices wrongly")
    except (RuntimeError, AssertionError, ArithmeticError) as error:
        facts["error"] = first_line(error)
    return facts


def lz4() -> dict[str, Any]:
    """Write a depth image through the lz4 filter as every stage does, and read it back."""
    import h5py
    import numpy as np

    from pipeline.store import FrameReader, FrameWriter

    slope = np.add.outer(np.arange(256), np.arange(256)) / np.float32(512)
    depth_m = slope.astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        path = Path(folder) / "frames.h5"
        with FrameWriter(path, {}) as writer:
            writer.append({"depth_m": depth_m})
        with FrameReader(path) as reader:
            same = bool(np.array_equal(reader.row(0, ["depth_m"])["depth_m"], depth_m))
        with h5py.File(path, "r") as file:
            through_hdf5 = bool(
                np.array_equal(file["depth_m"][0], depth_m)
            )  # the reader above decodes by itself
            ratio = depth_m.nbytes / file["depth_m"].id.get_storage_size()
    return {"same": same and through_hdf5, "ratio": ratio}


def blender(threads: str) -> dict[str, Any]:
    """Render the known scene by Blender."""
    from renderers.self_test import blender_deviation

    return _measured(blender_deviation, int(threads))


def raycast(threads: str) -> dict[str, Any]:
    """Cast the known scene by Embree."""
    from renderers.self_test import raycast_deviation

    return _measured(raycast_deviation, int(threads))


def body() -> dict[str, Any]:
    """Load the default body."""
    from pipeline.bodies.model import default_body

    arrays = default_body().arrays
    return {
        "name": arrays.name,
        "licence": arrays.licence,
        "vertices": len(arrays.template_m),
        "betas": arrays.shape_dirs_m.shape[2],
    }


def first_line(error: BaseException) -> str:
    """An error as one line; libraries write whole pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _measured(measure: Callable[..., Any], threads: int) -> dict[str, Any]:
    from renderers.self_test import DEPTH_LIMIT_MM, NORMAL_LIMIT_DEG

    started = time.monotonic()
    found = measure(threads=threads)
    seconds = time.monotonic() - started
    limits = {"depth_limit_mm": DEPTH_LIMIT_MM, "normal_limit_deg": NORMAL_LIMIT_DEG}
    return {**asdict(found), **limits, "holds": found.holds, "seconds": seconds}


def _driver() -> str | None:
    """Version of NVIDIA's driver, or None where there is none."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        tool = shutil.which("nvidia-smi")
        words = [tool or "", "--query-gpu=driver_version", "--format=csv,noheader"]
        ended = subprocess.run(words, capture_output=True, text=True) if tool else None
        text = ended.stdout if ended is not None and ended.returncode == 0 else ""
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return found[1] if found else None


def main(limit_s: int, name: str, words: list[str]) -> None:
    """Try, and write what was found or how it failed."""
    signal.alarm(limit_s)  # ends this process whatever hangs, also when nobody waits for it any more
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tried: dict[str, Callable[..., dict[str, Any]]]
    tried = {"library": library, "gpu": gpu, "lz4": lz4, "blender": blender, "raycast": raycast, "body": body}
    try:
        found: dict[str, Any] = tried[name](*words)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        found = {"error_type": type(error).__name__, "error": first_line(error), "missing_module": missing}
        json.dump({"failed": found}, answer)
    else:
        json.dump({"found": found}, answer)
    answer.flush()
    os._exit(0)  # what a library does at its end is of no interest, and may hang


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
