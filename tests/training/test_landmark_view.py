"""What the key-point network sees of a sample: every label goes where the picture goes."""

from functools import cache

import numpy as np
import pytest

from pipeline.bodies.joints import joints_of
from pipeline.bodies.parts import DENSEPOSE24_NAMES, flipped_labels
from pipeline.cameras import invert_rigid, project, transform
from pipeline.simulation.label_view import bare_figure, label_view
from training import landmark_view as views
from training.augment import Augmentation, augment
from training.clutter import draw_clutter, draw_stain
from training.landmark_joints import LANDMARK27
from training.landmark_view import landmark_view
from training.made_targets import UNKNOWN_PART, with_targets

SIZE, SIDE = 64, 128
FIELDS = ("image", "landmark_points", "dense_map")
K = np.array([[150.0, 0, 64.0], [0, 150.0, 64.0], [0, 0, 1]])


@cache
def stored():
    """A lopsided body whose picture tells its own part: red is the label, green and blue U and V."""
    from pipeline.bodies.model import default_body

    pose_rad = np.random.default_rng(3).normal(scale=0.25, size=(24, 3))
    betas, transl_m, world_from_cam = np.array([1.0, -0.5]), np.array([0.0, 1.0, 0.0]), np.eye(4)
    world_from_cam[:3, :3], world_from_cam[:3, 3] = np.diag([1.0, -1, -1]), [0.02, 1.0, 2.8]
    figure = bare_figure(default_body(), pose_rad, betas, transl_m)
    _, labels = label_view(figure, K, world_from_cam, size_px=SIDE)
    image = np.dstack([10 * labels["surface_part"], *np.rint(200 * labels["surface_uv"]).transpose(2, 0, 1)])
    return {
        "image": image.astype(np.uint8),
        "K": K,
        "world_from_cam": world_from_cam,
        "body_pose_rad": pose_rad,
        "body_betas": betas,
        "body_transl_m": transl_m,
        "surface_part": labels["surface_part"],
        "surface_uv": labels["surface_uv"],
    }


def sample():
    return with_targets(stored(), FIELDS)


def undisturbed(monkeypatch):
    """Only the drawn square is left of what training draws."""
    for name in ("EMPTY", "BESIDE", "BORDERED", "HIDDEN", "GREY", "BLURRED", "NOISY", "PACKED"):
        monkeypatch.setattr(views, name, 0.0)
    monkeypatch.setattr(views, "_photographed", lambda rng, image: image)
    monkeypatch.setattr(views, "_draw_canvas", lambda rng, size_px: np.zeros((size_px, size_px, 3), np.uint8))


def test_joints_of_the_body_are_those_of_all_its_vertices():
    from pipeline.bodies.model import default_body

    body, known = default_body(), stored()
    posed = body.posed(known["body_pose_rad"][None], known["body_betas"], known["body_transl_m"])
    joints_m = joints_of(body, posed, LANDMARK27)[0]
    pixels = project(transform(invert_rigid(known["world_from_cam"]), joints_m), K)
    made = sample()["landmark_points"]
    np.testing.assert_allclose(made[:, :2], pixels, atol=1e-3)
    assert (made[:, 2] == 1).all()


def test_plain_views_keep_every_label_at_its_place():
    seen = landmark_view(sample(), None, size_px=SIZE)
    assert seen["image"].shape == (SIZE, SIZE, 3) and seen["dense_map"].shape == (16, 16, 3)
    half = (sample()["landmark_points"][:, :2] + 0.5) / 2 - 0.5
    np.testing.assert_allclose(seen["landmark_points"][:, :2], half, atol=1e-4)
    # Cell (r, c) is centred on pixel (4 r + 1.5) of 64, between the pixels 8 r + 3 and 8 r + 4 of 128.
    corners = [stored()["surface_part"][3 + a :: 8, 3 + b :: 8] for a in (0, 1) for b in (0, 1)]
    assert np.any([seen["dense_map"][..., 0] == corner for corner in corners], axis=0).all()


def test_labels_follow_the_picture_through_every_drawn_square(monkeypatch):
    undisturbed(monkeypatch)
    whole = sample()
    agree = []
    for seed in range(12):
        seen = landmark_view(whole, np.random.default_rng(seed), size_px=4 * SIZE)
        part = seen["dense_map"][..., 0]
        near = seen["image"][1::4, 1::4, 0] / 10  # the cell's middle lies between four pixels
        inner = part > 0
        for axis in (0, 1):
            for step in (-1, 1):
                inner &= np.roll(part, step, axis) == part  # beside a border colours mix
        agree.append(np.abs(near[inner] - part[inner]) < 0.6)
    assert np.concatenate(agree).mean() > 0.97 and len(np.concatenate(agree)) > 100


def test_joints_follow_the_picture_through_every_drawn_square(monkeypatch):
    undisturbed(monkeypatch)
    whole = sample()
    pelvis = LANDMARK27.names.index("pelvis")
    whole["image"] = np.zeros_like(whole["image"])
    u, v = np.rint(whole["landmark_points"][pelvis, :2]).astype(int)
    whole["image"][v - 2 : v + 3, u - 2 : u + 3] = 255
    whole["dense_map"] = np.full_like(whole["dense_map"], UNKNOWN_PART)  # so that all of the picture is shown
    checked = 0
    for seed in range(8):
        seen = landmark_view(whole, np.random.default_rng(seed), size_px=2 * SIZE)
        place = seen["landmark_points"][pelvis, :2]
        if (place > 8).all() and (place < 2 * SIZE - 9).all():
            bright = np.argwhere(seen["image"].min(axis=2) > 120)
            assert np.linalg.norm(bright.mean(axis=0)[::-1] - place) < 1.5  # the square lies on whole pixels
            checked += 1
    assert checked >= 4


def test_mirrored_samples_show_mirrored_labels_and_swapped_joints():
    flipped = augment(stored(), Augmentation(flip=1.0, gain=(1.0, 1.0)), seed=0, epoch=0, index=0)
    plain, turned = (
        landmark_view(with_targets(each, FIELDS), None, size_px=SIZE) for each in (stored(), flipped)
    )
    # The face's two sides are mirror images to some micrometres alone.
    swapped = plain["landmark_points"][list(LANDMARK27.flip)]
    np.testing.assert_allclose(turned["landmark_points"][:, 0], SIZE - 1 - swapped[:, 0], atol=5e-3)
    np.testing.assert_allclose(turned["landmark_points"][:, 1], swapped[:, 1], atol=5e-3)
    partners = flipped_labels(DENSEPOSE24_NAMES)
    wanted = partners[plain["dense_map"][:, ::-1, 0].astype(int)]
    # Cells lie between pixels, and the nearest one is on the other side in a mirror.
    assert (turned["dense_map"][..., 0] == wanted).mean() > 0.9


def test_draws_follow_from_the_generator_alone():
    one, two = (landmark_view(sample(), np.random.default_rng(5), size_px=SIZE) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    other = landmark_view(sample(), np.random.default_rng(6), size_px=SIZE)
    assert not np.array_equal(one["image"], other["image"])


def test_pictures_of_nobody_know_all_joints_to_be_nowhere(monkeypatch):
    monkeypatch.setattr(views, "EMPTY", 1.0)
    seen = landmark_view(sample(), np.random.default_rng(0), size_px=SIZE)
    assert not seen["person"] and not seen["dense_map"].any()
    assert (seen["landmark_points"][:, 2] == 1).all() and (seen["landmark_points"][:, :2] < 0).all()


def test_somebody_beside_is_in_the_surface_map_but_not_among_the_joints(monkeypatch):
    undisturbed(monkeypatch)
    alone = landmark_view(sample(), np.random.default_rng(1), size_px=SIZE)
    monkeypatch.setattr(views, "BESIDE", 1.0)
    together = landmark_view(sample(), np.random.default_rng(1), size_px=SIZE)
    assert np.count_nonzero(together["dense_map"][..., 0]) > np.count_nonzero(alone["dense_map"][..., 0])
    np.testing.assert_array_equal(together["landmark_points"], alone["landmark_points"])


def test_what_is_hidden_is_no_body_and_keeps_its_joints(monkeypatch):
    undisturbed(monkeypatch)
    monkeypatch.setattr(views, "draw_stain", lambda rng, size_px: np.ones((size_px, size_px), bool))
    monkeypatch.setattr(views, "HIDDEN", 1.0)
    seen = landmark_view(sample(), np.random.default_rng(2), size_px=SIZE)
    assert not seen["dense_map"].any() and (seen["landmark_points"][:, 2] == 1).all()


def test_a_picture_may_end_on_each_side_and_nobody_is_beyond(monkeypatch):
    undisturbed(monkeypatch)
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    monkeypatch.setattr(views, "_draw_canvas", lambda rng, size_px: white.copy())
    monkeypatch.setattr(views, "BORDERED", 1.0)
    ends = set()
    for seed in range(16):
        seen = landmark_view(sample(), np.random.default_rng(seed), size_px=SIZE)
        dark = ~seen["image"].any(axis=2)
        sides = [dark[:4].all(), dark[-4:].all(), dark[:, :4].all(), dark[:, -4:].all()]
        assert sum(sides) == 1
        ends.add(sides.index(True))
        beyond = dark.reshape(16, 4, 16, 4).all(axis=(1, 3))
        assert not seen["dense_map"][beyond].any()
    assert ends == {0, 1, 2, 3}


def test_annotated_pictures_bring_known_joints_and_no_surface():
    px = np.arange(34, dtype=np.float32).reshape(17, 2)
    sure = np.ones(17, np.float32)
    sure[0] = 0
    fields = {
        "image": np.zeros((32, 32, 3), np.uint8),
        "joints_coco17_px": px,
        "joints_coco17_confidence": sure,
    }
    made = with_targets(fields, FIELDS)
    known = made["landmark_points"][:, 2] > 0
    assert known.sum() == 16 and not known[LANDMARK27.names.index("nose")]
    np.testing.assert_array_equal(made["landmark_points"][LANDMARK27.names.index("left_eye"), :2], px[1])
    assert (made["dense_map"][..., 0] == UNKNOWN_PART).all()
    seen = landmark_view(made, np.random.default_rng(0), size_px=SIZE)
    assert set(np.unique(seen["dense_map"][..., 0])) <= {0, UNKNOWN_PART}


@pytest.mark.parametrize("size_px", [32, 160])
def test_clutter_has_the_size_and_differs(size_px):
    one, two = (draw_clutter(np.random.default_rng(seed), size_px) for seed in (0, 1))
    assert one.shape == (size_px, size_px, 3) and one.dtype == np.uint8
    assert one.std() > 5 and not np.array_equal(one, two)
    stains = [draw_stain(np.random.default_rng(seed), size_px).mean() for seed in range(40)]
    assert 0.02 < np.mean(stains) < 0.35 and max(stains) < 0.9
