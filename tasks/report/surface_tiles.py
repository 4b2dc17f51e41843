"""Dense correspondences as a picture: points on the crop and, coloured alike, on the body's surface beside it."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.annotation_pictures import points_picture
from pipeline.bodies.model import default_body
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.captures.annotation import SurfacePoints
from pipeline.correspondences.geodesic import GeodesicSurface, geodesic_surface
from pipeline.pictures import BACKGROUND, Picture
from pipeline.zbuffer import visible_faces

Row = dict[str, Any]

AWAY_M = 30.0  # of the camera before the body: nearly parallel rays
ARMS_RAD = 1.1  # down from the zero pose
MARGIN = 1.04  # of the picture over the body
BEHIND_M = 0.02  # a point deeper than the surface that is seen is on its other side
VIEWS = (np.array([1.0, -1, -1]), np.array([-1.0, -1, 1]))  # from the body's frame to a camera's: front, back


def correspondence_tile(row: Row) -> Picture:
    """Draw a sample's points on its crop (H H), the body's front (H H/2) and its back, side by side (H 2H).

    A point's colour says where on the body it lies, so that a wrong place is a dot of a strange colour. Of another
    body than the default one the crop stands alone (H H), its dots in the colours of their parts.
    """
    placed = row["surface_points_reason"] == 0
    px, part, uv, face, bary = (
        row[f"surface_points_{name}"][placed] for name in ("px", "part", "uv", "face", "bary")
    )
    if row["surface_points_body"] != default_body().arrays.name:
        return points_picture(row["image"], SurfacePoints(px=px, part=part, uv=uv))
    surface = _shown()
    points_m = surface.points_m(face, bary)
    colours = _colours(points_m)
    side_px = len(row["image"])
    drawn = [_dotted(row["image"], px, colours)]
    for view, turn in enumerate(VIEWS):
        picture, depth_m = _body_view(view, side_px)
        K = _lens(side_px)
        cam_m = points_m * turn + _centre_m(turn)
        at = (cam_m[:, :2] / cam_m[:, 2:]) @ K[:2, :2].T + K[:2, 2]
        u, v = np.clip(np.rint(at).astype(int), 0, [side_px // 2 - 1, side_px - 1]).T
        seen = cam_m[:, 2] < depth_m[v, u] + BEHIND_M
        drawn.append(_dotted(picture, at[seen], colours[seen]))
    return np.concatenate(drawn, axis=1)


@cache
def _shown() -> GeodesicSurface:
    """The default body with its arms lowered, which needs half the width of the zero pose."""
    body = default_body()
    pose_rad = np.zeros((1, len(SMPL24_NAMES), 3))
    for name, turn_rad in (("left_shoulder", -ARMS_RAD), ("right_shoulder", ARMS_RAD)):
        pose_rad[0, SMPL24_NAMES.index(name), 2] = turn_rad
    return geodesic_surface(body.posed(pose_rad, np.zeros(0), np.zeros(3)).vertices_m[0], body.faces)


@cache
def _body_view(view: int, height_px: int) -> tuple[Picture, NDArray[np.float32]]:
    """The default body in grey (H H/2), and its depth in metres, 0 beside it."""
    surface, turn = _shown(), VIEWS[view]
    cam_m = surface.vertices_m * turn + _centre_m(turn)
    face, _, depth_m = visible_faces(
        cam_m, surface.faces, _lens(height_px), height=height_px, width=height_px // 2
    )
    a, b, c = cam_m[surface.faces].swapaxes(0, 1)
    normals = np.cross(b - a, c - a)
    facing = np.abs(normals[:, 2]) / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    shade = (90 + 150 * facing).astype(np.uint8)[face]
    seen = (face >= 0)[..., None]
    return np.where(seen, shade[..., None], np.array(BACKGROUND, np.uint8)), depth_m


def _lens(height_px: int) -> NDArray[np.float64]:
    extent_m = np.ptp(_shown().vertices_m, axis=0)
    # A view is half as wide as it is high.
    focal_px = height_px * AWAY_M / (MARGIN * max(extent_m[1], 2 * extent_m[0]))
    return np.array([[focal_px, 0, (height_px // 2 - 1) / 2], [0, focal_px, (height_px - 1) / 2], [0, 0, 1]])


def _centre_m(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """What moves the middle of the turned body to AWAY_M before the camera."""
    vertices_m = _shown().vertices_m * turn
    middle = (vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2
    return np.array([0.0, 0.0, AWAY_M]) - middle


def _colours(points_m: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Red grows to the subject's left, green upwards, blue to the front."""
    vertices_m = _shown().vertices_m
    low, high = vertices_m.min(axis=0), vertices_m.max(axis=0)
    return np.asarray(np.rint(255 * (points_m - low) / (high - low)), dtype=np.uint8)


def _dotted(image: Picture, px: NDArray[Any], colours: NDArray[np.uint8]) -> Picture:
    import cv2

    drawn = np.ascontiguousarray(image).copy()
    radius = max(1, len(image) // 100)
    for (u, v), colour in zip(np.rint(px).astype(int).tolist(), colours.tolist(), strict=True):
        cv2.circle(drawn, (u, v), radius + 1, (20, 20, 20), -1, cv2.LINE_AA)
        cv2.circle(drawn, (u, v), radius, colour, -1, cv2.LINE_AA)
    return drawn
