import numpy as np
import pytest

from pipeline.cameras import backproject, transform
from pipeline.simulation.camera_path import draw_path
from pipeline.simulation.film import Film, develop, draw_film
from pipeline.simulation.lighting import Lights, cast_shadows, draw_lights
from pipeline.simulation.materials import Material, Pattern, draw_floor, draw_poster, material_table, plain
from pipeline.simulation.painting import light_up
from pipeline.simulation.room import draw_room
from pipeline.simulation.solids import sheet
from pipeline.simulation.surface import joined, painted_surface
from pipeline.zbuffer import visible_faces
from renderers.proof import icosphere

K = np.array([[150.0, 0, 79.5], [0, 150.0, 59.5], [0, 0, 1]])
SIZE = {"height": 120, "width": 160}
DARK = np.zeros((3, 3))
PATH = draw_path(np.random.default_rng(0), "orbit", distance_m=1.7, aim_m=np.array([0, 0.9, 0]))
FLOAT32 = 1e-6  # some float32 steps of intensities up to 0.25


def ball(centre, radius_m, *, albedo=(1.0, 1.0, 1.0), material=None):
    directions, faces = icosphere(4)
    return painted_surface(
        centre + radius_m * directions, faces, albedo=albedo, material=material or plain(), normals=directions
    )


def floor(material, half_m=3.0):
    unit, lines = np.eye(3), np.linspace(0, 2 * half_m, 40)
    return sheet(np.array([-half_m, 0, -half_m]), (unit[2], unit[0]), (lines, lines), material)


def one_lamp(place, radius_m=0.05, surround=DARK):
    return Lights(
        places=np.array([place], float), colors=np.array([[1.0, 0.8, 0.5]]), radius_m=np.array([radius_m]),
        surround=surround,
    )  # fmt: skip


def looking(eye, aim):
    forward = np.subtract(aim, eye) / np.linalg.norm(np.subtract(aim, eye))
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3] = np.column_stack([right, np.cross(forward, right), forward, eye])
    return world_from_cam


def lit(surface, lights, pose, shadows=None):
    points_cam = (surface.vertices - pose[:3, 3]) @ pose[:3, :3]
    face_index, bary, depth_m = visible_faces(points_cam, surface.faces, K, **SIZE)
    shadows = cast_shadows(surface, lights) if shadows is None else shadows
    linear = light_up(
        surface, lights, shadows, face_index=face_index, bary=bary, K=K, world_from_cam=pose
    )  # fmt: skip
    return linear, transform(pose, backproject(depth_m, K)), face_index >= 0


def test_a_sphere_under_one_lamp_follows_lamberts_law():
    centre, lamp, albedo = np.array([0, 1.0, 0]), np.array([1.5, 2.5, 1.0]), np.array([0.6, 0.3, 0.9])
    linear, points, hit = lit(
        ball(centre, 0.5, albedo=albedo), one_lamp(lamp), looking([0, 1.2, 2.0], centre)
    )
    normals = points[hit] - centre
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    to_lamp = lamp - points[hit]
    away_m = np.linalg.norm(to_lamp, axis=1)
    cosine = np.einsum("ni,ni->n", normals, to_lamp) / away_m
    expected = np.maximum(cosine, 0)[:, None] / away_m[:, None] ** 2 * albedo * [1.0, 0.8, 0.5]
    # The sphere must not shade its own lit side: off the terminator, nothing is lost.
    clear = np.abs(cosine) > 0.15
    assert np.abs(linear[hit] - expected)[clear].max() < FLOAT32
    assert (linear[hit][cosine < 0] < 1e-3).all() and (expected > 0.02).any()
    assert not linear[~hit].any()


def test_surrounding_light_depends_on_where_a_surface_faces_alone():
    surround = np.array([[0.9, 0.8, 0.7], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3]])
    lights = one_lamp([0, 9.0, 0], surround=surround)
    lights.colors[:] = 0
    linear, points, hit = lit(ball(np.zeros(3), 0.5), lights, looking([0, 0.1, 2.0], [0, 0, 0]))
    up = points[hit][:, 1:] / np.linalg.norm(points[hit], axis=1, keepdims=True)
    up = up[:, :1]
    expected = surround[1] + np.abs(up) * (np.where(up > 0, surround[0], surround[2]) - surround[1])
    np.testing.assert_allclose(linear[hit], expected, atol=2e-3)


def test_the_shadow_of_a_ball_lies_where_the_lamp_does_not_reach():
    centre, radius_m, lamp = np.array([0, 0.8, 0]), 0.25, np.array([0.6, 2.4, 0.2])
    scene = joined([floor(plain()), ball(centre, radius_m, albedo=(0.5, 0.5, 0.5))])
    linear, points, hit = lit(scene, one_lamp(lamp, radius_m=0.02), looking([0, 1.7, 2.2], [0, 0.2, 0]))
    ground = hit & (np.abs(points[..., 1]) < 1e-3)
    to_lamp = lamp - points
    along = np.einsum("hwi,hwi->hw", to_lamp, centre - points) / np.linalg.norm(to_lamp, axis=-1)
    miss_m = np.sqrt(np.maximum(np.sum((centre - points) ** 2, axis=-1) - along**2, 0))
    # 2 cm of lamp 1.6 m above the ball make a penumbra of 1 cm on either side; a texel of the map is 1.5 cm.
    umbra, outside = ground & (miss_m < radius_m - 0.04), ground & (miss_m > radius_m + 0.04)
    assert np.count_nonzero(umbra) > 200 and np.count_nonzero(outside) > 3000
    assert linear[umbra].max() == 0
    away_m = np.linalg.norm(to_lamp, axis=-1)
    expected = lamp[1] / away_m**3
    np.testing.assert_allclose(linear[outside][:, 0], expected[outside], rtol=1e-3)


def test_a_larger_lamp_makes_a_softer_shadow():
    scene = joined([floor(plain()), ball(np.array([0, 0.8, 0]), 0.25)])
    pose = looking([0, 1.7, 2.2], [0, 0.2, 0])
    widths = []
    for radius_m in (0.02, 0.3):
        linear, points, hit = lit(scene, one_lamp([0.3, 2.4, 0], radius_m=radius_m), pose)
        ground = hit & (np.abs(points[..., 1]) < 1e-3) & (np.linalg.norm(points, axis=-1) < 1.5)
        share = linear[ground][:, 0] * np.sum((points[ground] - [0.3, 2.4, 0]) ** 2, axis=1) ** 1.5 / 2.4
        widths.append(np.count_nonzero((share > 0.05) & (share < 0.95)))
    assert widths[1] > 3 * widths[0]


def test_surrounding_light_is_hindered_under_a_ball_and_nowhere_else():
    scene = joined([floor(plain()), ball(np.array([0, 0.2, 0]), 0.2)])
    surround = cast_shadows(scene, one_lamp([1.0, 2.4, 0])).surround
    away_m = np.linalg.norm(scene.vertices[:, [0, 2]], axis=1)
    ground = np.arange(len(away_m)) < 40 * 40
    assert surround[ground & (away_m < 0.15)].max() < 0.4
    assert surround[ground & (away_m > 2.5)].min() > 0.97
    # A lone convex body hinders no light of its own.
    assert cast_shadows(ball(np.zeros(3), 0.3), one_lamp([1.0, 2.4, 0])).surround.min() == 1


@pytest.mark.parametrize("pattern", [p for p in Pattern if p != Pattern.PLAIN])
def test_a_place_has_one_albedo_from_every_view(pattern):
    from pipeline.simulation.material_kernels import texture

    material = Material(
        pattern=pattern, colors=np.array([[0.7, 0.5, 0.4], [0.2, 0.1, 0.1]]), scale_m=0.3, contrast=0.3, seed=5,
        axes=np.array([[0.0, 0, 1], [1, 0, 0]]),
    )  # fmt: skip
    scene, table = floor(material), material_table((material,))[0]
    lights = one_lamp([0, 5.0, 0], surround=np.ones((3, 3)))
    lights.colors[:] = 0
    shadows = cast_shadows(ball(np.array([0, 30.0, 0]), 0.1), lights)
    shadows = type(shadows)(
        cam_from_world=shadows.cam_from_world, depth_m=shadows.depth_m,
        surround=np.ones(len(scene.vertices), np.float32),
    )  # fmt: skip
    means = []
    for eye in ([0.1, 1.5, 1.0], [-0.9, 1.2, -0.8]):
        linear, points, hit = lit(scene, lights, looking(eye, [0, 0, 0]), shadows)
        assert hit.any()
        assert linear[hit].min() >= 0 and linear[hit].max() <= 1
        at = points[60, 80]
        pixel_m = np.linalg.norm(at - eye) / K[0, 0] / (eye[1] / np.linalg.norm(at - eye))
        expected = texture(at.astype(np.float32), table, np.float32(pixel_m))
        np.testing.assert_allclose(linear[60, 80], expected, atol=2e-2)
        near = hit & (np.linalg.norm(points, axis=-1) < 0.5)
        means.append(linear[near].mean(axis=0))
        assert linear[near].std(axis=0).max() > 0.01
    # The same half metre, seen from two sides, weighs its near and far parts differently.
    np.testing.assert_allclose(means[0], means[1], rtol=0.25)


def test_textures_fade_to_their_mean_and_have_no_steps_inside_an_element():
    from pipeline.simulation.material_kernels import texture

    rng = np.random.default_rng(0)
    for material in (draw_floor(rng), draw_poster(rng, np.eye(3)[:2]), plain(contrast=0.3)):
        row = material_table((material,))[0]
        place = rng.uniform(-2, 2, (300, 3)).astype(np.float32)
        here = np.array([texture(p, row, np.float32(0.002)) for p in place])
        beside = np.array([texture(p + np.float32(1e-5), row, np.float32(0.002)) for p in place])
        # A hundredth of a millimetre crosses a plank's or a tile's edge seldom.
        assert np.mean(np.abs(here - beside).max(axis=1) < 0.01) > 0.98
        far = np.array([texture(p, row, np.float32(3.0)) for p in place])
        assert far.std(axis=0).max() < here.std(axis=0).max() + 1e-6


def scene_with_a_ball(seed):
    rng = np.random.default_rng(seed)
    room = draw_room(rng, orbit_m=2.1)
    scene = joined([room.surface, ball(np.array([0, 1.0, 0]), 0.4, albedo=(0.4, 0.2, 0.1))])
    lights, pose = draw_lights(rng, room), PATH.at(np.array([0.25]))[0]
    linear, _, hit = lit(scene, lights, pose)
    assert hit.all()
    film = draw_film(rng, linear)
    return linear, develop(linear, film, rng)


def test_the_same_seed_gives_the_same_picture_of_a_room():
    linear, picture = scene_with_a_ball(11)
    again = scene_with_a_ball(11)
    np.testing.assert_array_equal(linear, again[0])
    np.testing.assert_array_equal(picture, again[1])
    assert (scene_with_a_ball(12)[1] != picture).any()
    # Exposed as a photograph is: neither dark nor burnt out, and with contrast.
    assert 70 < np.median(picture) < 190
    assert np.mean(picture > 250) < 0.05 and np.std(picture.astype(float)) > 15


def test_developing_keeps_grey_grey_and_noise_at_its_size():
    film = Film(gains=np.ones(3), corner_loss=0.0, blur_px=0.6, noise_black=0.0, noise_white=0.01)
    rng = np.random.default_rng(0)
    grey = develop(np.full((200, 300, 3), 0.2140, np.float32), film, rng)  # code value 127.5 of sRGB
    assert abs(grey.mean() - 127.5) < 0.5
    # Slope of the sRGB curve there: 255 * 1.055 / 2.4 * 0.214^(1/2.4 - 1) = 275 codes per unit of light.
    assert abs(grey.std() - 275 * 0.01 * np.sqrt(0.214)) < 0.15
    quiet = Film(gains=np.ones(3), corner_loss=0.3, blur_px=0.6, noise_black=0.0, noise_white=0.0)
    picture = develop(np.full((200, 300, 3), 0.5, np.float32), quiet, rng)
    r2 = np.sum((np.indices((200, 300)).reshape(2, -1).T - [99.5, 149.5]) ** 2, axis=1).reshape(200, 300)
    order = np.argsort(r2.ravel())
    assert (np.diff(picture[..., 0].ravel()[order].astype(int)) <= 1).all() and picture[0, 0, 0] < picture[
        100, 150, 0
    ]
