# SPDX-License-Identifier: GPL-3.0-or-later
"""The process: reads requests, hands each to its job, answers."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

EXIT_NO_BLENDER = 3
PR_SET_PDEATHSIG = 1


def main(job_folder: Path, parent_pid: int, threads: int) -> int:
    """Answer requests until stdin ends; returns the exit code."""
    die_with(parent_pid)
    requests, answers = claim_pipes()
    try:
        from . import cloth, color, geometry, scenes

        bpy, passes = scenes.start()
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO_BLENDER
    makers = {"geometry": geometry.Geometry, "color": color.Color, "cloth": cloth.Cloth}
    jobs: dict[str, Any] = {}
    for line in requests:
        name, scene, index = line.decode().split()
        if name not in jobs:
            jobs[name] = makers[name](bpy, passes, threads)
        jobs[name].answer(job_folder / scene, int(index))
        answers.write(line)
        answers.flush()
    return 0


def die_with(parent_pid: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of stdin does, a frame later."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(1)


def claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for the protocol and send whatever Blender prints to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
