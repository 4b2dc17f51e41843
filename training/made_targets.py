"""What networks learn from and shards do not hold: targets that the loader makes from compact stored fields.

They are asked for by name, as fields are, and made in the process that reads, after augmentation: what is mirrored
or scaled are the few numbers that a target follows from. `docs/training.md` has the table of `TARGETS`.

Nothing but numpy is needed here; scaled pictures take OpenCV.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import BODY25, COCO17, MPII16
from pipeline.errors import InputError
from training.augment import KINDS, scale
from training.landmark_joints import LANDMARK27, read_in
from training.landmarks import landmark_maps, landmarks_of_body
from training.skeleton_targets import (
    JointPlaces,
    Rule,
    code_volumes,
    joint_places,
    joint_volumes,
    part_target,
)

Sample = Mapping[str, Any]

JOINTS = ("joints_tang16_px", "joints_tang16_cam_m", "image")  # the image tells how large the picture is
ANNOTATED = ("joints_mpii16_px", "joints_mpii16_confidence", "image")
BODY = ("body_pose_rad", "body_betas", "body_transl_m", "world_from_cam", "K", "image")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One target.

    Attributes:
        shape, dtype, doc: as the field table has them of what is stored.
        needs: sets of stored fields, of which the first that a dataset holds whole is read.
        make: a sample that holds those fields to the target.
    """

    shape: str
    dtype: str
    doc: str
    needs: tuple[tuple[str, ...], ...]
    make: Callable[[Sample], NDArray[Any]]


def stored_fields(names: Sequence[str], held: Collection[str], *, where: str) -> tuple[str, ...]:
    """Fields to read so that all of `names`, fields and targets, can be given, each once.

    Args:
        held: the fields that the dataset's shards hold.
        where: the dataset, for messages.

    Raises:
        InputError: `field-missing` when a field that a target is made from is not among them.
    """
    stored: list[str] = []
    for name in names:
        stored += _sources(name, held, where) if name in TARGETS else [name]
    return tuple(dict.fromkeys(stored))


def with_targets(sample: Sample, names: Sequence[str]) -> dict[str, Any]:
    """What is asked for and nothing else: stored fields as they are, targets made from them.

    Where a volume is among them, everything else that lines up with the picture is seen through the lens that
    the volume was enlarged with (`occupancy_scale`).

    Args:
        sample: at least the `stored_fields` of `names`.

    Raises:
        ValueError: as the functions that make the targets, and as `augment.scale`.
    """
    if any(name in VOLUMES for name in names):
        sample = _enlarged(sample)
    return {name: TARGETS[name].make(sample) if name in TARGETS else sample[name] for name in names}


def made_from(names: Sequence[str]) -> str:
    """One sentence for each target among `names`: what it is made from."""
    told = [f"{name} is made from {_either(TARGETS[name].needs)}." for name in names if name in TARGETS]
    return " ".join(told)


def targets_markdown() -> str:
    """The table in docs/training.md."""
    head = "| target | shape | dtype | made from | meaning |\n|---|---|---|---|---|\n"
    rows = [
        f"| `{name}` | {target.shape} | {target.dtype} | {_either(target.needs)} | {target.doc} |"
        for name, target in TARGETS.items()
    ]
    return head + "\n".join(rows) + "\n"


def _sources(name: str, held: Collection[str], where: str) -> tuple[str, ...]:
    needs = TARGETS[name].needs
    for fields in needs:
        if set(fields) <= set(held):
            return fields
    lacking = _either([[field for field in fields if field not in held] for fields in needs])
    raise InputError(
        "field-missing",
        f"{where}: target {name} must find {_either(needs)} in the shards, {lacking} are not there. "
        f"Build the dataset with the stages that bring them, or leave {name} out.",
    )


def _either(sets: Sequence[Sequence[str]]) -> str:
    return ", or ".join(", ".join(fields) for fields in sets)


def _enlarged(sample: Sample) -> dict[str, Any]:
    """The sample as it lines up with its volumes, which are not scaled again."""
    factor = float(sample["occupancy_scale"])
    if factor == 1:
        return dict(sample)
    return {
        **sample,
        **scale({n: v for n, v in sample.items() if KINDS[n] not in ("volume", "voxel_map")}, factor),
    }


def _places(sample: Sample, rule: Rule = "paper") -> JointPlaces:
    return joint_places(
        sample["joints_tang16_px"], sample["joints_tang16_cam_m"], image_px=_side_px(sample), rule=rule
    )


def _code_volumes(sample: Sample) -> NDArray[Any]:
    return code_volumes(sample["joints_tang16_px"], sample["joints_tang16_cam_m"], image_px=_side_px(sample))


def _landmarks(sample: Sample) -> NDArray[Any]:
    if "joints_mpii16_px" in sample:
        joints_px, there = sample["joints_mpii16_px"], sample["joints_mpii16_confidence"] > 0
    else:
        joints_px, there = landmarks_of_body(sample)
    return landmark_maps(joints_px, there, size_px=_side_px(sample))


def _landmark_points(sample: Sample) -> NDArray[Any]:
    """Joints of `LANDMARK27` from the first annotation that a sample has, else from its body."""
    for joint_set in (COCO17, BODY25, MPII16):
        if f"joints_{joint_set.name}_px" in sample:
            places, known = read_in(
                sample[f"joints_{joint_set.name}_px"],
                sample[f"joints_{joint_set.name}_confidence"] > 0,
                joint_set,
            )
            return np.column_stack([places, known]).astype(np.float32)
    return np.column_stack(landmarks_of_body(sample, LANDMARK27)).astype(np.float32)


def _dense_map(sample: Sample) -> NDArray[Any]:
    """Part, U and V of each pixel; part `UNKNOWN_PART` throughout where a sample has no surface map."""
    if "surface_part" not in sample:
        return np.full((*sample["image"].shape[:2], 3), (UNKNOWN_PART, 0, 0), np.float32)
    return np.dstack([sample["surface_part"], sample["surface_uv"]]).astype(np.float32)


def _side_px(sample: Sample) -> int:
    height, width = sample["image"].shape[:2]
    if height != width:
        raise ValueError(f"made_targets: image must be square, is {height} x {width} px")
    return int(width)


def _volume(packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Slices, rows and columns (Z Y X) of a volume packed as (X Y Z/8): a quarter of `unpackbits`' time."""
    slices = np.ascontiguousarray(packed.transpose(2, 1, 0))  # of bytes, an eighth of what the voxels are
    voxels = np.zeros((len(slices), 8, *slices.shape[1:]), np.bool_)
    for place in range(8):  # the highest bit first
        np.not_equal(slices & (0x80 >> place), 0, out=voxels[:, place])
    return voxels.reshape(-1, *slices.shape[1:])


UNKNOWN_PART = 255
_ANNOTATIONS = tuple(
    tuple(f"joints_{joint_set.name}_{what}" for what in ("px", "confidence"))
    for joint_set in (COCO17, BODY25, MPII16)
)
VOLUMES = ("volume_128", "volume_128x256x96")
TARGETS: dict[str, Target] = {
    "joint_places": Target(
        shape="16 3",
        dtype="float32",
        doc="column, row and bin of each joint of `TANG16` in the 64 x 64 x 19 voxels; 0 where not seen",
        needs=(JOINTS,),
        make=lambda sample: _places(sample).places,
    ),
    "joint_places_code": Target(
        shape="16 3",
        dtype="float32",
        doc="the same by the rule of the public code",
        needs=(JOINTS,),
        make=lambda sample: _places(sample, "code").places,
    ),
    "joint_seen": Target(
        shape="16",
        dtype="bool",
        doc="False where a joint has no place: no loss",
        needs=(JOINTS,),
        make=lambda sample: _places(sample).seen,
    ),
    "joint_volumes": Target(
        shape="16 19 64 64",
        dtype="float32",
        doc="bin, row, column: a distribution whose mean is the joint's place; 0 where not seen",
        needs=(JOINTS,),
        make=lambda sample: joint_volumes(_places(sample)),
    ),
    "joint_volumes_code": Target(
        shape="16 19 64 64",
        dtype="float32",
        doc="the same as the public code draws it: a peak of 1, bins of 45 mm, nearer is larger",
        needs=(JOINTS,),
        make=_code_volumes,
    ),
    "part_target": Target(
        shape="64 64",
        dtype="uint8",
        doc="body part 1..14, 0 the background",
        needs=(("part14",),),
        make=lambda sample: part_target(sample["part14"]),
    ),
    "landmarks": Target(
        shape="16 H W",
        dtype="float32",
        doc="Gaussians, 6 px wide and 1 high, at the joints of `MPII16`; 0 where there is none",
        needs=(ANNOTATED, BODY),
        make=_landmarks,
    ),
    "landmark_points": Target(
        shape="27 3",
        dtype="float32",
        doc="column, row, and whether it is known (1), of each joint of `LANDMARK27`, within the picture or not",
        needs=(*_ANNOTATIONS, BODY),
        make=_landmark_points,
    ),
    "dense_map": Target(
        shape="H W 3",
        dtype="float32",
        doc="part 1..24, U and V of `surface_part` and `surface_uv`, 0 the background; part 255 where unknown",
        needs=(("surface_part", "surface_uv"), ("image",)),
        make=_dense_map,
    ),
    "volume_128": Target(
        shape="128 128 128",
        dtype="bool",
        doc="True inside the body: slices from near to far, rows and columns along the whole picture's",
        needs=(("occupancy_128", "occupancy_scale"),),
        make=lambda sample: _volume(sample["occupancy_128"]),
    ),
    "volume_128x256x96": Target(
        shape="96 256 128",
        dtype="bool",
        doc="likewise; its columns are those of the picture's middle half",
        needs=(("occupancy_128x256x96", "occupancy_scale"),),
        make=lambda sample: _volume(sample["occupancy_128x256x96"]),
    ),
}
