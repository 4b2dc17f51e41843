"""Part maps: label orders, sides by name, whole pieces, discs, mirror images."""

import numpy as np
import pytest

from pipeline.bodies.mesh_parts import (
    boundary_edges,
    euler_number,
    face_neighbours,
    is_disc,
    label_pieces,
    smoothed,
    without_islands,
)
from pipeline.bodies.model import Body, default_body
from pipeline.bodies.parts import (
    DENSEPOSE24_NAMES,
    SURREAL24_NAMES,
    TANG14_NAMES,
    densepose24,
    flipped_labels,
    surreal24,
    tang14,
)

MAPS = [(surreal24, SURREAL24_NAMES), (tang14, TANG14_NAMES), (densepose24, DENSEPOSE24_NAMES)]
every_map = pytest.mark.parametrize(("part_map", "names"), MAPS, ids=["surreal24", "tang14", "densepose24"])


@pytest.fixture(scope="module")
def body() -> Body:
    return default_body()


@pytest.fixture(scope="module")
def centres_m(body: Body) -> np.ndarray:
    posed = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3))
    return posed.vertices_m[0][body.faces].mean(axis=1)


def grid(rows: int, columns: int) -> np.ndarray:
    """Faces of a flat grid of squares, each cut in two."""
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, below = corner + 1, corner + columns + 1
    halves = [[corner, below, right], [right, below, below + 1]]
    return np.array(halves).transpose(2, 0, 1).reshape(-1, 3).astype(np.int32)


@every_map
def test_every_part_is_one_piece(body: Body, part_map, names) -> None:
    labels = part_map(body)
    assert labels.shape == (len(body.faces),) and labels.dtype == np.uint8
    pieces = label_pieces(labels, face_neighbours(body.faces))
    assert [len(np.unique(pieces[labels == row + 1])) for row in range(len(names))] == [1] * len(names)
    assert set(np.unique(labels)) == set(range(1, len(names) + 1))


@every_map
def test_left_parts_lie_at_positive_x(body: Body, centres_m, part_map, names) -> None:
    labels = part_map(body)
    for row, name in enumerate(names):
        x = centres_m[labels == row + 1, 0]
        if name.startswith("left_"):
            assert x.mean() > 0.02 and np.median(x) > 0, name
        elif name.startswith("right_"):
            assert x.mean() < -0.02 and np.median(x) < 0, name
        else:
            assert abs(x.mean()) < 0.01, name


@every_map
def test_mirrored_faces_bear_the_partners_label(body: Body, centres_m, part_map, names) -> None:
    from scipy.spatial import cKDTree

    labels = part_map(body)
    apart_m, mirror = cKDTree(centres_m).query(centres_m * [-1, 1, 1])
    flip = flipped_labels(names)
    np.testing.assert_array_equal(flip[flip], np.arange(len(names) + 1))
    # Squares are cut along the same diagonal on both sides here and there: few faces lie off their mirror.
    agrees = labels[mirror] == flip[labels]
    assert agrees[apart_m < 0.001].mean() > 0.99


def test_tangs_labels_group_the_24_segments_as_published(body: Body) -> None:
    published = [2, 12, 9, 2, 13, 10, 2, 14, 11, 2, 14, 11, 2, 2, 2, 1, 6, 3, 7, 4, 8, 5, 8, 5]
    grouped = np.array([0, *published], dtype=np.uint8)[surreal24(body)]
    # Smoothing before or after grouping moves a border by a face or two.
    assert (grouped == tang14(body)).mean() > 0.98


def test_denseposes_numbers_and_flip_are_the_published_ones() -> None:
    published = [1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23]
    assert flipped_labels(DENSEPOSE24_NAMES)[1:].tolist() == published
    ranges = {"torso": (1, 2), "right_hand": (3,), "left_hand": (4,), "left_foot": (5,), "right_foot": (6,)}
    ranges |= {"right_thigh": (7, 9), "left_thigh": (8, 10), "right_shin": (11, 13), "left_shin": (12, 14)}
    ranges |= {"left_upper_arm": (15, 17), "right_upper_arm": (16, 18)}
    ranges |= {"left_forearm": (19, 21), "right_forearm": (20, 22), "right_head": (23,), "left_head": (24,)}
    for name, numbers in ranges.items():
        assert all(DENSEPOSE24_NAMES[number - 1].startswith(name) for number in numbers)


def test_denseposes_24_parts_are_discs(body: Body) -> None:
    labels = densepose24(body)
    assert all(is_disc(body.faces[labels == row + 1]) for row in range(24))


def test_fronts_lie_before_backs_and_outsides_above_insides(body: Body, centres_m) -> None:
    labels = densepose24(body)
    mean_m = {name: centres_m[labels == row + 1].mean(axis=0) for row, name in enumerate(DENSEPOSE24_NAMES)}
    for name, place_m in mean_m.items():
        if name.endswith("_front"):
            assert place_m[2] > mean_m[name.replace("_front", "_back")][2] + 0.03
        if name.endswith("_outside"):
            assert place_m[1] > mean_m[name.replace("_outside", "_inside")][1] + 0.03


def test_parts_do_not_depend_on_who_asked_before(body: Body) -> None:
    labels = tang14(body)
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 7


def test_a_disc_is_told_from_a_ring_a_sphere_and_two_pieces(body: Body) -> None:
    square = grid(4, 4)
    assert is_disc(square) and euler_number(square) == 1
    ring = np.delete(square, [10, 11], axis=0)
    two = np.concatenate([square, ring + 100])  # Euler number 1, as a disc
    touching = np.delete(square, [0, 1, 10, 11], axis=0)  # the hole meets the border in a corner
    assert not any(is_disc(faces) for faces in (ring, two, touching, body.faces))


def test_border_edges_run_around_a_square_once() -> None:
    border = boundary_edges(grid(3, 5))
    assert len(border) == 16
    assert sorted(border[:, 0]) == sorted(border[:, 1])


def test_smoothing_straightens_a_border_of_teeth_and_keeps_a_straight_one() -> None:
    neighbours = face_neighbours(grid(6, 6))
    straight = (np.arange(72) < 36).astype(np.uint8)  # three rows of squares
    np.testing.assert_array_equal(smoothed(straight, neighbours, rounds=6), straight)
    teeth = straight.copy()
    teeth[38:48:2] = 1  # the upper halves of the next row's squares
    for rounds in (6, 7):
        np.testing.assert_array_equal(smoothed(teeth, neighbours, rounds=rounds), straight)


def test_islands_go_to_what_surrounds_them_and_the_mainland_stays() -> None:
    faces = grid(8, 8)
    labels = np.zeros(128, dtype=np.uint8)
    labels[:32], labels[70:73] = 1, 1
    clean = without_islands(labels, face_neighbours(faces))
    np.testing.assert_array_equal(clean, (np.arange(128) < 32).astype(np.uint8))
