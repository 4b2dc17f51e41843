"""Runs held against each other on the same samples, with bootstrap intervals.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13: percentile intervals. People, not
pictures, are drawn again wherever there are at least five: pictures of one person resemble each other, and
an interval over pictures alone would be too narrow.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from training.tables import Table

Float64 = NDArray[np.float64]

MIN_SUBJECTS = 5
ROUNDS = 4000
SHARE = 0.95  # of the bootstrap's means that the interval holds


def bootstrap_interval(values: Float64, groups: Sequence[str], *, seed: int) -> tuple[float, float, str]:
    """The 95 % interval of the mean of values (N).

    Args:
        groups: (N) the subject of each value.

    Returns:
        Lower and upper end, and what was drawn again: subjects with all of their samples, or samples.

    Raises:
        ValueError: without a value.
    """
    if not len(values):
        raise ValueError("bootstrap_interval: values must hold at least one, hold none.")
    subjects, member = np.unique(np.asarray(groups), return_inverse=True)
    by_subject = len(subjects) >= MIN_SUBJECTS
    unit = member if by_subject else np.arange(len(values))
    count = np.bincount(unit).astype(np.float64)
    total = np.bincount(unit, weights=values)
    rng = np.random.default_rng(seed)
    means = np.zeros(ROUNDS)
    for index in range(ROUNDS):  # one at a time: memory stays at one sample of the units
        drawn = rng.integers(0, len(count), len(count))
        means[index] = total[drawn].sum() / count[drawn].sum()
    low, high = np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high), "subjects" if by_subject else "samples"


def read_samples(run: Path, predictor: str | None = None) -> dict[tuple[str, int], dict[str, Any]]:
    """One predictor's records of an evaluated run by capture and frame.

    Args:
        predictor: by default the run's model.

    Raises:
        InputError: when the run was not evaluated, the file is malformed, or the predictor is not in it.
    """
    file = run / "evaluation" / "samples.jsonl"
    try:
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        wanted = records[0]["predictor"] if predictor is None else predictor
        found = {(one["capture"], one["frame"]): one for one in records if one["predictor"] == wanted}
    except FileNotFoundError:
        raise InputError(
            "not-evaluated", f"{file}: must be there, is not. Evaluate the run before comparing it."
        ) from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            "samples-malformed", f"{file}: must hold one record a line, does not ({error!r}). Evaluate again."
        ) from error
    if not found:
        names = sorted({one["predictor"] for one in records})
        raise InputError(
            "predictor-missing", f"{file}: predictor must be one of {', '.join(names)}, is {predictor!r}."
        )
    return found


def compare_runs(runs: Sequence[Path], *, metric: str = "MAE, median", seed: int = 0) -> list[dict[str, Any]]:
    """Each run's mean of one metric and its difference from the first run's, sample by sample.

    Returns:
        One row a run: `run` as MODEL/FINGERPRINT, `predictor`, `samples`, `drawn`, and `mean` and
        `difference`, each with name, value, unit, low and high; the first row's difference is None. A
        difference whose interval does not hold 0 is one that other samples of the same kind would show too.

    Raises:
        InputError: when a run was not evaluated, lacks the metric, or was scored on other samples.
    """
    all_records = [read_samples(run) for run in runs]
    first = all_records[0]
    rows: list[dict[str, Any]] = []
    for run, records in zip(runs, all_records, strict=True):
        if records.keys() != first.keys():
            apart = len(records.keys() ^ first.keys())
            raise InputError(
                "samples-differ",
                f"{run}: must be scored on the samples of {runs[0]}, {apart} stand on one side only. "
                "Evaluate both on one dataset and split.",
            )
        rows.append(_row(run, records, first if rows else None, metric=metric, seed=seed))
    return rows


def _row(
    run: Path,
    records: Mapping[tuple[str, int], Mapping[str, Any]],
    first: Mapping[tuple[str, int], Mapping[str, Any]] | None,
    *,
    metric: str,
    seed: int,
) -> dict[str, Any]:
    keys = sorted(records)
    groups = [str(records[key]["subject"]) for key in keys]
    values, unit = _values(run, records, keys, metric)
    low, high, drawn = bootstrap_interval(values, groups, seed=seed)
    mean = {"name": metric, "value": float(values.mean()), "unit": unit, "low": low, "high": high}
    difference = None
    if first is not None:
        apart = values - _values(run, first, keys, metric)[0]
        low, high, _ = bootstrap_interval(apart, groups, seed=seed)
        name = f"{metric}, difference from the first"
        difference = {"name": name, "value": float(apart.mean()), "unit": unit, "low": low, "high": high}
    head = {
        "run": f"{run.parent.name}/{run.name}",
        "predictor": records[keys[0]]["predictor"],
        "samples": len(keys),
        "drawn": drawn,
    }
    return {**head, "mean": mean, "difference": difference}


def _values(
    run: Path,
    records: Mapping[tuple[str, int], Mapping[str, Any]],
    keys: Sequence[tuple[str, int]],
    name: str,
) -> tuple[Float64, str]:
    values, unit = [], ""
    for key in keys:
        found = {one["name"]: one for one in records[key]["metrics"]}
        if name not in found:
            raise InputError(
                "metric-missing", f"{run}: metric must be one of {', '.join(sorted(found))}, is {name!r}."
            )
        if found[name]["value"] is None:
            capture, frame = key
            raise InputError(
                "nothing-measured",
                f"{run}: {name} must be measured on every sample, is not on {capture}, frame {frame}. "
                "Leave that frame out of the dataset.",
            )
        values.append(float(found[name]["value"]))
        unit = found[name]["unit"]
    return np.array(values), unit


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of `compare_runs` with their 95 % intervals."""
    name, unit = rows[0]["mean"]["name"], rows[0]["mean"]["unit"]
    cells = [
        (row["run"], row["predictor"], str(row["samples"]), row["mean"], _ends(row["mean"]))
        + ((row["difference"], _ends(row["difference"])) if row["difference"] else ("", ""))
        for row in rows
    ]
    head = ("run", "predictor", "samples", f"{name} ({unit})", "95 %", f"difference ({unit})", "95 %, paired")
    drawn = (
        f"Bootstrap of {ROUNDS} rounds; drawn again: {rows[0]['drawn']}. Differences are from the first row."
    )
    return Table(title=f"Comparison by {name}", head=head, rows=tuple(cells), notes=(drawn,))


def _ends(figure: Mapping[str, Any]) -> str:
    return f"{figure['low']:.3f} to {figure['high']:.3f}"
