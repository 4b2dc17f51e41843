"""How far joints and surface maps are from the truth: arrays in, named figures with units out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import MPII16
from training.landmark_joints import LANDMARK27
from training.metrics import Metric, metric

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

TORSO_SHARE, HEAD_SHARE = 0.2, 0.5
PICTURE_PX = 256  # pixel errors are stated for a crop of this side
GEODESIC_POINTS = 24  # of a sample, evenly over its pixels: each takes a front over the body
MOST_M = 1.0  # along the surface: what is farther counts as that far

_ROW = {name: row for row, name in enumerate(LANDMARK27.names)}
SCORED = np.array([_ROW[name] for name in MPII16.names])  # the joints that the paper's scores are of


def torso_px(points: NDArray[Any]) -> float:
    """Size of a person by joints (27 2+): the longer of the ways from a shoulder to the other side's hip.

    The longer, so that a person who is seen from the side does not count as small; 0 where none is known.

    Args:
        points: column, row and, if there is a third, whether the joint is known.
    """
    ways = [("left_shoulder", "right_hip"), ("right_shoulder", "left_hip")]
    return max((_way(points, a, b) for a, b in ways), default=0.0)


def head_px(points: NDArray[Any]) -> float:
    """From the upper neck to the top of the head; 0 where either is not known."""
    return _way(points, "upper_neck", "head_top")


def right_joints(
    found_px: NDArray[Any], points: NDArray[Any], *, share: float, size_px: float
) -> tuple[Bool, Bool]:
    """Which joints (27) are found within a share of a size, and which count: known, and in the picture's square.

    Args:
        points: (27 3) the true ones: column, row, known.
        size_px: of the person, `torso_px` or `head_px`; where it is 0 none counts.
    """
    counts = (points[:, 2] > 0) & (size_px > 0)
    apart = np.linalg.norm(found_px - points[:, :2], axis=1)
    return apart <= share * size_px, counts


def joint_figures(found_px: NDArray[Any], points: NDArray[Any], *, side_px: int) -> list[Metric]:
    """PCK at 0.2 of the torso, PCKh at 0.5 of the head, and the mean error at 256 px, over MPII's 16 joints.

    Joints beyond the picture's border do not count. MPII's own head size is 0.6 of its annotated box's diagonal;
    here it is the way from the upper neck to the top of the head, which needs no box.

    Args:
        found_px: (27 2).
        points: (27 3) the true ones.
        side_px: of the square picture that both are of.
    """
    shown = np.array(points, np.float64)
    shown[:, 2] *= ((points[:, :2] > -0.5) & (points[:, :2] < side_px - 0.5)).all(axis=1)
    figures = []
    for name, share, size_px in (
        ("PCK at 0.2 torso", TORSO_SHARE, torso_px(points)),
        ("PCKh at 0.5", HEAD_SHARE, head_px(points)),
    ):
        right, counts = right_joints(found_px, shown, share=share, size_px=size_px)
        counts &= np.isin(np.arange(len(counts)), SCORED)
        figures.append(metric(name, 100 * right[counts].mean() if counts.any() else None, "%"))
    use = SCORED[shown[SCORED, 2] > 0]
    apart = np.linalg.norm(found_px[use] - points[use, :2], axis=1) * PICTURE_PX / side_px
    return [*figures, metric("joint error at 256 px", apart.mean() if len(use) else None, "px")]


def dense_figures(
    part: NDArray[np.uint8], uv: NDArray[Any], true_part: NDArray[np.uint8], true_uv: NDArray[Any]
) -> list[Metric]:
    """Parts on the true body, the mask's overlap, and U and V where the part is right.

    Args:
        part, true_part: (H W) 1..24, 0 the background.
        uv, true_uv: (H W 2) in [0, 1].
    """
    body, found = true_part > 0, part > 0
    same = body & (part == true_part)
    apart = np.linalg.norm(uv[same].astype(np.float64) - true_uv[same], axis=-1)
    union = np.count_nonzero(body | found)
    return [
        metric("part accuracy", 100 * same[body].mean() / 1 if body.any() else None, "%"),
        metric("mask IoU", 100 * np.count_nonzero(body & found) / union if union else None, "%"),
        metric("UV error", 100 * apart.mean() if same.any() else None, "%"),
    ]


def surface_figures(
    part: NDArray[np.uint8], uv: NDArray[Any], true_part: NDArray[np.uint8], true_uv: NDArray[Any]
) -> list[Metric]:
    """Geodesic error on the default body in mm, and geodesic point similarity, at `GEODESIC_POINTS` pixels.

    Over pixels of the true body. Where nobody was found, or farther than `MOST_M`, the error counts as that, and
    the similarity as 0.
    """
    from pipeline.correspondences.scores import geodesic_errors_m, person_similarity

    rows = np.flatnonzero(true_part)
    if not len(rows):
        return [metric("geodesic error", None, "mm"), metric("geodesic similarity", None, "%")]
    rows = rows[np.linspace(0, len(rows) - 1, min(GEODESIC_POINTS, len(rows))).astype(np.int64)]
    surface, inverse = _surface()
    truth, found = (
        inverse.locate(np.ascontiguousarray(p.ravel()[rows]), c.reshape(-1, 2)[rows])
        for p, c in ((true_part, true_uv), (part, uv))
    )
    error_m = geodesic_errors_m(surface, truth, found, most_m=MOST_M)
    mean_mm = 1000 * np.minimum(error_m, MOST_M).mean()
    return [
        metric("geodesic error", mean_mm, "mm"),
        metric("geodesic similarity", 100 * person_similarity(error_m), "%"),
    ]


def _surface() -> tuple[Any, Any]:
    from pipeline.bodies.atlas_inverse import atlas_inverse
    from pipeline.bodies.model import default_body
    from pipeline.correspondences.geodesic import body_surface

    return body_surface(default_body()), atlas_inverse(default_body())


def _way(points: NDArray[Any], a: str, b: str) -> float:
    first, second = points[_ROW[a]], points[_ROW[b]]
    if len(first) > 2 and not (first[2] > 0 and second[2] > 0):
        return 0.0
    return float(np.linalg.norm(np.asarray(first[:2], np.float64) - second[:2]))
