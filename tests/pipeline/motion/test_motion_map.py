"""Motion maps against exact motion, bones, Embree's sight and scenes in closed form."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.bodies.skinning import joint_transforms, rotation_matrices
from pipeline.cameras import backproject, pixel_rays, project
from pipeline.motion.motion_map import MotionMap, motion_map
from pipeline.motion.rings import two_rings, vertex_rings
from pipeline.visibility import vertex_normals
from pipeline.zbuffer import visible_faces
from renderers.raycast import RaycastScene
from renderers.views import View

_spec = importlib.util.spec_from_file_location("motion_scenes", Path(__file__).with_name("scenes.py"))
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)
BODY, K, SIZE_PX = scenes.BODY, scenes.K, scenes.SIZE_PX
CLIPS = [("walk", 0), ("turn", 1), ("reach", 2), ("squat", 3)]


def body_map(target: np.ndarray, reference: np.ndarray, **options) -> MotionMap:
    options = {"K_target": K, "K_reference": K, "size_px": SIZE_PX, "occlusion_m": 0.01} | options
    return motion_map(target, reference, BODY.faces, two_rings(BODY), **options)


def landed(made: MotionMap, points: np.ndarray) -> np.ndarray:
    """Where a map carries the points (H W 3) of its pixels, those seen."""
    return Rotation.from_rotvec(made.rotvec_rad[made.seen]).apply(points[made.seen]) + made.t_m[made.seen]


@pytest.mark.parametrize(("name", "seed"), CLIPS)
def test_surface_points_of_a_sequence_land_on_themselves_within_a_micrometre(name, seed):
    frames = scenes.clip(name, seed)
    target, view = frames[0], View(frame=0, K=K, world_from_cam=np.eye(4))
    truth = RaycastScene(target, BODY.faces, threads=1).visibility(view, height=SIZE_PX, width=SIZE_PX)
    second, third = np.moveaxis(truth.bary.astype(np.float64), -1, 0)
    weights = np.stack([1 - second - third, second, third], axis=-1)
    for reference in frames[1:]:
        made = body_map(target, reference)
        # Embree and the z-buffer may give a pixel on the outline to different limbs.
        same = made.seen & (np.abs(truth.depth_m - made.depth_m) < 1e-4)
        assert same.sum() > 0.99 * (truth.face_index >= 0).sum() > 2000
        exact = np.einsum("hwc,hwci->hwi", weights, reference[BODY.faces[truth.face_index]])
        # float32 places of 3 m step by 0.24 um in depth, rotation and translation.
        error_m = np.linalg.norm(landed(made, backproject(made.depth_m, K)) - exact[made.seen], axis=1)
        inner = same[made.seen]
        assert error_m[inner].max() < 1e-4 and np.median(error_m[inner]) < 1e-6
        # Beyond the outline of its float32, Embree's own place is a tenth of a millimetre off at a slant.
        assert np.quantile(error_m[inner], 0.99) < 1e-5


@pytest.mark.parametrize(("name", "seed"), CLIPS[:2])
def test_what_keeps_a_centimetre_off_the_skin_lands_within_a_millimetre_of_it_but_where_skin_bends(
    name, seed
):
    target, *others = scenes.clip(name, seed)
    face_index, bary, _ = visible_faces(target, BODY.faces, K, height=SIZE_PX, width=SIZE_PX)
    for reference in others:
        made = body_map(target, reference)
        corners, second_third = BODY.faces[face_index[made.seen]], bary[made.seen]
        weights = np.column_stack([1 - second_third.sum(axis=1), second_third])
        before, after = (
            np.einsum("nc,nci->ni", weights, vertex_normals(mesh, BODY.faces)[corners])
            for mesh in (target, reference)
        )
        before, after = (normal / np.linalg.norm(normal, axis=1)[:, None] for normal in (before, after))
        off_m = 0.01 * np.linalg.norm(
            Rotation.from_rotvec(made.rotvec_rad[made.seen]).apply(before) - after, axis=1
        )
        assert np.mean(off_m[made.valid(0.05)[made.seen]] < 1e-3) > 0.95


def test_a_body_that_stiffens_moves_as_one():
    target = scenes.clip("walk", 0)[0]
    turn, shift = Rotation.from_rotvec([0.1, 0.5, -0.2]), np.array([0.2, 0.1, 0.4])
    reference = turn.apply(target - target.mean(axis=0)) + target.mean(axis=0) + shift
    made = body_map(target, reference)
    np.testing.assert_allclose(made.rotvec_rad[made.seen], [[0.1, 0.5, -0.2]] * made.seen.sum(), atol=1e-6)
    t_m = target.mean(axis=0) + shift - turn.apply(target.mean(axis=0))
    np.testing.assert_allclose(made.t_m[made.seen], [t_m] * made.seen.sum(), atol=1e-6)
    np.testing.assert_allclose(made.baseline_m()[made.seen], np.linalg.norm(t_m), atol=1e-6)
    assert not made.rotvec_rad[~made.seen].any() and not made.t_m[~made.seen].any()


@pytest.mark.parametrize("centre_rad", [np.pi, np.pi / 2, -np.pi / 2])
def test_a_twist_has_no_seam_where_quaternions_or_vectors_change_sign(centre_rad):
    target = scenes.clip("walk", 0)[0]
    middle = target.mean(axis=0)
    twist = np.array([[0.0, 1.0, 0.0]])

    def turns(heights_m: np.ndarray) -> Rotation:
        return Rotation.from_rotvec((centre_rad + 0.5 * (heights_m - middle[1]))[:, None] * twist)

    made = body_map(target, turns(target[:, 1]).apply(target - middle) + middle)
    exact = turns(backproject(made.depth_m, K)[made.seen][:, 1])
    off = Rotation.from_rotvec(made.rotvec_rad[made.seen]) * exact.inv()
    angles_rad = made.rotvec_rad[made.seen][:, 1] % (2 * np.pi) - centre_rad % (2 * np.pi)
    assert angles_rad.min() < -0.2 and angles_rad.max() > 0.2  # there is one to cross
    # A twist of half a radian a metre shears the skin, which lies up to 0.3 m off its axis, by 0.15.
    assert off.magnitude().max() < 0.15


def test_where_one_bone_moves_the_skin_its_rotation_is_found():
    rng = np.random.default_rng(4)
    pose_rad = np.concatenate([rng.normal(0, 0.3, (1, 24, 3)), rng.normal(0, 0.3, (1, 24, 3))])
    target, reference = BODY.posed(pose_rad, np.zeros(10), np.zeros(3)).vertices_m
    linear, _ = joint_transforms(
        rotation_matrices(pose_rad, np), BODY.arrays.joints_m[None],
        zero_from_bind=BODY.arrays.bind_rotation.transpose(0, 2, 1), parents=BODY.arrays.parents.tolist(),
        scales=None, xp=np,
    )  # fmt: skip
    bones = linear[1] @ np.swapaxes(linear[0], 1, 2)
    camera = np.array([0.0, 0.0, 3.0]) - target.mean(axis=0)
    made = body_map(target + camera, reference + camera)
    face_index = visible_faces(target + camera, BODY.faces, K, height=SIZE_PX, width=SIZE_PX)[0]
    rings = two_rings(BODY)
    joint = BODY.arrays.weight_joints[:, 0].astype(int)
    alone = BODY.arrays.weights[:, 0] > 1 - 1e-7
    rows = np.repeat(np.arange(len(joint)), np.diff(rings.starts))
    mixed = ~alone[rings.neighbours] | (joint[rings.neighbours] != joint[rows])
    stiff = alone & (np.bincount(rows, mixed, minlength=len(joint)) == 0)
    pixels = made.seen & stiff[BODY.faces[face_index]].all(axis=-1)
    assert pixels.sum() > 100
    expected = Rotation.from_matrix(bones[joint[BODY.faces[face_index[pixels], 0]]])
    off = Rotation.from_rotvec(made.rotvec_rad[pixels]) * expected.inv()
    assert off.magnitude().max() < 1e-5  # weights are stored in float32


@pytest.mark.parametrize(("name", "seed"), CLIPS)
def test_what_both_frames_see_is_what_rays_reach(name, seed):
    import open3d as o3d

    frames = scenes.clip(name, seed)
    for reference in frames[1:]:
        made = body_map(frames[0], reference)
        places = landed(made, backproject(made.depth_m, K))
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(
            o3d.core.Tensor(reference.astype(np.float32)), o3d.core.Tensor(BODY.faces.astype(np.uint32))
        )
        rays = np.concatenate([np.zeros_like(places), places], axis=1).astype(np.float32)
        hit_m = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy() * places[:, 2]
        pixels = project(places, K)
        sees = (hit_m > places[:, 2] - 1e-4) & (np.abs(pixels - 127.5) <= 127.501).all(axis=1)
        found = made.visible[made.seen]
        assert np.count_nonzero(found & ~sees) <= 0.01 * sees.sum()
        assert np.count_nonzero(~found & sees) <= 0.02 * sees.sum()


def boards(left_m: float) -> tuple[np.ndarray, np.ndarray]:
    """A wall at 2 m, 2 m wide, and a board of half a metre at 1.5 m, its left edge where told."""
    v, u = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    wall = np.stack([u, v, np.full_like(u, 2.0)], axis=-1).reshape(-1, 3)
    board = wall * [0.25, 0.25, 0.75] + [left_m + 0.25, 0, 0]
    at = np.arange(81).reshape(9, 9)
    a, b, c, d = (x.ravel() for x in (at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return np.concatenate([wall, board]), np.concatenate([faces, faces + 81]).astype(np.int32)


def board_map(target_left_m: float, reference_left_m: float, **options) -> MotionMap:
    target, faces = boards(target_left_m)
    options = {"K_target": K, "K_reference": K, "size_px": SIZE_PX, "occlusion_m": 0.01} | options
    rings = vertex_rings(faces, len(target), reach=2)
    return motion_map(target, boards(reference_left_m)[0], faces, rings, **options)


def test_a_board_hides_of_the_wall_what_it_covers_and_no_more():
    made = board_map(-0.45, 0.1)
    u, v = pixel_rays(K, SIZE_PX, SIZE_PX)[..., :2].transpose(2, 0, 1)
    board = made.depth_m < 1.75
    shadow = (u > 0.1 / 1.5) & (u < 0.6 / 1.5) & (np.abs(v) < 0.25 / 1.5)
    rim = np.abs(np.abs(v) - 0.25 / 1.5) < 0.2 / 277
    for edge in (0.1, 0.6):
        rim |= np.abs(u - edge / 1.5) < 0.2 / 277  # an eighth of a pixel either way
    wall = made.seen & ~board & ~rim
    np.testing.assert_array_equal(made.visible[wall], ~shadow[wall])
    assert made.visible[board].all() and shadow[wall].sum() > 3000
    np.testing.assert_allclose(made.t_m[board], [[0.55, 0, 0]] * board.sum(), atol=1e-6)


def test_places_that_leave_the_picture_are_not_visible():
    target, faces = boards(-0.25)
    options = {"K_target": K, "K_reference": K, "size_px": SIZE_PX, "occlusion_m": 0.01}
    rings = vertex_rings(faces, len(target), reach=2)
    made = motion_map(target, target + [0.5, 0, 0], faces, rings, **options)
    wall = made.seen & (made.depth_m > 1.75)
    column = np.broadcast_to(np.arange(SIZE_PX), wall.shape) + 277 * 0.5 / 2
    assert (made.visible[wall] <= (column[wall] <= SIZE_PX - 1)).all()
    top = wall & (np.arange(SIZE_PX)[:, None] < 40)  # the board hides nothing there
    np.testing.assert_array_equal(made.visible[top], column[top] <= SIZE_PX - 1)
    behind = motion_map(target, target - [0, 0, 4], faces, rings, **options)
    assert behind.seen.any() and not behind.visible.any()


def test_each_frame_has_its_own_intrinsics():
    target = scenes.clip("walk", 0)[0]
    aside = K + [[0, 0, 400], [0, 0, 0], [0, 0, 0]]
    here = body_map(target, target)
    away = body_map(target, target, K_reference=aside)
    np.testing.assert_array_equal(away.seen, here.seen)
    assert here.visible.sum() > 0.98 * here.seen.sum() and not away.visible.any()
    assert not body_map(target, target, K_target=aside).seen.any()
    # A reference crop of half the field: of a body that stands still it sees the middle.
    middle_K = K * [[2, 1, 1], [1, 2, 1], [1, 1, 1]]
    near = body_map(target, target, K_reference=middle_K)
    middle = np.zeros_like(here.seen)
    middle[64:192, 64:192] = True
    assert near.visible[middle & here.visible].mean() > 0.99 and not near.visible[~middle].any()


def test_a_body_seen_from_behind_shares_nothing_with_its_front_whichever_way_its_faces_run():
    target = scenes.clip("squat", 3)[0]
    middle = target.mean(axis=0)
    reference = (target - middle) * [-1, 1, -1] + middle
    shares = []
    for faces in (BODY.faces, np.ascontiguousarray(BODY.faces[:, ::-1])):
        options = {"K_target": K, "K_reference": K, "size_px": SIZE_PX, "occlusion_m": 0.01}
        made = motion_map(target, reference, faces, two_rings(BODY), **options)
        still = motion_map(target, target, faces, two_rings(BODY), **options)
        shares.append(made.visible.sum() / made.seen.sum())
        assert still.visible.sum() > 0.98 * still.seen.sum()  # all but the rim
    assert max(shares) < 0.12 and shares[0] == pytest.approx(shares[1], abs=0.01)


def test_a_pixel_counts_from_its_baseline_on():
    made = board_map(-0.25, -0.15)
    board = made.seen & (made.depth_m < 1.75)
    # The wall stands still, the board went 10 cm aside.
    np.testing.assert_array_equal(made.valid(0.05), made.visible & board)
    assert made.valid(0.05).any() and not made.valid(0.11).any()


def test_a_body_outside_of_the_picture_gives_an_empty_map():
    target = scenes.clip("walk", 0)[0]
    for away in ([50.0, 0, 0], [0, 0, -9.0]):
        made = body_map(target + away, target)
        assert not made.seen.any() and not made.visible.any() and not made.depth_m.any()
        assert not made.t_m.any() and not made.rotvec_rad.any()


def test_a_surface_that_shrinks_to_a_point_has_no_motion():
    target, faces = boards(-0.25)
    reference = np.concatenate([target[:81], np.full((81, 3), 1.5)])
    options = {"K_target": K, "K_reference": K, "size_px": SIZE_PX, "occlusion_m": 0.01}
    made = motion_map(target, reference, faces, vertex_rings(faces, len(target), reach=2), **options)
    board = (made.depth_m > 0) & (made.depth_m < 1.75)
    assert board.any() and not made.seen[board].any() and made.seen[~board].any()
    assert not made.t_m[board].any()


def test_bad_arguments_are_refused():
    target = scenes.clip("walk", 0)[0]
    spoilt = target.copy()
    spoilt[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"target_cam_m must be \(12411, 3\) and finite"):
        body_map(spoilt, target)
    with pytest.raises(ValueError, match="reference_cam_m must be"):
        body_map(target, target[:-1])
    for options in ({"size_px": 0}, {"occlusion_m": 0.0}, {"occlusion_m": float("nan")}):
        with pytest.raises(ValueError, match="size_px and occlusion_m must be positive"):
            body_map(target, target, **options)
