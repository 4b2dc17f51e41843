"""What a stage task hands to the stage process, and what comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.quality import QuarantineRow

if TYPE_CHECKING:
    from tasks.stage import SealedTask

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage says of the folder it wrote.

    Attributes:
        samples: frames (or files) that the folder holds.
        stats: measured figures by name, each {"value", "unit"} and "limit" where a gate stands on it.
        quarantine: what was left out, and why.
    """

    samples: int
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    quarantine: list[QuarantineRow] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the stage process needs; it computes no fingerprint of its own."""

    task: type["SealedTask"]
    parameters: dict[str, str]
    place: Path
    record: dict[str, Any]
    upstream: dict[str, Path]
    threads: int
    places: dict[str, str]
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended. `status` is sealed, rejected (the data are unfit) or failed (something broke)."""

    status: str
    message: str = ""
    exit_code: int = 0
    details: str = ""


class StageFailed(Exception):
    """Carries a failed outcome to the one who runs the build."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome
