"""The dataset card: what a dataset holds, where it comes from, what was left out, in one Markdown page."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.fields import FIELDS


def card_markdown(index: Mapping[str, Any]) -> str:
    """Write the card of a dataset from its index; the same index gives the same page."""
    return "\n".join(
        [
            f"# {index['name']}",
            "",
            f"Fingerprint `{index['fingerprint']}`, written by {index['generator']}, "
            f"schema {index['schema']}, seed {index['seed']}, crops of {index['image_size_px']} px.",
            "",
            *_splits(index),
            *_fields(index),
            *_captures(index),
            *_quarantine(index),
            *_licences(index),
        ]
    )


def _splits(index: Mapping[str, Any]) -> list[str]:
    rows = [
        (split, entry["samples"], len(entry["shards"]), ", ".join(entry["subjects"]))
        for split, entry in index["splits"].items()
    ]
    return ["## Splits", "", "By subject.", "", *_table(("split", "samples", "shards", "subjects"), rows)]


def _fields(index: Mapping[str, Any]) -> list[str]:
    rows = [
        (f"`{name}`", field.shape or "scalar", field.dtype, field.unit, field.frame, field.invalid, field.doc)
        for name, field in ((name, FIELDS[name]) for name in index["fields"])
    ]
    head = ("field", "shape", "dtype", "unit", "frame", "invalid", "meaning")
    return ["## Fields", "", *_table(head, rows)]


def _captures(index: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, capture in index["captures"].items():
        stats = capture["stats"]
        shown = [
            _figure(stats.get(key))
            for key in ("fused residual, median", "fused coverage", "truth depth error, median")
        ]
        rows.append((name, capture["subject"], capture["split"], capture["samples"], *shown))
    figures = ("fused against raw, median", "coverage", "fused against truth")
    return ["## Captures", "", *_table(("capture", "subject", "split", "samples", *figures), rows)]


def _quarantine(index: Mapping[str, Any]) -> list[str]:
    rows = index["quarantine"]
    if not rows:
        return ["## Quarantine", "", "Nothing was left out.", ""]
    counts = Counter((row["capture"], row["stage"], row["reason"]) for row in rows)
    counted = [(*key, count) for key, count in sorted(counts.items())]
    said = "Every row with its measured value is in `quarantine.csv`."
    return ["## Quarantine", "", said, "", *_table(("capture", "stage", "reason", "rows"), counted)]


def _licences(index: Mapping[str, Any]) -> list[str]:
    lines = [f"- {name}: {text}" for name, text in index["licences"].items()]
    return ["## Licences", "", *lines, ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    # A bar inside a cell would end it.
    lines = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {line} |" for line in lines), ""]


def _figure(stat: Mapping[str, Any] | None) -> str:
    if stat is None or stat["value"] is None:
        return "not measured"
    return f"{stat['value']:.4g} {stat['unit']}" if stat["unit"] != "1" else f"{stat['value']:.4g}"
