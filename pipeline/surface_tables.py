"""Which captures can have dense correspondences as a target, and whose charts they are in."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field

ChartFile = Annotated[str, Field(pattern=r"^[^/\\].*\.npz$")]
CHARTED = "densepose-coco"  # the format whose points and charts are in DensePose's own coordinates


def surface_problem(
    *,
    format: str,
    role: str,
    targets: Collection[str],
    chart_file: str | None,
    chart_body: str | None,
    dense: str | None,
) -> str | None:
    """Say what is wrong with a capture's charts, or with "surface" among its targets, or return None."""
    if dense is not None and ("surface" not in targets or chart_file is not None or role == "scan"):
        return 'dense = "network" goes with targets "surface", not with chart_file, and not with role "scan"'
    if chart_body is not None and chart_file is None:
        return "chart_body is the body that chart_file lies on: give chart_file too, or remove chart_body"
    if chart_file is not None and (format != CHARTED or "surface" not in targets):
        return f'chart_file goes with format {CHARTED} and targets "surface", and only there'
    if "surface" not in targets or chart_file is not None or dense is not None:
        return None
    if format == CHARTED:
        return (
            "targets \"surface\" of DensePose's points and charts need DensePose's own atlas: set chart_file to "
            "the file that `bodytruth convert-charts UV_Processed.mat` makes"
        )
    if role == "scan" and format != "simulated":
        return 'targets "surface" of a scan need the body below it, which a file does not bring'
    return None


def targets_of_bodies(targets: Collection[str], role: str, *, charted: bool) -> tuple[str, ...]:
    """Return the targets that stand on a stage of bodies: surface points of a scan, or by other charts, do not.

    Args:
        charted: whether a chart file or a network brings charts.
    """
    own = charted or role == "scan"
    return tuple(target for target in targets if target != "surface" or not own)
