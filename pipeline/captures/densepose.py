"""DensePose-COCO (Guler et al., CVPR 2018): annotated surface points and coarse parts, and networks' charts.

Points and coarse parts are given in a box that is stretched to 256x256. DensePose's own loader divides by 256, its
evaluator by 255; its data format page says that the box's size becomes 256, and annotators' clicks come with
fractions, so 256 holds here and a place in the box is one of pixel edges: u = u0 + width * dp_x / 256 - 0.5. Had
the evaluator been right, a point would lie at most width * (1 / 255 - 1 / 256) * 255 further right, 0.39 % of the
box; had the numbers been pixel indices of the stretched box, width / 512 further right, 0.2 %.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import COCO17
from pipeline.captures.annotation import Annotation, Joints, SurfacePoints
from pipeline.captures.annotation_files import (
    DENSEPOSE_KINDS,
    AnnotatedPeople,
    AnnotationFiles,
    Person,
    Said,
    Shape,
    annotated_people,
    check_folder,
    malformed,
    picture_path,
)
from pipeline.captures.annotation_values import Box, box_px, check_size, listed, numbers, read_json
from pipeline.captures.coco_keypoints import Entry, coco_entries, coco_joints, refuse_crowd
from pipeline.captures.densepose_charts import open_iuv, open_results
from pipeline.captures.rle import mask_from_rle, mask_from_segmentation
from pipeline.errors import InputError, ManifestError

BOX_PX = 256  # side of the stretched box
MAX_POINTS = 196  # annotators were shown at most 14 points in each of 14 coarse parts
COARSE_PARTS = 14
CHARTS = 24


def open_densepose(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a set of DensePose's annotations or results.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
        ManifestError: for a kind of key points.
    """
    openers = {"points": open_points, "results": open_results, "iuv": open_iuv}
    if options.kind not in openers:
        raise ManifestError(
            f"{path}: annotations.kind must be one of {', '.join(DENSEPOSE_KINDS)} for densepose-coco, is "
            f"{options.kind!r}. Correct it, or use format keypoints."
        )
    return openers[options.kind](path, options)


def open_points(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open annotated points: a COCO file with `dp_*`, in the order of `open_coco`, or one person's alone.

    One person's file is an object with `image`, `width`, `height`, `bbox` and the `dp_*`. Key points are read
    where the file has some, coarse parts (`dp_masks`) likewise; a person without either has 0 there.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
    """
    check_folder(path)
    file = path / options.file
    content = read_json(file)
    if isinstance(content, dict) and "annotations" not in content:
        where = str(file)
        image = picture_path(path, options.images, content.get("image"), where=where)
        entries: list[tuple[str, Path, Entry, Entry | None]] = [(where, image, content, content)]
    else:
        entries = coco_entries(path, options)
    # Samples of a set hold the same fields, so the whole set says which there are.
    keys = frozenset(key for key in ("keypoints", "dp_masks") if any(key in entry[2] for entry in entries))
    people = [
        Person(image=image, say=partial(_say, entry, picture, keys, where=where))
        for where, image, entry, picture in entries
    ]
    return annotated_people(path, options.file, people)


def surface_points(entry: Entry, box: Box, *, where: str) -> SurfacePoints:
    """The `dp_x dp_y dp_I dp_U dp_V` of an annotation, in the pixels of its picture.

    Raises:
        InputError: no-points or annotation-malformed.
    """
    if entry.get("dp_x") in (None, []):
        raise InputError(
            "no-points", f"{where}: the person must have surface points, has none. Leave it out."
        )
    x = numbers(entry["dp_x"], None, "dp_x", where=where)
    if len(x) > MAX_POINTS:
        raise malformed(where, f"dp_x must be at most {MAX_POINTS} points, are {len(x)}")
    y, part, u, v = (
        numbers(entry.get(key), len(x), key, where=where) for key in ("dp_y", "dp_I", "dp_U", "dp_V")
    )
    _within(x, 0, BOX_PX, "dp_x", where=where)
    _within(y, 0, BOX_PX, "dp_y", where=where)
    _within(part, 1, CHARTS, "dp_I", where=where)
    _within(u, 0, 1, "dp_U", where=where)
    _within(v, 0, 1, "dp_V", where=where)
    if (part % 1 != 0).any():
        raise malformed(where, "dp_I must be whole numbers, are not")
    px = np.column_stack([box[0] + box[2] * x / BOX_PX, box[1] + box[3] * y / BOX_PX]) - 0.5
    return SurfacePoints(
        px=px.astype(np.float32), part=part.astype(np.uint8), uv=np.column_stack([u, v]).astype(np.float32)
    )


def coarse_parts(masks: object, box: Box, shape_hw: Shape, *, where: str) -> NDArray[np.uint8]:
    """The 14 coarse parts (H W), 1..14 in the order of `dp_masks`, from the stretched box to the picture.

    A pixel takes the cell of the stretched box that holds its centre; where parts overlap, the later one holds,
    as in DensePose's own loader. An empty entry is a part that was not painted.

    Raises:
        InputError: annotation-malformed.
    """
    entries: list[Any] = listed(masks, "dp_masks", where=where)
    if entries and len(entries) != COARSE_PARTS:
        raise malformed(where, f"dp_masks must be {COARSE_PARTS} masks, are {len(entries)}")
    stretched = np.zeros((BOX_PX, BOX_PX), dtype=np.uint8)
    for label, entry in enumerate(entries, start=1):
        if entry not in ([], None):
            place = f"{where}, dp_masks {label}"
            stretched[mask_from_rle(entry, (BOX_PX, BOX_PX), where=place)] = label
    rows = _cells(shape_hw[0], box[1], box[3])
    columns = _cells(shape_hw[1], box[0], box[2])
    inside = (rows >= 0)[:, None] & (columns >= 0)
    return np.where(inside, stretched[rows[:, None], columns], 0).astype(np.uint8)


def _cells(length: int, start: float, extent: float) -> NDArray[np.int64]:
    """For each pixel of a row or column, the cell of the stretched box that holds its centre; -1 outside."""
    cells = np.floor((np.arange(length) + 0.5 - start) * (BOX_PX / extent))
    return np.where((cells >= 0) & (cells < BOX_PX), cells, -1).astype(np.int64)


def _say(entry: Entry, picture: Entry | None, keys: frozenset[str], shape_hw: Shape, *, where: str) -> Said:
    if picture is not None:
        check_size((picture.get("height"), picture.get("width")), shape_hw, where=where)
    refuse_crowd(entry, where=where)
    box = box_px(entry.get("bbox"), shape_hw, where=where)
    points = surface_points(entry, box, where=where)
    joints = _joints(entry, shape_hw, where=where) if "keypoints" in keys else None
    coarse = (
        coarse_parts(entry.get("dp_masks", []), box, shape_hw, where=where) if "dp_masks" in keys else None
    )
    mask = mask_from_segmentation(entry.get("segmentation"), shape_hw, where=where)
    return Said(
        annotation=Annotation(box_px=box, joints=joints, points=points, coarse_part=coarse), mask=mask
    )


def _joints(entry: Entry, shape_hw: Shape, *, where: str) -> Joints:
    """The key points, or none of them: surface points were annotated of people without key points too."""
    try:
        return coco_joints(entry, shape_hw, where=where)
    except InputError as error:
        if error.reason != "no-keypoints":
            raise
    count = len(COCO17.names)
    return Joints(
        joint_set=COCO17.name,
        px=np.zeros((count, 2), dtype=np.float32),
        confidence=np.zeros(count, dtype=np.float32),
        visible=np.zeros(count, dtype=np.bool_),
    )


def _within(values: NDArray[np.float64], low: float, high: float, what: str, *, where: str) -> None:
    if values.min() < low or values.max() > high:
        raise malformed(
            where, f"{what} must lie in [{low}, {high}], lies in [{values.min():.6g}, {values.max():.6g}]"
        )
