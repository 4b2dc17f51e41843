"""Several runs scored in one go: each on its own, all against the first, and the table of all trained models."""

import logging
from collections.abc import Sequence
from pathlib import Path

from training.compare import compare_runs, comparison_table
from training.evaluate import evaluate_run
from training.tables import suite_table, to_markdown, write_table

LOG = logging.getLogger(__name__)

COMPARISON, SUITE = "comparison", "suite"


def score_runs(runs: Sequence[Path], *, dataset: Path | None, split: str, device: str) -> None:
    """Evaluate runs, and write OUT/runs/suite.md, .tex and .json, which name every trained model there.

    Two runs or more are compared by their headline with paired bootstrap intervals, into
    OUT/runs/comparison.md, .tex and .json.

    Args:
        runs: folders OUT/runs/MODEL/FINGERPRINT; the first is what the others are held against.
        dataset, split, device: as of `evaluate_run`.

    Raises:
        ManifestError, InputError: as of `evaluate_run` and `compare_runs`.
    """
    for run in runs:
        evaluate_run(run, dataset=dataset, split=split, device=device)
        LOG.info("%s\n%s/evaluation/table.md", (run / "evaluation/table.md").read_text("utf-8"), run)
    root = runs[0].resolve().parents[1]
    if len(runs) > 1:
        comparison = comparison_table(compare_runs(runs))
        write_table(comparison, root / COMPARISON)
        LOG.info("%s\n%s/%s.md", to_markdown(comparison), root, COMPARISON)
    write_table(suite_table(root), root / SUITE)
    LOG.info("every trained model: %s/%s.md", root, SUITE)
