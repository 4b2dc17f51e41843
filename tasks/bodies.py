"""Which stages bring a capture's bodies and the views of them: known, fitted, or part of a scan's pictures."""

from tasks.annotated import Annotated
from tasks.body import BODY, Body
from tasks.fit import Fit
from tasks.foreground import Foreground
from tasks.portray import Portray
from tasks.stage import CaptureStage, SealedTask


def bodies_upstream(stage: CaptureStage) -> dict[str, SealedTask]:
    """The stages above one that reads bodies, by name."""
    table = stage.table()
    if table.is_scan:
        kinds: list[type[CaptureStage]] = [Portray]
    else:
        kinds = [Annotated if table.role == "image" else Foreground, Fit if table.fitted_to else Body]
    return {kind.NAME: stage.sibling(kind) for kind in kinds}


def body_fields(stage: CaptureStage) -> dict[str, tuple[str, ...]]:
    """The fields K, world_from_cam and `BODY` of a capture, by the stage that brings them."""
    *views, bodies = bodies_upstream(stage)
    if not views:
        return {bodies: ("K", "world_from_cam", *BODY)}
    if bodies == Fit.NAME:
        return {views[0]: ("K",), bodies: ("world_from_cam", *BODY)}
    return {views[0]: ("K", "world_from_cam"), bodies: BODY}
