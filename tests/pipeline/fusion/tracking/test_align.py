from dataclasses import replace

import numpy as np

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.fusion.tracking import TrackFrame, TrackSettings
from pipeline.fusion.tracking.align import Level, align, linearise, misfit
from pipeline.fusion.tracking.maps import half_size, live_maps, with_normals
from pipeline.fusion.tracking.se3 import transform_of, twist_of

SETTINGS = TrackSettings(colour_weight=0.0)
MOVED = transform_of(np.array([0.02, -0.05, 0.03, 0.06, -0.03, 0.05]))
FINE = Level(1, 1, 6.0)


def maps_of(frame, **changes):
    return live_maps(frame, replace(SETTINGS, **changes))


def error_of(found, true):
    away = twist_of(found @ invert_rigid(true))
    return np.linalg.norm(away[:3]), np.linalg.norm(away[3:])


def test_a_known_motion_between_exact_maps_is_found(corner_frame):
    model, live = with_normals(maps_of(corner_frame(np.eye(4)))), maps_of(corner_frame(MOVED))
    found = align(live, model, np.eye(4), SETTINGS)
    turn_rad, shift_m = error_of(found.model_from_live, MOVED)
    # Planes are exact; the sphere's tangent planes at nearest pixels are up to (9 mm)^2 / 2r = 0.1 mm off.
    assert turn_rad < 2e-4 and shift_m < 3e-4
    assert found.fitness > 0.8 and found.residual_m < 2e-4


def test_one_step_leads_to_the_least_distances(corner_frame):
    model, live = with_normals(maps_of(corner_frame(np.eye(4)))), maps_of(corner_frame(MOVED))
    place = transform_of(np.full(6, 1e-3)) @ MOVED
    system = linearise(live, model, place, FINE, SETTINGS)
    step = np.linalg.solve(system.A, system.b)

    def cost(at):  # the median: beside outlines a few pixels meet the wrong surface
        return np.nanmedian(np.abs(misfit(live, model, at, stride_px=1)))

    after = cost(transform_of(step) @ place)
    assert after < 0.1 * cost(place)
    for axis in np.eye(6):
        for sign in (-1, 1):
            assert cost(transform_of(sign * 1e-3 * axis) @ transform_of(step) @ place) > after


def test_the_spread_that_is_claimed_is_the_spread_that_noise_makes(corner_frame):
    model = with_normals(maps_of(corner_frame(np.eye(4))))
    noise_m, errors, claimed = 0.004, [], []
    for seed in range(12):
        live = maps_of(corner_frame(MOVED, frame=seed, noise_m=noise_m))
        found = align(live, model, MOVED, SETTINGS)
        errors.append(twist_of(found.model_from_live @ invert_rigid(MOVED)))
        claimed.append(np.diag(np.linalg.inv(found.information)))
    measured = np.var(errors, axis=0)  # the offset, by the model's own pixels, is no noise
    ratio = np.sqrt(measured.sum() / np.mean(claimed, axis=0).sum())
    assert 0.5 < ratio < 2.0  # 12 draws of 6 axes: a spread is known to some 20 %


def test_what_moved_by_itself_is_left_out(corner_frame):
    still, moved = corner_frame(np.eye(4)), corner_frame(MOVED)
    depth_m = moved.depth_m.copy()
    depth_m[60:150, 100:180] -= 0.3  # a quarter of the view's middle came nearer
    live = maps_of(replace(moved, depth_m=depth_m))
    found = align(live, with_normals(maps_of(still)), np.eye(4), SETTINGS)
    turn_rad, shift_m = error_of(found.model_from_live, MOVED)
    assert turn_rad < 5e-4 and shift_m < 1e-3


def test_directions_that_nothing_holds_stay_at_the_prediction():
    K = np.array([[220.0, 0, 159.5], [0, 220, 119.5], [0, 0, 1]])
    wall = TrackFrame(frame=0, depth_m=np.full((240, 320), 2.0, np.float32), mask=None, rgb=None, K=K)
    start = transform_of(np.array([0, 0, 0, 0.05, 0.02, 0.01]))
    found = align(maps_of(wall), with_normals(maps_of(wall)), start, SETTINGS)
    assert abs(found.model_from_live[2, 3]) < 1e-4  # the wall holds the distance
    np.testing.assert_allclose(found.model_from_live[:2, 3], [0.05, 0.02], atol=2e-3)


def test_the_prediction_pulls_as_strongly_as_it_is_sure(corner_frame):
    live, model = maps_of(corner_frame(MOVED)), with_normals(maps_of(corner_frame(np.eye(4))))
    start = transform_of(np.full(6, 1.5e-3)) @ MOVED
    sigma, level = np.full(6, 3e-5), Level(1, 40, 6.0)  # about as sure as all pixels together
    found = align(live, model, start, SETTINGS, levels=(level,), prior_sigma=sigma).model_from_live
    away = twist_of(start @ invert_rigid(found))
    assert 0.1 * 1.5e-3 < np.abs(away).max() < 0.9 * 1.5e-3
    # Where pixels and prediction pull alike, to the 1e-5 of the offset at which steps end.
    pulls = linearise(live, model, found, level, SETTINGS).b, away / sigma**2
    assert np.linalg.norm(pulls[0] + pulls[1]) < 0.05 * np.linalg.norm(pulls[1])


def textured_wall(shift_m):
    """A plane at 2 m with a smooth pattern, seen by a camera that is moved along it."""
    K = np.array([[220.0, 0, 159.5], [0, 220, 119.5], [0, 0, 1]])
    at = pixel_rays(K, 240, 320) * 2.0 + [*shift_m, 0.0]
    grey = 0.5 + 0.2 * np.sin(9 * at[..., 0]) + 0.2 * np.sin(7 * at[..., 1] + 4 * at[..., 0])
    rgb = np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=2)
    return TrackFrame(frame=0, depth_m=np.full((240, 320), 2.0, np.float32), mask=None, rgb=rgb, K=K)


def test_colour_holds_what_depth_cannot():
    settings = TrackSettings(colour_weight=1.0)
    model, live = (
        with_normals(live_maps(textured_wall((0, 0)), settings)),
        live_maps(textured_wall((0.04, -0.03)), settings),
    )
    found = align(live, model, np.eye(4), settings)
    # A pixel of half size is 18 mm on the wall.
    np.testing.assert_allclose(found.model_from_live[:3, 3], [0.04, -0.03, 0], atol=1e-3)


def test_a_change_of_exposure_moves_nothing():
    settings = TrackSettings(colour_weight=1.0)
    darker = textured_wall((0.04, -0.03))
    darker = replace(darker, rgb=(darker.rgb - 20).astype(np.uint8))
    found = align(
        live_maps(darker, settings),
        with_normals(live_maps(textured_wall((0, 0)), settings)),
        np.eye(4),
        settings,
    )
    np.testing.assert_allclose(found.model_from_live[:3, 3], [0.04, -0.03, 0], atol=2e-3)


def test_nothing_in_common_matches_nothing(corner_frame):
    away = transform_of(np.array([0, np.pi, 0, 0, 0, 0]))
    live, model = maps_of(corner_frame(np.eye(4))), with_normals(maps_of(corner_frame(np.eye(4))))
    found = align(live, model, away, SETTINGS)
    assert found.fitness == 0 and np.isnan(found.residual_m)
    np.testing.assert_allclose(found.model_from_live, away)


def test_misfit_is_positive_behind_the_model_and_nan_beside_it(corner_frame):
    model = with_normals(maps_of(corner_frame(np.eye(4))))
    farther = replace(corner_frame(np.eye(4)), depth_m=corner_frame(np.eye(4)).depth_m + np.float32(0.01))
    found = misfit(maps_of(farther), model, np.eye(4), stride_px=1)
    assert 0 < np.nanmedian(found) <= 0.0101
    aside = transform_of(np.array([0, 0.4, 0, 0, 0, 0]))
    assert np.isnan(misfit(maps_of(farther), model, aside, stride_px=1)).mean() > 0.2


def test_half_size_keeps_rays():
    K, height, width = half_size(np.array([[220.0, 0, 159.5], [0, 221, 119.5], [0, 0, 1]]), 240, 320)
    # The half-size pixel (0, 0) covers the pixels 0 and 1, whose middle is 0.5.
    np.testing.assert_allclose((0 - K[0, 2]) / K[0, 0], (0.5 - 159.5) / 220)
    assert (height, width) == (120, 160)


def test_mixed_pixels_beside_an_outline_are_left_out():
    depth_m = np.full((8, 8), 2.0, np.float32)
    depth_m[:, 3:] = 3.0
    depth_m[2, 6] = 0
    K = np.array([[10.0, 0, 3.5], [0, 10, 3.5], [0, 0, 1]])
    maps = live_maps(TrackFrame(frame=0, depth_m=depth_m, mask=None, rgb=None, K=K), SETTINGS)
    assert (maps.depth_m[:, 1] == 0).all() and maps.depth_m[1, 3] == 0
    assert (maps.depth_m[:, 0] == 2).all() and (maps.depth_m[0, 2:] == 3).all()
