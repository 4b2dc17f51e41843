"""Pictures of frames that were left out, from the stages that kept them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.store import FrameReader
from tasks.inputs import REJECTED_FILE, Inputs
from tasks.report.data import RejectedFrame, Tile

PER_REASON = 6  # over all captures: the table above names every frame, the pictures show what is meant


def rejected_frames(inputs: Inputs, index: Mapping[str, Any]) -> tuple[RejectedFrame, ...]:
    """Some of the pictures that the stages of a dataset kept, by reason, capture and frame."""
    reasons = {
        (row["capture"], row["stage"], row["frame"]): row["reason"] for row in reversed(index["quarantine"])
    }
    shown: Counter[str] = Counter()
    found = []
    for capture, entry in index["captures"].items():
        for stage in entry["stages"]:
            path = inputs.folder(f"{stage}/{capture}") / REJECTED_FILE
            if not path.is_file():
                continue
            with FrameReader(path) as reader:
                for row in reader.rows(reader.fields):
                    frame = int(row["frame"])
                    reason = reasons.get((capture, stage, frame), entry["rejected"])
                    shown[reason] += 1
                    if shown[reason] <= PER_REASON:
                        tile = Tile(image=row["rejected_picture"])
                        found.append(RejectedFrame(capture=capture, frame=frame, reason=reason, tile=tile))
    return tuple(sorted(found, key=lambda case: (case.reason, case.capture, case.frame)))
