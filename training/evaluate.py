"""Score predictors on a split of a dataset, and write a run's evaluation.

Every sample is scored on its own mask and kept; a predictor's score is the mean over the samples, so that each
picture counts the same however many pixels its person fills.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.shards import ShardReader, read_index
from training.made_targets import stored_fields, with_targets
from training.metrics import ALIGNMENTS, Metric, metric
from training.models import Predictor, Sample, Trained, depth_predictor, load_trained
from training.scoring import KINDS, DepthTrace, score_mask
from training.sheets import Picked, Scored, write_figures
from training.tables import depth_table, write_table
from training.trivial import MEAN_SHAPE, TRIVIAL, trivial_predictor

SCHEMA = 1
FOLDER = "evaluation"
IDENTITY = ("capture", "frame", "subject")
BREAKDOWNS = ("subject", "pose", "outfit")


def evaluate_predictor(
    predict: Predictor,
    dataset: Path,
    *,
    split: str,
    fields: Sequence[str],
    kind: str = "depth",
    erosion_px: int = 1,
    watch: Callable[[int, Scored], None] | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run a predictor over a split and score every sample.

    Args:
        predict: a sample of numpy arrays to predictions by name.
        fields: what predict reads: shard fields, and targets of `training.made_targets`.
        kind: what it predicts, one of `training.scoring.KINDS`.
        erosion_px: rings of pixels taken off each mask: the outermost mix person and background.
        watch: is shown every sample by its number, with all that was predicted for it.

    Returns:
        Records, one per predictor and sample in the order of the split: `predictor`, `sample`, `capture`,
        `frame`, `subject`, `pose` and `outfit` as far as the dataset knows them, and `metrics`. And results,
        one per predictor: `predictor`, `metrics`, `by` and, for depth, `cdf`.

    Raises:
        InputError: without the split, a field, or a sample in it.
    """
    how, index = KINDS[kind], read_index(dataset)
    names = sorted({*fields, *how.fields, *IDENTITY})
    samples = _reader(dataset, split, names)
    records: dict[str, list[dict[str, Any]]] = {}
    traces: dict[str, DepthTrace] = {}
    for number in range(len(samples)):
        sample = with_targets(samples[number], names)
        who = {"sample": number, **_identity(sample, index.get("captures", {}))}
        mask, predictions = score_mask(sample, erosion_px), predict(sample)
        for name, prediction in predictions.items():
            metrics = how.score(prediction, sample, mask)
            records.setdefault(name, []).append({"predictor": name, **who, "metrics": metrics})
            if kind == "depth":
                traces.setdefault(name, DepthTrace()).add(prediction, sample, mask)
        if watch is not None:
            first = next(iter(records.values()))[-1]["metrics"]
            error = next(one["value"] for one in first if one["name"] == how.headline)
            watch(number, Scored(sample=sample, mask=mask, predictions=predictions, error=error))
    results = []
    for name, mine in records.items():
        result: dict[str, Any] = {"predictor": name, "metrics": mean_metrics(mine), "by": breakdowns(mine)}
        if name in traces:
            result["metrics"] += traces[name].flicker()
            result["cdf"] = traces[name].cdf()
        results.append(result)
    return [record for mine in records.values() for record in mine], results


def mean_metrics(records: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """The mean of each metric over the records that measured it, and how many records there are."""
    values: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    count = 0
    for record in records:
        count += 1
        for one in record["metrics"]:
            units[one["name"]] = one["unit"]
            values.setdefault(one["name"], []).extend([] if one["value"] is None else [one["value"]])
    means = [metric(name, float(np.mean(of)) if of else None, units[name]) for name, of in values.items()]
    return [*means, metric("samples", count, "1")]


def evaluate_run(
    run: Path,
    *,
    dataset: Path | None = None,
    split: str = "test",
    erosion_px: int = 1,
    device: str = "auto",
) -> dict[str, Any]:
    """Score a run's best checkpoint beside the trivial predictors and write RUN/evaluation.

    That holds metrics.json, samples.jsonl, table.md, table.tex, table.json, cdf.png, worst.png and
    figures/examples.png. metrics.json is written last: where it stands, all of them do.

    A recipe with a `score` of its own is scored by that instead.

    Args:
        run: OUT/runs/MODEL/FINGERPRINT.
        dataset: by default the one that the run was trained on.
        erosion_px: as in `evaluate_predictor`.

    Returns:
        What metrics.json holds.

    Raises:
        ManifestError: when the run's record is missing or malformed.
        InputError: when there is no checkpoint, dataset, split or field, or the model gives no depth.
    """
    from training.run import load_run

    trained = load_trained(run, device=device)
    if trained.recipe.score is not None:
        return trained.recipe.score(run, dataset=dataset, split=split, device=device)
    model = depth_predictor(trained)
    record = load_run(run / "run.json")
    training = [(source.path, record.train_split) for source in record.datasets]
    if dataset is None and len(training) > 1:
        raise InputError(
            "dataset-unclear", f"{run}: was trained on {len(training)} datasets. Say which one to score on."
        )
    dataset = dataset or training[0][0]
    trivial = trivial_predictor(training)

    def predict(sample: Sample) -> dict[str, Any]:
        return {**model(sample), **trivial(sample)}

    fields = [*trained.recipe.input_fields, "image", "K"]
    picked = Picked(len(_reader(dataset, split, fields)))
    records, results = evaluate_predictor(
        predict, dataset, split=split, fields=fields, erosion_px=erosion_px, watch=picked.add
    )
    for result in results:
        result["kind"] = "trivial" if result["predictor"] in TRIVIAL else "model"
    protocol = {
        "mask": f"mask eroded by {erosion_px} px",
        "alignments": list(ALIGNMENTS),
        "mean": "over samples",
        "pixels without a prediction": "stand at the prediction's median",
    }
    summary = summary_of(trained, (dataset, split), training, protocol) | {"results": results}
    summary["dataset"]["samples"] = len(records) // len(results)
    headline = KINDS["depth"].headline
    summary["headline"] = next(one for one in results[0]["metrics"] if one["name"] == headline)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)
    shown = [one["predictor"] for one in results if one["kind"] == "model"] + [MEAN_SHAPE]
    write_figures(folder, picked, results, shown=shown)
    _write_tables(folder, records, summary)
    return summary


def _reader(dataset: Path, split: str, names: Sequence[str]) -> ShardReader:
    """Reads the stored fields of fields and targets."""
    stored = stored_fields(names, read_index(dataset)["fields"], where=str(dataset))
    reader = ShardReader(dataset, split=split, fields=stored)
    if not len(reader):
        raise InputError(
            "no-samples", f"{dataset}: split {split} must hold a sample, holds none. Name another."
        )
    return reader


def _identity(sample: Sample, captures: Mapping[str, Any]) -> dict[str, Any]:
    capture = str(sample["capture"])
    known = captures.get(capture, {})
    who = {"capture": capture, "frame": int(sample["frame"]), "subject": str(sample["subject"])}
    return who | {key: known[key] for key in ("pose", "outfit") if known.get(key)}


def breakdowns(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[Metric]]]:
    """Mean metrics of each subject, pose and outfit, where the dataset knows them."""
    found: dict[str, dict[str, list[Metric]]] = {}
    for key in BREAKDOWNS:
        values = sorted({record[key] for record in records if key in record})
        if values:
            found[key] = {
                value: mean_metrics(record for record in records if record.get(key) == value)
                for value in values
            }
    return found


def summary_of(
    trained: Trained,
    scored: tuple[Path, str],
    training: Sequence[tuple[Path, str]],
    protocol: Mapping[str, Any],
) -> dict[str, Any]:
    """What was scored on what and how: all that metrics.json holds but the figures.

    Args:
        scored: dataset and split.
        training: datasets and splits that the model was trained on.
        protocol: how it was scored, in words.
    """
    index, split = read_index(scored[0]), scored[1]
    indices = [(read_index(path), train_split) for path, train_split in training]
    seen = set.union(*(_of_split(one, name, "subject") for one, name in indices))
    return {
        "schema": SCHEMA,
        "model": trained.state["model"],
        "checkpoint": {"name": trained.folder.name, "step": trained.state["step"]},
        "dataset": {
            "name": index.get("name", scored[0].name),
            "fingerprint": index.get("fingerprint"),
            "split": split,
        },
        "subjects_seen_in_training": sorted(seen & _of_split(index, split, "subject")),
        "protocol": dict(protocol),
        "note": comparability(indices, index, split),
    }


def _of_split(index: Mapping[str, Any], split: str, key: str) -> set[str]:
    captures = index.get("captures", {}).values()
    return {str(capture[key]) for capture in captures if capture["split"] == split}


def comparability(
    training: Sequence[tuple[Mapping[str, Any], str]], index: Mapping[str, Any], split: str
) -> str:
    """One clause on how far a score stands beside the paper's figures, from the datasets' indices.

    Args:
        training: indices that the model was trained on, each with its split.
        index: of the dataset that it was scored on.
    """
    if any("tang2019" in _of_split(one, name, "format") for one, name in training):
        return "trained on the paper's own test subjects: not comparable"
    if _of_split(index, split, "format") == {"tang2019"}:
        return "scored on the released part of the paper's test set: roughly comparable"
    return (
        f"scored on {index.get('name', 'other data')}, {split}, not on the paper's test set: not comparable"
    )


def _write_tables(folder: Path, records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """The tables and records."""
    scored = summary["dataset"]
    title = f"{summary['model']['name']} on {scored['name']}, {scored['split']}: {scored['samples']} samples"
    policy = f"Pixels: {summary['protocol']['mask']}. Scores are means over samples."
    table = depth_table(summary["results"], title=title, note=summary["note"], policy=policy)
    write_table(table, folder / "table")
    write_records(folder, records, summary)


def write_records(folder: Path, records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Write samples.jsonl and, last of all, metrics.json."""
    lines = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    (folder / "samples.jsonl").write_text(lines, encoding="utf-8")
    (folder / "metrics.json").write_text(_json(summary), encoding="utf-8")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
