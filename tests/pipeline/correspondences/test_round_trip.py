"""Rendered people through 8-bit charts and back to the surface."""

import numpy as np
import pytest

from pipeline.correspondences.charts import OURS
from pipeline.correspondences.scores import geodesic_errors_m, person_similarity
from pipeline.correspondences.surface_points import surface_places
from pipeline.labels import body_places
from pipeline.seeds import stream
from pipeline.simulation.dressing import dress, dressed
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.label_view import dressed_figure, label_view
from pipeline.simulation.outfit import draw_outfit
from renderers.raycast import RaycastScene
from renderers.views import View

SIZE_PX = 256
K = np.array([[330.0, 0, 127.5], [0, 330.0, 127.5], [0, 0, 1]])


@pytest.mark.parametrize("number", [0, 1])
def test_every_pixel_of_a_rendered_person_comes_back_through_8_bit_charts(number, people, charts, surface):
    person = people[number]
    mask = person.mask
    assert mask.sum() > 5000
    found = surface_places(charts, person.part, person.from_8_bit(), parametrisation=OURS)
    assert not found.reason[mask].any() and (found.reason[~mask] == 1).all()
    back, _ = charts.atlas.at(found.face, found.bary)
    np.testing.assert_array_equal(back, person.part)
    truth = person.face[mask], person.bary[mask]
    error_m = geodesic_errors_m(surface, truth, (found.face[mask], found.bary[mask]))
    # A step of 1/255 of a chart of up to 0.6 m is 2.4 mm; fractions are cut off, so half of it is the bias.
    assert np.median(error_m) < 0.002 and np.quantile(error_m, 0.99) < 0.006 and error_m.max() < 0.03
    # Vertices are about 12 mm apart: half of that, and what a chart stretches.
    first = surface.face_list[surface.face_starts[found.vertex[mask]]]
    corner = (surface.faces[first][:, 1:] == found.vertex[mask][:, None]).astype(float)
    to_vertex_m = geodesic_errors_m(surface, truth, (first, corner))
    assert np.median(to_vertex_m) < 0.010 and np.median(to_vertex_m) > 2 * np.median(error_m)
    assert person_similarity(error_m) > 0.999


def test_cutting_off_one_bit_more_is_seen_in_the_error(people, charts, surface):
    person = people[0]
    mask = person.mask
    errors_m = []
    for steps in (255, 127):
        uv = np.floor(person.uv * steps) / steps
        found = surface_places(charts, person.part, uv, parametrisation=OURS)
        errors_m.append(
            np.median(
                geodesic_errors_m(
                    surface, (person.face[mask], person.bary[mask]), (found.face[mask], found.bary[mask])
                )
            )
        )
    assert 1.8 < errors_m[1] / errors_m[0] < 2.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_charts_of_dressed_people_name_the_part_and_place_that_ray_casting_finds(seed, body, charts, surface):
    rng = stream(seed, "test", "correspondences")
    wardrobe = dress(draw_identity(rng), draw_outfit(rng))
    person = dressed(wardrobe, rng.normal(0, 0.15, (24, 3)), np.zeros(3))
    world_from_cam = np.diag([1.0, -1, -1, 1])
    world_from_cam[:3, 3] = [0, -0.2, 2.6]
    _, labels = label_view(dressed_figure(person), K, world_from_cam, size_px=SIZE_PX)
    scene = RaycastScene(person.vertices_m.astype(np.float64), person.faces, threads=1)
    hit = scene.visibility(View(frame=0, K=K, world_from_cam=world_from_cam), height=SIZE_PX, width=SIZE_PX)
    face, bary = body_places(hit.face_index, hit.bary, body_face=person.body_face, body_bary=person.body_bary)
    true_part, _ = charts.atlas.at(face, bary)
    uv = np.floor(labels["surface_uv"] * 255).astype(np.uint8) / np.float32(255)
    found = surface_places(charts, labels["surface_part"], uv, parametrisation=OURS)
    on = face >= 0
    right = labels["surface_part"][on] == true_part[on]
    assert right.mean() > 0.99
    error_m = geodesic_errors_m(surface, (face[on], bary[on]), (found.face[on], found.bary[on]))
    assert np.median(error_m) < 0.003
