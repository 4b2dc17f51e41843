import numpy as np

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking.graph import LEAST_SIGMA, Edge, bounded_information, edge_errors, optimise
from pipeline.fusion.tracking.se3 import transform_of, twist_of

COUNT = 24
STILL = np.zeros(6)
SURE = np.diag(1 / np.array([1e-3] * 3 + [1e-3] * 3) ** 2)


def circle():
    angles = 2 * np.pi * np.arange(COUNT) / COUNT
    step = transform_of(np.array([0.0, 0.3, 0, 1.0, 0, 0.1]))
    poses = transform_of(
        np.stack([0 * angles, angles, 0 * angles, 0 * angles, 0 * angles, 0 * angles], axis=1)
    )
    return poses @ step


def edge(poses, i, j, *, off=STILL, loop=False):
    return Edge(
        i=i, j=j, i_from_j=transform_of(off) @ invert_rigid(poses[i]) @ poses[j], information=SURE, loop=loop
    )


def drifting(poses, rng):
    """Edges of a walk with some error each, and the path that they add up to."""
    edges = [edge(poses, i, i + 1, off=rng.normal(0, 2e-3, 6)) for i in range(COUNT - 1)]
    walked = [poses[0]]
    for each in edges:
        walked.append(walked[-1] @ each.i_from_j)
    return edges, np.stack(walked)


def distance(found, true):
    return np.linalg.norm(twist_of(invert_rigid(true) @ found)[:, 3:], axis=1)


def test_a_closed_turn_halves_the_error_at_its_end():
    true = circle()
    edges, walked = drifting(true, np.random.default_rng(3))
    found, weights = optimise(walked, [*edges, edge(true, COUNT - 1, 0, loop=True)])
    assert weights[-1] > 0.5
    # The end is tied to the start now: one edge's error instead of 23 edges' sum.
    assert distance(found, true)[-1] < 0.3 * distance(walked, true)[-1]
    assert distance(found, true).max() < 0.7 * distance(walked, true).max()


def test_edges_that_agree_are_met_exactly():
    true = circle()
    edges = [edge(true, i, (i + 5) % COUNT, loop=True) for i in range(COUNT)]
    edges += [edge(true, i, i + 1) for i in range(COUNT - 1)]
    start = transform_of(np.random.default_rng(0).normal(0, 0.05, (COUNT, 6))) @ true
    start[0] = true[0]
    found, _ = optimise(start, edges)
    np.testing.assert_allclose(found, true, atol=1e-7)
    np.testing.assert_allclose(edge_errors(found, edges), 0, atol=1e-7)


def test_a_false_loop_is_switched_off_and_true_ones_stay():
    true = circle()
    edges, walked = drifting(true, np.random.default_rng(4))
    false = edge(true, 12, 1, off=np.array([0.4, 0, 0, 0.5, 0, 0]), loop=True)
    loops = [edge(true, COUNT - 1, 0, loop=True), edge(true, COUNT - 2, 1, loop=True), false]
    found, weights = optimise(walked, [*edges, *loops])
    assert weights[-1] < 0.01 < 0.5 < weights[-2]
    without, _ = optimise(walked, [*edges, *loops[:2]])
    assert distance(found, without).max() < 2e-3


def test_the_fixed_frame_does_not_move():
    true = circle()
    edges, walked = drifting(true, np.random.default_rng(5))
    found, _ = optimise(walked, [*edges, edge(true, COUNT - 1, 0, loop=True)], fixed=7)
    np.testing.assert_array_equal(found[7], walked[7])
    assert distance(found, walked)[0] > 1e-4


def test_a_frame_without_edges_stays():
    true = circle()
    edges, walked = drifting(true[:, :], np.random.default_rng(6))
    found, _ = optimise(walked, [each for each in edges if each.j < COUNT - 1])
    np.testing.assert_allclose(found[-1], walked[-1], atol=1e-9)


def test_no_edge_is_surer_than_the_least_spread():
    covariance = np.diag(LEAST_SIGMA**2)
    np.testing.assert_allclose(bounded_information(SURE), np.linalg.inv(np.linalg.inv(SURE) + covariance))
    nothing = bounded_information(np.zeros((6, 6)))
    np.testing.assert_array_equal(nothing, 0)


def test_without_edges_the_path_stays():
    found, weights = optimise(circle(), [])
    np.testing.assert_array_equal(found, circle())
    assert len(weights) == 0
