"""Lit renders against closed forms, and what each pixel sees against Embree."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.simulation.color_space import linear_from_srgb
from renderers.backgrounds import Background
from renderers.color import SHOULDER, Shot, develop, metered_gain, render_color
from renderers.looks import Ground, Lamp, Look, draw_look, draw_view
from renderers.proof import icosphere
from renderers.raycast import RaycastScene
from renderers.views import View

SIZE = 160
K = np.array([[150.0, 0, 79.5], [0, 150, 79.5], [0, 0, 1]])
FRONT = np.diag([1.0, -1.0, -1.0, 1.0]) + 1.2 * np.outer([0, 0, 1, 0], [0, 0, 0, 1])  # from +Z, upright
BLACK = Background(kind="plain", colors=np.zeros((3, 3), dtype=np.float32))
ALBEDO = np.array([0.6, 0.4, 0.2])


def sun(direction, irradiance):
    unit = np.asarray(direction, dtype=float) / np.linalg.norm(direction)
    return Lamp(kind="sun", direction=unit, irradiance=np.full(3, irradiance), size=1e-3)


BARE = Look(
    lamps=(sun([0.8, 0.5, 0.35], 2.0),),
    sky=np.zeros((3, 3)),
    roughness=1.0,
    specular=0.0,
    ground=None,
    background=BLACK,
    exposure_ev=0.0,
)


def ball_shot(look):
    directions, faces = icosphere(4)
    view = View(frame=1, K=K, world_from_cam=FRONT)
    vertices = 0.4 * directions + [0, 0, 0]
    return Shot(
        vertices=vertices, faces=faces, colors=np.tile(ALBEDO, (len(vertices), 1)), view=view, look=look
    )


def card_shot(lamp):
    """A square that faces the camera: a face without area, a red and a green one, painted by corners."""
    corners = 0.3 * np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    faces = np.array([[0, 0, 1], [0, 1, 2], [0, 2, 3]], dtype=np.int32)
    paint = np.repeat(np.array([[0, 0, 1.0], [0.8, 0, 0], [0, 0.8, 0]])[:, None], 3, axis=1)
    view = View(frame=2, K=K, world_from_cam=FRONT)
    return Shot(vertices=corners, faces=faces, colors=paint, view=view, look=replace(BARE, lamps=(lamp,)))


def body_shots():
    body = default_body()
    rng = np.random.default_rng(3)
    pose_rad = rng.normal(0, 0.2, (1, 24, 3))
    vertices = body.posed(pose_rad, np.zeros(3), np.array([40.0, -7, 25])).vertices_m[0].astype(np.float64)
    colors = 0.5 + 0.4 * np.sin(9 * vertices)
    for frame in (5, 6):
        view = draw_view(rng, vertices, frame=frame, height=SIZE, width=SIZE)
        yield Shot(vertices=vertices, faces=body.faces, colors=colors, view=view, look=draw_look(rng))


def all_shots():
    disc = Lamp(
        kind="disc", direction=np.array([0, 0, 1.0]), irradiance=np.full(3, 2.0), size=1.0, distance_m=3.0
    )
    black = replace(BARE, lamps=())
    ground = Ground(colors=np.full((2, 3), 0.5), pattern="plain", pattern_m=1.0, half_side_m=2.0)
    return {
        "ball": ball_shot(BARE),
        "brighter ball": ball_shot(replace(BARE, exposure_ev=0.7)),
        "ball on the ground": ball_shot(replace(BARE, ground=ground)),
        "ball in the dark": ball_shot(black),
        "ball under a sky": ball_shot(replace(black, sky=np.array([[0.0] * 3, [0.5] * 3, [1.0] * 3]))),
        "card in the sun": card_shot(sun([0, 0, 1], 2.0)),
        "card under a disc": card_shot(disc),
        **dict(zip(("body", "second body"), body_shots(), strict=True)),
    }


@pytest.fixture(scope="module")
def shots():
    return all_shots()


@pytest.fixture(scope="module")
def rendered(shots):
    images = render_color(shots.values(), height=SIZE, width=SIZE, threads=2)
    return dict(zip(shots, images, strict=True))


def test_what_each_pixel_sees_is_what_embree_sees(rendered, shots, raycast_view):
    for name in ("body", "second body"):
        image, shot = rendered[name], shots[name]
        scene = RaycastScene(shot.vertices, shot.faces, threads=1)
        twin = scene.visibility(shot.view, height=SIZE, width=SIZE)
        seen, mask = image.seen, image.seen.face_index >= 0
        assert np.count_nonzero(mask) > 1500
        # As for bare depth: a sample may lie 0.002 px beside the centre, so a rim pixel or two see past it,
        # and of faces a few pixels across some have their border within that.
        assert np.count_nonzero(mask ^ (twin.face_index >= 0)) <= 4
        both = mask & (twin.face_index >= 0)
        assert np.mean(seen.face_index[both] != twin.face_index[both]) < 0.005
        off_m = np.abs(seen.depth_m - twin.depth_m)[both]
        assert np.median(off_m) < 1e-5 and np.percentile(off_m, 99) < 1e-4
        normal = raycast_view(shot.vertices, shot.faces, shot.view, height=SIZE, width=SIZE).normal
        angle_deg = np.degrees(np.linalg.norm(image.normal - normal, axis=2)[both])
        assert np.median(angle_deg) < 0.01 and np.percentile(angle_deg, 99.5) < 0.2
        same = both & (seen.face_index == twin.face_index)
        # Weights change by 1 across a face: 0.002 px of the smallest seen, a third of a pixel, are 0.006.
        assert np.percentile(np.abs(seen.bary - twin.bary)[same], 99) < 0.02


def test_weights_and_depth_name_the_same_point(rendered, shots):
    image, shot = rendered["body"], shots["body"]
    mask = image.seen.face_index >= 0
    u, v = image.seen.bary[mask].T.astype(np.float64)
    corners = shot.vertices[shot.faces[image.seen.face_index[mask]]]
    points = np.einsum("nc,ncj->nj", np.stack([1 - u - v, u, v], axis=1), corners)
    points_cam = transform(invert_rigid(shot.view.world_from_cam), points)
    seen = (pixel_rays(shot.view.K, SIZE, SIZE) * image.seen.depth_m[..., None])[mask]
    # float32 weights and depth of a body some 3 m away
    assert np.percentile(np.linalg.norm(points_cam - seen, axis=1), 99) < 1e-4


def test_labels_and_normals_keep_their_contract(rendered):
    for image in rendered.values():
        assert (image.rgb.dtype, image.normal.dtype) == (np.uint8, np.float32)
        assert (image.seen.face_index.dtype, image.seen.depth_m.dtype) == (np.int32, np.float32)
        mask = image.seen.face_index >= 0
        np.testing.assert_array_equal(mask, image.seen.depth_m > 0)
        assert not image.normal[~mask].any() and not image.seen.bary[~mask].any()
        np.testing.assert_allclose(np.linalg.norm(image.normal[mask], axis=1), 1, atol=1e-6)


def test_a_matt_ball_under_one_sun_follows_the_cosine(rendered, shots):
    image, look = rendered["ball"], shots["ball"].look
    lamp = look.lamps[0]
    normals = image.normal.astype(np.float64) @ FRONT[:3, :3].T
    cosine = normals @ lamp.direction
    gain = metered_gain(look, shots["ball"].view)
    expected = gain / np.pi * lamp.irradiance * ALBEDO * np.maximum(cosine, 0)[..., None]
    linear = linear_from_srgb(image.rgb)
    inside = binary_erosion(image.seen.face_index >= 0, iterations=3)
    lit = inside & (cosine > 0.15)
    # Half a code value is 0.004 of white; facets of 3 degrees lie that far beside the smooth normal at
    # the border of light alone.
    assert np.count_nonzero(lit) > 3000 and expected[lit].max() > 0.4
    np.testing.assert_allclose(linear[lit], expected[lit], atol=0.008)
    assert linear[inside & (cosine < -0.1)].max() == 0


def test_where_there_is_no_light_and_no_subject_it_is_black(rendered):
    image = rendered["ball"]
    around = binary_dilation(image.seen.face_index >= 0, iterations=3)  # the filter's width
    assert not image.rgb[~around].any()
    assert not rendered["ball in the dark"].rgb.any()


def test_more_exposure_is_brighter_everywhere(rendered):
    less, more = (rendered[name].rgb.astype(int) for name in ("ball", "brighter ball"))
    assert (more >= less).all() and (more > less)[less > 5].all()


def test_a_matt_ball_under_a_sky_follows_its_closed_form(rendered, shots):
    # A sky of radiance (1 + y) / 2 sends pi (1 / 2 + n_y / 3) to a surface of normal n that sees no other.
    image, shot = rendered["ball under a sky"], shots["ball under a sky"]
    up = (image.normal.astype(np.float64) @ FRONT[:3, :3].T)[..., 1]
    expected = metered_gain(shot.look, shot.view) * ALBEDO * (0.5 + up / 3)[..., None]
    inside = binary_erosion(image.seen.face_index >= 0, iterations=3) & (expected[..., 0] < SHOULDER)
    off = (linear_from_srgb(image.rgb) - expected)[inside]
    top, bottom = up[inside] > 0.5, up[inside] < -0.5
    # 24 samples of a sky leave some 5 % of grain, which some thousand pixels average out.
    assert abs(off[top].mean()) < 0.005 and abs(off[bottom].mean()) < 0.005
    assert np.abs(off).mean() < 0.05


def test_the_ground_carries_the_ball_and_its_shadow_but_no_label(rendered):
    image, bare = rendered["ball on the ground"], rendered["ball"]
    np.testing.assert_array_equal(image.seen.face_index, bare.seen.face_index)
    ground = linear_from_srgb(image.rgb)[115:].max(axis=2)[image.seen.face_index[115:] < 0]
    # In the hard shadow is what the ball and the lit ground around throw there, and no sun.
    assert np.percentile(ground, 2) < 0.3 * np.percentile(ground, 50) < 0.3
    assert not image.rgb[:20].any()


def test_a_disc_and_a_sun_of_one_irradiance_give_one_brightness(rendered):
    patch = (slice(70, 90), slice(70, 90))
    by_sun, by_disc = (
        linear_from_srgb(rendered[f"card {name}"].rgb[patch]) for name in ("in the sun", "under a disc")
    )
    assert by_sun.mean() > 0.1
    # the disc's light falls off by 1 % towards the patch's rim; 24 samples leave some grain
    np.testing.assert_allclose(by_disc.mean(axis=(0, 1)), by_sun.mean(axis=(0, 1)), rtol=0.03)


def test_each_face_shows_its_own_paint_and_its_own_row(rendered):
    image = rendered["card in the sun"]
    rows = image.seen.face_index
    assert set(np.unique(rows)) == {-1, 1, 2}
    for row, channel in ((1, 0), (2, 1)):
        inside = binary_erosion(rows == row, iterations=3)
        color = image.rgb[inside].astype(int)
        assert color[:, channel].min() > 100 and np.delete(color, channel, axis=1).max() == 0


@pytest.mark.slow
def test_fresh_processes_and_other_threads_give_the_same_bytes(rendered, shots):
    chosen = ("second body", "body", "ball under a sky")
    again = render_color(
        (shots[name] for name in chosen), height=SIZE, width=SIZE, threads=1, shots_per_process=2
    )
    for name, image in zip(chosen, again, strict=True):
        np.testing.assert_array_equal(image.rgb, rendered[name].rgb)
        np.testing.assert_array_equal(image.normal, rendered[name].normal)
        for part in ("face_index", "bary", "depth_m"):
            np.testing.assert_array_equal(getattr(image.seen, part), getattr(rendered[name].seen, part))


@settings(max_examples=50, deadline=None)
@given(
    value=st.floats(0, 50, width=32),
    more=st.floats(0, 50, width=32),
    coverage=st.floats(0, 1, width=32),
    behind=st.floats(0, 1, width=32),
)
def test_more_light_is_never_darker_and_never_clips_to_less(value, more, coverage, behind):
    def shown(radiance):
        pixel = np.full((1, 1, 3), radiance * coverage, dtype=np.float32)
        back = np.full((1, 1, 3), behind, dtype=np.float32)
        return int(develop(pixel, np.full((1, 1), coverage, dtype=np.float32), back, gain=1.0).max())

    assert shown(value + more) >= shown(value)


def test_without_coverage_the_background_shows_unchanged_below_the_shoulder():
    back = np.linspace(0, 0.69, 30, dtype=np.float32).reshape(2, 5, 3)
    shown = develop(np.zeros_like(back), np.zeros((2, 5), dtype=np.float32), back, gain=7.0)
    np.testing.assert_allclose(linear_from_srgb(shown), back, atol=0.004)  # half a code value


@pytest.mark.parametrize("count", ["height", "width", "threads", "samples", "shots_per_process"])
def test_a_count_below_one_is_refused_at_once(count):
    size = {"height": 16, "width": 16, "threads": 1} | {count: 0}
    with pytest.raises(ValueError, match="must be at least 1"):
        render_color([], **size)


def test_colors_that_fit_neither_vertices_nor_corners_are_refused():
    shot = replace(ball_shot(BARE), colors=np.zeros((5, 3)))
    with pytest.raises(
        ValueError, match=r"frame 1: colors must be \(2562, 3\) or \(5120, 3, 3\), are \(5, 3\)"
    ):
        next(render_color([shot], height=16, width=16, threads=1))
