"""Quarantine rows: what was left out of a dataset, why, and what was measured."""

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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
