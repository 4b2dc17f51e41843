"""A gate against wrong transforms between the cameras of a rig, asked of the depth maps before any fusion.

Cameras around a person see little of the same surface, so that each fits a fused surface of pieces that do not belong
together. But where one camera saw the person, no other may look through to what lies behind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, project, transform
from pipeline.errors import GateError
from pipeline.fusion import DepthView
from pipeline.masks import masked_points

MOMENTS = 4  # evenly over the capture
LEAST_POINTS = 500  # of the person that another camera has measured depth at; with fewer a pair has no say
# What two cameras may differ by on one surface: least, and per squared metre of depth.
NEAR_M, NEAR_PER_M = 0.010, 0.004
# Between the right cameras of a simulated Kinect's noise 0.03 at most; one moved by 2 cm sideways gives 0.2, one
# turned by 1 degree 0.35.
MOST_SEEN_THROUGH = 0.10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SeenPerson:
    """One frame of one camera: all that it measured, and the person (H W, bool) in it."""

    view: DepthView
    mask: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class RigAgreement:
    """The pair of cameras that agree least.

    Attributes:
        share: of the first camera's person, where the second measured anything, that the second looks through;
            None where no pair sees enough of the other's.
        cameras: their numbers; of no meaning without a share.
    """

    share: float | None
    cameras: tuple[int, int] = (-1, -1)


def seen_through(source: SeenPerson, target: SeenPerson) -> float | None:
    """Share (0 to 1) of the person's points that another camera of the same moment looks through, or None.

    A point counts where the nearest of the 3x3 depths around its pixel lies behind it by more than both sensors
    may differ; what is hidden from the other camera does not.
    """
    import cv2

    points_m = masked_points(source.mask & (source.view.depth_m > 0), source.view.depth_m, source.view.K)
    into = invert_rigid(target.view.world_from_cam) @ source.view.world_from_cam
    points_m = transform(into, points_m)
    points_m = points_m[points_m[:, 2] > 0]
    depth_m = np.where(target.view.depth_m > 0, target.view.depth_m, np.float32(np.inf))
    nearest_m = cv2.erode(depth_m, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    height, width = depth_m.shape
    u, v = np.rint(project(points_m, target.view.K)).T
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    behind_m = nearest_m[v[inside].astype(np.int64), u[inside].astype(np.int64)]
    z_m = points_m[inside, 2]
    measured = np.isfinite(behind_m)
    if np.count_nonzero(measured) < LEAST_POINTS:
        return None
    through = behind_m - z_m > NEAR_M + NEAR_PER_M * z_m**2
    return float(np.count_nonzero(through & measured) / np.count_nonzero(measured))


def measure_rig(seen: Callable[[int], SeenPerson], frames: Sequence[int], *, cameras: int) -> RigAgreement:
    """Hold the cameras against each other, at a few moments that all of them have a frame of.

    Args:
        seen: a frame by its number.
        frames: numbers of all that there are; frame n is camera n % cameras at moment n // cameras.
    """
    there = set(frames)
    moments = sorted({number // cameras for number in frames})
    whole = [at for at in moments if all(at * cameras + camera in there for camera in range(cameras))]
    shares: dict[tuple[int, int], list[float]] = {}
    for index in sorted({round(at) for at in np.linspace(0, len(whole) - 1, MOMENTS)}) if whole else []:
        people = [seen(whole[index] * cameras + camera) for camera in range(cameras)]
        for first, source in enumerate(people):
            for second, target in enumerate(people):
                share = None if first == second else seen_through(source, target)
                if share is not None:
                    shares.setdefault((first, second), []).append(share)
    medians = {pair: float(np.median(found)) for pair, found in shares.items()}
    if not medians:
        return RigAgreement(share=None)
    worst = max(medians, key=lambda pair: medians[pair])
    return RigAgreement(share=medians[worst], cameras=worst)


def check_rig(seen: Callable[[int], SeenPerson], frames: Sequence[int], *, cameras: int) -> RigAgreement:
    """Refuse cameras whose transforms cannot be right; silent where they see nothing of each other's person.

    Args:
        seen, frames, cameras: as of `measure_rig`.

    Returns:
        The figures, for the record.

    Raises:
        GateError: `cameras-disagree`.
    """
    found = measure_rig(seen, frames, cameras=cameras)
    if found.share is None or found.share <= MOST_SEEN_THROUGH:
        return found
    first, second = found.cameras
    raise GateError(
        "cameras-disagree",
        f"fuse: no camera may look through the person that another one sees on more than {MOST_SEEN_THROUGH:.0%} of "
        f"it, camera {second} does on {found.share:.0%} of what camera {first} sees: the transforms between them are "
        "wrong, or the cameras did not film at one moment. Calibrate them against each other again; rig_from_cam "
        "must take points of the camera to the rig.",
        value=found.share,
        unit="1",
        limit=MOST_SEEN_THROUGH,
    )
