"""The dataset card: what a dataset holds, where it comes from, what was left out, in one Markdown page."""

from collections import Counter
from collections.abc import Mapping
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
        f"| {split} | {entry['samples']} | {len(entry['shards'])} | {', '.join(entry['subjects'])} |"
        for split, entry in index["splits"].items()
    ]
    return [
        "## Splits",
        "",
        "By subject.",
        "",
        "| split | samples | shards | subjects |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _fields(index: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| `{name}` | {FIELDS[name].shape or 'scalar'} | {FIELDS[name].dtype} | {FIELDS[name].unit} "
        f"| {FIELDS[name].frame} | {FIELDS[name].invalid} | {FIELDS[name].doc} |"
        for name in index["fields"]
    ]
    head = ["| field | shape | dtype | unit | frame | invalid | meaning |", "|---|---|---|---|---|---|---|"]
    return ["## Fields", "", *head, *rows, ""]


def _captures(index: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, capture in index["captures"].items():
        stats = capture["stats"]
        shown = [
            _figure(stats.get(key))
            for key in ("fused residual, median", "fused coverage", "truth depth error, median")
        ]
        rows.append(
            f"| {name} | {capture['subject']} | {capture['split']} | {capture['samples']} | {' | '.join(shown)} |"
        )
    head = [
        "| capture | subject | split | samples | fused against raw, median | coverage | fused against truth |",
        "|---|---|---|---|---|---|---|",
    ]
    return ["## Captures", "", *head, *rows, ""]


def _quarantine(index: Mapping[str, Any]) -> list[str]:
    rows = index["quarantine"]
    if not rows:
        return ["## Quarantine", "", "Nothing was left out.", ""]
    counts = Counter((row["capture"], row["stage"], row["reason"]) for row in rows)
    lines = [
        f"| {capture} | {stage} | {reason} | {n} |" for (capture, stage, reason), n in sorted(counts.items())
    ]
    head = ["| capture | stage | reason | rows |", "|---|---|---|---|"]
    return [
        "## Quarantine",
        "",
        "Every row with its measured value is in `quarantine.csv`.",
        "",
        *head,
        *lines,
        "",
    ]


def _licences(index: Mapping[str, Any]) -> list[str]:
    lines = [f"- {name}: {text}" for name, text in index["licences"].items()]
    return ["## Licences", "", *lines, ""]


def _figure(stat: Mapping[str, Any] | None) -> str:
    if stat is None or stat["value"] is None:
        return "not measured"
    return f"{stat['value']:.4g} {stat['unit']}" if stat["unit"] != "1" else f"{stat['value']:.4g}"
