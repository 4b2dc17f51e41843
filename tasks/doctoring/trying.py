"""Starts `tasks.doctoring.probe` and takes its answer, however it ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT_S = 60
CACHES = (
    "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "BLENDER_USER_RESOURCES",
    "CUDA_CACHE_PATH",
)  # fmt: skip


class ProbeError(Exception):
    """A probe that found no answer.

    Args:
        message: what it said, or how it ended.
        missing_module: the Python module that it lacked, if that is why.
    """

    def __init__(self, message: str, missing_module: str | None = None) -> None:
        super().__init__(message)
        self.missing_module = missing_module


def attempt(name: str, *words: str) -> dict[str, Any]:
    """Run one probe to its end and return what it found.

    It finds the modules that this process would find, and writes nowhere but to a folder that is removed.

    Raises:
        ProbeError: if it fails, dies, or does not end within LIMIT_S.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True) as folder:
            return _answer(_run(folder, name, words))
    except OSError as error:
        raise ProbeError(
            f"not tried: no process with a folder of its own can be started ({error})"
        ) from error


def _run(folder: str, name: str, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    # An entry may be '', the folder where Python was started.
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    environment = os.environ | dict.fromkeys(CACHES, folder)
    environment |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-m", "tasks.doctoring.probe", str(LIMIT_S), name, *words]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
    )


def _answer(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        answer = json.loads(ended.stdout)
    except ValueError:
        raise ProbeError(_epitaph(ended.returncode, ended.stderr)) from None
    if "failed" in answer:
        failed = answer["failed"]
        known = ("StageError", "InputError", "ModuleNotFoundError")  # say themselves what they are
        kind = "" if failed["error_type"] in known else f"{failed['error_type']}: "
        raise ProbeError(f"{kind}{failed['error']}", failed["missing_module"])
    found: dict[str, Any] = answer["found"]
    return found


def _epitaph(code: int, stderr: str) -> str:
    if code == -signal.SIGALRM:
        return f"it must end within {LIMIT_S} s, does not"
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        return f"it {how}; where nobody sent this signal, the machine had no memory left"
    words = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f"it {how}" + (f": {words[-1]}" if words else "")
