"""OpenPose's JSON files (Cao et al., TPAMI 2021), one a picture, with the 25 joints of BODY_25.

Coordinates are pixels of the picture that OpenPose was given (its `keypoint_scale` 0), counted from the centre
of the top left one: integer pixel centres, as everywhere here. Its network resizes and rounds, so they are sure
to about half a pixel at best. Hands and faces are left out.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.bodies.joints import BODY25
from pipeline.captures.annotation import Annotation, Joints
from pipeline.captures.annotation_files import (
    NAME,
    AnnotatedPeople,
    AnnotationFiles,
    Person,
    Said,
    Shape,
    annotated_people,
    check_folder,
    malformed,
    matching_names,
)
from pipeline.captures.annotation_values import (
    Box,
    box_px,
    checked_box,
    joints_of_rows,
    listed,
    numbers,
    read_json,
    table,
)
from pipeline.errors import InputError

CONFIDENT = 0.2  # a joint below is left out of the box: SPIN's threshold for the same purpose


def open_openpose(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a folder of OpenPose's files: people by the name of their file, then by their place in it.

    A file without people, and one that cannot be read, stands for one person, who is refused when read. The
    files are read here to count their people, and again when a person is.

    Raises:
        InputError: capture-missing, annotation-missing or no-frames.
    """
    check_folder(path)
    people = []
    for name in matching_names(path, options.file):
        file, image = (path / pattern.replace(NAME, name) for pattern in (options.file, options.images))
        boxes = None if options.boxes is None else path / options.boxes.replace(NAME, name)
        others = (file,) if boxes is None else (file, boxes)
        for person in range(_count(file)):
            say = partial(_say, file, person, boxes)
            people.append(Person(image=image, say=say, others=others))
    return annotated_people(path, options.file, people)


def _count(file: Path) -> int:
    try:
        return max(
            1,
            len(
                listed(table(read_json(file), "the file", where=str(file)).get("people"), "people", where="")
            ),
        )
    except InputError:
        return 1


def _say(file: Path, person: int, boxes: Path | None, shape_hw: Shape) -> Said:
    content = table(read_json(file), "the file", where=str(file))
    people = listed(content.get("people"), "people", where=str(file))
    if person >= len(people):
        raise InputError(
            "no-keypoints",
            f"{file}: OpenPose must have found a person, found {len(people)}. Leave the file out.",
        )
    where = f"{file}, person {person}"
    entry = table(people[person], "a person", where=where)
    flat = numbers(entry.get("pose_keypoints_2d"), 75, "pose_keypoints_2d of BODY_25", where=where)
    joints = joints_of_rows(BODY25, flat.reshape(25, 3), shape_hw, where=where)
    if boxes is None:
        return Said(annotation=Annotation(box_px=_box(joints, shape_hw, where=where), joints=joints))
    if len(people) != 1:
        raise malformed(
            where, f"{boxes.name} has the box of one person, but the file has {len(people)} people"
        )
    told = table(read_json(boxes), "the file", where=str(boxes)).get("bbox")
    return Said(annotation=Annotation(box_px=box_px(told, shape_hw, where=str(boxes)), joints=joints))


def _box(joints: Joints, shape_hw: Shape, *, where: str) -> Box:
    """The pixels that hold the confident joints, as a box in edge coordinates."""
    sure = joints.px[joints.confidence >= CONFIDENT].astype(np.float64)
    if len(sure) == 0:
        raise InputError(
            "no-keypoints",
            f"{where}: a joint must have a confidence of {CONFIDENT}, the best has "
            f"{joints.confidence.max():.3g}. Leave it out, or name boxes.",
        )
    # A pixel reaches half a pixel to each side of its centre; edge coordinates count from half a pixel before 0.
    low, high = sure.min(axis=0), sure.max(axis=0) + 1
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return checked_box(box, shape_hw, where=where, what="the box of the joints")
