"""Hair as a cap that rises from the hairline, in the bind pose."""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.cutting import Sheet, clip, compacted
from pipeline.simulation.fine_body import FineBody
from pipeline.simulation.hems import hair_level_m
from pipeline.simulation.identity import Identity
from pipeline.simulation.layers import Layer, averaging
from pipeline.simulation.noise import draw_waves, wave_noise

Float64 = NDArray[np.float64]

THICKNESS_M = {"cropped": 0.005, "short": 0.014, "full": 0.026, "long": 0.022}
RISE_M = 0.030  # from the hairline on, the cap gains its thickness over this length
EDGE_M = 0.0008
SMOOTHING = {"cropped": 4, "short": 12, "full": 60, "long": 80}
# Locks: wavelength in m, share of the thickness; the finest has three edges of the head's mesh.
LOCKS = ((0.080, 0.14), (0.032, 0.09), (0.014, 0.05))


def make_hair(body: FineBody, identity: Identity) -> list[Layer]:
    """Build the hair; nothing for the bald."""
    style = identity.hair_style
    if style == "bald":
        return []
    head = body.share("head", "neck")
    level_m = hair_level_m(body.bind_m, head, body, style)
    kept = body.sheet.chosen((level_m > -0.012)[body.sheet.faces].all(axis=1))
    cut, new = clip(kept, level_m)
    values = [new.extend(value) for value in (body.bind_m, body.normals, body.weights, level_m)]
    faces, used = compacted(cut.faces, len(values[0]))
    points_m, normals, weights, level_m = (value[used] for value in values)
    points_m = _raised(points_m, normals, level_m, faces, identity)
    count = len(points_m)
    return [
        Layer(
            region="hair", sheet=Sheet(faces=faces, source=cut.source, bary=cut.bary), bind_m=points_m,
            weights=weights, anchor=np.full(count, -1, np.int32), level_m=np.maximum(level_m, 0.0),
            soft=False, ring_anchor=np.full(count, -1, np.int32),
        )
    ]  # fmt: skip


def _raised(
    points_m: Float64, normals: Float64, level_m: Float64, faces: NDArray[np.int32], identity: Identity
) -> Float64:
    style = identity.hair_style
    rng = np.random.default_rng(identity.seed)
    rise = np.clip(level_m / RISE_M, 0.0, 1.0)
    rise = rise * (2.0 - rise)
    mean = averaging(faces, len(points_m))
    smooth_m, smooth_normals = points_m, normals
    for _ in range(SMOOTHING[style]):
        smooth_m = 0.5 * smooth_m + 0.5 * (mean @ smooth_m)
        smooth_normals = 0.5 * smooth_normals + 0.5 * (mean @ smooth_normals)
    smooth_normals /= np.linalg.norm(smooth_normals, axis=1, keepdims=True)
    height_m = EDGE_M + THICKNESS_M[style] * rise
    for wavelength_m, share in LOCKS:
        waves = draw_waves(rng, wavelength_m)
        # Locks hang: they change little downwards.
        height_m = height_m + share * THICKNESS_M[style] * rise * wave_noise(
            points_m * [1.0, 0.4, 1.0], waves
        )
    # What smoothing took from the skull is given back, so that no scalp shows; ears stay flattened.
    sunk_m = np.einsum("ij,ij->i", points_m - smooth_m, smooth_normals)
    lift_m = np.clip(sunk_m, 0.0, 0.008)
    return np.asarray(smooth_m + (height_m + lift_m)[:, None] * smooth_normals)
