"""Meshes as shaded pictures: a small z-buffer rasteriser and Lambert's law, with numpy and OpenCV alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.visibility import vertex_normals

Picture = NDArray[np.uint8]
Float64 = NDArray[np.float64]

PAPER = np.array([255.0, 255.0, 255.0])  # behind every mesh
CLAY = np.array([178.0, 196.0, 222.0])
LAMP = np.array([-0.45, -0.55, -0.70])  # unit, from the surface to a lamp over the camera's left shoulder
FILL = np.array([0.75, -0.10, -0.65])  # unit; a weak one from the right, so that no side is lost
SAMPLES = 2  # per pixel along each axis, averaged at the end
CHUNK = 40_000  # triangles at a time bound the memory


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """An orthographic look at a surface that was measured in a camera frame.

    Attributes:
        turn: (3 3) rotation about the centre; the identity looks as the camera did.
        centre_m: (3) the point of the camera frame that comes to the middle of the picture.
        px_per_m: scale.
        size_wh: width and height of the picture, in pixels.
    """

    turn: Float64
    centre_m: Float64
    px_per_m: float
    size_wh: tuple[int, int]


def view_of(vertices: NDArray[Any], *, yaw_deg: float, pitch_deg: float, size_wh: tuple[int, int]) -> View:
    """A view in which all of these vertices (V 3), or all but a stray 1 %, fill the picture.

    Args:
        yaw_deg: positive looks at the surface from the camera's right.
        pitch_deg: positive looks down on it.
    """
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    turn = about_x @ about_y
    if not len(vertices):
        return View(turn=turn, centre_m=np.zeros(3), px_per_m=1.0, size_wh=size_wh)
    turned = vertices.astype(np.float64) @ turn.T
    low, high = np.percentile(turned, (0.5, 99.5), axis=0)
    extent_m = np.maximum(high - low, 1e-6)[:2]
    px_per_m = float(0.9 * np.min(np.array(size_wh) / extent_m))
    return View(turn=turn, centre_m=(low + high) / 2 @ turn, px_per_m=px_per_m, size_wh=size_wh)


def shaded_mesh(vertices: NDArray[Any], faces: NDArray[Any], view: View) -> Picture:
    """Clay under a lamp: Lambert's law with a weak second lamp and a little ambient light.

    Args:
        vertices: (V 3) in the camera frame.
        faces: (F 3), counter-clockwise as the camera sees them.

    Returns:
        (H W 3) RGB on white.
    """
    return coloured_mesh(vertices, faces, view, colours=np.broadcast_to(CLAY, (len(vertices), 3)), relief=1.0)


def coloured_mesh(
    vertices: NDArray[Any], faces: NDArray[Any], view: View, *, colours: NDArray[Any], relief: float
) -> Picture:
    """The mesh in one colour per vertex (V 3, 0 to 255), darkened where it turns from the lamps.

    Args:
        relief: from 0, colours alone, to 1, all of the shading; keep it small where colours are a scale.
    """
    normals = vertex_normals(vertices, faces)
    lambert = np.clip(normals @ LAMP, 0, 1) * 0.80 + np.clip(normals @ FILL, 0, 1) * 0.22
    light = 1 - relief + relief * (0.16 + lambert)
    values = np.clip(colours * light[:, None], 0, 255)
    size_wh = (view.size_wh[0] * SAMPLES, view.size_wh[1] * SAMPLES)
    turned = (vertices.astype(np.float64) - view.centre_m) @ view.turn.T
    places = turned[:, :2] * view.px_per_m * SAMPLES + (np.array(size_wh) - 1) / 2
    seen, weights = rasterize(np.column_stack([places, turned[:, 2]]), faces, size_wh)
    canvas = np.broadcast_to(PAPER, (*seen.shape, 3)).copy()
    hit = seen >= 0
    canvas[hit] = np.einsum("nk,nkc->nc", weights[hit], values[faces[seen[hit]]])
    height, width = view.size_wh[1], view.size_wh[0]
    averaged = canvas.reshape(height, SAMPLES, width, SAMPLES, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(averaged), np.uint8)


def rasterize(
    places: NDArray[Any], faces: NDArray[Any], size_wh: tuple[int, int]
) -> tuple[NDArray[np.int64], Float64]:
    """Which triangle each pixel sees, nearest first; both sides of a triangle count.

    Args:
        places: (V 3) u and v in pixels, centres at integers, and the depth that decides who is in front.
        faces: (F 3).

    Returns:
        (H W) index of the face or -1, and (H W 3) weights of its corners at the pixel's centre.
    """
    width, height = size_wh
    seen, weights = np.full(height * width, -1, np.int64), np.zeros((height * width, 3))
    nearest = np.full(height * width, np.inf)
    for start in range(0, len(faces), CHUNK):
        pixel, face, share, depth = _covered(places, faces[start : start + CHUNK], size_wh)
        order = np.lexsort((face, depth, pixel))  # of equal depths the first face wins, whatever the chunk
        pixel, face, share, depth = pixel[order], face[order], share[order], depth[order]
        first = np.ones(len(pixel), bool)
        first[1:] = pixel[1:] != pixel[:-1]
        first &= depth < nearest[pixel]
        at = pixel[first]
        seen[at], weights[at], nearest[at] = face[first] + start, share[first], depth[first]
    return seen.reshape(height, width), weights.reshape(height, width, 3)


def _covered(
    places: NDArray[Any], faces: NDArray[Any], size_wh: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64, Float64]:
    """Every pair of a pixel and a triangle over its centre: pixel, face, corner weights, depth."""
    corners = places[faces].astype(np.float64)
    low = np.clip(np.ceil(corners[..., :2].min(axis=1)), 0, size_wh).astype(np.int64)
    high = np.clip(np.floor(corners[..., :2].max(axis=1)), -1, np.array(size_wh) - 1).astype(np.int64)
    across, down = np.maximum(high - low + 1, 0).T
    count = across * down
    face = np.repeat(np.arange(len(faces)), count)
    within = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    u = low[face, 0] + within % across[face]
    v = low[face, 1] + within // across[face]
    share, whole = _corner_weights(corners[face], u, v)
    inside = whole & (share >= -1e-9).all(axis=1)  # rounding must not part two neighbours
    depth = np.sum(share * corners[face, :, 2], axis=1)
    return (v * size_wh[0] + u)[inside], face[inside], share[inside], depth[inside]


def _corner_weights(
    corners: Float64, u: NDArray[np.int64], v: NDArray[np.int64]
) -> tuple[Float64, NDArray[np.bool_]]:
    """Weights (N 3) of each triangle's corners at (u, v), and whether it has an area at all."""
    to_corner = corners[..., :2] - np.stack([u, v], axis=-1)[:, None]
    after, last = np.roll(to_corner, -1, axis=1), np.roll(to_corner, -2, axis=1)
    opposite = after[..., 0] * last[..., 1] - after[..., 1] * last[..., 0]
    area = opposite.sum(axis=1)
    whole = np.abs(area) > 1e-12
    return opposite / np.where(whole, area, 1.0)[:, None], whole
