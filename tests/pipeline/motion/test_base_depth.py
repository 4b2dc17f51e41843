"""Base depth: plain bodies, and the authors' smoothed and inflated ones."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.motion.base_depth import CODE_INFLATE_M, CODE_SMOOTHING_STEPS, base_depth, base_surface
from pipeline.motion.rings import one_rings, vertex_rings
from pipeline.zbuffer import visible_faces

BODY = default_body()
K = np.array([[277.0, 0, 63.5], [0, 277.0, 63.5], [0, 0, 1]])
TETRAHEDRON = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
TETRAHEDRON_FACES = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], np.int32)


def standing() -> np.ndarray:
    """The body as a camera 2.5 m before it has it."""
    bind = BODY.posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    return (bind - bind.mean(axis=0)) * [1, -1, -1] + [0, 0, 2.5]


def sphere(radius_m: float) -> tuple[np.ndarray, np.ndarray]:
    """A ball 1.5 m before the camera, in rows of longitude and latitude."""
    rows, columns = 40, 80
    polar = np.linspace(0, np.pi, rows + 1)[1:-1]
    turn = np.arange(columns) * 2 * np.pi / columns
    across = np.sin(polar)[:, None] * np.stack([np.cos(turn), np.sin(turn)])[:, None]
    points = np.stack([*across, np.broadcast_to(np.cos(polar)[:, None], across[0].shape)], axis=-1)
    points = np.concatenate([points.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    at = np.arange((rows - 1) * columns).reshape(rows - 1, columns)
    a, b, c, d = at[:-1], np.roll(at, -1, 1)[:-1], np.roll(at, -1, 1)[1:], at[1:]
    sides = [np.stack(x, axis=-1).reshape(-1, 3) for x in ((a, d, c), (a, c, b))]
    top, bottom = np.full(columns, at.size), np.full(columns, at.size + 1)
    caps = [
        np.stack([top, at[0], np.roll(at[0], -1)], -1),
        np.stack([bottom, np.roll(at[-1], -1), at[-1]], -1),
    ]
    return radius_m * points + [0, 0, 1.5], np.concatenate([*sides, *caps]).astype(np.int32)


def test_the_default_is_the_plain_body():
    points = standing()
    plain = visible_faces(points, BODY.faces, K, height=128, width=128)[2]
    found = base_depth(points, BODY.faces, one_rings(BODY), K=K, size_px=128)
    np.testing.assert_array_equal(found, plain)
    assert (found > 0).sum() > 1000


def test_each_umbrella_step_takes_a_tetrahedron_to_a_third_of_itself_turned_about():
    # The mean of three corners is minus a third of the fourth.
    rings = vertex_rings(TETRAHEDRON_FACES, 4, reach=1)
    for steps, factor in ((0, 1.0), (1, -1 / 3), (2, 1 / 9), (4, 1 / 81)):
        found = base_surface(TETRAHEDRON, TETRAHEDRON_FACES, rings, smoothing_steps=steps, inflate_m=0.0)
        np.testing.assert_allclose(found, factor * TETRAHEDRON, atol=1e-15)


def test_a_vertex_without_neighbours_stays_and_so_do_the_rows_after_it():
    points = np.concatenate([[[9.0, 9, 9]], TETRAHEDRON, [[8.0, 8, 8]]])
    rings = vertex_rings(TETRAHEDRON_FACES + 1, 6, reach=1)
    found = base_surface(points, TETRAHEDRON_FACES + 1, rings, smoothing_steps=1, inflate_m=0.0)
    np.testing.assert_allclose(found, [[9, 9, 9], *(-TETRAHEDRON / 3), [8, 8, 8]])


def test_an_inflated_ball_is_a_larger_ball():
    points, faces = sphere(0.2)
    rings = vertex_rings(faces, len(points), reach=1)
    grown = base_surface(points, faces, rings, smoothing_steps=0, inflate_m=CODE_INFLATE_M) - [0, 0, 1.5]
    # Angle-weighted normals of a ball cut into 4.5 degree steps are radial to their square, 0.3 %.
    np.testing.assert_allclose(np.linalg.norm(grown, axis=1), 0.226, atol=1e-4)
    plain, found = (
        base_depth(points, faces, rings, K=K, size_px=128, inflate_m=inflate_m)
        for inflate_m in (0.0, CODE_INFLATE_M)
    )
    # A chord of 4.5 degrees lies 0.2 mm inside of a ball of 0.2 m.
    assert found[64, 64] == pytest.approx(plain[64, 64] - CODE_INFLATE_M, abs=3e-4)
    assert (found > 0).sum() > (plain > 0).sum()


def test_the_authors_base_lies_before_the_skin():
    points, rings = standing(), one_rings(BODY)
    plain = base_depth(points, BODY.faces, rings, K=K, size_px=128)
    code = {"smoothing_steps": CODE_SMOOTHING_STEPS, "inflate_m": CODE_INFLATE_M}
    found = base_depth(points, BODY.faces, rings, K=K, size_px=128, **code)
    both = (plain > 0) & (found > 0)
    nearer_m = np.median(plain[both] - found[both])
    # Normals are slanted to the rays, smoothing takes a little back.
    assert 0.02 < nearer_m < 0.035
    np.testing.assert_array_equal(points, standing())


@pytest.mark.parametrize("wrong", [{"smoothing_steps": -1}, {"inflate_m": np.nan}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="smoothing_steps must not be negative and inflate_m finite"):
        base_depth(standing(), BODY.faces, one_rings(BODY), K=K, size_px=64, **wrong)


def test_vertices_that_are_not_finite_are_refused():
    points = standing()
    points[3] = np.inf
    with pytest.raises(ValueError, match="vertices_m must be .* finite"):
        base_depth(points, BODY.faces, one_rings(BODY), K=K, size_px=64)
