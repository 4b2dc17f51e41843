"""Points on the crop and on the body beside it: alike in colour, and each on the side that it lies on."""

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.pictures import BACKGROUND
from tasks.report.surface_tiles import correspondence_tile

SIZE_PX = 128
GREY = 77


def sample(face, body="", reason=0):
    count = len(face)
    return {
        "image": np.full((SIZE_PX, SIZE_PX, 3), GREY, np.uint8),
        "surface_points_px": np.linspace([20, 20], [100, 100], count).astype(np.float32),
        "surface_points_part": np.full(count, 5, np.uint8),
        "surface_points_uv": np.full((count, 2), 0.5, np.float32),
        "surface_points_face": np.array(face, np.int32),
        "surface_points_bary": np.full((count, 2), 1 / 3, np.float32),
        "surface_points_reason": np.full(count, reason, np.uint8),
        "surface_points_body": body or default_body().arrays.name,
    }


def coloured(picture):
    """Pixels (H W) that are neither grey nor the dark rim of a dot."""
    return np.ptp(picture.astype(int), axis=-1) > 40


def nearest_face(place):
    """The face of the T-pose body that is nearest to a place, in shares of its box."""
    body = default_body()
    vertices_m = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0]
    low, high = vertices_m.min(axis=0), vertices_m.max(axis=0)
    middles = vertices_m[body.faces].mean(axis=1)
    return int(np.linalg.norm(middles - (low + (high - low) * place), axis=1).argmin())


def test_a_point_has_one_colour_on_the_crop_and_on_the_body():
    tile = correspondence_tile(sample([nearest_face([0.55, 0.75, 1.0])]))
    assert tile.shape == (SIZE_PX, 2 * SIZE_PX, 3)
    crop, body = tile[:, :SIZE_PX], tile[:, SIZE_PX:]
    assert (body[coloured(body)] == crop[20, 20]).all(axis=-1).any()
    assert coloured(crop).any() and not coloured(crop)[40:].any()


def test_left_and_right_front_and_back_stand_where_a_person_faces_the_reader():
    half = SIZE_PX // 2
    for place, side, right in (
        ([0.55, 0.75, 1.0], 0, True),  # the subject's left chest
        ([0.45, 0.75, 1.0], 0, False),
        ([0.55, 0.75, 0.0], 1, False),  # the left shoulder blade, from behind
        ([0.45, 0.75, 0.0], 1, True),
    ):
        tile = correspondence_tile(sample([nearest_face(place)]))[:, SIZE_PX:]
        views = tile[:, :half], tile[:, half:]
        (_, u) = np.nonzero(coloured(views[side]))
        assert len(u) and (u.mean() > (half - 1) / 2) == right
        assert not coloured(views[1 - side]).any()
        assert (views[0][0, 0] == BACKGROUND).all()


def test_points_without_a_place_are_not_drawn_and_another_body_is_not_guessed():
    nothing = correspondence_tile(sample([0, 1, 2], reason=6))
    assert not coloured(nothing).any()
    alone = correspondence_tile(sample([0, 1, 2], body="smpl"))
    assert alone.shape == (SIZE_PX, SIZE_PX, 3) and coloured(alone).any()
