"""Places and Jacobians of the fit's own kinematics, held against the body model and against differences."""

import numpy as np
import pytest
import torch

from pipeline.bodies.joint_limits import (
    HIGHEST_DEG,
    LOWEST_DEG,
    degrees_from_rotations,
    rotations_from_degrees,
)
from pipeline.bodies.joints import JOINT_SETS, JointSet, joints_of
from pipeline.bodies.model import default_body
from pipeline.bodies.proportions import proportions_of
from pipeline.bodies.self_collision import fit_capsules, segment_distance_m
from pipeline.bodies.skinning import rotation_matrices
from pipeline.fitting import constraints
from pipeline.fitting.kinematics import Unknowns, chain_of, joint_rows, place_points, skeleton_of
from pipeline.fitting.landmarks import HIP_WEIGHT, joint_set_named, landmark_points, landmark_weights
from pipeline.fitting.surface import along_rows, nearest_vertices, place_surface, surface_of

UNKNOWNS = 85
STEP = 1e-6  # central differences in float64: error of order 1e-12 from the step, 1e-10 from rounding
EXACT = 1e-8


def _bodies(count: int = 2, spread_rad: float = 0.5) -> Unknowns:
    rng = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    return Unknowns(
        pose_rad=spread_rad * normal(count, 24, 3),
        betas=normal(count, 10),
        transl_m=normal(count, 3) + torch.tensor([0.0, 0.0, 4.0]),
    )


def _differences(function, at: Unknowns) -> torch.Tensor:
    columns = []
    for unknown in range(UNKNOWNS):
        step = torch.zeros(len(at.betas), UNKNOWNS, dtype=torch.float64)
        step[:, unknown] = STEP
        columns.append((function(at.moved(step)) - function(at.moved(-step))) / (2 * STEP))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("joint_set", JOINT_SETS, ids=lambda joint_set: joint_set.name)
def test_landmarks_lie_where_the_body_model_puts_them_and_move_as_their_jacobians_say(
    joint_set: JointSet,
) -> None:
    body, at = default_body(), _bodies()
    skeleton = skeleton_of(body, torch.float64)
    points = landmark_points(body, joint_set, torch.float64)

    def place(bodies: Unknowns) -> torch.Tensor:
        return place_points(points, skeleton, chain_of(skeleton, bodies), bodies.betas)[0]

    rows = place_points(points, skeleton, chain_of(skeleton, at), at.betas)[1]
    expected = joints_of(body, body.posed(at.pose_rad, at.betas, at.transl_m), joint_set)
    assert (place(at) - expected).abs().max() < 1e-12
    assert (rows - _differences(place, at)).abs().max() < EXACT


def test_joints_move_as_the_clips_rows_say() -> None:
    at = _bodies()
    skeleton = skeleton_of(default_body(), torch.float64)
    rows = joint_rows(skeleton, chain_of(skeleton, at))
    expected = _differences(lambda bodies: chain_of(skeleton, bodies).joints_m, at)
    assert (rows - expected[..., :72]).abs().max() < EXACT


def test_surface_lies_on_the_body_and_stiff_parts_move_as_their_rows_say() -> None:
    body, at = default_body(), _bodies()
    skeleton = skeleton_of(body, torch.float64)
    surface = surface_of(body, skeleton, 300, torch.float64)
    chain = chain_of(skeleton, at)
    vertices_m, normals = place_surface(surface, chain, at.betas)
    full_m = body.posed(at.pose_rad, at.betas, at.transl_m).vertices_m
    assert torch.cdist(vertices_m, full_m).amin(2).max() < 1e-6
    assert (normals.norm(dim=2) - 1).abs().max() < 1e-9
    along = torch.nn.functional.normalize(torch.randn_like(vertices_m), dim=2)
    vertex = torch.arange(300).expand(2, -1)
    rows = along_rows(surface, chain, vertex=vertex, place_m=vertices_m, along=along)
    expected = _differences(
        lambda bodies: (place_surface(surface, chain_of(skeleton, bodies), bodies.betas)[0] * along).sum(2),
        at,
    )
    stiff = surface.weights.amax(1) > 0.999
    assert stiff.sum() > 50
    assert (rows - expected)[
        :, stiff
    ].abs().max() < 2e-3  # what is left of other joints' weights, at arm's length


def test_nearest_vertex_faces_like_the_point_and_the_camera() -> None:
    vertices_m = torch.tensor([[[0.0, 0, 2.0], [0, 0, 2.1], [0.3, 0, 2.0]]])
    # The first lies and faces most like the point, yet the camera cannot see it.
    normals = torch.tensor([[[1.0, 0, 0.0], [0, 0, -1.0], [0, 0, -1.0]]])
    point_m, facing = torch.tensor([[[0.01, 0, 2.0]]]), torch.tensor([[[0.8, 0, -0.6]]])
    assert nearest_vertices(point_m, facing, vertices_m, normals).item() == 1
    # Of two that it sees, the one beside may face more like the point.
    normals = torch.tensor([[[0.0, 0.6, -0.8], [0, 0, -1.0], [0.8, 0, -0.6]]])
    vertices_m[0, 2] = torch.tensor([0.05, 0, 2.0])
    assert nearest_vertices(point_m, facing, vertices_m, normals).item() == 2


def test_limit_angles_are_those_of_the_joint_limits_and_have_their_derivatives() -> None:
    pose_rad = _bodies(4, spread_rad=0.3).pose_rad
    degrees = degrees_from_rotations(rotation_matrices(pose_rad.numpy(), np))
    for joints, order in constraints._ORDERS:
        angles, rows = constraints.limit_angles(pose_rad[:, joints], order)
        assert np.allclose(np.degrees(angles.numpy()), degrees[:, joints][..., list(order)], atol=1e-9)
        step = STEP * torch.randn(4, len(joints), 3, dtype=torch.float64)
        ahead, behind = (
            constraints.limit_angles(pose_rad[:, joints] + sign * step, order)[0] for sign in (1, -1)
        )
        assert ((ahead - behind) / 2 - (rows * step[:, :, None]).sum(3)).abs().max() < 1e-9


def test_limits_cost_nothing_inside_and_what_lies_beyond_outside() -> None:
    rng = np.random.default_rng(0)
    degrees = rng.uniform(LOWEST_DEG, HIGHEST_DEG, (20, 24, 3))
    knee = 4
    degrees[0, knee] = [-20.0, 0.0, 0.0]  # bent backwards by 20 degrees
    from pipeline.bodies.joint_limits import pose_from_rotations

    pose_rad = torch.tensor(pose_from_rotations(rotations_from_degrees(degrees)))
    for joints, order in constraints._ORDERS:
        beyond, _ = constraints.limit_excess(pose_rad[:, joints], joints, order)
        if knee in joints:
            assert np.isclose(beyond[0, joints.index(knee), 0].item(), np.radians(-20.0), atol=1e-9)
            beyond[0, joints.index(knee)] = 0.0
        assert beyond.abs().max() < 1e-9


def test_nearest_points_of_segments_are_as_far_apart_as_the_sampler_says() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 200, 2, 3))
    a, b = constraints.closest_points(torch.tensor(first), torch.tensor(second))
    assert np.allclose((a - b).norm(dim=-1).numpy(), segment_distance_m(first, second), atol=1e-12)


@pytest.mark.parametrize("name", ["_add_bending", "_add_touching"])
def test_gradients_of_constraints_are_their_energies_slopes(name: str) -> None:
    body, at = default_body(), _bodies(3)
    skeleton = skeleton_of(body, torch.float64)
    terms = constraints.Constraints(
        capsules=fit_capsules(proportions_of(body, np.zeros(10))),
        bend_weight=0.3, limit_sigma_rad=0.05, touch_sigma_m=0.01,
    )  # fmt: skip

    def normal(bodies: Unknowns) -> tuple[torch.Tensor, ...]:
        out = tuple(torch.zeros(3, *[UNKNOWNS] * order, dtype=torch.float64) for order in (0, 2, 1))
        tree = () if name == "_add_bending" else (skeleton, chain_of(skeleton, bodies))
        getattr(constraints, name)(terms, *tree, *([bodies] if not tree else []), out)
        return out

    slope = _differences(lambda bodies: normal(bodies)[0], at)
    assert slope.abs().max() > 1.0  # else the poses would not touch at all
    # Which pairs are worst, and where they are nearest, may change: at these poses it does not.
    assert (2 * normal(at)[2] - slope).abs().max() < 1e-4 * slope.abs().max()


def test_hips_count_little_in_annotated_sets_and_fully_where_they_are_joints() -> None:
    coco, smpl = joint_set_named("coco17"), joint_set_named("smpl24")
    assert landmark_weights(coco)[coco.names.index("left_hip")] == HIP_WEIGHT
    assert landmark_weights(coco)[coco.names.index("left_knee")] == 1.0
    assert (landmark_weights(smpl) == 1.0).all()
    with pytest.raises(ValueError, match="must be one of smpl24"):
        joint_set_named("openpose")
