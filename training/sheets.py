"""The pictures of an evaluation: samples picked while they are scored, then drawn."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.figures import Row, cdf_plot, depth_row, error_sheet, save_png
from training.metrics import ALIGNMENTS
from training.models import Sample

EXAMPLES, EXAMPLE_PX = 6, 220
WORST, WORST_PX = 20, 150


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A sample with what was predicted for it.

    Attributes:
        error: the first predictor's headline figure; None where nothing could be measured.
    """

    sample: Sample
    mask: NDArray[np.bool_]
    predictions: Mapping[str, NDArray[Any]]
    error: float | None


class Picked:
    """Of the samples that go by, some at even distances and the worst ones; so none is predicted twice.

    Args:
        count: how many samples will go by.
    """

    def __init__(self, count: int) -> None:
        self._wanted = {round(index) for index in np.linspace(0, count - 1, EXAMPLES)}
        self._examples: list[Scored] = []
        self._worst: list[tuple[float, int, Scored]] = []

    def add(self, index: int, scored: Scored) -> None:
        """Take in the next sample."""
        if index in self._wanted:
            self._examples.append(scored)
        if scored.error is not None:
            # Of equal errors the earlier sample stays; the index is unique, so that samples are never compared.
            heapq.heappush(self._worst, (scored.error, -index, scored))
            if len(self._worst) > WORST:
                heapq.heappop(self._worst)

    @property
    def examples(self) -> list[Scored]:
        return self._examples

    @property
    def worst(self) -> list[Scored]:
        """The worst first."""
        return [scored for _, _, scored in sorted(self._worst, key=lambda one: one[:2], reverse=True)]


def write_figures(
    folder: Path, picked: Picked, results: Sequence[Mapping[str, Any]], *, shown: Sequence[str]
) -> None:
    """Write cdf.png, figures/examples.png and worst.png.

    Args:
        shown: predictors on the examples; the first alone is on the worst ones.
    """
    errors_m = np.array(results[0]["cdf"]["errors"]["value"])
    plots = []
    for alignment in ALIGNMENTS:
        shares = {one["predictor"]: one["cdf"]["shares"][alignment] for one in results}
        curves = {name: np.array(values) for name, values in shares.items() if values is not None}
        plots.append(cdf_plot(curves, errors_m, alignment))
    save_png(folder / "cdf.png", np.vstack(plots))
    save_png(folder / "figures" / "examples.png", sheet(picked.examples, shown, tile_px=EXAMPLE_PX))
    if picked.worst:
        save_png(folder / "worst.png", sheet(picked.worst, shown[:1], tile_px=WORST_PX))


def sheet(scored: Sequence[Scored], shown: Sequence[str], *, tile_px: int) -> NDArray[np.uint8]:
    """image | truth | each shown prediction | its error, one line a sample."""
    rows = []
    for one in scored:
        predictions = {name: one.predictions[name] for name in shown}
        tiles = depth_row(one.sample, predictions, one.mask, tile_px=tile_px)
        found = "nothing to score" if one.error is None else f"MAE {one.error:.2f} cm"
        place = f"{one.sample['capture']}, frame {int(one.sample['frame'])}"
        rows.append(Row(caption=f"{place}: {found}", tiles=tiles))
    titles = ["image", "truth", *shown, *(f"error, {name}" for name in shown)]
    return error_sheet(rows, titles, blocks=2 if len(shown) == 1 else 1)
