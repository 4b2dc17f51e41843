"""Figures with known answers, and the laws that each must obey."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import metrics as m

SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=25, deadline=None)


def by_name(found: list[m.Metric]) -> dict[str, float | None]:
    assert all(set(one) == {"name", "value", "unit"} for one in found)
    return {one["name"]: one["value"] for one in found}


def body(seed: int, shape: tuple[int, int] = (12, 9)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A prediction, a truth around 2 m, and a mask of about two thirds."""
    rng = np.random.default_rng(seed)
    truth_m = 2 + 0.3 * rng.standard_normal(shape)
    return truth_m + 0.1 * rng.standard_normal(shape), truth_m, rng.random(shape) < 0.66


def a_rotation(seed: int) -> np.ndarray:
    Q, R = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    Q = Q * np.sign(np.diag(R))
    return Q * np.sign(np.linalg.det(Q))


# depth


def test_true_depth_at_any_offset_scores_full():
    _, truth_m, mask = body(1)
    found = by_name(m.depth_metrics(truth_m - 7.3, truth_m, mask))
    for alignment in m.ALIGNMENTS:
        assert found[f"MAE, {alignment}"] == pytest.approx(0, abs=1e-12)  # cm, from float64
        for bound in ("1.25", "2.5", "5"):
            assert found[f"accuracy at {bound} cm, {alignment}"] == 100
    assert found["pixels with a prediction"] == 100


def test_known_errors_give_known_accuracies_and_mae():
    # Symmetric errors keep the median at 0: of 8 pixels two are wrong by 1.2 cm, two by 1.3, two by 6.
    errors_m = np.array([[0, 0, 0.012, -0.012], [0.013, -0.013, 0.06, -0.06]])
    truth_m, mask = np.full((2, 4), 2.0), np.ones((2, 4), bool)
    found = by_name(m.depth_metrics(truth_m + errors_m, truth_m, mask))
    # 1.2 and 1.3 cm lie on the two sides of 1.25 cm, in one 5 mm bin.
    assert found["accuracy at 1.25 cm, median"] == pytest.approx(50)
    assert found["accuracy at 2.5 cm, median"] == pytest.approx(75)
    assert found["accuracy at 5 cm, median"] == pytest.approx(75)
    assert found["MAE, median"] == pytest.approx(100 * np.abs(errors_m).mean())


def test_best_shift_finds_the_offset_that_medians_miss():
    # Truth with two levels; the prediction is 5 cm off on a minority that holds the truth's median.
    truth_m = np.array([[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0]])
    predicted_m = np.array([[0.0, 0.0, 1.0, 1.05, 2.0, 2.0, 2.0]])
    mask = np.ones((1, 7), bool)
    found = by_name(m.depth_metrics(predicted_m, truth_m, mask))
    assert found["MAE, median"] == pytest.approx(100 * 6 * 0.05 / 7)
    assert found["MAE, median+best shift"] == pytest.approx(100 * 0.05 / 7)
    # the sign: errors of -5 cm need a shift of +5 cm
    assert m.best_shift(np.full(9, -0.05)) == pytest.approx(0.05)


def test_shifts_are_the_released_grid():
    assert len(m.SHIFTS_M) == 160
    assert (m.SHIFTS_M[0], m.SHIFTS_M[-1]) == pytest.approx((-0.20, 0.1975))
    np.testing.assert_allclose(np.diff(m.SHIFTS_M), 0.0025)


@FEW
@given(SEEDS, st.floats(-0.3, 0.3))
def test_best_shift_is_that_of_trying_all(seed, offset_m):
    errors_m = offset_m + 0.05 * np.random.default_rng(seed).standard_normal(31)
    tried = [np.abs(errors_m + shift_m).mean() for shift_m in m.SHIFTS_M]
    assert np.abs(errors_m + m.best_shift(errors_m)).mean() == pytest.approx(min(tried), abs=1e-14)


@FEW
@given(SEEDS)
def test_best_shift_is_never_worse_than_the_median_alone(seed):
    found = by_name(m.depth_metrics(*body(seed)))
    assert found["MAE, median+best shift"] <= found["MAE, median"] + 1e-12


@FEW
@given(SEEDS, st.floats(-3, 3))
def test_offset_and_mirror_change_no_depth_score(seed, offset_m):
    predicted_m, truth_m, mask = body(seed)
    at = m.depth_errors(predicted_m, truth_m, mask, alignment="median")
    moved = m.depth_errors(predicted_m + offset_m, truth_m - 2 * offset_m, mask, alignment="median")
    np.testing.assert_allclose(moved, at, atol=1e-13)
    mirrored = m.depth_errors(-predicted_m, -truth_m, mask, alignment="median")
    np.testing.assert_allclose(mirrored, -at, atol=1e-13)


@FEW
@given(SEEDS)
def test_nothing_outside_the_mask_is_read(seed):
    predicted_m, truth_m, mask = body(seed)
    poisoned = [np.where(mask, one, np.nan) for one in (predicted_m, truth_m)]
    assert m.depth_metrics(*poisoned, mask) == m.depth_metrics(predicted_m, truth_m, mask)


@FEW
@given(SEEDS)
def test_cdf_grows_from_none_and_holds_the_accuracies_exactly(seed):
    predicted_m, truth_m, mask = body(seed)
    for alignment in m.ALIGNMENTS:
        shares = m.error_cdf(m.depth_errors(predicted_m, truth_m, mask, alignment=alignment))
        assert shares[0] == 0 and (np.diff(shares) >= 0).all() and shares[-1] <= 1
        found = by_name(m.depth_metrics(predicted_m, truth_m, mask))
        for bound_m in m.ACCURACY_M:
            (place,) = np.flatnonzero(bound_m == m.CDF_M)  # exactly on the grid
            assert 100 * shares[place] == pytest.approx(
                found[f"accuracy at {100 * bound_m:g} cm, {alignment}"], abs=1e-12
            )


def test_pixel_without_a_prediction_stands_at_the_predictions_median():
    truth_m = np.array([[1.9, 2.0, 2.1]])
    found = by_name(m.depth_metrics(np.array([[np.nan, 0.0, 0.1]]), truth_m, np.ones((1, 3), bool)))
    # the given ones have median 0.05: errors 0 + 0.1, -0.05 - 0, 0.05 - 0.1
    assert found["MAE, median"] == pytest.approx(100 * (0.1 + 0.05 + 0.05) / 3)
    assert found["pixels with a prediction"] == pytest.approx(200 / 3)


def test_flat_prediction_errs_by_the_truths_spread():
    _, truth_m, mask = body(3)
    inside_m = truth_m[mask]
    found = by_name(m.depth_metrics(np.zeros_like(truth_m), truth_m, mask))
    assert found["MAE, median"] == pytest.approx(100 * np.abs(inside_m - np.median(inside_m)).mean())


def test_empty_mask_measures_nothing():
    predicted_m, truth_m, mask = body(0)
    found = by_name(m.depth_metrics(predicted_m, truth_m, np.zeros_like(mask)))
    assert set(found.values()) == {None}


def test_unknown_alignment_and_shapes_are_named():
    predicted_m, truth_m, mask = body(0)
    with pytest.raises(ValueError, match="alignment must be one of .*, is 'mean'"):
        m.depth_errors(predicted_m, truth_m, mask, alignment="mean")
    with pytest.raises(ValueError, match="must share one shape"):
        m.depth_errors(predicted_m[1:], truth_m, mask, alignment="median")


def test_erosion_takes_one_ring_but_not_the_image_border():
    mask = np.zeros((7, 8), bool)
    mask[1:6, :5] = True
    expected = np.zeros_like(mask)
    expected[2:5, :4] = True  # column 0 stays: a person cut off by the border has no outline there
    np.testing.assert_array_equal(m.erode(mask, 1), expected)
    np.testing.assert_array_equal(m.erode(mask, 2), m.erode(m.erode(mask, 1), 1))
    np.testing.assert_array_equal(m.erode(mask, 0), mask)
    diagonal = np.ones((3, 3), bool)
    diagonal[0, 0] = False
    assert m.erode(diagonal, 1)[1, 1], "a cross has no corners"


def test_erosion_is_the_one_of_the_training_targets():
    torch = pytest.importorskip("torch")
    from training.tang_inputs import erode_cross

    mask = np.random.default_rng(0).random((4, 20, 17)) < 0.8
    theirs = erode_cross(torch.from_numpy(mask)).numpy()
    np.testing.assert_array_equal(np.stack([m.erode(one, 1) for one in mask]), theirs)


# normals


def test_turned_normals_err_by_the_angle_they_were_turned():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((5, 6, 3))
    truth /= np.linalg.norm(truth, axis=-1, keepdims=True)
    axis = np.cross(truth, rng.standard_normal((5, 6, 3)))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.radians(np.arange(30).reshape(5, 6))
    turned = truth * np.cos(angle)[..., None] + np.cross(axis, truth) * np.sin(angle)[..., None]
    mask = np.ones((5, 6), bool)
    found = by_name(m.normal_metrics(3.0 * turned, truth, mask))  # length is free
    assert found["normal error, mean"] == pytest.approx(14.5)
    assert found["normal error, median"] == pytest.approx(14.5)
    assert by_name(m.normal_metrics(-truth, truth, mask))["normal error, mean"] == pytest.approx(180)


def test_missing_normal_counts_against_the_prediction_and_missing_truth_does_not_count():
    truth = np.zeros((1, 3, 3))
    truth[0, :2] = [0, 0, -1]
    predicted = np.zeros((1, 3, 3))
    predicted[0, 0] = [0, 0, -1]
    found = by_name(m.normal_metrics(predicted, truth, np.ones((1, 3), bool)))
    assert found["normal error, mean"] == pytest.approx(90)  # 0 and 180 degrees


# parts


def test_parts_have_the_iou_of_their_overlap():
    truth = np.array([[1, 1, 2, 2, 0, 0]])
    predicted = np.array([[1, 1, 1, 2, 0, 2]])
    found = by_name(m.part_metrics(predicted, truth, parts=14))
    assert found["parts, mean IoU"] == pytest.approx(100 * (2 / 3 + 1 / 3) / 2)
    assert found["parts, pixel accuracy"] == pytest.approx(75)
    assert set(by_name(m.part_metrics(truth, truth, parts=14)).values()) == {100}


@FEW
@given(SEEDS)
def test_mean_iou_is_symmetric_and_indifferent_to_the_parts_names(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, (2, 8, 8))
    there = by_name(m.part_metrics(a, b, parts=4))["parts, mean IoU"]
    assert by_name(m.part_metrics(b, a, parts=4))["parts, mean IoU"] == pytest.approx(there)
    names = np.concatenate([[0], 1 + rng.permutation(4)])
    assert by_name(m.part_metrics(names[a], names[b], parts=4))["parts, mean IoU"] == pytest.approx(there)


# joints and bodies


def test_joints_off_by_known_lengths():
    truth_m = np.zeros((4, 3))
    predicted_m = np.array([[0.5, 0, 0], [0.5, 0.1, 0], [0.5, 0, 0.2], [0.5, 0, 0]])
    found = by_name(m.joint_metrics(predicted_m, truth_m, np.ones(4, bool), root=0))
    assert found["MPJPE"] == pytest.approx((0 + 100 + 200 + 0) / 4)
    assert found["PCK at 150 mm"] == pytest.approx(75)


def test_joints_that_are_not_valid_do_not_count_and_no_root_no_figure():
    truth_m = np.random.default_rng(0).standard_normal((5, 3))
    predicted_m = truth_m.copy()
    predicted_m[3] = np.nan
    valid = np.array([True, True, True, False, True])
    assert by_name(m.joint_metrics(predicted_m, truth_m, valid, root=0))["MPJPE"] == pytest.approx(0)
    assert set(by_name(m.joint_metrics(predicted_m, truth_m, valid, root=3)).values()) == {None}


@FEW
@given(SEEDS, st.floats(0.2, 5))
def test_procrustes_undoes_every_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    truth_m = rng.standard_normal((7, 3))
    moved_m = scale * truth_m @ a_rotation(seed).T + rng.standard_normal(3)
    np.testing.assert_allclose(m.procrustes(moved_m, truth_m), truth_m, atol=1e-10)


def test_procrustes_never_mirrors():
    truth_m = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    mirrored = truth_m * [-1, 1, 1]
    apart = np.linalg.norm(m.procrustes(mirrored, truth_m) - truth_m, axis=1)
    assert apart.max() > 0.2  # a reflection would bring it to 0


def test_collapsed_skeleton_is_scored_not_refused():
    truth_m = np.random.default_rng(1).standard_normal((5, 3))
    found = by_name(m.joint_metrics(np.ones((5, 3)), truth_m, np.ones(5, bool), root=0))
    spread_mm = 1000 * np.linalg.norm(truth_m - truth_m.mean(0), axis=1).mean()
    assert found["PA-MPJPE"] == pytest.approx(spread_mm)


@FEW
@given(SEEDS)
def test_procrustes_leaves_no_more_squared_error_than_equal_roots(seed):
    rng = np.random.default_rng(seed)
    truth_m, predicted_m = rng.standard_normal((2, 6, 3))
    rooted = predicted_m - predicted_m[0] + truth_m[0]
    aligned = m.procrustes(predicted_m, truth_m)
    assert np.square(aligned - truth_m).sum() <= np.square(rooted - truth_m).sum() + 1e-12


def test_body_is_moved_by_its_root_joint():
    rng = np.random.default_rng(0)
    vertices_m, joints_m = rng.standard_normal((20, 3)), rng.standard_normal((4, 3))
    shift = np.array([0.3, -0.2, 1.0])
    found = by_name(
        m.body_metrics(
            vertices_m + shift,
            vertices_m,
            predicted_joints_m=joints_m + shift,
            truth_joints_m=joints_m,
            root=1,
        )
    )
    assert list(found) == ["MPJPE", "PA-MPJPE", "PVE", "PA-PVE"]
    assert max(found.values()) == pytest.approx(0, abs=1e-9)
    thicker = vertices_m.copy()
    thicker[:10, 0] += 0.01  # half of the vertices by 10 mm
    found = by_name(
        m.body_metrics(thicker, vertices_m, predicted_joints_m=joints_m, truth_joints_m=joints_m, root=1)
    )
    assert found["PVE"] == pytest.approx(5)


# volumes and flicker


def test_volumes_overlap_as_their_boxes_do():
    a, b = np.zeros((2, 8, 8, 8), bool)
    a[:4, :4, :4], b[2:6, :4, :4] = True, True
    assert by_name(m.volume_metrics(a, b))["volume IoU"] == pytest.approx(100 / 3)
    assert m.volume_metrics(b, a) == m.volume_metrics(a, b)
    assert by_name(m.volume_metrics(a & False, b & False))["volume IoU"] == 100
    assert by_name(m.volume_metrics(a, ~a))["volume IoU"] == 0


def test_steady_error_does_not_flicker_and_a_jump_does():
    errors_m = np.random.default_rng(0).standard_normal((6, 6))
    both = np.ones((6, 6), bool)
    assert m.flicker_mm(errors_m, errors_m, both) == 0
    assert m.flicker_mm(errors_m + 0.003, errors_m, both) == pytest.approx(3)
    assert m.flicker_mm(errors_m, errors_m + 0.003, both) == pytest.approx(3)
    assert m.flicker_mm(errors_m, errors_m, ~both) is None
