"""One annotated person cut out of a picture: image and annotation go through the one crop together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import LEVEL, crop_resize
from pipeline.captures.annotation import Annotation, Joints, SurfacePoints
from pipeline.captures.capture import Frame
from pipeline.captures.densepose import MAX_POINTS
from pipeline.person_square import square_around


def assumed_intrinsics(height: int, width: int, fov_deg: float | None) -> NDArray[np.float64]:
    """K (3 3) of a whole picture of which nothing is known.

    Without a field of view the focal length is the picture's diagonal, as of Kissos et al., "Beyond Weak
    Perspective", ECCV workshops 2020, and Li et al., "CLIFF", ECCV 2022: 53 degrees over the diagonal. The
    principal point is the centre.

    Args:
        fov_deg: over the longer side.
    """
    if fov_deg is None:
        focal_px = float(np.hypot(height, width))
    else:
        focal_px = float(max(height, width) / 2 / np.tan(np.radians(fov_deg) / 2))
    return np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])


def annotated_crop(
    frame: Frame, foreground: str, size_px: int, *, fov_deg: float | None = None
) -> dict[str, Any]:
    """Return a sample's fields: the square around the annotated person, what was said of the person, and the camera.

    The camera is the one that the set brings, else `assumed_intrinsics`; it is upright, at the world's origin.

    Args:
        frame: with image and annotation.
        foreground: given wants the person's outline too, as `person_mask`; all does without.
        fov_deg: as in `assumed_intrinsics`.
    """
    annotation, image = frame.annotation, frame.image
    if annotation is None or image is None:
        raise ValueError("annotated_crop: frame must bring an image and an annotation, does not")
    maps: dict[str, Any] = {"image": image, **_maps(annotation)}
    if foreground == "given":
        if frame.mask is None:
            raise ValueError("annotated_crop: frame must bring a mask where one is wanted, does not")
        maps["person_mask"] = frame.mask
    joints, points = annotation.joints, annotation.points
    places = {}
    if joints is not None:
        places[f"joints_{joints.joint_set}_px"] = joints.px
    if points is not None:
        places["densepose_points_px"] = points.px
    left, top, width, height = annotation.box_px
    square_px = square_around(left, top, left + width, top + height)
    picture_K = assumed_intrinsics(image.shape[0], image.shape[1], fov_deg) if frame.K is None else frame.K
    cropped, K = crop_resize({**maps, **places}, picture_K, square_px, size_px, points=places)
    if joints is not None:
        cropped |= _joints(joints, cropped)
    if points is not None:
        cropped |= _points(points, cropped)
    return {"frame": np.int32(frame.frame), "K": K, "world_from_cam": LEVEL, **cropped}


def _maps(annotation: Annotation) -> dict[str, Any]:
    named = {
        "densepose_part": annotation.surface_part,
        "densepose_uv": annotation.surface_uv,
        "coarse_part": annotation.coarse_part,
    }
    return {name: array for name, array in named.items() if array is not None}


def _joints(joints: Joints, cropped: dict[str, Any]) -> dict[str, Any]:
    stem = f"joints_{joints.joint_set}"
    there = joints.confidence[:, None] > 0
    return {
        f"{stem}_px": np.where(there, cropped[f"{stem}_px"], np.float32(0)),
        f"{stem}_confidence": joints.confidence,
        f"{stem}_visible": joints.visible,
        **({} if joints.cam_m is None else {f"{stem}_cam_m": joints.cam_m}),
    }


def _points(points: SurfacePoints, cropped: dict[str, Any]) -> dict[str, Any]:
    """Padded to the largest number that there can be, so that samples are of one shape."""
    padding = (0, MAX_POINTS - len(points.part))
    return {
        "densepose_points_px": np.pad(cropped["densepose_points_px"], (padding, (0, 0))),
        "densepose_points_part": np.pad(points.part, padding),
        "densepose_points_uv": np.pad(points.uv, (padding, (0, 0))),
    }
