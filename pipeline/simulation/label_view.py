"""Depth, labels and joints of a posed person as a camera sees them, by our own rasteriser."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.cameras import invert_rigid, transform
from pipeline.labels import body_joints, body_labels, body_places
from pipeline.simulation.dressing import DressedBody
from pipeline.zbuffer import visible_faces

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Figure:
    """A posed surface whose every face knows its place on the body model.

    Attributes:
        vertices_m: (V 3) in the world frame.
        faces: (F 3).
        on_body: face of the body model (F) that each face lies on, and where (F 3 3), as in `DressedBody`; None
            where the surface is the body itself, face by face.
        joints_m: (24 3) in the world frame.
    """

    body: Body
    vertices_m: NDArray[Any]
    faces: Int32
    on_body: tuple[Int32, Float32] | None
    joints_m: NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """Which face (H W) of a figure each pixel sees, -1 for none, and the weights (H W 2) of its other corners."""

    face_index: Int32
    bary: Float32


def bare_figure(body: Body, pose_rad: NDArray[Any], betas: NDArray[Any], transl_m: NDArray[Any]) -> Figure:
    """A body without clothes in one pose (24 3)."""
    posed = body.posed(pose_rad[None], betas, transl_m)
    return Figure(
        body=body,
        vertices_m=posed.vertices_m[0],
        faces=body.faces,
        on_body=None,
        joints_m=posed.joints_m[0],
    )


def dressed_figure(person: DressedBody) -> Figure:
    """A dressed person; cloth has the label of the skin below it."""
    return Figure(
        body=person.wardrobe.body,
        vertices_m=person.vertices_m,
        faces=person.faces,
        on_body=(person.body_face, person.body_bary),
        joints_m=person.joints_m,
    )


def label_view(
    figure: Figure, K: Float64, world_from_cam: Float64, *, size_px: int
) -> tuple[Seen, dict[str, NDArray[Any]]]:
    """Rasterise a figure with its labels.

    Returns:
        What is seen, and the fields mask, depth_m, part14, part24, surface_part, surface_uv,
        joints_smpl24_cam_m, joints_tang16_cam_m and joints_tang16_px as `pipeline.fields` has them.
    """
    cam_from_world = invert_rigid(world_from_cam)
    face_index, bary, depth_m = visible_faces(
        transform(cam_from_world, figure.vertices_m), figure.faces, K, height=size_px, width=size_px
    )
    face: Int32 = face_index
    place: NDArray[Any] = bary
    if figure.on_body is not None:
        body_face, body_bary = figure.on_body
        face, place = body_places(face_index, bary, body_face=body_face, body_bary=body_bary)
    return Seen(face_index=face_index, bary=bary), {
        "mask": face_index >= 0,
        "depth_m": depth_m,
        **body_labels(face, place, figure.body),
        **body_joints(figure.joints_m, K, world_from_cam),
    }
