"""Samples without Blender: exact depth and labels, one frame of reference, and light that behaves."""

import numpy as np
import pytest

from pipeline.bodies.atlas_inverse import atlas_inverse
from pipeline.bodies.model import default_body
from pipeline.bodies.parts import DENSEPOSE24_NAMES, SURREAL24_NAMES, TANG14_NAMES
from pipeline.cameras import backproject, invert_rigid, project, transform
from pipeline.fields import check_fields
from pipeline.person_square import MARGIN_U, MARGIN_V
from pipeline.simulation import samples
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.simulation.sample_light import SampleLight, light_on
from pipeline.simulation.sample_views import JITTER
from pipeline.simulation.samples import draw_sample
from renderers.raycast import RaycastScene
from renderers.views import View

SIZE = 96
# At 2.5 m before the body, looking along -Z: x right is the body's +X, its left.
FRONT = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0.9], [0, 0, -1, 2.5], [0, 0, 0, 1]])
FRONT_K = np.array([[110.0, 0, 47.5], [0, 110.0, 47.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def drawn():
    """Sixteen samples of one wardrobe, each with the figure that was rasterised."""
    figures = []

    def spy(figure, *camera, **size):
        figures.append(figure)
        return label_view(figure, *camera, **size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "label_view", spy)
        return [(draw_sample(11, index, size_px=SIZE), figures[-1]) for index in range(16)]


@pytest.fixture(scope="module")
def bare():
    body = default_body()
    figure = bare_figure(body, np.zeros((24, 3)), np.zeros(0), np.array([0.0, 0.9, 0.0]))
    return figure, label_view(figure, FRONT_K, FRONT, size_px=SIZE)[1]


def test_every_sample_fits_the_field_table(drawn):
    for sample, _ in drawn:
        rows = {
            name: np.array([value], dtype=object) if isinstance(value, str) else np.asarray(value)[None]
            for name, value in sample.items()
        }
        check_fields(rows, where="sample")
    assert len({sample["image"].tobytes() for sample, _ in drawn}) == 16
    assert len({sample["capture"] for sample, _ in drawn}) == 1


def test_depth_is_what_the_ray_caster_sees(drawn):
    for sample, figure in drawn[:4]:
        view = View(frame=0, K=sample["K"], world_from_cam=sample["world_from_cam"])
        scene = RaycastScene(figure.vertices_m, figure.faces, threads=1)
        theirs = scene.visibility(view, height=SIZE, width=SIZE)
        assert np.count_nonzero((theirs.depth_m > 0) != sample["mask"]) <= 3  # px of some hundreds of outline
        both = sample["mask"] & (theirs.depth_m > 0)
        off_m = np.abs(theirs.depth_m - sample["depth_m"])[both]
        # Centres within rounding of an edge may see the cloth's other layer; all others agree to float32.
        assert np.quantile(off_m, 0.99) < 5e-6


def test_joints_are_those_of_the_body_parameters(drawn):
    body = default_body()
    for sample, _ in drawn[:4]:
        posed = body.posed(sample["body_pose_rad"][None], sample["body_betas"], sample["body_transl_m"])
        joints_cam_m = transform(invert_rigid(sample["world_from_cam"]), posed.joints_m[0])
        np.testing.assert_allclose(sample["joints_smpl24_cam_m"], joints_cam_m, atol=1e-4)  # float16 shapes
        np.testing.assert_allclose(
            sample["joints_tang16_px"], project(sample["joints_tang16_cam_m"].astype(float), sample["K"]), atol=1e-3
        )  # fmt: skip


def test_the_lowest_seen_point_stands_on_the_floor(drawn):
    for sample, figure in drawn:
        assert figure.vertices_m[:, 1].min() == pytest.approx(0, abs=1e-9)
        points = transform(
            sample["world_from_cam"], backproject(sample["depth_m"], sample["K"])[sample["mask"]]
        )
        assert -1e-4 < points[:, 1].min() < 0.3


def test_the_crop_has_the_margins_of_the_foreground_stage(drawn):
    for sample, _ in drawn:
        rows, columns = (np.flatnonzero(sample["mask"].any(axis=axis)) for axis in (1, 0))
        width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
        side = max(width * (1 + 2 * MARGIN_U), height * (1 + 2 * MARGIN_V))
        assert side == pytest.approx(SIZE, abs=4)  # the outline's own rounding, times 1.5
        middle = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
        np.testing.assert_allclose(middle, (SIZE - 1) / 2, atol=JITTER * SIZE + 1.5)
        assert (sample["joints_tang16_px"] > 0).all() and (sample["joints_tang16_px"] < SIZE - 1).all()


def test_layers_add_up_and_nothing_lies_outside_the_mask(drawn):
    for sample, _ in drawn:
        mask = sample["mask"]
        total_m = sample["base_m"] + sample["detail_m"] + sample["depth_median_m"]
        np.testing.assert_allclose(total_m[mask], sample["depth_m"][mask], atol=1e-6)
        for name in (
            "depth_m",
            "base_m",
            "detail_m",
            "normal",
            "part14",
            "part24",
            "surface_part",
            "surface_uv",
        ):
            assert not sample[name][~mask].any(), name
        for name in ("depth_m", "part14", "part24", "surface_part"):
            assert sample[name][mask].all(), name
        assert sample["surface_uv"].min() >= 0 and sample["surface_uv"].max() <= 1


@pytest.mark.parametrize(
    ("field", "names"),
    [("part14", TANG14_NAMES), ("part24", SURREAL24_NAMES), ("surface_part", DENSEPOSE24_NAMES)],
)
def test_the_left_of_a_body_seen_from_the_front_is_on_the_right(bare, field, names):
    labels = bare[1][field]
    sides = {"left": 0, "right": 0}
    for label in np.unique(labels[labels > 0]):
        columns = np.nonzero(labels == label)[1]
        side = names[label - 1].partition("_")[0]
        if side in sides:
            sides[side] += 1
            assert (columns > SIZE / 2 - 1).all() if side == "left" else (columns < SIZE / 2).all()
    assert sides["left"] == sides["right"] >= 6


def test_chart_coordinates_lead_back_to_the_seen_point(bare):
    figure, fields = bare
    mask = fields["mask"]
    inverse = atlas_inverse(figure.body)
    face, bary = inverse.locate(fields["surface_part"][mask], fields["surface_uv"][mask])
    u, v = bary.T
    weights = np.stack([1 - u - v, u, v], axis=1)
    points = np.einsum("nk,nki->ni", weights, figure.vertices_m[figure.faces[face]])
    seen = transform(FRONT, backproject(fields["depth_m"], FRONT_K)[mask])
    assert np.quantile(np.linalg.norm(points - seen, axis=1), 0.99) < 1e-4  # float32 coordinates


def test_cloth_has_the_label_of_the_skin_under_it(drawn):
    sample, figure = drawn[0]
    body_face, _ = figure.on_body
    assert len(figure.faces) > len(figure.body.faces)
    # Each seen point lies near the middle of the body face whose labels it has: cloth stands off by centimetres.
    posed = default_body().posed(sample["body_pose_rad"][None], sample["body_betas"], sample["body_transl_m"])
    skin = posed.vertices_m[0][figure.body.faces[body_face]].mean(axis=1)
    cloth = figure.vertices_m[figure.faces].mean(axis=1)
    assert np.quantile(np.linalg.norm(cloth - skin, axis=1), 0.95) < 0.08


def test_light_comes_from_its_lamp_and_not_through_what_stands_before_it():
    lamp = SampleLight(
        towards=np.array([[0.0, 1.0, 0.0]]), colors=np.ones((1, 3)), wrap=np.zeros(1), surround=np.zeros((3, 3))
    )  # fmt: skip
    roof = np.array([[-0.5, 1, -0.5], [0.5, 1, -0.5], [0.5, 1, 0.5], [-0.5, 1, 0.5]])
    floor = roof * [4, 0, 4]
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], dtype=np.int32)
    points = np.array([[0.0, 0, 0], [0.4, 0, 0], [1.0, 0, 0], [0, 0, 1.5], [1.2, 0, 1.2]])
    normals = np.array([[0.0, 1, 0]] * 4 + [[0, -1.0, 0]])
    light = light_on(
        lamp, points, normals, depth_m=np.full((1, 5), 2, np.float32), casters=(np.concatenate([roof, floor]), faces)
    )  # fmt: skip
    np.testing.assert_allclose(light[:, 0], [0, 0, 1, 1, 0], atol=1e-6)


def test_some_pictures_have_a_background_and_some_have_none(drawn):
    black = [not sample["image"][~sample["mask"]].any() for sample, _ in drawn]
    assert 0 < sum(black) < 16
    assert all(sample["image"][sample["mask"]].std() > 5 for sample, _ in drawn)


def test_upright_people_stand_before_the_camera():
    sample = draw_sample(3, 0, size_px=64, upright=True)
    joints_m = sample["joints_smpl24_cam_m"]
    pelvis, neck, left_hip, right_hip = joints_m[[0, 12, 1, 2]]
    assert pelvis[1] - neck[1] > 0.9 * np.linalg.norm(pelvis - neck)  # y points down
    assert left_hip[0] - right_hip[0] > 0.4 * np.linalg.norm(
        left_hip - right_hip
    )  # within 60 degrees of the front
    assert sample["body_transl_m"][1] > 0.75  # nobody squats
    other = draw_sample(3, 0, size_px=64)
    assert not np.array_equal(other["body_pose_rad"], sample["body_pose_rad"])
