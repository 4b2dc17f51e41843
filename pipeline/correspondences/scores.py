"""How good dense correspondences are: geodesic error, geodesic point similarity, average precision.

Guler, Neverova and Kokkinos, "DensePose: Dense Human Pose Estimation in the Wild", CVPR 2018, section 4.2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.correspondences.charts import PARTS
from pipeline.correspondences.geodesic import GeodesicSurface

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Places = tuple[NDArray[np.int32], NDArray[np.floating[Any]]]  # faces (...), -1 for none, and weights (..., 2)

PAPER_K_M = 0.255
# DensePose's evaluator has one for each of torso, hands, feet, thighs, shins, upper arms, forearms and head.
_GROUP_K_M = (0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150)
_GROUP_SIZES = (2, 2, 2, 4, 4, 4, 4, 2)
EVALUATOR_K_M: tuple[float, ...] = tuple(float(k) for k in np.repeat(_GROUP_K_M, _GROUP_SIZES))
THRESHOLDS = tuple(float(t) for t in np.arange(50, 100, 5) / 100)
RECALLS = 101  # levels at which COCO samples a precision curve


def geodesic_errors_m(
    surface: GeodesicSurface, truth: Places, found: Places, *, most_m: float = np.inf
) -> Float64:
    """Return how far along the surface each found place (...) lies from the true one, metres.

    Args:
        most_m: whatever is farther counts as not found, and costs no more time.

    Returns:
        inf where nothing was found, or farther than most_m.

    Raises:
        ValueError: if a true place is none, or as `GeodesicSurface.distances_between`.
    """
    if truth[0].size and truth[0].min() < 0:
        count = int(np.count_nonzero(truth[0] < 0))
        raise ValueError(
            f"pipeline.correspondences.scores: every true point must have a place, {count} have none"
        )
    return surface.distances_between(truth, found, most_m=most_m)


def geodesic_similarity(error_m: Float64, k_m: float | NDArray[np.floating[Any]] = PAPER_K_M) -> Float64:
    """Return exp(-d^2 / (2 k^2)) of each error (...): 1 where it is right, 0 where nothing was found.

    Args:
        error_m: (...) geodesic, at least 0; inf where nothing was found.
        k_m: where the similarity is 0.61; one, or one for each error: `k_of_parts`.

    Raises:
        ValueError: if an error is negative or not a number, or a k not positive.
    """
    k = np.asarray(k_m, dtype=np.float64)
    if not (error_m >= 0).all() or not (k > 0).all():
        raise ValueError(
            "pipeline.correspondences.scores: errors must be at least 0 m and k positive, are not"
        )
    return np.asarray(np.exp(-(error_m**2) / (2 * k**2)))


def k_of_parts(part: UInt8, k_m: tuple[float, ...] = EVALUATOR_K_M) -> Float64:
    """Return the k of each point (...) from the part 1..24 in which the truth has it.

    Raises:
        ValueError: if there are not 24 of k_m, or a part is none.
    """
    if len(k_m) != PARTS or (part.size and (part.min() < 1 or part.max() > PARTS)):
        raise ValueError(
            f"pipeline.correspondences.scores: k_m must be {PARTS} and parts 1 to {PARTS}, are {len(k_m)} and "
            f"{part.min(initial=1)} to {part.max(initial=1)}"
        )
    return np.asarray(np.array(k_m)[part.astype(np.int64) - 1])


def person_similarity(error_m: Float64, k_m: float | NDArray[np.floating[Any]] = PAPER_K_M) -> float:
    """Return the geodesic point similarity of one person: the mean over its points (N), missed ones at 0.

    Raises:
        ValueError: if there is no point, or as `geodesic_similarity`.
    """
    if not error_m.size:
        raise ValueError("pipeline.correspondences.scores: a person must have true points, has none")
    return float(geodesic_similarity(error_m, k_m).mean())


def average_precision(
    similarity: Float64,
    confidence: Float64,
    *,
    people: int,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> tuple[float, Float64]:
    """Return average precision over thresholds of similarity, as COCO's evaluator samples it.

    Each prediction belongs to one person of its own picture; it is right where its similarity reaches the
    threshold. Precision is made monotone and sampled at 101 levels of recall.

    Args:
        similarity: (N) of each prediction with its person; 0 for a prediction of nobody.
        confidence: (N), the most confident first in line; equal ones keep their order.
        people: how many there are to find, found or not.

    Returns:
        The mean over the thresholds, and each threshold's.

    Raises:
        ValueError: if shapes differ, nobody is to be found, or more predictions than people could be right.
    """
    if similarity.shape != confidence.shape or people < 1 or np.count_nonzero(similarity) > people:
        raise ValueError(
            "pipeline.correspondences.scores: similarity and confidence must be (N), at least one person to be "
            f"found, and no more similarities above 0 than people; are {similarity.shape}, {confidence.shape}, "
            f"{people} people and {np.count_nonzero(similarity)} similarities"
        )
    ranked = similarity[np.argsort(-confidence, kind="stable")]
    levels = np.linspace(0, 1, RECALLS)
    each = np.zeros(len(thresholds))
    for row, threshold in enumerate(thresholds):
        hits = np.cumsum((ranked >= threshold) & (ranked > 0))
        precision = hits / np.arange(1, len(ranked) + 1)
        monotone = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        # Recall is a count over a count: a hair below each level, so that rounding loses none.
        each[row] = monotone[np.searchsorted(hits / people, levels - 1e-9)].mean()
    return float(each.mean()), each
