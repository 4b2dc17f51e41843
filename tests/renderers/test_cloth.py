"""Cloth in Blender: it falls, rests outside of what it falls on, follows what it is pinned to."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.simulation.cloth_checks import penetration
from pipeline.visibility import vertex_normals
from renderers.cloth import ClothSettings, Collider, simulate_cloth
from renderers.proof import icosphere

BALL, BALL_FACES = 0.25 * icosphere(3)[0], icosphere(3)[1]
QUICK = ClothSettings(quality=5)


def still(vertices, frames):
    return np.repeat(vertices[None], frames, axis=0)


def sheet_faces(rows, columns, *, closed):
    """Faces of a grid of vertices; a closed one's last column meets its first."""
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def tube(radii_m, heights_m, around):
    """Rings of vertices about the y axis."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    rings = [
        np.stack([r * np.sin(angle), np.full(around, y), r * np.cos(angle)], axis=1)
        for r, y in zip(radii_m, heights_m, strict=True)
    ]
    return np.concatenate(rings)


@pytest.fixture(scope="module")
def drape():
    u, v = np.meshgrid(np.linspace(-0.4, 0.4, 21), np.linspace(-0.4, 0.4, 21), indexing="ij")
    square = np.stack([u, np.full_like(u, 0.26), v], axis=-1).reshape(-1, 3)
    faces = sheet_faces(21, 21, closed=False)

    def simulate(threads):
        collider = Collider(vertices=still(BALL, 36), faces=BALL_FACES)
        return simulate_cloth(
            still(square, 36), faces, np.zeros(len(square)), [collider], settings=QUICK, threads=threads
        )

    return simulate


@pytest.fixture(scope="module")
def draped(drape):
    return drape(1)


def test_a_square_drapes_over_a_ball_without_going_through(draped):
    assert draped.dtype == np.float32
    assert draped[-1][:, 1].min() < 0.0  # its corners hang below the ball's middle
    found = penetration(draped, still(BALL, len(draped)), BALL_FACES)
    assert found.deepest_m < 0.002
    top = np.linalg.norm(draped[-1], axis=1).min()
    assert 0.25 + 0.002 < top < 0.25 + 0.010  # near gap_m; the ball's facets lie up to 1 mm inside


def test_a_draped_square_comes_to_rest(draped):
    steps_m = np.linalg.norm(np.diff(draped.astype(np.float64), axis=0), axis=2)
    energy = (steps_m**2).mean(axis=1)
    assert energy[-5:].max() < 0.01 * energy.max()


def test_threads_and_runs_change_no_byte(drape, draped):
    np.testing.assert_array_equal(drape(2), draped)


@pytest.fixture(scope="module")
def skirt():
    """A skirt on a cylinder that walks aside by 0.2 m and turns; its belt goes along."""
    frames = 24
    radii_m = np.r_[1e-3, 0.06, np.full(25, 0.12), 0.06, 1e-3]
    body = tube(radii_m, np.r_[0.4, 0.4, np.linspace(0.4, -0.4, 25), -0.4, -0.4], 24)
    garment = tube(
        np.linspace(0.135, 0.42, 12), np.linspace(0.2, 0.1, 12), 24
    )  # spread out, so that it falls
    share = np.linspace(0, 1, frames)
    targets, colliders = np.zeros((frames, *garment.shape)), np.zeros((frames, *body.shape))
    for frame, part in enumerate(share):
        cos, sin = np.cos(part), np.sin(part)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        targets[frame], colliders[frame] = (m @ turn.T + [0.2 * part, 0, 0] for m in (garment, body))
    held = (np.arange(len(garment)) < 24).astype(float)  # the uppermost ring
    body_faces = sheet_faces(29, 24, closed=True)[:, ::-1]  # rings go down, so its faces would look inward
    worn = simulate_cloth(
        targets,
        sheet_faces(12, 24, closed=True),
        held,
        [Collider(vertices=colliders, faces=body_faces)],
        settings=QUICK,
        threads=1,
    )
    return worn, targets, held, colliders, body_faces


def test_a_skirt_stays_at_its_belt_and_falls_below_it(skirt):
    worn, targets, held, _, _ = skirt
    np.testing.assert_allclose(
        worn[:, held == 1], targets[:, held == 1], atol=1e-6
    )  # float32 of half a metre
    np.testing.assert_allclose(worn[0], targets[0], atol=1e-6)
    rim = slice(-24, None)
    assert (targets[-1, rim, 1] - worn[-1, rim, 1]).mean() > 0.1
    assert np.linalg.norm(worn[-1, rim].mean(axis=0)[[0, 2]] - [0.2, 0]) < 0.08  # and has come along


def test_a_skirt_stays_outside_of_what_walks_in_it(skirt):
    worn, _, _, colliders, faces = skirt
    found = penetration(worn, colliders, faces)
    assert found.share < 0.01 and found.deepest_m < 0.002


def test_colliders_with_other_frames_are_refused():
    collider = Collider(vertices=still(BALL, 3), faces=BALL_FACES)
    with pytest.raises(ValueError, match=r"collider 0 must be \(2 V 3\), a row per frame, is \(3, 642, 3\)"):
        simulate_cloth(still(BALL, 2), BALL_FACES, np.zeros(642), [collider], settings=QUICK, threads=1)


@pytest.mark.parametrize("held", [np.full(642, 1.1), np.zeros(3)])
def test_weights_that_do_not_fit_are_refused(held):
    with pytest.raises(ValueError, match=r"held must be \(642,\) weights in \[0, 1\]"):
        simulate_cloth(still(BALL, 2), BALL_FACES, held, [], settings=QUICK, threads=1)


def test_a_garment_without_a_place_is_refused():
    lost = still(BALL, 2)
    lost[1, 5] = np.nan
    with pytest.raises(ValueError, match="targets must be finite in every frame"):
        simulate_cloth(lost, BALL_FACES, np.zeros(642), [], settings=QUICK, threads=1)


@pytest.mark.slow
def test_trousers_and_a_shirt_over_them_stay_outside_of_a_stepping_body_and_of_each_other():
    body = default_body()
    share = np.clip(np.linspace(0, 1.3, 40), 0, 1)
    stride = np.zeros((24, 3))
    stride[[1, 2, 4, 5], 0] = [-0.5, 0.35, 0.4, 0.6]
    stride[[16, 17], 2] = [-1.0, 1.0]  # arms down
    pose_rad = (share**2 * (3 - 2 * share))[:, None, None] * stride
    skin = body.posed(pose_rad, np.zeros(3), np.zeros(3)).vertices_m
    limbs = np.zeros((skin.shape[1], 24))
    np.add.at(limbs, (np.arange(len(limbs))[:, None], body.arrays.weight_joints), body.arrays.weights)

    def sewn(joints, without, offset_m):
        chosen = (limbs[:, joints].sum(axis=1) > 0.5) & (limbs[:, without].sum(axis=1) < 0.2)
        rows, faces = np.unique(body.faces[chosen[body.faces].all(axis=1)], return_inverse=True)
        normals = np.stack([vertex_normals(frame.astype(np.float64), body.faces)[rows] for frame in skin])
        return skin[:, rows] + offset_m * normals, faces.reshape(-1, 3).astype(np.int32)

    on_skin = Collider(vertices=skin, faces=body.faces)
    targets, faces = sewn([0, 1, 2, 4, 5], [7, 8, 10, 11], 0.014)
    belt = (targets[0, :, 1] > targets[0, :, 1].max() - 0.05).astype(float)
    trousers = simulate_cloth(targets, faces, belt, [on_skin], settings=ClothSettings(), threads=1)
    over, over_faces = sewn([0, 3, 6, 9, 13, 14, 16, 17], [12, 15], 0.03)
    collar = (over[0, :, 1] > over[0, :, 1].max() - 0.03).astype(float)
    shirt = simulate_cloth(
        over,
        over_faces,
        collar,
        [on_skin, Collider(vertices=trousers, faces=faces)],
        settings=ClothSettings(),
        threads=1,
    )
    for cloth, under, under_faces in (
        (trousers, skin, body.faces),
        (shirt, skin, body.faces),
        (shirt, trousers, faces),
    ):
        found = penetration(cloth, under, under_faces)
        assert found.share < 0.005, found
    np.testing.assert_allclose(trousers[:, belt == 1], targets[:, belt == 1], atol=1e-6)
