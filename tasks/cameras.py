"""The cameras of one capture held against each other before they are fused."""

from typing import Any

from pipeline.capture_tables import CaptureTable
from pipeline.fusion import DepthView
from pipeline.fusion.rig_check import MOST_SEEN_THROUGH, SeenPerson, check_rig
from pipeline.spread import figure
from tasks.inputs import JoinedFrames


def check_cameras(frames: JoinedFrames, table: CaptureTable) -> dict[str, dict[str, Any]]:
    """What is recorded of several cameras' agreement; nothing of a single one.

    Args:
        frames: with sensor_depth_m, sensor_K, sensor_mask and world_from_cam.

    Raises:
        GateError: `cameras-disagree`.
    """
    if table.camera_count == 1:
        return {}
    row_of = {number: row for row, number in enumerate(frames.frames)}

    def seen(number: int) -> SeenPerson:
        row = frames[row_of[number]]
        view = DepthView(
            depth_m=row["sensor_depth_m"], K=row["sensor_K"], world_from_cam=row["world_from_cam"]
        )
        return SeenPerson(view=view, mask=row["sensor_mask"])

    found = check_rig(seen, frames.frames, cameras=table.camera_count)
    return {
        "cameras see through each other, largest share": figure(found.share, "1", limit=MOST_SEEN_THROUGH)
    }
