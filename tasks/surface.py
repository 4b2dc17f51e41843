"""Where a capture's ground-truth depth comes from: rendered from the fused mesh or a scan, or adopted as it is."""

from tasks.adopt import Adopt
from tasks.portray import Portray
from tasks.render import Render
from tasks.stage import CaptureStage


def surface_of(stage: CaptureStage) -> CaptureStage:
    """The stage that gives `depth_m` and `mask` for a stage's capture."""
    return stage.sibling({"static": Render, "scan": Portray}.get(stage.table().role, Adopt))
