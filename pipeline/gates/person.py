"""Gates over the mask of one person: size, cut by the picture's border, height, and standing the right way up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.gates.finding import Finding
from pipeline.masks import mask_box, masked_points
from pipeline.settings import ForegroundSettings

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

UP_CAM = np.array([0.0, -1.0, 0.0])  # of a camera that is held level
BROAD_M = 0.11  # an arm is less broad, a head more
REACH_M = 1.0  # from the median depth; what lies farther is a pixel mixed with the background
# Of the height, at each end: a crown is not lost by it (1.5 cm), a stray pixel is.
TAIL_SHARE = 0.005
RAGGED_PX = 8  # how far the border of a registered depth image wanders over rows and columns
LEAST_UP_IN_VIEW = 0.5  # a camera that looks down or up more steeply shows no upright person


def too_little_foreground(frame: Frame, mask: Bool, settings: ForegroundSettings) -> list[Finding]:
    """The finding of a mask (H W), of a person or of a whole scene, that holds too few pixels."""
    count_px = int(np.count_nonzero(mask))
    if count_px >= settings.min_foreground_px:
        return []
    return [_PersonGates(frame.frame, settings).too_little(count_px)]


def person_findings(
    frame: Frame, mask: Bool, settings: ForegroundSettings, *, up_cam: Float64 = UP_CAM
) -> list[Finding]:
    """What is wrong with the person of one frame, gravest first.

    Args:
        frame: without depth or K, nothing is measured in metres. Outside the mask its depth only tells how
            far the depth camera sees.
        mask: (H W) of the person alone, given or found; of a whole scene, these gates say nothing.
        up_cam: (3) unit; the floor's normal where it is known.
    """
    found = too_little_foreground(frame, mask, settings)
    if found:
        return found
    gates = _PersonGates(frame.frame, settings)
    view = mask if frame.depth_m is None else mask[view_box(frame.depth_m > 0, mask)]
    cut_share, sides = cut_by_border(view)
    judged = [gates.cut(cut_share, sides)]
    if frame.depth_m is not None and frame.K is not None:
        points_cam = person_points(mask, frame.depth_m, frame.K)
        if len(points_cam):
            broad = broad_part(mask, BROAD_M / 2 * frame.K[0, 0] / float(np.median(points_cam[:, 2])))
            broad_cam = person_points(broad, frame.depth_m, frame.K)
            height_m = extent_m(points_cam, broad_cam if len(broad_cam) else points_cam, up_cam)
            # The height of someone who lies across the picture says nothing.
            judged.append(gates.sideways(points_cam, up_cam) or gates.height(height_m, cut=bool(sides)))
    return [finding for finding in judged if finding is not None]


@dataclass(frozen=True, slots=True)
class _PersonGates:
    frame: int
    settings: ForegroundSettings

    def too_little(self, count_px: int) -> Finding:
        least_px = self.settings.min_foreground_px
        expected = f"foreground must have at least {least_px} px, has {count_px} px"
        step = "lower stages.foreground.min_foreground_px"
        return self._finding(
            "too-little-foreground", count_px, "px", least_px, f"{expected}. Left out; {step}"
        )

    def cut(self, share: float, sides: tuple[str, ...]) -> Finding | None:
        most = self.settings.max_cut_share
        if share <= most:
            return None
        expected = f"at most {most:.1%} of the person's outline may lie on the picture's border"
        found = f"{share:.1%} does ({', '.join(sides)})"
        step = "raise stages.foreground.max_cut_share"
        return self._finding("person-cut", share, "1", most, f"{expected}, {found}. Left out; {step}")

    def height(self, height_m: float, *, cut: bool) -> Finding | None:
        least_m, most_m = self.settings.min_person_m, self.settings.max_person_m
        if height_m <= most_m and (cut or height_m >= least_m):
            return None
        limit_m, setting = (least_m, "min_person_m") if height_m < least_m else (most_m, "max_person_m")
        expected = (
            f"the person must reach {least_m:g} to {most_m:g} m from top to bottom, is {height_m:.2f} m"
        )
        step = f"check the unit of the depth and the mask, or set stages.foreground.{setting}"
        return self._finding("person-height", height_m, "m", limit_m, f"{expected}. Left out; {step}")

    def sideways(self, points_cam: Float64, up_cam: Float64) -> Finding | None:
        lean_deg, elongation = lean(points_cam, up_cam)
        most_deg = self.settings.max_lean_deg
        if elongation < self.settings.min_elongation or lean_deg <= most_deg:
            return None
        expected = (
            f"the person's long axis must be within {most_deg:g} deg of upright, is {lean_deg:.0f} deg off"
        )
        step = "turn image and depth, or raise stages.foreground.max_lean_deg"
        return self._finding("person-sideways", lean_deg, "deg", most_deg, f"{expected}. Left out; {step}")

    def _finding(self, reason: str, value: float, unit: str, limit: float, finding: str) -> Finding:
        message = f"frame {self.frame}: {finding} to keep it."
        return Finding(
            frame=self.frame,
            reason=reason,
            value=float(value),
            unit=unit,
            limit=float(limit),
            message=message,
        )


def view_box(measured: Bool, mask: Bool) -> tuple[slice, slice]:
    """Rows and columns of the picture that the depth camera sees: it has often a narrower view than the picture.

    Its border is known where all depth ends within a few pixels of a line that half of the picture's side is
    measured along, half of that beside the person. Elsewhere it may be the scene that ends, or nothing but the
    person is kept: the picture's own border counts.

    Args:
        measured: (H W) of all pixels with depth, the person's among them.
    """
    spans = []
    for axis in (1, 0):
        enough = measured.shape[axis] // 2
        counts = measured.sum(axis=axis, dtype=np.int32)
        beside = (measured & ~mask).sum(axis=axis, dtype=np.int32)
        full = (counts >= enough) & (2 * beside >= enough)
        spans.append(slice(_border(counts, full), len(full) - _border(counts[::-1], full[::-1])))
    return spans[0], spans[1]


def _border(counts: NDArray[np.int32], full: Bool) -> int:
    """Index from which on a view is seen, 0 where no line is found."""
    line, outermost = int(np.argmax(full)), int(np.argmax(counts > 0))
    return line if full[line] and line - outermost <= RAGGED_PX else 0


def cut_by_border(mask: Bool) -> tuple[float, tuple[str, ...]]:
    """Share of the mask's outline that lies on the picture's border, and on which sides.

    The outline is every pixel of the mask beside one that is not, or on the border; 0 of an empty mask.
    """
    inner = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    outline_px = int(np.count_nonzero(mask)) - int(np.count_nonzero(inner))
    edges = {"top": mask[0], "right": mask[:, -1], "bottom": mask[-1], "left": mask[:, 0]}
    border_px = sum(int(np.count_nonzero(edge)) for edge in edges.values())
    corners_px = int(mask[0, 0]) + int(mask[0, -1]) + int(mask[-1, 0]) + int(mask[-1, -1])
    sides = tuple(name for name, edge in edges.items() if edge.any())
    return (border_px - corners_px) / max(outline_px, 1), sides


def person_points(mask: Bool, depth_m: NDArray[np.float32], K: Float64) -> Float64:
    """Points (N 3) in the camera frame of the measured pixels near the median depth of the mask."""
    points_cam = masked_points(mask, depth_m, K)
    z = points_cam[:, 2]
    measured = z > 0
    if measured.any():
        measured &= np.abs(z - np.median(z[measured])) <= REACH_M
    return points_cam[measured]


def broad_part(mask: Bool, radius_px: float) -> Bool:
    """What discs of this radius cover that fit into the mask: a head, but no arm that is held above it."""
    import cv2

    broad = np.zeros_like(mask)
    box = mask_box(mask, ring_px=1)  # what is no mask is nowhere nearer than beside it
    part = mask[box]
    if not part.size:
        return broad
    core = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) >= radius_px
    if core.any():
        away_px = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5)
        broad[box] = part & (away_px <= radius_px)
    return broad


def extent_m(points_cam: Float64, broad_cam: Float64, up_cam: Float64) -> float:
    """How far a person reaches from the lowest of all points to the highest of the broad part's, tails left out."""
    bottom_m = np.quantile(points_cam @ up_cam, TAIL_SHARE)
    return float(np.quantile(broad_cam @ up_cam, 1 - TAIL_SHARE) - bottom_m)


def lean(points_cam: Float64, up_cam: Float64) -> tuple[float, float]:
    """Angle in degrees, 0 to 90, between the silhouette's longest axis and up, and how long it is for its width.

    The silhouette is the points as the camera's plane sees them in metres; each counts by the area z^2 that
    its pixel covers. The elongation is a ratio of standard deviations, 1 (no longest axis) for a camera that
    looks so steeply that up is not in view.
    """
    up_in_view = float(np.hypot(up_cam[0], up_cam[1]))
    if up_in_view < LEAST_UP_IN_VIEW:
        return 0.0, 1.0
    covariance = np.cov(points_cam[:, :2].T, aweights=points_cam[:, 2] ** 2)
    variances, axes = np.linalg.eigh(covariance)
    cosine = abs(float(axes[:, 1] @ up_cam[:2])) / up_in_view
    elongation = float(np.sqrt(variances[1] / max(variances[0], 1e-12)))
    return float(np.degrees(np.arccos(min(cosine, 1.0)))), elongation
