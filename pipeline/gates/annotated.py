"""Annotated people who are too small in their picture."""

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.settings import AnnotatedSettings


def annotation_findings(frame: Frame, settings: AnnotatedSettings) -> list[Finding]:
    """What is wrong with an annotated person.

    Args:
        frame: with an annotation.
    """
    if frame.annotation is None:
        raise ValueError("annotation_findings: frame must bring an annotation, does not")
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
