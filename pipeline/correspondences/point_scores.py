"""How good a capture's dense correspondences are: points with a place, left and right, distance from the truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.correspondences.geodesic import GeodesicSurface
from pipeline.correspondences.reasons import REASONS
from pipeline.correspondences.scores import geodesic_errors_m, person_similarity
from pipeline.correspondences.targets import SurfaceTarget
from pipeline.labels import body_places
from pipeline.simulation.label_view import Figure, label_view
from pipeline.spread import figure

Float64 = NDArray[np.float64]

MOST_M = 1.0  # along the surface: a point farther off counts as missed, with a similarity of 0.0005


def true_places(
    seen: Figure, K: Float64, world_from_cam: Float64, *, size_px: int
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Return the body's face (H W), -1 for none, and weights (H W 2) that a camera sees, by the z-buffer."""
    what, _ = label_view(seen, K, world_from_cam, size_px=size_px)
    if seen.on_body is None:
        return what.face_index, what.bary
    body_face, body_bary = seen.on_body
    return body_places(what.face_index, what.bary, body_face=body_face, body_bary=body_bary)


class PointScores:
    """Gathers what `figures` tells of a capture, sample by sample; figures without a sample are left out."""

    def __init__(self) -> None:
        self._placed = self._told = 0
        self._right: dict[str, list[float]] = {}
        self._errors_m: list[Float64] = []
        self._similarity: list[float] = []

    def add(self, target: SurfaceTarget) -> None:
        """Count a sample's points and their votes."""
        reason = target.places.reason
        self._placed += int(np.count_nonzero(reason == 0))
        self._told += int(np.count_nonzero(reason != REASONS.index("no-part")))
        for by, votes in target.sides.items():
            total = self._right.setdefault(by, [0.0, 0.0])
            total[0] += votes.right * votes.votes
            total[1] += votes.votes

    def add_truth(
        self, target: SurfaceTarget, truth: tuple[NDArray[np.int32], NDArray[Any]], surface: GeodesicSurface
    ) -> None:
        """Hold a sample's points, at pixels, against the place (H W) that is truly seen there, where one is."""
        u, v = np.rint(target.points.px).astype(np.int64).T
        face, bary = truth[0][v, u], truth[1][v, u]
        on = face >= 0
        if on.any():
            found = target.places.face[on], target.places.bary[on]
            error_m = geodesic_errors_m(surface, (face[on], bary[on]), found, most_m=MOST_M)
            self._errors_m.append(error_m)
            self._similarity.append(person_similarity(error_m))

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the capture's figures by name."""
        found = {"surface points placed": figure(self._placed / max(self._told, 1), "1")}
        for by, (right, votes) in self._right.items():
            if votes:
                found[f"surface sides right, by the {by}"] = figure(right / votes, "1")
        if self._errors_m:
            error_m = np.minimum(np.concatenate(self._errors_m), MOST_M)
            found["surface error along the body, median"] = figure(float(np.median(error_m)), "m")
            found["surface point similarity (GPS)"] = figure(float(np.mean(self._similarity)), "1")
        return found
