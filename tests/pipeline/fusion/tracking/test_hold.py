"""Cameras that nothing holds in some direction are told from those that corners or patterns hold."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.fusion.tracking import TrackFrame, TrackSettings
from pipeline.fusion.tracking.hold import LEAST_RISE, SLIDE_M, slide_rise
from pipeline.fusion.tracking.maps import live_maps, with_normals
from pipeline.fusion.tracking.se3 import transform_of
from pipeline.fusion.tracking.track import track

K = np.array([[220.0, 0, 159.5], [0, 220, 119.5], [0, 0, 1]])
SETTINGS = TrackSettings(tracked="room", voxel_m=0.01, trunc_m=0.03)
ASIDE = transform_of(np.linspace(0, 1, 6)[:, None] * [0, 0, 0, 0.3, 0, 0.1])


def walls(world_from_cam, *, frame=0, noise_m=0.0, pattern=False):
    """Floor and back wall: their edge runs along x, and so may the camera."""
    rays, centre = pixel_rays(K, 240, 320) @ world_from_cam[:3, :3].T, world_from_cam[:3, 3]
    with np.errstate(divide="ignore"):
        floor_m, back_m = (1.0 - centre[1]) / rays[..., 1], (2.4 - centre[2]) / rays[..., 2]
    depth_m = np.where(floor_m > 0, np.minimum(floor_m, back_m), back_m)
    at = rays * depth_m[..., None] + centre
    grey = np.rint(128 + 25 * np.sin(9 * at[..., 0]) + 25 * np.sin(7 * at[..., 1])).astype(np.uint8)
    depth_m = depth_m + noise_m * np.random.default_rng(frame).normal(size=depth_m.shape)
    rgb = np.repeat(grey[..., None], 3, axis=2) if pattern else None
    return TrackFrame(frame=frame, depth_m=depth_m.astype(np.float32), mask=None, rgb=rgb, K=K)


def rise(earlier, later, place):
    model, live = with_normals(live_maps(earlier, SETTINGS)), live_maps(later, SETTINGS)
    return slide_rise(live, model, place, SETTINGS)


@pytest.mark.parametrize("noise_m", [0.0, 0.003])
def test_a_camera_before_two_walls_slides_and_is_said_to(noise_m):
    frames = [walls(pose, frame=row, noise_m=noise_m) for row, pose in enumerate(ASIDE)]
    found = track(frames, SETTINGS)
    # What makes this bad: every frame is found, close to the model.
    assert found.found.all() and max(record.residual_m for record in found.records[1:]) < 0.004
    assert [finding.reason for finding in found.findings] == ["tracking-slides"]
    assert found.findings[0].drops and found.findings[0].value > found.findings[0].limit


def test_a_camera_in_a_corner_is_held(corner_frame):
    frames = [corner_frame(pose, frame=row, noise_m=0.003) for row, pose in enumerate(ASIDE)]
    assert track(frames, SETTINGS).findings == ()
    place = invert_rigid(ASIDE[0]) @ ASIDE[1]
    # A third of the pixels see the side wall, which a slide along the others moves by 40 mm: beyond the gate.
    assert rise(frames[0], frames[1], place) > 30 * LEAST_RISE


def test_a_pattern_on_the_walls_holds_what_their_planes_do_not():
    place = invert_rigid(ASIDE[0]) @ ASIDE[1]
    plain, patterned = (
        [walls(pose, frame=row, noise_m=0.003, pattern=pattern) for row, pose in enumerate(ASIDE[:2])]
        for pattern in (False, True)
    )
    assert rise(*plain, place) < LEAST_RISE < rise(*patterned, place)
    darker = replace(patterned[1], rgb=patterned[1].rgb - np.uint8(20))
    assert rise(patterned[0], darker, place) > LEAST_RISE
    assert SLIDE_M * K[0, 0] / 2.4 / 2 > 1.5  # px of half size: as the measure asks
