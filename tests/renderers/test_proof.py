from dataclasses import replace

import numpy as np
import pytest

from pipeline.cameras import range_from_depth
from pipeline.errors import StageError
from renderers.proof import HEIGHT, WIDTH, check_proof, proof_scenes

SCENES = {scene.name: scene for scene in proof_scenes()}


@pytest.fixture(scope="module")
def images(raycast_view):
    """What a renderer with the right conventions shows, and the same with the principal point moved."""

    def render(name, shift_px=(0.0, 0.0)):
        scene = SCENES[name]
        K = scene.view.K + [[0, 0, shift_px[0]], [0, 0, shift_px[1]], [0, 0, 0]]
        view = replace(scene.view, K=K)
        return raycast_view(scene.vertices, scene.faces, view, height=HEIGHT, width=WIDTH)

    return render


@pytest.mark.parametrize("name", SCENES)
def test_the_right_convention_passes(name, images):
    check_proof(SCENES[name], images(name))


@pytest.mark.parametrize("name", SCENES)
def test_ray_length_instead_of_depth_is_caught(name, images):
    rendered = images(name)
    range_m = range_from_depth(rendered.depth_m, SCENES[name].view.K).astype(np.float32)
    with pytest.raises(StageError, match=f"depth of the known {name} .* mm, is .* mm off"):
        check_proof(SCENES[name], replace(rendered, depth_m=range_m))


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("shift_px", [(0.5, 0), (0, 0.5), (-0.5, 0.5), (0.5, 0.5), (-0.5, -0.5)])
def test_half_a_pixel_is_caught(name, shift_px, images):
    with pytest.raises(StageError, match=f"known {name}"):
        check_proof(SCENES[name], images(name, shift_px))


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("turn", [-np.eye(3), np.diag([1, -1, 1]), np.diag([1, 1, -1]), np.eye(3)[[1, 0, 2]]])
def test_normals_that_point_elsewhere_are_caught(name, turn, images):
    rendered = images(name)
    with pytest.raises(StageError, match=f"normals of the known {name}"):
        check_proof(SCENES[name], replace(rendered, normal=(rendered.normal @ turn).astype(np.float32)))


def test_flat_shading_is_caught(images):
    scene, rendered = SCENES["sphere"], images("sphere")
    # Each facet with its own normal: three times the corners, none shared.
    soup = scene.vertices[scene.faces].reshape(-1, 3)
    flat = replace(scene, vertices=soup, faces=np.arange(len(soup), dtype=np.int32).reshape(-1, 3))
    SCENES["flat"] = flat
    try:
        normal = images("flat").normal
    finally:
        del SCENES["flat"]
    with pytest.raises(StageError, match="normals of the known sphere"):
        check_proof(scene, replace(rendered, normal=normal))


@pytest.mark.parametrize("name", SCENES)
def test_a_hole_and_a_nan_are_caught(name, images):
    rendered = images(name)
    hole, nan = rendered.mask.copy(), rendered.depth_m.copy()
    v, u = np.argwhere(hole)[np.count_nonzero(hole) // 2]
    hole[v, u], nan[v, u] = False, np.nan
    with pytest.raises(StageError, match="mask of the known"):
        check_proof(SCENES[name], replace(rendered, mask=hole))
    with pytest.raises(StageError, match="depth of the known"):
        check_proof(SCENES[name], replace(rendered, depth_m=nan))
