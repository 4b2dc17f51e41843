"""One measurement that broke its limit."""

from dataclasses import dataclass

from pipeline.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a gate found; it knows neither the capture's name nor its place.

    Attributes:
        frame: the frame's own number; None where it is about the capture.
        reason: short code, such as `clock-skew`; docs/quarantine.md lists them.
        value: what was measured, in `unit`; None where nothing could be measured.
        limit: the bound that `value` broke, in `unit`.
        message: expectation, finding, next step, such as "frame 12: depth must ..., is .... Left out; ...".
        drops: whether the frame, or the capture, is to be left out; else the row is for the record alone.
    """

    frame: int | None
    reason: str
    value: float | None
    unit: str
    limit: float | None
    message: str
    drops: bool = True


def unmeasured(frame: int | None, error: InputError) -> Finding:
    """The finding of a frame, or a capture (None), that could not be read."""
    return Finding(frame=frame, reason=error.reason, value=None, unit="1", limit=None, message=str(error))
