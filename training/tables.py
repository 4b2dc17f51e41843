"""Tables of scores as Markdown, LaTeX and JSON, ours beside the figures that the papers state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from training.metrics import ACCURACY_M, ALIGNMENTS, Metric, metric

EVALUATION = "evaluation/metrics.json"  # inside a run's folder
DIGITS = {"%": 2, "cm": 3, "mm": 1, "deg": 2}
NOT_MEASURED = "-"

# Accuracy at 1.25, 2.5 and 5 cm (%), then MAE (cm).
TANG_2019: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "Tang 2019, Table 1": {
        "Ours (Final Shape)": (30.06, 51.57, 75.76, 3.208),
        "Ours (Base + Detail)": (29.24, 50.93, 75.52, 3.282),
        "Ours (Base Shape)": (28.03, 50.10, 75.32, 3.396),
        "Ours (Off-the-Shelf)": (28.57, 50.70, 76.54, 3.546),
        "SURREAL": (21.32, 37.52, 50.06, 3.976),
        "BodyNet": (17.14, 32.59, 56.98, 4.366),
        "Laina et al.": (19.84, 36.48, 60.94, 4.902),
        "Kovesi et al.": (15.51, 29.87, 55.39, 5.789),
    },
    "Tang 2019, Table 2": {
        "Ours": (29.24, 50.93, 75.52, 3.282),
        "W/o seg&skeleton": (25.74, 46.19, 71.04, 4.382),
        "W/o separation": (28.00, 49.42, 72.97, 3.480),
        "Only stage 1": (26.64, 48.14, 72.61, 3.592),
        "Only stage 2": (27.89, 50.31, 74.87, 3.332),
        "W/o truncated loss": (28.03, 49.84, 74.23, 3.410),
    },
}
PAPER_PROTOCOL = (
    "The paper states neither alignment nor mask. Its figures stand under median+best shift, the alignment of "
    "the authors' released evaluation."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A head and rows of cells; a cell is a text, or a figure whose unit its column's head states."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | Metric, ...], ...]
    notes: tuple[str, ...] = ()


def depth_table(results: Sequence[Mapping[str, Any]], *, title: str, note: str, policy: str) -> Table:
    """Our predictors' depth scores under both alignments, then the rows of Tang 2019.

    Args:
        results: of an evaluation, each with `predictor`, `kind` and `metrics`.
        note: how far the rows of models can be compared with the paper's; stands in each of them.
        policy: which pixels count.
    """
    names = [name for alignment in ALIGNMENTS for name in _depth_names(alignment)]
    units = ("%", "%", "%", "cm")
    columns = [f"{name} ({units[index % 4]})" for index, name in enumerate(names)]
    rows: list[tuple[str | Metric, ...]] = []
    for result in results:
        found = {one["name"]: one for one in result["metrics"]}
        label = note if result["kind"] == "model" else "sees no image"
        figures = (found.get(name, metric(name, None, units[i % 4])) for i, name in enumerate(names))
        rows.append((result["predictor"], "this run", *figures, label))
    for source, methods in TANG_2019.items():
        for method, values in methods.items():
            stated = (None,) * 4 + values
            figures = (metric(name, stated[i], units[i % 4]) for i, name in enumerate(names))
            rows.append((method, source, *figures, "the paper's figure"))
    head = ("predictor", "source", *columns, "note")
    return Table(title=title, head=head, rows=tuple(rows), notes=(policy, PAPER_PROTOCOL))


def suite_table(runs_root: Path) -> Table:
    """Every trained model under OUT/runs and its score, beside the best trivial predictor's.

    A run that was trained but not scored has a row too. Rows are ordered by model and run.

    Raises:
        InputError: when there is no run.
    """
    rows: list[tuple[str | Metric, ...]] = []
    for record in sorted(runs_root.glob("*/*/run.json")):
        run = record.parent
        file = run / EVALUATION
        rows.append((run.parent.name, run.name, *(_scored(file) if file.is_file() else _not_scored())))
    if not rows:
        raise InputError(
            "no-runs", f"{runs_root}: must hold MODEL/RUN/run.json, holds none. Train a model first."
        )
    head = (
        "model",
        "run",
        "scored on",
        "samples",
        "score",
        "value",
        "unit",
        "best trivial",
        "its value",
        "note",
    )
    return Table(title="Trained models", head=head, rows=tuple(rows))


def _scored(file: Path) -> tuple[str | Metric, ...]:
    try:
        scores = json.loads(file.read_text(encoding="utf-8"))
        name = scores["headline"]["name"]
        trivial = [
            (one, result["predictor"])
            for result in scores["results"]
            if result["kind"] == "trivial"
            for one in result["metrics"]
            if one["name"] == name and one["value"] is not None
        ]
        data = scores["dataset"]
        place, samples = f"{data['name']}, {data['split']}", str(data["samples"])
        best, predictor = min(trivial, key=lambda pair: _loss(pair[0]), default=(metric(name, None, ""), ""))
        headline = scores["headline"]
        return (place, samples, name, headline, headline["unit"], predictor, best, scores["note"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "evaluation-malformed",
            f"{file}: must be an evaluation's record, is not ({error!r}). Evaluate again.",
        ) from error


def _not_scored() -> tuple[str | Metric, ...]:
    nothing = metric("score", None, "")
    return ("", "", "", nothing, "", "", nothing, "not scored yet")


def _loss(one: Metric) -> float:
    """A figure as something to keep small: shares are better large, everything else is an error."""
    return -one["value"] if one["unit"] == "%" else float(one["value"])


def _depth_names(alignment: str) -> list[str]:
    accuracies = [f"accuracy at {100 * bound_m:g} cm, {alignment}" for bound_m in ACCURACY_M]
    return [*accuracies, f"MAE, {alignment}"]


def to_markdown(table: Table) -> str:
    """A Markdown page: title, table, notes."""
    lines = [f"| {' | '.join(_bar_free(cell) for cell in table.head)} |"]
    figures = [all(isinstance(row[column], dict) for row in table.rows) for column in range(len(table.head))]
    lines.append("|" + "|".join("---:" if figure else "---" for figure in figures) + "|")
    lines += [f"| {' | '.join(_bar_free(_text(cell)) for cell in row)} |" for row in table.rows]
    return "\n".join([f"# {table.title}", "", *lines, "", *(f"{note}\n" for note in table.notes)])


def to_latex(table: Table) -> str:
    """A LaTeX table environment that needs no package; notes follow the caption."""
    figures = [all(isinstance(row[column], dict) for row in table.rows) for column in range(len(table.head))]
    lines = ["\\begin{table}", "\\centering", f"\\begin{{tabular}}{{{''.join('lr'[f] for f in figures)}}}"]
    lines += ["\\hline", " & ".join(_escaped(cell) for cell in table.head) + " \\\\", "\\hline"]
    lines += [" & ".join(_escaped(_text(cell)) for cell in row) + " \\\\" for row in table.rows]
    caption = ". ".join([_escaped(table.title), *(_escaped(note.rstrip(".")) for note in table.notes)])
    return "\n".join([*lines, "\\hline", "\\end{tabular}", f"\\caption{{{caption}.}}", "\\end{table}", ""])


def to_json(table: Table) -> dict[str, Any]:
    """The table for other programs: every figure keeps its name, value and unit."""
    rows = [dict(zip(table.head, row, strict=True)) for row in table.rows]
    return {"title": table.title, "rows": rows, "notes": list(table.notes)}


def write_table(table: Table, place: Path) -> None:
    """PLACE.md, PLACE.tex and PLACE.json, each renamed into place whole."""
    content = json.dumps(to_json(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    texts = {".md": to_markdown(table), ".tex": to_latex(table), ".json": content}
    for suffix, text in texts.items():
        fresh = place.with_name(f".{place.name}{suffix}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(place.with_name(place.name + suffix))


def _text(cell: str | Metric) -> str:
    if isinstance(cell, str):
        return cell
    return NOT_MEASURED if cell["value"] is None else f"{cell['value']:.{DIGITS.get(cell['unit'], 3)}f}"


def _bar_free(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
