"""What a visible place of a surface means on the body under it: part labels, chart coordinates, joints.

A surface that lies on a body (skin, cloth, hair, shoes) says for each of its faces which face of the body
model it lies on, and where. All that is left is arithmetic on a visibility buffer, whoever made it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.atlas import surface_atlas
from pipeline.bodies.joints import TANG16
from pipeline.bodies.model import Body
from pipeline.bodies.parts import surreal24, tang14
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.cameras import invert_rigid, project, transform

Float64 = NDArray[np.float64]

# Each of Tang's joints is one of the tree's: none needs a vertex.
_TANG16_ROWS = [SMPL24_NAMES.index(source) for (source,) in TANG16.sources]


def body_places(
    face_index: NDArray[np.int32],
    bary: NDArray[np.floating[Any]],
    *,
    body_face: NDArray[np.int32],
    body_bary: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Carry places on a surface down to the body model that it lies on.

    Args:
        face_index: (...), row of the surface's faces; -1 where nothing is seen.
        bary: (..., 2), weights of a face's second and third vertex.
        body_face: (F) face of the body model that each face of the surface lies on.
        body_bary: (F 3 3), row c has corner c's weights of that face's vertices.

    Returns:
        The body model's face (...), -1 where nothing is seen, and the weights (..., 2) of its second and third
        vertex, 0 there.

    Raises:
        ValueError: if a shape does not fit, or face_index names a face that the surface does not have.
    """
    from pipeline.labels_kernels import carry_places

    places = _flat_places(face_index, bary, min(len(body_face), len(body_bary)))
    face = np.full(face_index.shape, -1, dtype=np.int32)
    below = np.zeros((*face_index.shape, 2))
    tables = np.ascontiguousarray(body_face, dtype=np.int32), np.ascontiguousarray(body_bary)
    carry_places(*places, *tables, (face.reshape(-1), below.reshape(-1, 2)))
    return face, below


def body_labels(
    face: NDArray[np.int32], bary: NDArray[np.floating[Any]], body: Body
) -> dict[str, NDArray[Any]]:
    """Return the label images of places on a body model, under their names in the field table.

    Args:
        face: (H W), row of the body's faces, -1 where there is none; `bary` (H W 2) as from `body_places`.

    Returns:
        `part14` and `part24` (H W) uint8 in the orders of `TANG14_NAMES` and `SURREAL24_NAMES`, `surface_part`
        (H W) uint8 and `surface_uv` (H W 2) float32 of `surface_atlas`; all are 0 where nothing is seen.

    Raises:
        ValueError: if a shape does not fit, or `face` names a face that the body does not have.
    """
    from pipeline.labels_kernels import label_places

    places, atlas = _flat_places(face, bary, len(body.faces)), surface_atlas(body)
    part14, part24, surface_part = (np.zeros(face.shape, dtype=np.uint8) for _ in range(3))
    surface_uv = np.zeros((*face.shape, 2), dtype=np.float32)
    tables = tang14(body), surreal24(body), atlas.part, atlas.corner_uv
    images = part14.reshape(-1), part24.reshape(-1), surface_part.reshape(-1), surface_uv.reshape(-1, 2)
    label_places(*places, tables, images)
    return {"part14": part14, "part24": part24, "surface_part": surface_part, "surface_uv": surface_uv}


def _flat_places(
    face: NDArray[np.int32], bary: NDArray[np.floating[Any]], faces: int
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Places (...) in one row, checked: compiled loops read whatever row they are told to."""
    if bary.shape != (*face.shape, 2) or (face.size and face.max() >= faces):
        raise ValueError(
            f"pipeline.labels: places must be faces (...) below {faces} and weights (..., 2), are {face.shape} up to "
            f"{face.max(initial=-1)} and {bary.shape}"
        )
    return (
        np.ascontiguousarray(face, dtype=np.int32).reshape(-1),
        np.ascontiguousarray(bary).reshape(-1, 2),
    )


def body_joints(joints_m: Float64, K: Float64, world_from_cam: Float64) -> dict[str, NDArray[np.float32]]:
    """Return the joints of one picture, seen or not, under their names in the field table.

    Args:
        joints_m: (24 3) of the tree, world frame.

    Returns:
        `joints_smpl24_cam_m` (24 3) and `joints_tang16_cam_m` (16 3), camera frame; `joints_tang16_px` (16 2).
    """
    joints_cam_m = transform(invert_rigid(world_from_cam), joints_m)
    tang16_cam_m = joints_cam_m[_TANG16_ROWS]
    return {
        "joints_smpl24_cam_m": joints_cam_m.astype(np.float32),
        "joints_tang16_cam_m": tang16_cam_m.astype(np.float32),
        "joints_tang16_px": project(tang16_cam_m, K).astype(np.float32),
    }
