"""The errors that reach a user, each with the exit code that tells its kind (docs/exit-codes.md)."""

from collections.abc import Sequence

from pipeline.quality import QuarantineRow


class BodytruthError(Exception):
    """A failure with one clear sentence: place, expectation, finding, next step."""

    exit_code = 1


class ManifestError(BodytruthError):
    """The command line or the manifest is wrong."""

    exit_code = 2


class InputError(BodytruthError):
    """A raw input is missing or malformed.

    Args:
        reason: short code that goes into the quarantine row, such as `unreadable-depth`.
        message: place: thing must be X, is Y. Next step.
        rows: quarantine rows of single frames that led to this.
    """

    exit_code = 3

    def __init__(self, reason: str, message: str, *, rows: Sequence[QuarantineRow] = ()) -> None:
        super().__init__(message)
        self.reason, self.rows = reason, tuple(rows)


class GateError(BodytruthError):
    """A whole capture was measured and found unfit; the row goes to the quarantine list.

    Args:
        reason: short code, such as `poses-inverted`.
        value: what was measured, in `unit`; None where nothing could be measured.
        limit: the bound that `value` broke.
        rows: quarantine rows of single frames that led to this.
    """

    exit_code = 4

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        value: float | None,
        unit: str,
        limit: float | None,
        rows: Sequence[QuarantineRow] = (),
    ) -> None:
        super().__init__(message)
        self.reason, self.value, self.unit, self.limit = reason, value, unit, limit
        self.rows = tuple(rows)

    @classmethod
    def none_passed(
        cls, wanted: str, rows: Sequence[QuarantineRow], *, unit: str, limit: float
    ) -> "GateError":
        """Of a capture of which every frame left a row; the value is the best that any frame reached.

        Args:
            wanted: place and expectation, such as "capture a: at least one frame must hold 500 trusted px".
        """
        return cls(
            rows[0].reason,
            f"{wanted}, none of {len(rows)} does. First: {rows[0].message}",
            value=max(float(row.value or 0) for row in rows),
            unit=unit,
            limit=limit,
            rows=rows,
        )


class StageError(BodytruthError):
    """A stage could not finish for a reason that lies outside the data: disk, memory, a killed process."""

    exit_code = 4


class DamagedError(BodytruthError):
    """A sealed output does not match its own record any more."""

    exit_code = 5


class LockHeldError(BodytruthError):
    """Another build works on the same dataset."""

    exit_code = 6
