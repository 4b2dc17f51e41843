"""A simulated person is a closed surface of human size, the same for the same seed, with folds of cloth."""

import dataclasses

import numpy as np
import pytest
import trimesh

from pipeline.meshes import is_watertight
from pipeline.simulation.colors import linear_from_srgb, person_colors, srgb_from_linear
from pipeline.simulation.figure import draw_person
from pipeline.simulation.folds import fold_height
from pipeline.simulation.person import GRID_M, person_mesh
from pipeline.simulation.regions import REGIONS, region_distances, straighten, surface_distance


def assert_is_a_person(vertices, faces) -> None:
    assert is_watertight(vertices, faces)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    assert surface.body_count == 1
    # positive: normals point outwards; people of this size weigh 40 to 130 kg at about 1 kg per litre
    assert 0.040 < surface.volume < 0.130
    assert vertices[:, 1].min() == 0 and 1.55 <= vertices[:, 1].max() <= 1.90
    assert 40_000 <= len(faces) <= 115_000
    assert (vertices.dtype, faces.dtype) == (np.float64, np.int32)
    # a mesh file keeps float32 positions
    np.testing.assert_array_equal(vertices, vertices.astype(np.float32))


def test_the_surface_is_closed_in_one_piece_and_of_human_size(mesh) -> None:
    assert_is_a_person(*mesh)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 32))
def test_every_draw_is_a_person(seed) -> None:
    assert_is_a_person(*person_mesh(draw_person(np.random.default_rng(seed))))


def test_the_same_seed_gives_the_same_bytes_and_another_another_person(mesh, person) -> None:
    again = person_mesh(draw_person(np.random.default_rng(5)))
    for first, second in zip(mesh, again, strict=True):
        np.testing.assert_array_equal(first, second)
    other = draw_person(np.random.default_rng(6))
    assert other.height_m != person.height_m and other.outfit.period_m != person.outfit.period_m
    assert surface_distance(other, mesh[0][::10]).std() > 0.01


def test_vertices_lie_on_the_zero_of_the_distance(points, person) -> None:
    distance_m = np.abs(surface_distance(person, points))
    # linear interpolation errs by h^2 / 8R: 0.15 mm on a wrist of R = 5 cm; edges of cloth by a part of a step
    assert np.median(distance_m) < 0.15e-3 and np.quantile(distance_m, 0.99) < 0.25 * GRID_M


def test_the_person_stands_upright_and_faces_plus_z(mesh, person) -> None:
    vertices, _ = mesh
    joints = person.joints
    for side, sign in (("left", 1), ("right", -1)):
        assert all(sign * joints[f"{side}_{name}"][0] > 0 for name in ("shoulder", "hip", "wrist", "ankle"))
        assert joints[f"{side}_toe"][2] > joints[f"{side}_ankle"][2] + 0.1
    sole = vertices[vertices[:, 1] < 0.03]
    ankle_z = np.mean([joints[f"{side}_ankle"][2] for side in ("left", "right")])
    assert sole[:, 2].max() - ankle_z > 1.5 * (ankle_z - sole[:, 2].min())
    # flat soles, two of them
    standing = vertices[vertices[:, 1] == 0]
    assert len(standing) > 100 and (standing[:, 0] > 0.03).any() and (standing[:, 0] < -0.03).any()


def test_joints_lie_inside_the_body(person) -> None:
    still = dataclasses.replace(person, sway_m=np.zeros(2))
    deep = {name: surface_distance(still, joint[None])[0] for name, joint in person.joints.items()}
    for name, distance_m in deep.items():
        # the ends of hands and feet lie just under the skin, all others at least a bone's radius deep
        assert distance_m < (0.0 if name.endswith(("fingers", "toe")) else -0.02), name


def test_folds_lift_the_cloth_by_their_height_and_nothing_else(person) -> None:
    bare = dataclasses.replace(person, folds=())
    rng = np.random.default_rng(0)
    box = np.array([[-0.6, 0.0, -0.3], [0.6, person.height_m, 0.3]])
    points = rng.uniform(*box, (40_000, 3))
    points = points[np.abs(surface_distance(bare, points)) < 0.015]
    lift_m = surface_distance(bare, points) - surface_distance(person, points)
    regions = np.sort(region_distances(person, straighten(person, points)), axis=1)
    alone = regions[:, 1] - regions[:, 0] > 0.03  # no other region near
    of = np.argmin(region_distances(person, straighten(person, points)), axis=1)
    cloth = np.isin(of, [REGIONS.index("shirt"), REGIONS.index("trousers")])
    height_m = fold_height(straighten(person, points), person.folds)
    np.testing.assert_allclose(lift_m[alone & cloth], height_m[alone & cloth], atol=1e-12)
    np.testing.assert_array_equal(lift_m[alone & ~cloth], 0)
    assert alone[cloth].sum() > 300 and alone[~cloth].sum() > 100


def test_folds_are_millimetres_high(points, person) -> None:
    height_m = fold_height(straighten(person, points), person.folds)
    # 2 to 6 mm of amplitude each; where families overlap, somewhat more, and less than their cut-off
    assert 0.004 < np.quantile(height_m, 0.999) < 0.010 and height_m.min() > -0.010
    for fold in person.folds:
        assert 0.0018 <= fold.amplitude_m <= 0.0072 and 0.04 <= fold.wavelength_m <= 0.10
        assert np.linalg.norm(fold.across) == pytest.approx(1)


def test_colours_are_those_of_the_regions(points, person) -> None:
    plain = dataclasses.replace(person, outfit=dataclasses.replace(person.outfit, pattern="plain"))
    colors = person_colors(plain, points)
    assert colors.dtype == np.uint8 and colors.shape == points.shape
    np.testing.assert_array_equal(colors, person_colors(plain, points))
    height = points[:, 1] / person.height_m
    bands = {"shirt": (0.62, 0.72), "trousers": (0.30, 0.42), "hair": (0.985, 1.0)}
    trunk = np.abs(points[:, 0]) < 0.12
    for name, (low, high) in bands.items():
        band = linear_from_srgb(colors[trunk & (height > low) & (height < high)])
        # the tone varies by 5 % times a few
        np.testing.assert_allclose(np.median(band, axis=0), person.outfit.colors[name], rtol=0.15, atol=0.01)
    palm = 0.5 * (person.joints["left_wrist"] + person.joints["left_fingers"])
    hand = linear_from_srgb(colors[np.linalg.norm(points - palm, axis=1) < 0.05])
    np.testing.assert_allclose(np.median(hand, axis=0), person.outfit.colors["skin"], rtol=0.15, atol=0.01)


@pytest.mark.parametrize("pattern", ["stripes", "checks", "patches"])
def test_a_pattern_colours_a_part_of_the_shirt_alone(pattern, points, person) -> None:
    looks = {
        name: person_colors(
            dataclasses.replace(person, outfit=dataclasses.replace(person.outfit, pattern=name)), points
        )
        for name in ("plain", pattern)
    }
    changed = (looks["plain"] != looks[pattern]).any(axis=1)
    regions = np.argmin(region_distances(person, straighten(person, points)), axis=1)
    shirt = regions == REGIONS.index("shirt")
    assert not changed[~shirt].any() and 0.1 < changed[shirt].mean() < 0.75


def test_srgb_codes_survive_the_way_to_linear_and_back() -> None:
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(srgb_from_linear(linear_from_srgb(codes)), codes)
    # IEC 61966-2-1: middle grey of 18 % is code 118
    assert srgb_from_linear(np.array([0.18])) == 118
    np.testing.assert_array_equal(srgb_from_linear(np.array([-1.0, 2.0])), [0, 255])
