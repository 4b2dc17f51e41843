"""MPII's key points (Andriluka et al., CVPR 2014) as the JSON list that pose networks are trained from.

Each entry is one person: `image`, `joints` (16 2), `joints_vis` (16), `center` and `scale`; the dataset itself
comes as a MATLAB file, and this list, which HRNet and mmpose share, keeps MATLAB's pixels: they count from 1.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.joints import MPII16
from pipeline.captures.annotation import Annotation
from pipeline.captures.annotation_files import (
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
from pipeline.captures.annotation_values import joints_of_rows, listed, numbers, read_json, square_box, table
from pipeline.errors import InputError


def open_mpii(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a list of MPII's people, in its own order.

    A joint whose `joints_vis` is 0 is none, as its trainers have it; of the others the list does not tell which
    were hidden. The box is the square of `scale` around `center`: rough, and arms may reach beyond it.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
    """
    check_folder(path)
    file = path / options.file
    people = []
    for position, value in enumerate(listed(read_json(file), "the file", where=str(file))):
        where = f"{file}, person {position}"
        entry = table(value, "a person", where=where)
        image = picture_path(path, options.images, entry.get("image"), where=where)
        people.append(Person(image=image, say=partial(_say, entry, where=where)))
    return annotated_people(path, options.file, people)


def _say(entry: dict[str, Any], shape_hw: Shape, *, where: str) -> Said:
    if "joints" not in entry:
        raise InputError(
            "no-keypoints",
            f"{where}: the person must have joints, has none, as in the test list. Leave it out.",
        )
    rows = listed(entry["joints"], "joints", where=where)
    if len(rows) != 16:
        raise malformed(where, f"joints must be 16 pairs, are {len(rows)}")
    px = np.stack([numbers(row, 2, "a joint", where=where) for row in rows])
    marked = numbers(entry.get("joints_vis"), 16, "joints_vis", where=where)
    centre = numbers(entry.get("center"), 2, "center", where=where)
    # MATLAB's first pixel is 1: its centre is 0 here, and its middle is 0.5 in edge coordinates.
    joints = joints_of_rows(MPII16, np.column_stack([px - 1, marked]), shape_hw, where=where)
    middle = (float(centre[0] - 0.5), float(centre[1] - 0.5))
    box = square_box(middle, entry.get("scale"), shape_hw, where=where)
    return Said(annotation=Annotation(box_px=box, joints=joints))
