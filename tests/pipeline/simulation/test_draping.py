"""Simulated cloth: it begins where it was made, and is worn outside of what it lies on."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.draping import Hung, fittings, hung_cloth, read_hung, rehearse, write_hung
from pipeline.simulation.dressing import dressed, penetration, smooth_layers
from pipeline.simulation.kinect import RATE_HZ

WALK = {"capture": "c", "subject": "ann", "outfit": "first", "pose": None, "motion": "walk",
        "camera": "still", "cameras": 1, "count": 3, "distance_m": 2.2}  # fmt: skip


@pytest.fixture(scope="module")
def take():
    return draw_take(5, Script(**WALK))


@pytest.fixture(scope="module")
def rehearsal(take):
    return rehearse(take, lead_s=0.2, settle_s=0.1)


def softs(wardrobe):
    return [cover for cover in wardrobe.covers if cover.layer.soft]


def test_a_rehearsal_begins_without_strain(take, rehearsal):
    """Every edge of a garment has its length of the bind pose, but for the smoothing at its creases."""
    stack_m = smooth_layers(take.wardrobe, rehearsal.pose_rad[0], rehearsal.transl_m[0])
    for cover in softs(take.wardrobe):
        edges = cover.layer.sheet.faces[:, :2] + cover.start
        bind_m, found_m = (
            np.linalg.norm(np.diff(places[edges], axis=1)[:, 0], axis=1)
            for places in (take.wardrobe.bind_m, stack_m)
        )
        assert np.median(np.abs(found_m / bind_m - 1)) < 0.02
        later_m = smooth_layers(take.wardrobe, rehearsal.pose_rad[-1], rehearsal.transl_m[-1])
        strained_m = np.linalg.norm(np.diff(later_m[edges], axis=1)[:, 0], axis=1)
        assert np.quantile(np.abs(strained_m / bind_m - 1), 0.99) > np.quantile(
            np.abs(found_m / bind_m - 1), 0.99
        )


def test_a_rehearsal_goes_over_into_the_take_without_a_jump(take, rehearsal):
    first = rehearsal.first
    assert first == round(0.3 * RATE_HZ)
    for step in (first, len(rehearsal.pose_rad) - 1):
        pose_rad, place_m = take.action(rehearsal.begin_s + (step - first) / RATE_HZ)
        np.testing.assert_array_equal(rehearsal.pose_rad[step], pose_rad)
        np.testing.assert_array_equal(rehearsal.transl_m[step], place_m)
    assert rehearsal.begin_s + (len(rehearsal.pose_rad) - 1 - first) / RATE_HZ >= take.times.color_s.max()
    steps_m = np.diff(rehearsal.transl_m, axis=0)[: first + 1]
    np.testing.assert_allclose(steps_m, np.tile(steps_m[0], (first + 1, 1)), atol=1e-12)


def test_a_still_person_is_rehearsed_to_one_step_of_the_film(take):
    still = replace(take, still=True, action=lambda time_s: take.action(take.times.depth_s[0]))
    assert len(rehearse(still, lead_s=0.2, settle_s=0.1).pose_rad) == round(1.2 * RATE_HZ) + 1


def test_garments_are_held_at_belt_collar_and_cuffs_alone(take, rehearsal):
    skin, (bottom, top) = fittings(take.wardrobe, rehearsal)
    assert [bottom.region, top.region] == ["bottom", "top"]
    assert skin.shape == (len(rehearsal.pose_rad), len(take.wardrobe.body.arrays.template_m), 3)
    below, over = softs(take.wardrobe)
    height_m = below.layer.bind_m[:, 1]
    assert height_m[bottom.held == 1].min() > height_m[bottom.held < 1].max()
    collar = over.layer.bind_m[:, 1] > over.layer.bind_m[:, 1].max() - 0.02
    cuffs = (top.held == 1) & ~collar
    assert collar.any() and (top.held[collar] == 1).all() and 0.001 < cuffs.mean() < 0.1
    sleeve_ends_m = take.wardrobe.fine.joints_m[[18, 19]]  # the elbows
    assert np.abs(over.layer.bind_m[cuffs][:, 0]).min() > np.abs(sleeve_ends_m[:, 0]).min() - 0.2
    assert max(bottom.held[bottom.held < 1].max(), top.held[top.held < 1].max()) < 0.5


def test_cloth_that_the_solver_lost_is_brought_back(take, rehearsal):
    skin, (bottom, _) = fittings(take.wardrobe, rehearsal)
    faces = take.wardrobe.body.faces
    cloth = bottom.targets_m.copy()
    cloth[:, 7] += np.float32([0, 0, 5.0])
    away_m, lost = hung_cloth(cloth, bottom, skin, faces)
    assert lost == pytest.approx(1 / cloth.shape[1])
    np.testing.assert_allclose(np.linalg.norm(away_m[:, 7], axis=1), 0.10, rtol=1e-6)
    np.testing.assert_array_equal(away_m[:, 8:], 0)


def test_around_cloth_deep_in_the_skin_the_smooth_layer_takes_over(take, rehearsal):
    skin, (bottom, _) = fittings(take.wardrobe, rehearsal)
    axis_m = bottom.targets_m[:, :, [0, 2]].mean(axis=1)
    knee = np.abs(bottom.targets_m[0, :, 1] - 0.5) < 0.03  # of both legs, drawn 3 cm towards the other
    cloth = bottom.targets_m.copy()
    cloth[:, knee, 0] += 0.03 * np.sign(axis_m[:, :1] - cloth[:, knee, 0])
    away_m, lost = hung_cloth(cloth, bottom, skin, take.wardrobe.body.faces)
    left_m = np.linalg.norm(away_m, axis=-1)
    assert 0 < lost < knee.mean()
    assert (left_m <= np.linalg.norm(cloth - bottom.targets_m, axis=-1) + 1e-7).all()
    assert (left_m[0, knee] < 1e-3).sum() > 50 and (left_m[0, knee] > 0.029).sum() > 50  # outer, inner sides


def test_cloth_between_two_steps_is_halfway_and_stays_at_the_ends(tmp_path):
    away_m = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    write_hung(tmp_path / "a.npz", Hung(away_m=(away_m, 2 * away_m), begin_s=7.0))
    hung = read_hung(tmp_path / "a.npz")
    np.testing.assert_allclose(hung.at(7.0 + 0.5 / RATE_HZ)[1], away_m[0] + away_m[1], rtol=1e-6)
    np.testing.assert_array_equal(hung.at(1.0)[0], away_m[0])
    np.testing.assert_array_equal(hung.at(9.0)[0], away_m[1])
    still = Hung(away_m=(away_m[:1],), begin_s=7.0)
    np.testing.assert_array_equal(still.at(7.01)[0], away_m[0])


def test_cloth_that_hangs_is_worn_where_it_hangs(take, rehearsal):
    pose_rad, place_m = rehearsal.pose_rad[-1], rehearsal.transl_m[-1]
    smooth_m = smooth_layers(take.wardrobe, pose_rad, place_m)
    away_m = [np.full((cover.stop - cover.start, 3), [0, 0, 0.0]) for cover in softs(take.wardrobe)]
    folded = dressed(take.wardrobe, pose_rad, place_m)
    worn = dressed(take.wardrobe, pose_rad, place_m, hanging_m=away_m)
    np.testing.assert_array_equal(worn.faces, folded.faces)
    bottom, top = softs(take.wardrobe)
    here = slice(bottom.start, top.stop)
    assert np.quantile(np.linalg.norm(worn.stack_m - smooth_m, axis=1)[here], 0.9) < 0.001
    assert np.quantile(np.linalg.norm(folded.stack_m - smooth_m, axis=1)[here], 0.5) > 0.001
    # A wide top lifted off by a centimetre, where there is nothing above it, stays there.
    away_m[1] = 0.01 * worn.stack_normals[top.start : top.stop]
    lifted = dressed(take.wardrobe, pose_rad, place_m, hanging_m=away_m)
    moved_m = np.linalg.norm(lifted.stack_m - smooth_m, axis=1)[top.start : top.stop]
    np.testing.assert_allclose(np.median(moved_m), 0.01, atol=2e-4)


@pytest.mark.slow
def test_cloth_that_was_drawn_inside_is_pushed_out_again(take, rehearsal):
    pose_rad, place_m = rehearsal.pose_rad[-1], rehearsal.transl_m[-1]
    still = [np.zeros((cover.stop - cover.start, 3)) for cover in softs(take.wardrobe)]
    normals = dressed(take.wardrobe, pose_rad, place_m, hanging_m=still).stack_normals
    inside = [-0.03 * normals[cover.start : cover.stop] for cover in softs(take.wardrobe)]
    worn = penetration(dressed(take.wardrobe, pose_rad, place_m, hanging_m=inside))
    assert worn["skin"].share < 0.005 and worn["bottom"].share < 0.005
