"""One line of the doctor's answer."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "missing", "broken", "optional"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was checked and what came of it.

    Attributes:
        group: heading that it stands under.
        state: `missing` is not there, `broken` is there and does not do its work, `optional` is not there and
            nothing needs it.
        finding: what was seen, figures with units.
        next: what to do; empty where there is nothing.
        required: whether it being missing or broken fails the whole examination.
        figures: (name, value, unit); the value is None where nothing could be measured.
    """

    group: str
    check: str
    state: State
    finding: str
    next: str = ""
    required: bool = True
    figures: tuple[tuple[str, float | None, str], ...] = ()

    @property
    def fails(self) -> bool:
        """Whether something that is required does not work."""
        return self.required and self.state in ("missing", "broken")

    def to_json(self) -> dict[str, Any]:
        figures = [{"name": name, "value": value, "unit": unit} for name, value, unit in self.figures]
        return {
            "group": self.group,
            "check": self.check,
            "state": self.state,
            "required": self.required,
            "finding": self.finding,
            "next": self.next,
            "figures": figures,
        }
