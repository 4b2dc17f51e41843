"""What a dressed person is before any pose: layers over a finely meshed body, built once.

Layers lie on each other in the order body, shoes, hair, bottom, top. What is hidden deep under another layer
is left out of the surface; hems are closed to the layer below.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body, default_body
from pipeline.simulation.cutting import Sheet, border, compacted
from pipeline.simulation.fine_body import FineBody, refine_body
from pipeline.simulation.garments import garment_level_m, make_garment
from pipeline.simulation.hair import make_hair
from pipeline.simulation.hems import arm_share, hair_level_m, looseness
from pipeline.simulation.identity import Identity
from pipeline.simulation.layers import Ground, Layer, averaging
from pipeline.simulation.outfit import Garment, Outfit
from pipeline.simulation.shoes import make_shoes, shoe_level_m
from pipeline.simulation.wrinkles import Wrinkles, draw_wrinkles

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bools = NDArray[np.bool_]

REGIONS = ("skin", "hair", "top", "bottom", "shoes", "sole")
MAX_JOINTS = 8
HIDDEN_M = 0.050  # from here on inside a hem nothing of the layer below is kept; hems close 3 cm inside
HAIR_HIDDEN_M = 0.010
COVERED_M = 0.010
IN_TUBES = 0.3  # of the folds of a wide hem, what sleeves and legs have


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cover:
    """A layer in the stack of all vertices.

    Attributes:
        start: number of its first vertex in the stack; `stop` follows its last.
        mean: sparse (V V) mean over neighbours.
    """

    layer: Layer
    start: int
    stop: int
    mean: Any
    wrinkles: Wrinkles | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Wardrobe:
    """One person in one outfit, before any pose.

    Attributes:
        fine: the bare body, which comes first in the stack; the layers follow.
        bind_m: (N 3) the stack in the bind pose.
        weight_joints, weights: (N 8) skinning of the stack.
        ring: (R) numbers of border vertices in the stack, and what each is closed to.
        kept: (V) which of stack and ring the surface shows.
        faces, region, body_face, body_bary, body_vertex, rest_m: as in `DressedBody`.
        covered: (N0) bool, body vertices under cloth.
        bottom_covered: bool, of the trousers' vertices, under the top.
    """

    body: Body
    identity: Identity
    outfit: Outfit
    fine: FineBody
    covers: tuple[Cover, ...]
    bind_m: Float64
    weight_joints: NDArray[np.uint8]
    weights: Float64
    ring: Int32
    ring_anchor: Int32
    kept: Int32
    faces: Int32
    region: NDArray[np.uint8]
    body_face: Int32
    body_bary: NDArray[np.float32]
    body_vertex: Int32
    rest_m: NDArray[np.float32]
    covered: Bools
    bottom_covered: Bools


def dress(identity: Identity, outfit: Outfit, *, body: Body | None = None) -> Wardrobe:
    """Build all that does not depend on the pose; a second or so, to be kept by the caller."""
    body = default_body() if body is None else body
    fine = refine_body(body, identity.betas)
    layers = [*make_shoes(fine, outfit), *make_hair(fine, identity)]
    for garment in (outfit.bottom, outfit.top):
        layers.append(make_garment(fine, garment, _ground(fine, layers, outfit)))
    return _assembled(body, identity, outfit, fine, layers)


def _ground(fine: FineBody, layers: list[Layer], outfit: Outfit) -> Ground:
    """Return the points that the next layer lies on; what another layer hides is left out."""
    from pipeline.simulation.dressing_kernels import normals_of

    arms = arm_share(fine)
    shown = shoe_level_m(fine, outfit) < 0
    start = len(fine.bind_m)
    parts = []
    for layer in layers:
        count = len(layer.bind_m)
        if layer.region == "bottom":
            shown &= garment_level_m(fine.bind_m, arms, fine, outfit.bottom) < 0
        if layer.region != "hair":
            normals = normals_of(layer.bind_m, layer.sheet.faces)
            parts.append((np.arange(start, start + count), layer.bind_m, normals, np.zeros(count)))
        start += count
    bare = np.flatnonzero(shown)
    parts.insert(0, (bare, fine.bind_m[bare], fine.normals[bare], arms[bare]))
    vertex, points_m, normals, arms = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    return Ground(vertex=vertex.astype(np.int32), points_m=points_m, normals=normals, arms=arms)


def _cover(layer: Layer, start: int, garment: Garment | None, fine: FineBody, body: Body) -> Cover:
    wrinkles = None
    if garment is not None:
        arms = layer.weights[:, 16:24].sum(axis=1)
        parents = np.maximum(body.arrays.parents, 0)
        loose = looseness(layer.bind_m, arms, fine, garment)
        narrow = (arms > 0.5) | (layer.region == "bottom")
        wrinkles = draw_wrinkles(
            garment,
            layer.bind_m,
            loose=loose,
            hanging=np.where(narrow, IN_TUBES, 1.0) * loose**1.5,
            joints_m=fine.joints_m,
            axes=body.arrays.bind_rotation[parents].transpose(0, 2, 1),
        )
    mean = averaging(layer.sheet.faces, len(layer.bind_m)) if layer.soft else None
    return Cover(layer=layer, start=start, stop=start + len(layer.bind_m), mean=mean, wrinkles=wrinkles)


def _hidden(
    fine: FineBody, identity: Identity, outfit: Outfit
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which body vertices lie too deep to be seen, and which lie under cloth at all."""
    arms = arm_share(fine)
    top = garment_level_m(fine.bind_m, arms, fine, outfit.top)
    bottom = garment_level_m(fine.bind_m, arms, fine, outfit.bottom)
    hidden = (top > HIDDEN_M) | (bottom > HIDDEN_M) | (shoe_level_m(fine, outfit) > 0)
    if identity.hair_style != "bald":
        hair = hair_level_m(fine.bind_m, fine.share("head", "neck"), fine, identity.hair_style)
        hidden |= hair > HAIR_HIDDEN_M
    return hidden, (top > COVERED_M) | (bottom > COVERED_M)


def _assembled(
    body: Body, identity: Identity, outfit: Outfit, fine: FineBody, layers: list[Layer]
) -> Wardrobe:
    start, covers = len(fine.bind_m), []
    garments = {"top": outfit.top, "bottom": outfit.bottom}
    for layer in layers:
        covers.append(_cover(layer, start, garments.get(layer.region), fine, body))
        start = covers[-1].stop
    hidden, covered = _hidden(fine, identity, outfit)
    bottom_covered = None
    sheets = [(0, fine.sheet.chosen(~hidden[fine.sheet.faces].all(axis=1)), "skin")]
    for cover in covers:
        sheet = cover.layer.sheet
        if cover.layer.region == "bottom":
            level = garment_level_m(cover.layer.bind_m, np.zeros(cover.stop - cover.start), fine, outfit.top)
            bottom_covered = level > COVERED_M
            sheet = sheet.chosen(~(level > HIDDEN_M)[sheet.faces].all(axis=1))
        sheets.append((cover.start, sheet, cover.layer.region))
    assert bottom_covered is not None
    ring, ring_anchor, closing = _closings(covers, start)
    sheets += closing
    bind_m = np.concatenate([fine.bind_m, *(layer.bind_m for layer in layers)])
    weight_joints, weights = _largest(np.concatenate([fine.weights, *(layer.weights for layer in layers)]))
    return _surface(
        sheets,
        body=body, identity=identity, outfit=outfit, fine=fine, covers=tuple(covers), bind_m=bind_m,
        weight_joints=weight_joints, weights=weights, ring=ring, ring_anchor=ring_anchor, covered=covered,
        bottom_covered=bottom_covered,
    )  # fmt: skip


def _closings(covers: list[Cover], start: int) -> tuple[Int32, Int32, list[tuple[int, Sheet, str]]]:
    """Return the hems' closings: border vertices (R), their anchors (R), both in the stack, and the faces.

    From `start` on, the faces number first a copy of the border, so that shading breaks there, then its anchors.
    """
    rims = [np.flatnonzero(cover.layer.ring_anchor >= 0) for cover in covers]
    count, done, sheets = sum(map(len, rims)), 0, []
    for cover, rim in zip(covers, rims, strict=True):
        layer = cover.layer
        outer = np.full(len(layer.bind_m), -1, np.int64)
        outer[rim] = start + done + np.arange(len(rim))
        done += len(rim)
        if not len(rim):
            continue
        edges, face, side = border(layer.sheet.faces)
        (first, second), rows, bary = edges.T, np.arange(len(edges)), layer.sheet.bary[face]
        begin, end = bary[rows, side], bary[rows, (side + 1) % 3]
        strips = (
            (outer[second], outer[first], outer[first] + count, end, begin, begin),
            (outer[second], outer[first] + count, outer[second] + count, end, begin, end),
        )
        for a, b, c, *places in strips:
            faces, where = np.stack([a, b, c], axis=1).astype(np.int32), np.stack(places, axis=1)
            sheets.append((0, Sheet(faces=faces, source=layer.sheet.source[face], bary=where), layer.region))
    ring = np.concatenate([rim + cover.start for rim, cover in zip(rims, covers, strict=True)])
    anchor = np.concatenate([c.layer.ring_anchor[rim] for rim, c in zip(rims, covers, strict=True)])
    return ring.astype(np.int32), anchor.astype(np.int32), sheets


def _largest(weights: Float64) -> tuple[NDArray[np.uint8], Float64]:
    """Return the eight largest weights of each row, descending and summing to 1, and their joints."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_JOINTS]
    largest = np.take_along_axis(weights, order, axis=1)
    largest[largest < 1e-4] = 0.0
    return order.astype(np.uint8), largest / largest.sum(axis=1, keepdims=True)


def _surface(sheets: list[tuple[int, Sheet, str]], **parts: Any) -> Wardrobe:
    """Join the sheets, each with the number of its first vertex and its region, into one surface."""
    faces = np.concatenate([sheet.faces + start for start, sheet, _ in sheets])
    source = np.concatenate([sheet.source for _, sheet, _ in sheets])
    bary = np.concatenate([sheet.bary for _, sheet, _ in sheets])
    region = np.concatenate([np.full(len(s.faces), REGIONS.index(name), np.uint8) for _, s, name in sheets])
    closed_m = parts["bind_m"][parts["ring"]]
    rest_m = np.concatenate([parts["bind_m"], closed_m, closed_m])
    nearest = parts["body"].faces[source[:, None], bary.argmax(axis=2)]
    owner = np.zeros(len(rest_m), np.int32)
    owner[faces] = nearest
    faces, kept = compacted(faces, len(rest_m))
    return Wardrobe(
        kept=kept, faces=faces, region=region, body_face=source, body_bary=bary.astype(np.float32),
        body_vertex=owner[kept], rest_m=rest_m[kept].astype(np.float32), **parts,
    )  # fmt: skip
