"""Annotated people who are too small in their picture, or without an outline where one is wanted."""

from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.gates.finding import Finding, unmeasured
from pipeline.settings import AnnotatedSettings


def annotation_findings(frame: Frame, settings: AnnotatedSettings, *, needs_mask: bool) -> list[Finding]:
    """What is wrong with an annotated person.

    Args:
        frame: with an annotation.
        needs_mask: whether the person's outline is wanted.
    """
    if frame.annotation is None:
        raise ValueError("annotation_findings: frame must bring an annotation, does not")
    if needs_mask and frame.mask is None:
        lacking = (
            f"frame {frame.frame}: foreground 'given' needs the person's outline, which is not annotated. Leave "
            "it out, or set foreground = 'all'."
        )
        return [unmeasured(frame.frame, InputError("mask-missing", lacking))]
    side_px = float(max(frame.annotation.box_px[2:]))
    least_px = settings.min_person_px
    if side_px >= least_px:
        return []
    message = (
        f"frame {frame.frame}: a person must be {least_px} px high or wide, is {side_px:.0f} px. Left out; lower "
        "stages.annotated.min_person_px to keep it."
    )
    return [
        Finding(
            frame=frame.frame,
            reason="person-too-small",
            value=side_px,
            unit="px",
            limit=float(least_px),
            message=message,
        )
    ]
