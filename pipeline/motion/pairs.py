"""Which two frames of a clip may teach each other: bodies that fit their pictures, and motion enough between them.

Tan et al., "Self-Supervised Human Depth Estimation from Monocular Videos", CVPR 2020, step 2: a pair is kept when
its mean baseline |t| over the motion map reaches 0.5 m, a pixel counts from 5 cm on. Since t = v_r - R v_t is
taken about the camera, turning counts: 13 degrees in place at 2.2 m are 0.5 m.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.gates.finding import Finding
from pipeline.motion.motion_map import MotionMap
from pipeline.motion.rigid_motion import rigid_motion
from pipeline.motion.rings import Rings

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

SCREENED_VERTICES = 400  # tell a pair's mean baseline to a few per cent before its map is drawn


def silhouette_iou(body: Bool, person: Bool) -> float:
    """Intersection over union of two masks (H W); 0 where both are empty.

    True bodies reach 0.84 to 0.93 with the masks of dressed people, whose clothes and hair stand out; four pixels
    aside at 256 px they reach 0.67 to 0.77.
    """
    union = np.count_nonzero(body | person)
    return np.count_nonzero(body & person) / union if union else 0.0


def keypoint_residual_px(
    joints_px: NDArray[Any], landmarks_px: NDArray[Any], confidence: NDArray[Any]
) -> float | None:
    """Mean distance between a body's joints (J 2) and the landmarks (J 2), weighed by confidence (J) >= 0.

    Returns:
        None where no landmark has any confidence: then nothing was measured.
    """
    weights = np.asarray(confidence, dtype=np.float64)
    marked = weights > 0
    if not marked.any():
        return None
    distances_px = np.linalg.norm(np.asarray(joints_px)[marked] - np.asarray(landmarks_px)[marked], axis=1)
    return float(np.average(distances_px, weights=weights[marked]))


def frame_findings(
    frame: int,
    iou: float,
    residual_px: float | None,
    *,
    min_silhouette_iou: float,
    max_keypoint_residual_px: float,
) -> list[Finding]:
    """Say why the body of a frame may not take part in a pair; empty where it may.

    Args:
        iou: `silhouette_iou` of the body with the person's mask.
        residual_px: `keypoint_residual_px`; None where the frame has no landmarks, which is not held against it.
    """
    found = []
    if not iou >= min_silhouette_iou:
        wanted = (
            f"frame {frame}: the body's silhouette must cover the person's mask by {min_silhouette_iou:.2f}"
        )
        found.append(
            Finding(
                frame=frame,
                reason="silhouette-apart",
                value=iou,
                unit="1",
                limit=min_silhouette_iou,
                message=f"{wanted} (intersection over union), covers {iou:.2f}. In no pair; refit the body.",
            )
        )
    if residual_px is not None and not residual_px <= max_keypoint_residual_px:
        wanted = f"frame {frame}: joints must lie within {max_keypoint_residual_px:g} px of the landmarks"
        found.append(
            Finding(
                frame=frame,
                reason="keypoints-apart",
                value=residual_px,
                unit="px",
                limit=max_keypoint_residual_px,
                message=f"{wanted} on average, lie {residual_px:.1f} px off. In no pair; refit the body.",
            )
        )
    return found


def pair_findings(
    target: int,
    reference: int,
    motion: MotionMap,
    *,
    min_pair_baseline_m: float,
    min_pixel_baseline_m: float,
    min_valid_px: int,
) -> list[Finding]:
    """Say why two frames make no pair; empty where they do.

    Args:
        target, reference: the frames' own numbers; a finding has the target's.
        motion: from target to reference.
        min_pair_baseline_m: of the mean of |t| over all pixels of the map, valid or not, as in the paper.
        min_pixel_baseline_m: as of `MotionMap.valid`.
        min_valid_px: fewer valid pixels have nothing to teach.
    """
    place = f"frames {target} and {reference}"
    valid_px = int(np.count_nonzero(motion.valid(min_pixel_baseline_m)))
    found = []
    if valid_px < min_valid_px:
        wanted = f"{place}: both must see at least {min_valid_px} px of the body in motion"
        found.append(
            Finding(
                frame=target,
                reason="no-overlap",
                value=valid_px,
                unit="px",
                limit=min_valid_px,
                message=f"{wanted}, see {valid_px} px. No pair; take frames nearer in time.",
            )
        )
    baseline_m = float(motion.baseline_m()[motion.seen].mean()) if motion.seen.any() else 0.0
    if not baseline_m >= min_pair_baseline_m:
        wanted = f"{place}: the mean baseline must be at least {min_pair_baseline_m:g} m"
        found.append(
            Finding(
                frame=target,
                reason="short-baseline",
                value=baseline_m,
                unit="m",
                limit=min_pair_baseline_m,
                message=f"{wanted}, is {baseline_m:.2f} m. No pair; take frames farther apart in time.",
            )
        )
    return found


def choose_pairs(
    vertices_cam_m: NDArray[Any],
    usable: Bool,
    rings: Rings,
    *,
    references: int,
    max_gap_frames: int,
    min_pair_baseline_m: float,
) -> Int64:
    """Choose reference frames for each target frame of a clip.

    Candidates are the frames at most max_gap_frames away whose bodies moved enough, by a sample of the vertices.
    Where there are more than references, they are cut into as many equal spans of time and the middle of each is
    taken, so that baselines differ. What the frames see is judged by `pair_findings`, once the map is drawn.

    Args:
        vertices_cam_m: (T V 3), each frame in its own camera's frame, in the order of time.
        usable: (T) frames without `frame_findings`; the others are in no pair.
        references: most references of one target.

    Returns:
        (P 2) rows of frames, target and reference, by target and then by reference.

    Raises:
        ValueError: if references or max_gap_frames is less than 1.
    """
    if references < 1 or max_gap_frames < 1:
        raise ValueError(
            f"choose_pairs: references and max_gap_frames must be at least 1, "
            f"are {references} and {max_gap_frames} frames"
        )
    far = _far_apart(vertices_cam_m, usable, rings, max_gap_frames, min_pair_baseline_m)
    pairs: list[tuple[int, int]] = []
    for target in range(len(usable)):
        candidates = np.flatnonzero(far[target])
        if len(candidates) > references:
            spans = (np.arange(references) + 0.5) / references
            candidates = candidates[(spans * len(candidates)).astype(np.int64)]
        pairs.extend((target, int(reference)) for reference in candidates)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _far_apart(
    vertices_cam_m: NDArray[Any],
    usable: Bool,
    rings: Rings,
    max_gap_frames: int,
    min_baseline_m: float,
) -> Bool:
    """Which usable frames (T T) near in time have a mean baseline; as long one way as the other, since |t| is."""
    frames, count = vertices_cam_m.shape[:2]
    sampled = np.zeros(count, np.bool_)
    sampled[:: max(1, count // SCREENED_VERTICES)] = True
    far = np.zeros((frames, frames), np.bool_)
    for first in np.flatnonzero(usable):
        for second in range(first + 1, min(first + max_gap_frames + 1, frames)):
            if usable[second]:
                motion = rigid_motion(vertices_cam_m[first], vertices_cam_m[second], rings, wanted=sampled)
                lengths_m = np.linalg.norm(motion.t_m[motion.determined], axis=1)
                moved = bool(len(lengths_m)) and lengths_m.mean() >= min_baseline_m
                far[first, second] = far[second, first] = moved
    return far
