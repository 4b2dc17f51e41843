"""Targets of Skeleton-Net and Segmentation-Net, made from a sample's joints and labels as it is loaded.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 4:
64 x 64 x 19 voxels for each of 16 joints, over the picture and over z in [-0.6, 0.6] m about the pelvis, read by
the integral of Sun et al., "Integral Human Pose Regression", ECCV 2018, eq. (2). That loss needs a joint's place
alone; a volume, as a loss on heat maps needs it, is 5 MB a sample and nothing that shards should hold.

The rule "paper" counts from voxel centre to voxel centre, and its 19 depths are those of
`training.networks.bins`: from -0.6 to 0.6 m, both included, rising away from the camera. The rule "code" is the
authors' public code's: whole pixels divided by four, depth turned round (nearer is larger) over [0, 19], of which
an expectation over bins 0 to 18 reaches but 18, and with the pelvis at 9.5.

Nothing but numpy is needed here.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["paper", "code"]
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

SIZE = 64  # voxels a side, over the picture
BINS = 19
REACH_M = 0.6
PELVIS = 0  # row of TANG16
PARTS = 14
ALMOST = 1e-4  # what the public code adds before it cuts pixels off to integers
CODE_BIN_M = 0.045  # of its heat maps, not of its integrals
CODE_WINDOW_PX, CODE_WINDOW_BINS = 13, 5
CODE_SIGMA = 0.25  # of a window


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JointPlaces:
    """Where joints lie in the volume.

    Attributes:
        places: (J 3) column, row and bin, counted from 0, inside of the volume; 0 where not seen.
        seen: (J) False where a joint lies outside of the picture or behind the camera, or is not finite: no loss.
        clipped: (J) True where a seen joint lies deeper or nearer than the bins reach and has the outermost.
    """

    places: Float32
    seen: Bool
    clipped: Bool


def joint_places(
    joints_px: NDArray[Any], joints_cam_m: NDArray[Any], *, image_px: int, rule: Rule = "paper"
) -> JointPlaces:
    """Place joints in the volume of Skeleton-Net.

    Args:
        joints_px: (J 2) u and v in the picture, integer pixel centres, as `joints_tang16_px`.
        joints_cam_m: (J 3) camera frame, the pelvis first, as `joints_tang16_cam_m`. Without a finite pelvis no
            joint has a place.
        image_px: side of the picture.

    Returns:
        A joint in the outermost two of 256 pixels lies beyond the outermost voxel centres and has those.

    Raises:
        ValueError: if shapes or the rule are others, or the picture is not at least 64 px wide.
    """
    _check(joints_px, joints_cam_m, image_px, rule)
    pixels, depth_m = np.asarray(joints_px, np.float64), np.asarray(joints_cam_m, np.float64)[:, 2]
    with np.errstate(invalid="ignore"):  # infinite less infinite
        deeper_m = depth_m - depth_m[PELVIS]
        known = np.isfinite(pixels).all(axis=1) & np.isfinite(deeper_m) & (depth_m > 0)
        seen = known & (pixels >= -0.5).all(axis=1) & (pixels < image_px - 0.5).all(axis=1)
    pixels, deeper_m = np.where(seen[:, None], pixels, 0.0), np.where(seen, deeper_m, 0.0)
    within_m = np.clip(deeper_m, -REACH_M, REACH_M)
    scale = SIZE / image_px
    if rule == "paper":
        at = (pixels + 0.5) * scale - 0.5
        bins = (within_m / REACH_M + 1) * (BINS - 1) / 2
    else:
        at = np.trunc(pixels + ALMOST) * scale
        bins = (1 - within_m / REACH_M) * BINS / 2
    places = np.column_stack([np.clip(at, 0, SIZE - 1), bins])
    return JointPlaces(
        places=np.where(seen[:, None], places, 0).astype(np.float32),
        seen=seen,
        clipped=np.asarray(np.abs(deeper_m) > REACH_M),
    )


def joints_at(places: NDArray[Any], *, image_px: int, rule: Rule = "paper") -> tuple[Float32, Float32]:
    """Pixels (... 2) and depths behind the pelvis in metres (...) of places (... 3): `joint_places` undone.

    Raises:
        ValueError: for another rule.
    """
    _check_rule(rule)
    at, bins = np.asarray(places, np.float64)[..., :2], np.asarray(places, np.float64)[..., 2]
    step = image_px / SIZE
    if rule == "paper":
        pixels, deeper_m = (at + 0.5) * step - 0.5, REACH_M * (2 * bins / (BINS - 1) - 1)
    else:
        pixels, deeper_m = at * step, REACH_M * (1 - 2 * bins / BINS)
    return pixels.astype(np.float32), deeper_m.astype(np.float32)


def joint_volumes(found: JointPlaces, *, sigma_px: float = 2.0, sigma_bins: float = 1.0) -> Float32:
    """Volumes (J 19 64 64), bin, row, column, each a distribution whose expectation is exactly the joint's place.

    Each axis is a unit shared between the two voxel centres around the place, then blurred by small steps that
    move no mean: inside they spread to both sides evenly, and what has reached an end stays there. So the soft
    argmax of a volume's logarithm is the joint also at the border, where a Gaussian that is cut off would pull
    it inwards by half a bin.

    Args:
        found: by the rule "paper".
        sigma_px, sigma_bins: standard deviation of the blur in voxels; 0 for none. The defaults are as wide
            along z as across a person who fills the picture: 65 mm.

    Returns:
        0 throughout where a joint is not seen; 1 in sum elsewhere.

    Raises:
        ValueError: if a sigma is negative or not finite.
    """
    across, along = _blur(SIZE, sigma_px), _blur(BINS, sigma_bins)
    columns, rows = (_shared(found.places[:, axis], across) for axis in (0, 1))
    deep = _shared(found.places[:, 2], along) * found.seen[:, None]
    picture = rows[:, :, None] * columns[:, None, :]
    return np.asarray(deep[:, :, None, None] * picture[:, None])


def code_volumes(joints_px: NDArray[Any], joints_cam_m: NDArray[Any], *, image_px: int) -> Float32:
    """Heat maps (J 19 64 64) as the authors' public code draws them, bin, row, column.

    A Gaussian of 3.25 voxels cut to 13 x 13 around whole voxels times one of 1.25 bins cut to 5, with a peak of
    1; bins are 45 mm, nearer is larger, the pelvis in bin 9, and what lies beyond 0.405 m in the outermost.

    Returns:
        0 throughout where a joint is not seen.

    Raises:
        ValueError: as `joint_places`.
    """
    found = joint_places(joints_px, joints_cam_m, image_px=image_px, rule="code")
    depth_m = np.where(found.seen, np.asarray(joints_cam_m, np.float64)[:, 2], 0.0)
    nearer_m = np.where(found.seen, np.nan_to_num(joints_cam_m[PELVIS, 2]) - depth_m, 0.0)
    half = (BINS - 1) // 2
    bins = np.clip(np.ceil(nearer_m / CODE_BIN_M), -half, half) + half
    columns, rows = (_bell(np.trunc(found.places[:, axis]), SIZE, CODE_WINDOW_PX) for axis in (0, 1))
    deep = _bell(bins, BINS, CODE_WINDOW_BINS) * found.seen[:, None]
    picture = rows[:, :, None] * columns[:, None, :]
    return np.asarray(deep[:, :, None, None] * picture[:, None])


def part_target(part14: UInt8) -> UInt8:
    """Labels (64 64) of Segmentation-Net, 0 the background, from a square label image `part14`.

    The nearest pixel to each cell's centre, as `pipeline.cameras.crop_resize` resamples labels: two labels are
    never mixed.

    Raises:
        ValueError: unless the image is square, at least 64 px wide, and has labels up to 14.
    """
    if part14.ndim != 2 or part14.shape[0] != part14.shape[1] or len(part14) < SIZE or part14.max() > PARTS:
        raise ValueError(
            f"part_target: part14 must be square, at least {SIZE} px wide and have labels 0 to {PARTS}, "
            f"is {part14.shape} with labels up to {part14.max(initial=0)}"
        )
    nearest = ((np.arange(SIZE) + 0.5) * len(part14) / SIZE).astype(np.int64)
    return np.ascontiguousarray(part14[nearest[:, None], nearest])


def _check(joints_px: NDArray[Any], joints_cam_m: NDArray[Any], image_px: int, rule: str) -> None:
    _check_rule(rule)
    count = len(joints_px)
    if count < 1 or joints_px.shape != (count, 2) or joints_cam_m.shape != (count, 3) or image_px < SIZE:
        raise ValueError(
            f"joint_places: joints must be (J 2) px and (J 3) m in a picture of at least {SIZE} px, "
            f"are {joints_px.shape} and {joints_cam_m.shape} in {image_px} px"
        )


def _check_rule(rule: str) -> None:
    if rule not in ("paper", "code"):
        raise ValueError(f'skeleton_targets: rule must be "paper" or "code", is {rule!r}')


@cache
def _blur(size: int, sigma: float) -> Float32:
    """Row i: how a unit at voxel i lies after steps that spread it by sigma and move no mean."""
    if not 0 <= sigma < size:
        raise ValueError(f"joint_volumes: a sigma must be from 0 to below {size} voxels, is {sigma}")
    steps = int(np.ceil(2 * sigma**2))
    spread = sigma**2 / (2 * max(steps, 1))  # to each side, at most a quarter
    step = (1 - 2 * spread) * np.eye(size) + spread * (np.eye(size, k=1) + np.eye(size, k=-1))
    step[[0, -1]] = np.eye(size)[[0, -1]]
    return np.linalg.matrix_power(step, steps).astype(np.float32)


def _shared(places: Float32, blur: Float32) -> Float32:
    """Distribution (J n) of places (J) along one axis."""
    before = np.minimum(places.astype(np.int64), len(blur) - 2)
    share = (places - before).astype(np.float32)[:, None]
    return np.asarray((1 - share) * blur[before] + share * blur[before + 1])


def _bell(centres: NDArray[Any], size: int, window: int) -> Float32:
    """Gaussians (J n) with a peak of 1 at whole voxels (J), 0 beyond their window."""
    away = np.arange(size) - centres[:, None]
    bell = np.exp(-0.5 * (away / (CODE_SIGMA * window)) ** 2)
    return np.where(np.abs(away) <= window // 2, bell, 0).astype(np.float32)
