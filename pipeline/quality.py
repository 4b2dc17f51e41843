"""Quarantine rows: what was left out of a dataset or found odd, why, and what was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantineRow:
    """One frame, or one whole capture (`frame` None), that a gate kept out.

    Attributes:
        stage: the stage whose gate it was.
        reason: short code, such as `empty-depth`; docs/quarantine.md lists them.
        value: what was measured, in `unit`; None where nothing could be measured.
        limit: the bound that `value` broke, in `unit`.
        drops: whether what the row is about was left out; else it is told for the record alone.
        message: one sentence: place, expectation, finding, next step.
    """

    capture: str
    stage: str
    reason: str
    message: str
    frame: int | None = None
    value: float | None = None
    unit: str = "1"
    limit: float | None = None
    drops: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quarantine_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All rows of some records, a rejected capture once, sorted by capture, stage and frame."""
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        found = list(record["quarantine"])
        if record["rejected"] is not None:
            found.append({key: value for key, value in record["rejected"].items() if key != "exit_code"})
        for row in found:
            rows[f"{row['capture']}\0{row['stage']}\0{row['frame']}\0{row['reason']}"] = row
    return sorted(
        rows.values(),
        key=lambda row: (row["capture"], row["stage"], -1 if row["frame"] is None else row["frame"]),
    )
