"""Cutting surfaces: areas, places on the source and borders are kept exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation.cutting import Sheet, border, clip, compacted, halve_edges, whole, without_slivers


def _patch(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A flat square of side 1, cut into triangles; normals along +z."""
    x, y = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, count), indexing="ij")
    rows = np.arange(count * count).reshape(count, count)
    a, b, c, d = (part.ravel() for part in (rows[:-1, :-1], rows[1:, :-1], rows[1:, 1:], rows[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return np.stack([x.ravel(), y.ravel(), np.zeros(count * count)], axis=1), faces


def _areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = points[faces]
    return 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]


def _from_source(sheet: Sheet, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.einsum("fck,fki->fci", sheet.bary, points[faces[sheet.source]])


@given(longest_m=st.floats(0.05, 0.4))
def test_halving_keeps_the_area_opens_no_crack_and_knows_every_place(longest_m: float) -> None:
    points, faces = _patch()
    some = np.arange(len(faces)) % 3 == 0
    sheet, new = halve_edges(whole(faces), points, longest_m=longest_m, where=some)
    finer = new.extend(points)
    assert (_areas(finer, sheet.faces) > 0).all()
    assert np.isclose(_areas(finer, sheet.faces).sum(), 1.0)
    np.testing.assert_allclose(_from_source(sheet, points, faces), finer[sheet.faces], atol=1e-12)
    ends = finer[border(sheet.faces)[0]]
    # What is not on the square's own border is no border: a crack would show here.
    assert ((np.abs(ends - 0.5)[..., :2].max(axis=2)) > 0.5 - 1e-9).all()


@given(angle=st.floats(0, 6.28), shift=st.floats(-0.4, 0.4))
def test_a_straight_cut_keeps_the_part_of_the_square_on_its_side(angle: float, shift: float) -> None:
    points, faces = _patch()
    axis = np.array([np.cos(angle), np.sin(angle), 0.0])
    level = (points - 0.5 * np.array([1, 1, 0])) @ axis + shift + 1e-6
    sheet, new = clip(whole(faces), level)
    cut, levels = new.extend(points), new.extend(level)
    assert (levels[sheet.faces] > -1e-12).all()
    areas = _areas(cut, sheet.faces)
    assert (areas > -1e-15).all()
    other, more = clip(whole(faces), -level)
    assert np.isclose(areas.sum() + _areas(more.extend(points), other.faces).sum(), 1.0)
    np.testing.assert_allclose(_from_source(sheet, points, faces), cut[sheet.faces], atol=1e-12)


def test_a_cut_runs_exactly_where_the_level_is_zero() -> None:
    points, faces = _patch()
    sheet, new = clip(whole(faces), 0.43 - points[:, 1])
    cut = new.extend(points)
    ends = cut[border(sheet.faces)[0]]
    inner = (np.abs(ends[..., :2] - 0.5).max(axis=2) < 0.5 - 1e-9).any(axis=1)
    assert inner.any()
    np.testing.assert_allclose(ends[inner][..., 1], 0.43, atol=1e-12)


def test_slivers_go_and_the_cut_stays() -> None:
    points, faces = _patch()
    level = 0.403 - points[:, 1]  # 3 mm beyond a row of vertices
    sheet, new = clip(whole(faces), level)
    cut = new.extend(points)
    clean = without_slivers(sheet, cut, shortest_m=0.01)
    edges = cut[clean.faces] - cut[np.roll(clean.faces, 1, axis=1)]
    assert np.linalg.norm(edges, axis=2).min() >= 0.01
    assert np.linalg.norm(cut[sheet.faces] - cut[np.roll(sheet.faces, 1, axis=1)], axis=2).min() < 0.01
    assert (_areas(cut, clean.faces) > 0).all()
    # Two corners may be trimmed, each by one face of 0.2 x 0.203 / 2.
    assert abs(_areas(cut, clean.faces).sum() - 0.403) < 0.0407


def test_compacting_renumbers_and_nothing_else() -> None:
    points, faces = _patch()
    few, used = compacted(faces[5:9], len(points))
    np.testing.assert_array_equal(points[used][few], points[faces[5:9]])
    assert len(used) == few.max() + 1
