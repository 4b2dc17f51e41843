"""Rigid motion around vertices: Kabsch against closed form and against scipy, reflections, degenerate rings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from pipeline.bodies.model import default_body
from pipeline.motion.rigid_motion import rigid_motion
from pipeline.motion.rings import Rings, two_rings

BODY = default_body()


def star(count: int) -> Rings:
    """Vertex 0 has all others around it, they have none."""
    starts = np.array([0] + [count] * (count + 1), np.int32)
    return Rings(starts=starts, neighbours=np.arange(1, count + 1, dtype=np.int32))


def ring(rng: np.random.Generator, *, thickness: float, count: int = 12) -> np.ndarray:
    """Vertex 0 and a disc of 2 cm around it, 2 m away."""
    points = rng.uniform(-0.02, 0.02, (count + 1, 3)) * [1, 1, thickness]
    return points + [0.3, -0.2, 2.0]


def offsets(points: np.ndarray) -> np.ndarray:
    return points[1:] - points[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.05, 1e-3, 0.0]))
def test_a_rigid_ring_gives_its_own_rotation_however_flat_it_is(seed, thickness):
    rng = np.random.default_rng(seed)
    target, turn, shift = (
        ring(rng, thickness=thickness),
        Rotation.random(random_state=seed),
        rng.normal(size=3),
    )
    motion = rigid_motion(target, turn.apply(target) + shift, star(12))
    assert motion.determined.tolist() == [True] + [False] * 12
    # Offsets of 1 cm are differences of metres: float64 leaves them 2e-14 of their length, a thin disc no less.
    np.testing.assert_allclose(motion.rotations[0], turn.as_matrix(), atol=1e-10)
    np.testing.assert_allclose(motion.t_m[0], shift, atol=1e-9)


@pytest.mark.parametrize("thickness", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("noise_m", [1e-4, 3e-3])
def test_bent_rings_agree_with_scipy(thickness, noise_m):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        target = ring(rng, thickness=thickness)
        reference = Rotation.random(random_state=seed).apply(target) + rng.normal(0, noise_m, target.shape)
        found = rigid_motion(target, reference, star(12)).rotations[0]
        expected = Rotation.align_vectors(offsets(reference), offsets(target))[0].as_matrix()
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_where_a_reflection_fits_better_the_best_rotation_wins():
    reflected = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        target = ring(rng, thickness=0.005)
        # Thinner than the noise: which side of the disc is up is lost.
        reference = Rotation.random(random_state=seed).apply(target) + rng.normal(0, 1e-3, target.shape)
        unchecked = orthogonal_procrustes(offsets(reference), offsets(target))[0]
        reflected += np.linalg.det(unchecked) < 0
        found = rigid_motion(target, reference, star(12)).rotations[0]
        assert np.linalg.det(found) == pytest.approx(1.0, abs=1e-12)
        expected = Rotation.align_vectors(offsets(reference), offsets(target))[0].as_matrix()
        np.testing.assert_allclose(found, expected, atol=1e-8)
    assert reflected >= 10  # else nothing was shown


def test_a_mirrored_flat_ring_is_turned_and_not_mirrored():
    target = ring(np.random.default_rng(1), thickness=0.05)
    mirrored = target * [1, 1, -1]
    assert np.linalg.det(orthogonal_procrustes(offsets(mirrored), offsets(target))[0]) < 0
    motion = rigid_motion(target, mirrored, star(12))
    assert motion.determined[0] and np.linalg.det(motion.rotations[0]) == pytest.approx(1.0)
    # A rotation by a little, since the disc is flat but for a twentieth.
    assert Rotation.from_matrix(motion.rotations[0]).magnitude() < 0.1


LINE = np.linspace(-1, 1, 13)[:, None] * [0.01, 0.02, 0.0]
AXES = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3), np.zeros((6, 3))])


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        (LINE, LINE + 1.0),
        (np.zeros((13, 3)), ring(np.random.default_rng(0), thickness=1.0)),
        (ring(np.random.default_rng(0), thickness=1.0), np.full((13, 3), 2.0)),
        (AXES, -AXES),
    ],
    ids=["on a line", "no extent in the target", "no extent in the reference", "turned inside out"],
)
def test_a_ring_that_determines_no_rotation_says_so(target, reference):
    motion = rigid_motion(target, reference, star(12))
    assert not motion.determined.any()
    np.testing.assert_array_equal(motion.rotations, np.tile(np.eye(3), (13, 1, 1)))
    np.testing.assert_allclose(motion.t_m, reference - target)


def posed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two poses of the body, 2.5 m before a camera."""
    rng = np.random.default_rng(seed)
    pose_rad = rng.normal(0, 0.35, (2, 24, 3))
    return tuple(BODY.posed(pose_rad, rng.normal(size=10), np.array([0.0, -0.9, 2.5])).vertices_m)


def test_every_vertex_of_a_body_lands_on_itself_by_a_rotation():
    target, reference = posed(0)
    motion = rigid_motion(target, reference, two_rings(BODY))
    assert motion.determined.all()
    landed = np.einsum("vij,vj->vi", motion.rotations, target) + motion.t_m
    np.testing.assert_allclose(landed, reference, atol=1e-12)
    gram = np.einsum("vij,vik->vjk", motion.rotations, motion.rotations)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(motion.rotations), 1.0, atol=1e-12)


def test_the_way_back_is_the_inverse_and_its_baseline_as_long():
    target, reference = posed(1)
    rings = two_rings(BODY)
    there, back = rigid_motion(target, reference, rings), rigid_motion(reference, target, rings)
    np.testing.assert_allclose(back.rotations, np.swapaxes(there.rotations, 1, 2), atol=1e-8)
    lengths = (np.linalg.norm(motion.t_m, axis=1) for motion in (there, back))
    np.testing.assert_allclose(*lengths, atol=1e-7)


def test_only_wanted_vertices_are_registered():
    target, reference = posed(2)
    wanted = np.zeros(len(target), bool)
    wanted[::7] = True
    some = rigid_motion(target, reference, two_rings(BODY), wanted=wanted)
    every = rigid_motion(target, reference, two_rings(BODY))
    np.testing.assert_array_equal(some.determined, wanted)
    np.testing.assert_array_equal(some.rotations[wanted], every.rotations[wanted])


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_vertices_that_are_not_finite_or_too_few_are_refused(spoilt):
    target = ring(np.random.default_rng(0), thickness=1.0)
    wrong = target.copy()
    wrong[3, 1] = spoilt
    with pytest.raises(ValueError, match=r"reference_m must be \(13, 3\) and finite, .* 1 values"):
        rigid_motion(target, wrong, star(12))
    with pytest.raises(ValueError, match=r"target_m must be \(13, 3\)"):
        rigid_motion(target[:-1], target, star(12))
