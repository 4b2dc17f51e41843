"""The joints that Landmark-Net finds, from which the sets of other datasets and networks are read out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import BODY25, COCO17, MPII16, JointSet

Float64 = NDArray[np.float64]

# MPII's 16 and what COCO and BODY-25 have beyond them: face and feet. Neck and hips' middle of BODY-25 are means.
_JOINTS = {
    name: source
    for joint_set in (MPII16, COCO17, BODY25)
    for name, source in zip(joint_set.names, joint_set.sources, strict=True)
    if len(source) == 1
}
LANDMARK27 = JointSet(
    name="landmark27",
    names=tuple(_JOINTS),
    sources=tuple(_JOINTS.values()),
    edges=tuple(
        dict.fromkeys(
            (tuple(_JOINTS).index(joint_set.names[a]), tuple(_JOINTS).index(joint_set.names[b]))
            for joint_set in (MPII16, BODY25)
            for a, b in joint_set.edges
            if {joint_set.names[a], joint_set.names[b]} <= set(_JOINTS)
        )
    ),
)


def read_out(
    places: NDArray[Any], confidence: NDArray[Any], joint_set: JointSet
) -> tuple[Float64, NDArray[np.float64]]:
    """Another set's joints (K D) and confidences (K) from those of `LANDMARK27`.

    A joint that is a mean of several is as sure as the least of them; one that cannot be had is at 0 with
    confidence 0.

    Args:
        places: (27 D), such as pixels.
        confidence: (27).
    """
    found, sure = np.zeros((len(joint_set.names), places.shape[1])), np.zeros(len(joint_set.names))
    for row, sources in enumerate(joint_set.sources):
        if all((source,) in LANDMARK27.sources for source in sources):
            rows = [LANDMARK27.sources.index((source,)) for source in sources]
            found[row], sure[row] = places[rows].mean(axis=0), confidence[rows].min()
    return found, sure


def read_in(
    places: NDArray[Any], confidence: NDArray[Any], joint_set: JointSet
) -> tuple[Float64, NDArray[np.float64]]:
    """The joints of `LANDMARK27` (27 D) that another set's (K D) tell, and confidences (27), 0 for the others."""
    found, sure = np.zeros((len(LANDMARK27.names), places.shape[1])), np.zeros(len(LANDMARK27.names))
    for row, source in enumerate(LANDMARK27.sources):
        if source in joint_set.sources:
            column = joint_set.sources.index(source)
            found[row], sure[row] = places[column], confidence[column]
    return found, sure
