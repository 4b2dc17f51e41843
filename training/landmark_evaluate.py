"""A Landmark-Net scored on a split of a dataset, calibrated on another, with its tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.seeds import stream
from training.calibration import FILE, Calibration, fit_calibration, reliability, write_calibration
from training.evaluate import FOLDER, IDENTITY, breakdowns, mean_metrics, summary_of, write_records
from training.figures import save_png
from training.landmark_metrics import (
    TORSO_SHARE,
    dense_figures,
    joint_figures,
    right_joints,
    surface_figures,
    torso_px,
)
from training.landmark_predictor import LandmarkModel, load_landmark_model
from training.landmark_view import landmark_view
from training.made_targets import UNKNOWN_PART
from training.metrics import metric
from training.tables import Table, write_table

if TYPE_CHECKING:
    from training.data import ShardDataset

HEADLINE = "PCK at 0.2 torso"
ROUNDS = 3  # how often each sample of the validation split is drawn for the calibration, each time otherwise
SHOWN = 12  # samples in the picture of examples
PROTOCOL = {
    "picture": "the sample's own square, plainly",
    "joints": "MPII's 16, those within the picture, hidden ones too; torso: the longer diagonal of shoulders and hips",
    "surface": "parts and coordinates over the true body's pixels; UV error where the part is right, of a chart's side",
    "mean": "over samples",
}


def score_landmark_sample(
    model: LandmarkModel, sample: Mapping[str, Any], *, surface: bool = True
) -> list[dict[str, Any]]:
    """All figures of one sample, seen plainly.

    Args:
        sample: `image`, `landmark_points` and `dense_map`.
        surface: geodesic figures as well, which take the body model and a compiler.
    """
    size_px, true_map = model.size_px, sample["dense_map"]
    view = landmark_view(sample, None, size_px=size_px)
    reading = model.read(view["image"][None])[0]
    figures = joint_figures(reading.joints_px, view["landmark_points"], side_px=size_px)
    true_part, true_uv = true_map[..., 0].astype(np.uint8), true_map[..., 1:]
    if not (true_part == UNKNOWN_PART).any():
        at = (np.arange(len(true_part)) * size_px) // len(true_part)
        part, uv = reading.part[np.ix_(at, at)], reading.uv[np.ix_(at, at)]
        figures += dense_figures(part, uv, true_part, true_uv)
        figures += surface_figures(part, uv, true_part, true_uv) if surface else []
    return figures


def calibrate(model: LandmarkModel, samples: "ShardDataset", *, seed: int, of: str) -> Calibration:
    """What the network's masses are worth, on people in all circumstances that training draws."""
    mass, right = drawn_joints(model, samples, seed=seed)
    return fit_calibration(mass, right, of=of)


def _confidences(
    model: LandmarkModel, samples: "ShardDataset", *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    mass, right = drawn_joints(model, samples, seed=seed)
    assert model.calibration is not None
    return model.calibration(mass), right


def drawn_joints(
    model: LandmarkModel, samples: "ShardDataset", *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Masses (N) of joints in drawn pictures, and which (N) are within 0.2 of the torso.

    A joint beyond the border, or of a picture without a person, is never right: there the network must doubt.
    """
    masses, rights = [], []
    for number in range(len(samples)):
        sample = samples.given(samples.stored(number))
        for again in range(ROUNDS):
            rng = stream(seed, "calibration", str(number), again)
            view = landmark_view(sample, rng, size_px=model.size_px)
            reading, points = model.read(view["image"][None])[0], view["landmark_points"]
            inside = ((points[:, :2] > -0.5) & (points[:, :2] < model.size_px - 0.5)).all(axis=1)
            right, _ = right_joints(reading.joints_px, points, share=TORSO_SHARE, size_px=torso_px(points))
            known = points[:, 2] > 0
            masses.append(reading.mass[known])
            rights.append((right & inside & view["person"])[known])
    return np.concatenate(masses), np.concatenate(rights)


def evaluate_landmarks(
    run: Path, *, dataset: Path | None = None, split: str = "test", device: str = "auto"
) -> dict[str, Any]:
    """Calibrate a run's best checkpoint on its validation split, score it, and write RUN/evaluation.

    The calibration lies beside the weights. The evaluation holds metrics.json, samples.jsonl, table.md, .tex and
    .json, reliability.png and examples.png; metrics.json is written last.

    Args:
        run, dataset, split, device: as of `training.evaluate.evaluate_run`.

    Returns:
        What metrics.json holds.

    Raises:
        ManifestError, InputError: as of `training.evaluate.evaluate_run`.
    """
    from training.data import ShardDataset
    from training.run import load_run

    model, record = load_landmark_model(run, device=device), load_run(run / "run.json")
    training = [(source.path, record.train_split) for source in record.datasets]
    if dataset is None and len(training) > 1:
        raise InputError(
            "dataset-unclear", f"{run}: was trained on {len(training)} datasets. Say which one to score on."
        )
    dataset, fields = dataset or training[0][0], model.trained.recipe.fields
    held_out = ShardDataset(training[0][0], split=record.val_split, fields=fields)
    of = f"{training[0][0].name}, {record.val_split}: {len(held_out)} samples, drawn {ROUNDS} times each"
    calibration = calibrate(model, held_out, seed=record.seed, of=of)
    model = LandmarkModel(trained=model.trained, calibration=calibration)
    samples = ShardDataset(dataset, split=split, fields=(*fields, *IDENTITY))
    rows, error = reliability(*_confidences(model, samples, seed=record.seed + 1))
    write_calibration(model.trained.folder / FILE, calibration, {"expected_calibration_error": error})
    records, examples = _score_all(model, samples)
    summary = summary_of(model.trained, (dataset, split), training, PROTOCOL) | {
        "results": [
            {
                "predictor": model.trained.recipe.name,
                "kind": "model",
                "metrics": [*mean_metrics(records), metric("expected calibration error", 100 * error, "%")],
                "by": breakdowns(records),
            }
        ],
        "reliability": rows,
    }
    _write(run / FOLDER, records, summary, {"examples": examples, "reliability": _reliability_picture(rows)})
    return summary


def _write(
    folder: Path,
    records: Sequence[Mapping[str, Any]],
    summary: dict[str, Any],
    pictures: Mapping[str, NDArray[np.uint8]],
) -> None:
    figures = summary["results"][0]["metrics"]
    summary["headline"] = next(one for one in figures if one["name"] == HEADLINE)
    summary["dataset"]["samples"] = len(records)
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
    place = f"{summary['dataset']['name']}, {summary['dataset']['split']}"
    table = Table(
        title=f"{summary['model']['name']} on {place}: {len(records)} samples",
        head=("figure", "value", "unit"),
        rows=tuple((one["name"], one, one["unit"]) for one in figures),
        notes=tuple(PROTOCOL.values()),
    )
    write_table(table, folder / "table")
    write_records(folder, records, summary)


def _score_all(
    model: LandmarkModel, samples: "ShardDataset"
) -> tuple[list[dict[str, Any]], NDArray[np.uint8]]:
    """Records of all samples, and a sheet of some."""
    from training.landmark_pictures import sample_picture

    shown = set(np.linspace(0, len(samples) - 1, min(SHOWN, len(samples))).astype(int).tolist())
    records, tiles = [], []
    for number in range(len(samples)):
        sample = samples.given(samples.stored(number))
        records.append(
            {
                "predictor": "landmark-net",
                "sample": number,
                "capture": str(sample["capture"]),
                "frame": int(sample["frame"]),
                "subject": str(sample["subject"]),
                "metrics": score_landmark_sample(model, sample),
            }
        )
        if number in shown:
            view = landmark_view(sample, None, size_px=model.size_px)
            reading = model.read(view["image"][None])[0]
            tiles.append(sample_picture(view["image"], reading, model.confidence(reading)))
    return records, _grid(tiles)


def _grid(tiles: Sequence[NDArray[np.uint8]], columns: int = 3) -> NDArray[np.uint8]:
    blank = np.zeros_like(tiles[0])
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(padded[row : row + columns]) for row in range(0, len(padded), columns)])


def _reliability_picture(rows: Sequence[Mapping[str, float]]) -> NDArray[np.uint8]:
    from training.plots import line_plot

    said, found = (100 * np.array([row[key] for row in rows], np.float64) for key in ("confidence", "right"))
    ends = np.array([0.0, 100.0])
    return line_plot(
        {"joints": (said, found), "where both are equal": (ends, ends)},
        labels=("confidence (%)", "joints within 0.2 torso (%)"),
        limits=(100.0, 100.0),
    )
