"""What a run says of itself: log.jsonl, phases.json, lines on the terminal, and TensorBoard where installed."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StageError

LOG, PHASES = "log.jsonl", "phases.json"
PICTURES = 4  # samples on a TensorBoard sheet
DEPTH_LIMIT_M = 0.4  # full colour in pictures: most of a person lies within this of the median

_MEANS = ("loss", "gradient_norm", "samples_per_s")

logger = logging.getLogger("training")


class Journal:
    """The log of a run, from `step` on: rows of later steps, left by a killed process, are dropped.

    Args:
        folder: of the run.
        leads: False for the ranks that write nothing.
    """

    def __init__(self, folder: Path, *, step: int, leads: bool) -> None:
        self._folder, self._leads = folder, leads
        self._board: Any = None
        if not leads:
            return
        path, part = folder / LOG, folder / f".part-{LOG}"
        with writing(path):
            kept = [row for row in read_log(folder) if row["step"] <= step]
            part.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
            os.replace(part, path)
            self._file = path.open("a", encoding="utf-8")
            self._board = _board(folder, step)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row; its numbers, also those one level down, go to TensorBoard."""
        if not self._leads:
            return
        with writing(self._folder / LOG):
            self._file.write(json.dumps(row, allow_nan=False) + "\n")
            self._file.flush()
            for name, value in _numbers(row) if self._board is not None else ():
                self._board.add_scalar(name, value, row["step"])

    def add_means(self, step: int, phase: str, epoch: int, rate: float, means: Mapping[str, float]) -> None:
        """Write and say the means over the steps since the last such row."""
        plain = {name: means[name] for name in _MEANS}
        losses = {name: value for name, value in means.items() if name not in plain}
        self.add({"step": step, "phase": phase, "epoch": epoch, "lr": rate, **plain, "losses": losses})
        parts = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self.say(
            f"step {step}, {phase}, epoch {epoch}: loss {plain['loss']:.4g} ({parts}), gradient "
            f"{plain['gradient_norm']:.3g}, lr {rate:.3g}, {plain['samples_per_s']:.1f} samples/s"
        )

    def say(self, text: str) -> None:
        """A line on the terminal."""
        if self._leads:
            logger.info(text)

    def pictures(self, step: int, batch: Mapping[str, Any], depth_m: Any) -> None:
        """Put image, true and predicted depth of a validation batch on TensorBoard.

        Args:
            depth_m: (B H W) relative to the median, a tensor.
        """
        if self._board is not None:
            sheet = _sheet({name: batch[name][:PICTURES] for name in _SHEET_FIELDS}, depth_m[:PICTURES])
            self._board.add_image("image, truth, predicted", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Close what is open; what a full disk keeps from being written has been said before."""
        with contextlib.suppress(OSError):
            if self._leads:
                self._file.close()
            if self._board is not None:
                self._board.close()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence what cannot be written.

    Raises:
        StageError: for any error of the system.
    """
    try:
        yield
    except OSError as error:
        raise StageError(
            f"{path}: must be written, cannot be: {error.strerror or error}. "
            "Free space and run again: the run goes on from its last checkpoint."
        ) from error


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The whole rows of log.jsonl; a last one that was cut off by a kill is left out."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write_phases(folder: Path, content: Mapping[str, Any]) -> None:
    """Write phases.json whole."""
    part = folder / f".part-{PHASES}"
    with writing(folder / PHASES):
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, folder / PHASES)


def phase_row(name: str, clock: Mapping[str, float], paper: Mapping[str, Any]) -> dict[str, Any]:
    """One phase's time and rate beside what the paper states for the phase of that name, if anything."""
    return {
        "name": name,
        **clock,
        "samples_per_s": clock["samples"] / clock["train_s"],
        "paper": paper.get("phases", {}).get(name),
    }


def phase_sentence(row: Mapping[str, Any], device: str, paper: Mapping[str, Any]) -> str:
    """`phase_row` for a person."""
    wall_s = row["train_s"] + row["other_s"]
    ours = (
        f"{row['name']}: {row['steps']:.0f} steps, {row['samples']:.0f} samples in {wall_s:.1f} s on {device}, "
        f"{row['samples_per_s']:.1f} samples/s while training"
    )
    stated = row["paper"]
    if not stated:
        return f"{ours}; the paper states no time for a phase of this name"
    return f"{ours}; {paper['source']}: " + ", ".join(f"{key} {value}" for key, value in stated.items())


def _board(folder: Path, step: int) -> Any:
    """A TensorBoard writer that forgets what was logged after `step`; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def _numbers(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = []
    for name, value in row.items():
        if isinstance(value, Mapping):
            found += [(f"{name}/{inner}", number) for inner, number in value.items()]
        elif isinstance(value, int | float) and name != "step":
            found.append((name, value))
    return found


_SHEET_FIELDS = ("image", "mask", "depth_m", "depth_median_m")


def _sheet(batch: Mapping[str, Any], depth_m: Any) -> NDArray[np.uint8]:
    from pipeline.pictures import signed_picture

    arrays = {name: value.cpu().numpy() for name, value in batch.items()}
    rows: list[Sequence[NDArray[np.uint8]]] = []
    for number, predicted_m in enumerate(depth_m.float().nan_to_num().cpu().numpy()):
        mask = arrays["mask"][number]
        truth_m = arrays["depth_m"][number] - arrays["depth_median_m"][number]
        depths = (signed_picture(each, mask, DEPTH_LIMIT_M) for each in (truth_m, predicted_m))
        rows.append([arrays["image"][number], *depths])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])
