"""The body model, and what the simulator makes of it. Run as a script for a table.

No peer is timed: the one that reads SMPL files is not free to use, the one that made the default body is no
dependency. Each figure is the best of several rounds, as a machine that does other things too allows.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body

Row = dict[str, Any]

POSES = 32


def rows(*, rounds: int = 20) -> list[Row]:
    """All rows of the benchmark `bodies`, in ms and s."""
    return [*_body_rows(rounds), _sample_row(rounds), _capture_row()]


def _body_rows(rounds: int) -> list[Row]:
    import torch

    body = default_body()
    rng = np.random.default_rng(0)
    pose, betas, place = (rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((POSES, 24, 3), (POSES, 10), (POSES, 3)))
    tensors = [torch.from_numpy(array) for array in (pose, betas, place)]
    name = f"forward of {POSES} poses, {len(body.arrays.template_m)} vertices"
    return [
        _row(f"{name}, numpy", 1e3 * _best(lambda: body.posed(pose, betas, place), rounds), "ms", 15.0),
        _row(f"{name}, torch", 1e3 * _best(lambda: body.posed(*tensors), rounds), "ms", 15.0),
    ]
