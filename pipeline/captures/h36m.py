"""Human3.6M (Ionescu et al., TPAMI 2014) as the npz files that SPIN's scripts write from it (`h36m_train.npz`).

Read are `imgname` (N), `center` (N 2), `scale` (N), `part` (N 24 3: u, v, given) and `S` (N 24 4: x, y, z,
given), and `K` (N 3 3) where somebody added it; anything else in the file is left alone. The 24 rows are SPIN's
own, of which Human3.6M fills the 17 of `SPIN_ROWS`.

`S` is in metres along the camera's axes. SPIN moves each pelvis to the origin, so its joints are in no camera's
frame and are left out; where the pelvis stands in front of the camera they are, and become `cam_m`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import H36M17
from pipeline.bodies.npz_file import read_npz
from pipeline.cameras import intrinsics_problem
from pipeline.captures.annotation import Annotation, Joints
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
from pipeline.captures.annotation_values import joints_of_rows, square_box
from pipeline.errors import InputError

Arrays = dict[str, NDArray[Any]]

# SPIN's 24: legs, arms and neck of LSP, pelvis and thorax of MPII, spine, jaw and head of Human3.6M, face of COCO.
SPIN_ROWS = {
    **{"right_ankle": 0, "right_knee": 1, "right_hip": 2, "left_hip": 3, "left_knee": 4, "left_ankle": 5},
    **{"right_wrist": 6, "right_elbow": 7, "right_shoulder": 8},
    **{"left_shoulder": 9, "left_elbow": 10, "left_wrist": 11},
    **{"thorax": 12, "pelvis": 14, "spine": 16, "neck_nose": 17, "head_top": 18},
}
ROWS = [SPIN_ROWS[name] for name in H36M17.names]
SHAPES = {"center": (2,), "scale": (), "part": (24, 3), "S": (24, 4), "K": (3, 3)}
NEEDED = ("center", "scale", "part")
LIMIT_BYTES = 1 << 30


def open_h36m(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open an npz of people, in its own order.

    2-D joints are pixel indices, so integer pixel centres; `center` is the middle of pixel edges. The box is the
    square of 200 px times `scale` around it; SPIN made it 0.9 of the person's longer side.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
    """
    check_folder(path)
    file = path / options.file
    arrays = _read(file)
    metric = "S" in arrays and bool((arrays["S"][:, SPIN_ROWS["pelvis"], 2] > 0).all())
    people = []
    for row, name in enumerate(arrays["imgname"].tolist()):
        where = f"{file}, person {row}"
        image = picture_path(path, options.images, name, where=where)
        own = {key: arrays[key][row] for key in SHAPES if key in arrays}
        if not metric:
            own.pop("S", None)
        people.append(Person(image=image, say=partial(_say, own, where=where)))
    return annotated_people(path, options.file, people)


def _read(file: Path) -> Arrays:
    try:
        arrays = read_npz(file, limit_bytes=LIMIT_BYTES)
    except FileNotFoundError:
        raise InputError(
            "annotation-missing", f"{file}: the annotations must be a file, are not there. Restore them."
        ) from None
    except (OSError, ValueError) as error:  # a damaged archive points outside its file
        raise malformed(str(file), f"the annotations must be an npz file ({error})") from error
    names = arrays.get("imgname")
    if names is None or names.ndim != 1 or names.dtype.kind != "U":
        raise malformed(str(file), "imgname must be a list of texts, is missing or of another kind")
    for key, shape in SHAPES.items():
        array = arrays.get(key)
        if array is None and key not in NEEDED:
            continue
        wanted = (len(names), *shape)
        if array is None or array.shape != wanted or array.dtype.kind not in "fiu":
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise malformed(str(file), f"{key} must be numbers {wanted}, is {found}")
    return arrays


def _say(own: Arrays, shape_hw: Shape, *, where: str) -> Said:
    broken = next((key for key, array in own.items() if not np.isfinite(array).all()), None)
    if broken is not None:
        raise malformed(where, f"{broken} must be finite, is not")
    numbers = {key: array.astype(np.float64) for key, array in own.items()}
    joints = joints_of_rows(H36M17, numbers["part"][ROWS], shape_hw, where=where)
    if "S" in numbers:
        joints = _with_places(joints, numbers["S"][ROWS], where=where)
    centre = (float(numbers["center"][0]), float(numbers["center"][1]))
    box = square_box(centre, float(numbers["scale"]), shape_hw, where=where)
    K = numbers.get("K")
    problem = None if K is None else intrinsics_problem(K, *shape_hw)
    if problem is not None:
        raise InputError("intrinsics-mismatch", f"{where}: K must fit the picture, but {problem}. Mend K.")
    return Said(annotation=Annotation(box_px=box, joints=joints), K=K)


def _with_places(joints: Joints, places: NDArray[np.float64], *, where: str) -> Joints:
    if not (places[:, 3] > 0).all() or not (np.abs(places[:, :3]) < 1000).all():
        raise malformed(where, "S must give all 17 joints of Human3.6M in metres, does not")
    return Joints(
        joint_set=joints.joint_set,
        px=joints.px,
        confidence=joints.confidence,
        visible=joints.visible,
        cam_m=places[:, :3].astype(np.float32),
    )
