"""The bare body of one identity, meshed finely enough for cloth, in the bind pose."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.body_file import JOINTS
from pipeline.bodies.model import Body
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.simulation.cutting import Sheet, halve_edges, whole
from pipeline.visibility import vertex_normals

Float64 = NDArray[np.float64]

# A fold of 3.5 cm, the finest that is drawn, then has three edges or more; a Kinect pixel at 3 m is 8 mm.
EDGE_M = 0.0135
ROUNDS = 3  # of halving: the longest edge of the default body, 6 cm, then falls below EDGE_M


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FineBody:
    """A finely meshed body; its first vertices are the coarse body's own.

    Attributes:
        sheet: faces, with the coarse face that each lies in.
        bind_m: (N 3) in the bind pose.
        normals: (N 3) unit, outwards.
        weights: (N 24) skinning weights.
        joints_m: (24 3) in the bind pose.
        landmarks_m: named points of the surface, (3,) in the bind pose.
    """

    sheet: Sheet
    bind_m: Float64
    normals: Float64
    weights: Float64
    joints_m: Float64
    landmarks_m: dict[str, Float64]

    def joint_m(self, name: str) -> Float64:
        """Return the place (3,) of a joint in the bind pose."""
        return np.asarray(self.joints_m[SMPL24_NAMES.index(name)])

    def share(self, *names: str) -> Float64:
        """Return the summed weight (N) of some joints."""
        return np.asarray(self.weights[:, [SMPL24_NAMES.index(name) for name in names]].sum(axis=1))


def refine_body(body: Body, betas: NDArray[Any]) -> FineBody:
    """Shape a body and halve its long edges; middles bulge as the normals at the edge's ends say.

    Vlachos et al., "Curved PN Triangles", I3D 2001: the middle of the edge's cubic.
    """
    arrays = body.arrays
    count = len(betas)
    bind_m = arrays.template_m + arrays.shape_dirs_m[..., :count].astype(np.float64) @ betas
    joints_m = arrays.joints_m + arrays.joint_dirs_m[..., :count].astype(np.float64) @ betas
    weights = np.zeros((len(bind_m), JOINTS))
    for column in range(arrays.weights.shape[1]):
        rows = np.arange(len(bind_m))
        np.add.at(weights, (rows, arrays.weight_joints[:, column]), arrays.weights[:, column])
    sheet = whole(arrays.faces)
    for _ in range(ROUNDS):
        everywhere = np.ones(len(sheet.faces), bool)
        normals = vertex_normals(bind_m, sheet.faces)
        sheet, new = halve_edges(sheet, bind_m, longest_m=EDGE_M, where=everywhere)
        bind_m, weights = new.extend(bind_m), new.extend(weights)
        first, second = new.ends.T
        along = bind_m[second] - bind_m[first]
        rise = np.einsum("ij,ij->i", along, normals[first])[:, None] * normals[first]
        fall = np.einsum("ij,ij->i", along, normals[second])[:, None] * normals[second]
        bind_m[len(bind_m) - len(first) :] -= (rise - fall) / 8
    return FineBody(
        sheet=sheet,
        bind_m=bind_m,
        normals=vertex_normals(bind_m, sheet.faces),
        weights=weights,
        joints_m=joints_m,
        landmarks_m={name: bind_m[row] for name, row in arrays.landmarks.items()},
    )
