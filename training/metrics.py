"""How far a prediction is from the truth: numpy arrays in, named figures with units out.

Every figure is `{"name", "value", "unit"}`; value is None where nothing could be measured. Depth follows
Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section
7.1, with the alignment of the authors' released evaluation.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.comparison import angle_rad

Metric = dict[str, Any]
Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

ALIGNMENTS = ("median", "median+best shift")
SHIFTS_M = np.arange(-80, 80) * 0.0025  # 160 shifts, -0.20 to +0.1975 m, as the released evaluation
ACCURACY_M = (0.0125, 0.025, 0.05)
CDF_M = np.arange(201) * 2.5 / 1000  # to 0.5 m; a grid of 5 mm would miss 12.5 mm
IN_REACH_MM = 150.0  # of the percentage of correct keypoints in space


def metric(name: str, value: float | None, unit: str) -> Metric:
    """One figure as it stands in every record of an evaluation."""
    return {"name": name, "value": None if value is None else float(value), "unit": unit}


def erode(mask: Bool, pixels: int) -> Bool:
    """Take this many rings of pixels off a mask (H W) by a 3x3 cross; the image's border is no outline."""
    for _ in range(pixels):
        wide = np.pad(mask, 1, constant_values=True)
        mask = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask


def depth_errors(predicted_m: NDArray[Any], truth_m: NDArray[Any], mask: Bool, *, alignment: str) -> Float64:
    """Signed error (N) in metres of each pixel of the mask after the prediction was moved onto the truth.

    `median` makes the two medians over the mask equal. `median+best shift` then adds the one of SHIFTS_M
    with the least mean absolute error, of equal ones the smallest. A pixel without a prediction stands at
    the prediction's own median, where the released evaluation puts what a method calls background.

    Args:
        predicted_m: (H W); not finite where nothing is predicted. Its offset is free.
        truth_m: (H W); like predicted_m never read outside the mask.

    Raises:
        ValueError: for an unknown alignment, or shapes that differ.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"depth_errors: alignment must be one of {ALIGNMENTS}, is {alignment!r}.")
    if not predicted_m.shape == truth_m.shape == mask.shape:
        shapes = f"{predicted_m.shape}, {truth_m.shape}, {mask.shape}"
        raise ValueError(f"depth_errors: prediction, truth and mask must share one shape, are {shapes}.")
    predicted, truth = predicted_m[mask].astype(np.float64), truth_m[mask].astype(np.float64)
    given = np.isfinite(predicted)
    if not len(truth):
        return np.zeros(0)
    middle = np.median(predicted[given]) if given.any() else 0.0
    errors = np.where(given, predicted - middle, 0.0) - (truth - np.median(truth))
    return errors if alignment == "median" else errors + best_shift(errors)


def best_shift(errors_m: Float64) -> float:
    """The shift of SHIFTS_M that, added to these errors (N), leaves the least mean absolute error."""
    ordered = np.sort(errors_m)
    below = np.searchsorted(ordered, -SHIFTS_M)  # so many errors are negative after the shift
    sum_below = np.concatenate([[0.0], np.cumsum(ordered)])[below]
    cost = ordered.sum() - 2 * sum_below + SHIFTS_M * (len(ordered) - 2 * below)
    nearest_first = np.argsort(np.abs(SHIFTS_M), kind="stable")
    return float(SHIFTS_M[nearest_first][np.argmin(cost[nearest_first])])


def error_cdf(errors_m: Float64) -> Float64:
    """Share of errors (N) whose size is below each of CDF_M; NaN without any error."""
    if not len(errors_m):
        return np.full(len(CDF_M), np.nan)
    return np.searchsorted(np.sort(np.abs(errors_m)), CDF_M, side="left") / len(errors_m)


def depth_metrics(predicted_m: NDArray[Any], truth_m: NDArray[Any], mask: Bool) -> list[Metric]:
    """Accuracy (share of pixels with a smaller error), mean absolute error, both alignments, and coverage.

    Args:
        predicted_m: as in `depth_errors`.
        mask: the pixels that count; erode it first.
    """
    found: list[Metric] = []
    for alignment in ALIGNMENTS:
        size_m = np.abs(depth_errors(predicted_m, truth_m, mask, alignment=alignment))
        for bound_m in ACCURACY_M:
            share = 100 * float(np.mean(size_m < bound_m)) if len(size_m) else None
            found.append(metric(f"accuracy at {100 * bound_m:g} cm, {alignment}", share, "%"))
        found.append(metric(f"MAE, {alignment}", 100 * size_m.mean() if len(size_m) else None, "cm"))
    covered = 100 * np.mean(np.isfinite(predicted_m[mask])) if mask.any() else None
    return [*found, metric("pixels with a prediction", covered, "%")]


def normal_metrics(predicted: NDArray[Any], truth: NDArray[Any], mask: Bool) -> list[Metric]:
    """Mean and median angle between normals (H W 3) over the mask, where the truth has one.

    Lengths do not matter; a pixel without a predicted normal (0 or not finite) counts as 180 degrees.
    """
    use = mask & truth.any(axis=-1)
    mine, true = predicted[use].astype(np.float64), truth[use].astype(np.float64)
    given = np.isfinite(mine).all(axis=-1) & mine.any(axis=-1)
    angles_deg = np.full(len(mine), 180.0)
    angles_deg[given] = np.degrees(angle_rad(mine[given], true[given]))
    return [
        metric("normal error, mean", angles_deg.mean() if use.any() else None, "deg"),
        metric("normal error, median", np.median(angles_deg) if use.any() else None, "deg"),
    ]


def part_metrics(predicted: NDArray[Any], truth: NDArray[Any], *, parts: int) -> list[Metric]:
    """Mean intersection over union of the labels 1..parts (H W), and pixel accuracy on the truth's body.

    Label 0 is background and has no share of its own. A part that neither map shows is left out: SURREAL's
    evaluation counts it as 0, so that a perfect map of a body seen from the side would not score 100 %.
    """
    ious = []
    for part in range(1, parts + 1):
        mine, true = predicted == part, truth == part
        union = np.count_nonzero(mine | true)
        if union:
            ious.append(np.count_nonzero(mine & true) / union)
    body = truth > 0
    right = 100 * np.mean(predicted[body] == truth[body]) if body.any() else None
    mean_iou = 100 * float(np.mean(ious)) if ious else None
    return [metric("parts, mean IoU", mean_iou, "%"), metric("parts, pixel accuracy", right, "%")]


def joint_metrics(
    predicted_m: NDArray[Any], truth_m: NDArray[Any], valid: Bool, *, root: int
) -> list[Metric]:
    """Mean per-joint position error with roots made equal and after Procrustes, and correct keypoints.

    Args:
        predicted_m: (J 3).
        valid: (J) which true joints count; where the root is not among them nothing is measured.
        root: index of the joint that both skeletons are moved by; it counts like every other.
    """
    if not valid[root]:
        names = (("MPJPE", "mm"), ("PA-MPJPE", "mm"), ("PCK at 150 mm", "%"))
        return [metric(name, None, unit) for name, unit in names]
    mine, true = (points.astype(np.float64)[valid] for points in (predicted_m, truth_m))
    moved = mine - predicted_m[root] + truth_m[root]
    apart_mm = 1000 * np.linalg.norm(moved - true, axis=-1)
    aligned_mm = 1000 * np.linalg.norm(procrustes(mine, true) - true, axis=-1)
    return [
        metric("MPJPE", apart_mm.mean(), "mm"),
        metric("PA-MPJPE", aligned_mm.mean(), "mm"),
        metric("PCK at 150 mm", 100 * np.mean(apart_mm <= IN_REACH_MM), "%"),
    ]


def procrustes(source: Float64, target: Float64) -> Float64:
    """Points (N 3) of the source after the similarity that brings them closest to the target; never mirrored.

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns", TPAMI 1991,
    eq. (39) to (42).
    """
    from_source, from_target = source - source.mean(axis=0), target - target.mean(axis=0)
    U, S, Vt = np.linalg.svd(from_target.T @ from_source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    spread = np.square(from_source).sum()
    scale = (S * signs).sum() / spread if spread else 0.0
    return np.asarray(scale * from_source @ (U * signs @ Vt).T + target.mean(axis=0))


def volume_metrics(predicted: Bool, truth: Bool) -> list[Metric]:
    """Intersection over union of two occupancies (X Y Z); two empty ones agree."""
    union = np.count_nonzero(predicted | truth)
    share = np.count_nonzero(predicted & truth) / union if union else 1.0
    return [metric("volume IoU", 100 * share, "%")]


def body_metrics(
    predicted_vertices_m: NDArray[Any],
    truth_vertices_m: NDArray[Any],
    *,
    predicted_joints_m: NDArray[Any],
    truth_joints_m: NDArray[Any],
    root: int,
) -> list[Metric]:
    """Mean per-joint and per-vertex error, once with roots made equal and once after Procrustes.

    Args:
        predicted_vertices_m: (V 3), vertex by vertex the same point of the body as the truth's.
        predicted_joints_m: (J 3).
        root: joint by which bodies and skeletons are moved.
    """
    valid = np.ones(len(truth_joints_m), bool)
    joints = joint_metrics(predicted_joints_m, truth_joints_m, valid, root=root)
    mine, true = predicted_vertices_m.astype(np.float64), truth_vertices_m.astype(np.float64)
    moved = mine - predicted_joints_m[root] + truth_joints_m[root]
    apart_mm = 1000 * np.linalg.norm(moved - true, axis=-1)
    aligned_mm = 1000 * np.linalg.norm(procrustes(mine, true) - true, axis=-1)
    pve = [metric("PVE", apart_mm.mean(), "mm"), metric("PA-PVE", aligned_mm.mean(), "mm")]
    return [*joints[:2], *pve]


def flicker_mm(errors_m: NDArray[Any], errors_before_m: NDArray[Any], both: Bool) -> float | None:
    """How much the error changes from one frame of a clip to the next, in millimetres.

    The median over the pixels that count in both frames of |error now - error before|. A prediction that is
    wrong by the same at each pixel of every frame does not flicker. Pixels are compared in place: where the
    body moves, its error moves with it.

    Args:
        errors_m: (H W), each frame's freed of its own median, since the offset of a prediction is free.
        both: (H W); None comes back where it is empty.
    """
    if not both.any():
        return None
    return float(1000 * np.median(np.abs(errors_m[both].astype(np.float64) - errors_before_m[both])))
