"""COCO's key points (Lin et al., "Microsoft COCO", ECCV 2014): `person_keypoints_*.json` and lists of results.

Pixels: a key point is the index of a pixel, and so already an integer pixel centre; boxes and polygons are
measured from the picture's top left corner, and so already pixel edge coordinates. Nothing is shifted.
COCO-WholeBody (Jin et al., ECCV 2020) counts its feet, face and hands after the 17 of COCO; those are left out.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import COCO17
from pipeline.captures.annotation import Annotation, Joints
from pipeline.captures.annotation_files import (
    IMAGE_ID,
    AnnotatedPeople,
    AnnotationFiles,
    Person,
    Said,
    Shape,
    annotated_people,
    check_folder,
    malformed,
    picture_of_id,
    picture_path,
    shown,
)
from pipeline.captures.annotation_values import (
    box_px,
    check_size,
    joints_of_rows,
    listed,
    numbers,
    read_json,
    table,
    whole_number,
)
from pipeline.captures.rle import mask_from_segmentation
from pipeline.errors import InputError

Float64 = NDArray[np.float64]
Entry = dict[str, Any]

# What is read of an annotation; the rest of a large file is not kept in memory.
KEPT = ("bbox", "iscrowd", "keypoints", "score", "segmentation") + tuple(
    f"dp_{name}" for name in ("x", "y", "I", "U", "V", "masks")
)
LENGTHS = (3 * 17, 3 * 133)  # COCO, and COCO-WholeBody in one list


def open_coco(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a set of COCO's key points: annotations by the rank of their picture in `images`, then by their id.

    A list of results (image_id, bbox, keypoints with a score each) keeps its own order; its pictures are found
    by the pattern `images`.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
    """
    check_folder(path)
    entries = coco_entries(path, options)
    people = [
        Person(image=image, say=partial(_say, entry, picture, where=where))
        for where, image, entry, picture in entries
    ]
    return annotated_people(path, options.file, people)


def coco_entries(path: Path, options: AnnotationFiles) -> list[tuple[str, Path, Entry, Entry | None]]:
    """The annotations of a COCO file in the set's order: place, picture, annotation, the picture's own entry.

    The picture's entry is None for a list of results.

    Raises:
        InputError: annotation-missing or annotation-malformed.
    """
    file = path / options.file
    content = read_json(file)
    if isinstance(content, list):
        return _results(path, options, content)
    if IMAGE_ID in options.images:
        raise malformed(
            str(file), "images must be a folder, since the file names its pictures; {id} is for lists"
        )
    annotations = listed(
        table(content, "the file", where=str(file)).get("annotations"), "annotations", where=str(file)
    )
    pictures = _pictures(listed(content.get("images"), "images", where=str(file)), file)
    ranked = []
    for position, value in enumerate(annotations):
        where = f"{file}, annotation number {position}"
        entry = table(value, "an annotation", where=where)
        number = whole_number(entry.get("id"), "id", where=where)
        where = f"{file}, annotation {number}"
        image_id = whole_number(entry.get("image_id"), "image_id", where=where)
        if image_id not in pictures:
            raise malformed(where, f"image_id must be in images, is {image_id}")
        rank, picture = pictures[image_id]
        image = picture_path(path, options.images, picture.get("file_name"), where=where)
        ranked.append(((rank, number, position), (where, image, _kept(entry), picture)))
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def coco_joints(entry: Entry, shape_hw: Shape, *, where: str) -> Joints:
    """The 17 joints of an annotation's `keypoints` (x y v) or of a result's (x y score).

    v is 0 for none, 1 for marked though hidden, 2 for marked and seen.

    Raises:
        InputError: no-keypoints or annotation-malformed.
    """
    value = entry.get("keypoints")
    if value is None or value == []:
        raise InputError("no-keypoints", f"{where}: the person must have key points, has none. Leave it out.")
    flat = numbers(value, None, "keypoints", where=where)
    if len(flat) not in LENGTHS:
        raise malformed(where, f"keypoints must be {LENGTHS[0]} or {LENGTHS[1]} numbers, are {len(flat)}")
    rows = flat.reshape(-1, 3)[:17]
    if "score" in entry:
        return joints_of_rows(COCO17, rows, shape_hw, where=where)
    if not np.isin(rows[:, 2], (0, 1, 2)).all():
        raise malformed(
            where, f"v of keypoints must be 0, 1 or 2, is one of {shown(np.unique(rows[:, 2]).tolist())}"
        )
    seen = rows[:, 2] == 2
    marked = np.column_stack([rows[:, :2], np.minimum(rows[:, 2], 1)])
    return joints_of_rows(COCO17, marked, shape_hw, visible=seen, where=where)


def refuse_crowd(entry: Entry, *, where: str) -> None:
    """Refuse an annotation of many people at once.

    Raises:
        InputError: crowd-annotation, or annotation-malformed where `iscrowd` is neither 0 nor 1.
    """
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise malformed(where, f"iscrowd must be 0 or 1, is {shown(crowd)}")
    if crowd:
        raise InputError(
            "crowd-annotation",
            f"{where}: the annotation must be of one person, is of a crowd (iscrowd = 1). Leave it out.",
        )


def _say(entry: Entry, picture: Entry | None, shape_hw: Shape, *, where: str) -> Said:
    if picture is not None:
        check_size((picture.get("height"), picture.get("width")), shape_hw, where=where)
    refuse_crowd(entry, where=where)
    joints = coco_joints(entry, shape_hw, where=where)
    box = box_px(entry.get("bbox"), shape_hw, where=where)
    mask = mask_from_segmentation(entry.get("segmentation"), shape_hw, where=where)
    return Said(annotation=Annotation(box_px=box, joints=joints), mask=mask)


def _pictures(images: list[Any], file: Path) -> dict[int, tuple[int, Entry]]:
    """Rank and entry of each picture by its id."""
    found: dict[int, tuple[int, Entry]] = {}
    for rank, value in enumerate(images):
        where = f"{file}, image number {rank}"
        picture = table(value, "an image", where=where)
        number = whole_number(picture.get("id"), "id", where=where)
        if number in found:
            raise malformed(where, f"id must be the picture's own, but {number} is another's too")
        found[number] = (rank, picture)
    return found


def _results(
    path: Path, options: AnnotationFiles, content: list[Any]
) -> list[tuple[str, Path, Entry, Entry | None]]:
    file = path / options.file
    if IMAGE_ID not in options.images:
        raise malformed(
            str(file), "a list of results names no pictures, so images must be a pattern with {id}"
        )
    entries: list[tuple[str, Path, Entry, Entry | None]] = []
    for position, value in enumerate(content):
        where = f"{file}, result number {position}"
        entry = table(value, "a result", where=where)
        image = picture_of_id(path, options.images, entry.get("image_id"), where=where)
        entries.append((where, image, _kept(entry), None))
    return entries


def _kept(entry: Entry) -> Entry:
    return {key: entry[key] for key in KEPT if key in entry}
