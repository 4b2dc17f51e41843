"""The body model against geometry: rigid motions, sub-trees, the bind pose, a reference by the formula, torch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline.bodies.joints import mirrored_pose
from pipeline.bodies.mesh_parts import boundary_edges, euler_number, face_neighbours, label_pieces
from pipeline.bodies.model import Body, default_body
from pipeline.bodies.skeleton import SMPL24_FLIP, SMPL24_NAMES, SMPL24_PARENTS
from pipeline.bodies.skinning import rotation_matrices

NOWHERE = np.zeros(3)
AVERAGE = np.zeros(0)
ZERO_POSE = np.zeros((1, 24, 3))
JOINT = {name: row for row, name in enumerate(SMPL24_NAMES)}
# float64 sums of about ten products of numbers below 2: 1e-15 each; three digits to spare.
EXACT = 1e-12

vectors = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


@pytest.fixture(scope="module")
def body() -> Body:
    return default_body()


def random_arguments(seed: int, batch: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.5, (batch, 24, 3)), rng.normal(size=(batch, 10)), rng.normal(size=(batch, 3))


def by_the_formula(body: Body, pose_rad, betas, transl_m, scales=None):
    """One body by the definition, joint by joint and weight by weight."""
    arrays = body.arrays
    scales = np.ones(24) if scales is None else scales
    bind = arrays.template_m.astype(np.float64) + arrays.shape_dirs_m.astype(np.float64) @ betas
    joints = arrays.joints_m + arrays.joint_dirs_m @ betas
    turns = Rotation.from_rotvec(pose_rad).as_matrix()
    if arrays.pose_dirs_m is not None:
        bind += arrays.pose_dirs_m.astype(np.float64) @ (turns[1:] - np.eye(3)).ravel()
    linear, placed, world = [scales[0] * turns[0] @ arrays.bind_rotation[0].T], [joints[0]], [turns[0]]
    for j in range(1, 24):
        parent = SMPL24_PARENTS[j]
        world.append(world[parent] @ turns[j])
        linear.append(scales[j] * world[j] @ arrays.bind_rotation[j].T)
        placed.append(placed[parent] + linear[parent] @ (joints[j] - joints[parent]))
    vertices = np.zeros_like(bind)
    for k in range(8):
        j = arrays.weight_joints[:, k]
        moved = np.einsum("vij,vj->vi", np.array(linear)[j], bind - joints[j]) + np.array(placed)[j]
        vertices += arrays.weights[:, [k]] * moved
    return vertices + transl_m, np.array(placed) + transl_m


def with_pose_dirs(body: Body) -> Body:
    """A T-pose body with pose offsets, as SMPL's files have them, of 200 vertices."""
    cut = body.at_vertices(np.arange(0, 12000, 60)).arrays
    rng = np.random.default_rng(5)
    offsets_m = rng.normal(0, 0.01, (len(cut.template_m), 3, 207)).astype(np.float32)
    return Body(replace(cut, bind_rotation=np.tile(np.eye(3), (24, 1, 1)), pose_dirs_m=offsets_m))


@settings(max_examples=30, deadline=None)
@given(axis=vectors.filter(lambda vector: np.linalg.norm(vector) > 0.1), log_angle=st.floats(-9, 0.5))
def test_rotations_are_scipys_from_the_tiniest_angle_on(axis, log_angle) -> None:
    rotvec = axis / np.linalg.norm(axis) * 10**log_angle
    ours = rotation_matrices(rotvec, np)
    np.testing.assert_allclose(ours, Rotation.from_rotvec(rotvec).as_matrix(), rtol=0, atol=1e-14)


def test_rotations_meet_where_the_series_ends() -> None:
    for angle in (0.0, 0.005, 0.00999999, 0.01000001, 0.02):
        rotvec = angle * np.array([0.6, 0.0, -0.8])
        ours = rotation_matrices(rotvec, np)
        np.testing.assert_allclose(ours, Rotation.from_rotvec(rotvec).as_matrix(), rtol=0, atol=1e-15)


def test_the_zero_pose_is_a_t_with_the_arms_along_x(body: Body) -> None:
    joints_m = body.posed(ZERO_POSE, AVERAGE, NOWHERE).joints_m[0]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand")):
            bone = joints_m[JOINT[f"{side}_{end}"]] - joints_m[JOINT[f"{side}_{start}"]]
            np.testing.assert_allclose(bone / np.linalg.norm(bone), [sign, 0, 0], atol=EXACT)
        shin = joints_m[JOINT[f"{side}_ankle"]] - joints_m[JOINT[f"{side}_knee"]]
        assert shin[1] / np.linalg.norm(shin) < -0.99  # straight down within 8 degrees
        toes = joints_m[JOINT[f"{side}_foot"]] - joints_m[JOINT[f"{side}_ankle"]]
        assert toes[2] > 0.1


def test_left_and_right_lie_where_their_names_say(body: Body) -> None:
    joints_m = body.posed(ZERO_POSE, AVERAGE, NOWHERE).joints_m[0]
    for name, row in JOINT.items():
        sign = {"left": 1, "right": -1}.get(name.split("_")[0], 0)
        assert np.sign(joints_m[row, 0]) == sign


def test_the_pelvis_stays_at_the_translation(body: Body) -> None:
    pose_rad, betas, transl_m = random_arguments(0)
    np.testing.assert_allclose(body.posed(pose_rad, betas, transl_m).joints_m[:, 0], transl_m, atol=EXACT)


@settings(max_examples=10, deadline=None)
@given(turn=vectors, transl_m=vectors, seed=st.integers(0, 99))
def test_turning_the_root_turns_everything_rigidly(turn, transl_m, seed) -> None:
    body = default_body()
    pose_rad, betas, _ = random_arguments(seed, batch=1)
    pose_rad[:, 0] = 0
    turned_rad = pose_rad.copy()
    turned_rad[:, 0] = turn
    before = body.posed(pose_rad, betas, NOWHERE)
    after = body.posed(turned_rad, betas, transl_m)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    np.testing.assert_allclose(after.vertices_m, before.vertices_m @ rotation.T + transl_m, atol=EXACT)
    np.testing.assert_allclose(after.joints_m, before.joints_m @ rotation.T + transl_m, atol=EXACT)


def test_a_bent_elbow_moves_its_sub_tree_alone_and_that_rigidly(body: Body) -> None:
    bent_rad = ZERO_POSE.copy()
    bent_rad[0, JOINT["left_elbow"]] = [0.3, -1.2, 0.4]
    straight, bent = (body.posed(pose, AVERAGE, NOWHERE) for pose in (ZERO_POSE, bent_rad))
    below = [JOINT[name] for name in ("left_elbow", "left_wrist", "left_hand")]
    share = (body.arrays.weights * np.isin(body.arrays.weight_joints, below)).sum(axis=1)
    np.testing.assert_array_equal(bent.vertices_m[0][share == 0], straight.vertices_m[0][share == 0])
    elbow_m = straight.joints_m[0, below[0]]
    rotation = Rotation.from_rotvec(bent_rad[0, below[0]]).as_matrix()
    swung = (straight.vertices_m[0] - elbow_m) @ rotation.T + elbow_m
    np.testing.assert_allclose(bent.vertices_m[0][share == 1], swung[share == 1], atol=EXACT)
    assert 1000 < np.count_nonzero(share == 1) < np.count_nonzero(share == 0)
    moved = np.linalg.norm(bent.joints_m - straight.joints_m, axis=2)[0] > EXACT
    assert sorted(np.flatnonzero(moved)) == below[1:]


def test_joints_are_linear_in_the_betas_and_bones_keep_their_length_in_every_pose(body: Body) -> None:
    pose_rad, betas, _ = random_arguments(1)
    joints_m = body.arrays.joints_m + np.einsum("jcb,nb->njc", body.arrays.joint_dirs_m, betas)
    parents = list(SMPL24_PARENTS[1:])
    for pose in (pose_rad, np.zeros_like(pose_rad)):
        posed_m = body.posed(pose, betas, NOWHERE).joints_m
        np.testing.assert_allclose(
            np.linalg.norm(posed_m[:, 1:] - posed_m[:, parents], axis=2),
            np.linalg.norm(joints_m[:, 1:] - joints_m[:, parents], axis=2),
            atol=EXACT,
        )
    a, b, both, none = (
        body.posed(pose_rad, x, NOWHERE).joints_m for x in (betas, 2 * betas, 3 * betas, 0 * betas)
    )
    np.testing.assert_allclose(a + b, both + none, atol=EXACT)


def test_the_bind_poses_own_rotations_give_the_template_back(body: Body) -> None:
    bind = body.arrays.bind_rotation
    local = np.stack([bind[0], *(bind[p].T @ bind[j] for j, p in enumerate(SMPL24_PARENTS) if p >= 0)])
    pose_rad = Rotation.from_matrix(local).as_rotvec()[None]
    betas = np.random.default_rng(2).normal(size=10)
    bind_m = body.arrays.template_m + body.arrays.shape_dirs_m.astype(np.float64) @ betas
    posed = body.posed(pose_rad, betas, NOWHERE)
    np.testing.assert_allclose(posed.vertices_m[0], bind_m, atol=EXACT)
    np.testing.assert_allclose(
        posed.joints_m[0], body.arrays.joints_m + body.arrays.joint_dirs_m @ betas, atol=EXACT
    )


def test_vertices_and_joints_follow_the_formula(body: Body) -> None:
    pose_rad, betas, transl_m = random_arguments(3)
    scales = np.random.default_rng(4).uniform(0.6, 1.6, (3, 24))
    for model, sizes in ((body, None), (body, scales), (with_pose_dirs(body), None)):
        posed = model.posed(pose_rad, betas, transl_m, scales=sizes)
        for row in range(3):
            size = None if sizes is None else sizes[row]
            vertices_m, joints_m = by_the_formula(model, pose_rad[row], betas[row], transl_m[row], size)
            np.testing.assert_allclose(posed.vertices_m[row], vertices_m, atol=EXACT)
            np.testing.assert_allclose(posed.joints_m[row], joints_m, atol=EXACT)


# float32 steps by 1.2e-7 at 1 m; some ten roundings add up along a limb.
@pytest.mark.parametrize(("dtype", "tolerance_m"), [("float64", EXACT), ("float32", 3e-6)])
def test_torch_and_numpy_agree(body: Body, dtype: str, tolerance_m: float) -> None:
    import torch

    arguments = [array.astype(dtype) for array in random_arguments(6)]
    sizes = np.random.default_rng(7).uniform(0.6, 1.6, (3, 24)).astype(dtype)
    for model, scales in ((body, None), (body, sizes), (with_pose_dirs(body), None)):
        ours = model.posed(*arguments, scales=scales)
        tensors = [torch.from_numpy(array) for array in arguments]
        theirs = model.posed(*tensors, scales=None if scales is None else torch.from_numpy(scales))
        for mine, other in ((ours.vertices_m, theirs.vertices_m), (ours.joints_m, theirs.joints_m)):
            assert mine.dtype == other.numpy().dtype == np.dtype(dtype)
            np.testing.assert_allclose(mine, other.numpy(), atol=tolerance_m)


@pytest.mark.parametrize("at_rest", [True, False])
def test_torch_gradients_are_right_also_at_the_zero_pose(body: Body, at_rest: bool) -> None:
    import torch

    few = body.at_vertices(np.arange(0, 12000, 1500))
    pose_rad, betas, transl_m = (torch.from_numpy(array) for array in random_arguments(8, batch=1))
    scales = torch.full((1, 24), 1.1, dtype=torch.float64)
    pose_rad = torch.zeros_like(pose_rad) if at_rest else pose_rad
    inputs = [tensor.clone().requires_grad_() for tensor in (pose_rad, betas[:, :2], transl_m, scales)]

    def outputs(*values):
        posed = few.posed(*values[:3], scales=values[3])
        return posed.vertices_m, posed.joints_m

    assert torch.autograd.gradcheck(outputs, inputs, fast_mode=True)


def test_some_vertices_alone_are_posed_as_among_all(body: Body) -> None:
    rows = np.array([12410, 3, 711])
    arguments = random_arguments(9)
    np.testing.assert_allclose(
        body.at_vertices(rows).posed(*arguments).vertices_m,
        body.posed(*arguments).vertices_m[:, rows],
        atol=EXACT,
    )


def test_betas_left_out_are_zero_and_one_set_serves_all(body: Body) -> None:
    pose_rad, betas, _ = random_arguments(10)
    padded = np.concatenate([betas[0, :4], np.zeros(6)])
    a = body.posed(pose_rad, betas[0, :4], NOWHERE).vertices_m
    b = body.posed(pose_rad, np.tile(padded, (3, 1)), np.zeros((3, 3))).vertices_m
    np.testing.assert_allclose(a, b, atol=EXACT)


def test_a_mirrored_pose_gives_mirrored_joints(body: Body) -> None:
    pose_rad, betas, _ = random_arguments(11)
    joints_m = body.posed(pose_rad, betas, NOWHERE).joints_m
    mirrored_m = body.posed(mirrored_pose(pose_rad), betas, NOWHERE).joints_m
    np.testing.assert_allclose(mirrored_m, joints_m[:, list(SMPL24_FLIP)] * [-1, 1, 1], atol=EXACT)


def test_the_skin_is_one_closed_surface_without_handles(body: Body) -> None:
    assert len(boundary_edges(body.faces)) == 0
    assert euler_number(body.faces) == 2
    assert label_pieces(np.zeros(len(body.faces), np.uint8), face_neighbours(body.faces)).max() == 0
    assert len(np.unique(body.faces)) == len(body.arrays.template_m)


def test_people_are_as_tall_and_as_heavy_as_adults_are(body: Body) -> None:
    betas = np.random.default_rng(12).normal(size=(200, 10))
    vertices_m = body.posed(np.zeros((200, 24, 3)), betas, NOWHERE).vertices_m
    height_m = np.ptp(vertices_m[..., 1], axis=1)
    # Men 1.76 +- 0.07 m, women 1.63 +- 0.065 m: half of each is 1.695 +- 0.095 m. 200 people fix the mean to
    # 0.007 m; Anny's own population, not calibrated, would give 1.81 +- 0.16 m.
    assert 1.66 < height_m.mean() < 1.73
    assert 0.07 < height_m.std() < 0.11
    a, b, c = vertices_m[:20, body.faces].transpose(2, 0, 1, 3)
    volume_l = np.einsum("nfi,nfi->n", a, np.cross(b, c)) / 6 * 1e3
    assert 55 < volume_l.mean() < 80  # about 1 kg a litre
    assert volume_l.min() > 20


@pytest.mark.parametrize(
    ("pose_rad", "betas", "transl_m", "named"),
    [
        (np.zeros((2, 23, 3)), AVERAGE, NOWHERE, "pose_rad"),
        (np.zeros((2, 24, 3)), np.zeros((3, 10)), NOWHERE, "betas"),
        (np.zeros((2, 24, 3)), np.zeros(11), NOWHERE, "betas"),
        (np.zeros((2, 24, 3)), AVERAGE, np.zeros((1, 3)), "transl_m"),
        (np.zeros((2, 24, 3), dtype=np.int64), AVERAGE, NOWHERE, "pose_rad"),
    ],
)
def test_arguments_that_do_not_fit_are_named(body: Body, pose_rad, betas, transl_m, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} must be"):
        body.posed(pose_rad, betas, transl_m)
