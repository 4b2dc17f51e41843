import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from renderers import proof
from renderers.proof import icosphere
from renderers.raster import rasterise
from renderers.raycast import RaycastScene
from renderers.views import RenderedView, View

SIZE = {"height": 200, "width": 240}


def crowd(seed):
    """Ellipsoids that cut through one another, as limbs do at a shoulder, and loose faces between them."""
    rng = np.random.default_rng(seed)
    directions, faces = icosphere(4)
    parts = [directions * rng.uniform(0.05, 0.4, 3) + rng.uniform(-0.5, 0.5, 3) for _ in range(8)]
    count = len(directions)
    loose = rng.uniform(-0.7, 0.7, (300, 3))
    loose[1::3], loose[2::3] = (loose[::3] + rng.normal(0, 0.1, (100, 3)) for _ in range(2))
    vertices = np.concatenate([*parts, loose]) + [0, 0, 2.0]
    numbers = [faces + k * count for k in range(8)] + [8 * count + np.arange(300).reshape(-1, 3)]
    return vertices, np.concatenate(numbers).astype(np.int32)


def near_an_edge(face_index):
    """Pixels with a neighbour of another face, which hold all centres that rounding can move across an edge."""
    padded = np.pad(face_index, 1, mode="edge")
    return np.any(
        [padded[1 + i : len(padded) - 1 + i, 1 + j : padded.shape[1] - 1 + j] != face_index
         for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_the_rasteriser_and_the_ray_caster_see_the_same(seed):
    vertices, faces = crowd(seed)
    view = View(frame=0, K=np.array([[260.0, 0, 118], [0, 255, 101.5], [0, 0, 1]]), world_from_cam=np.eye(4))
    ours = rasterise(vertices, faces, view, **SIZE)
    theirs = RaycastScene(vertices, faces, threads=1).visibility(view, **SIZE)
    same = ours.face_index == theirs.face_index
    assert (theirs.face_index >= 0).mean() > 0.2
    assert same[~near_an_edge(ours.face_index)].all()
    assert np.count_nonzero(~same) < 1e-3 * same.size  # centres within float32's rounding of an edge
    hit = same & (ours.face_index >= 0)
    # The ray caster's float32: grazing faces (100 mm a pixel here) carry its rounded rays along.
    off_m = np.abs(ours.depth_m - theirs.depth_m)[hit]
    assert np.quantile(off_m, 0.999) < 2e-6 and off_m.max() < 1e-4
    assert np.quantile(np.abs(ours.bary - theirs.bary)[hit], 0.99) < 1e-3


def test_a_bumpy_body_far_from_the_origin_agrees_with_the_ray_caster(bumpy_mesh, two_views):
    for view in two_views:
        ours = rasterise(*bumpy_mesh, view, **SIZE)
        theirs = RaycastScene(*bumpy_mesh, threads=1).visibility(view, **SIZE)
        hit = ours.face_index >= 0
        assert np.count_nonzero(hit != (theirs.face_index >= 0)) <= 2  # of some hundred px of outline
        hit &= theirs.face_index >= 0
        assert (ours.face_index == theirs.face_index)[hit].mean() > 0.999
        assert np.quantile(np.abs(ours.depth_m - theirs.depth_m)[hit], 0.999) < 1e-5
        u, v = ours.bary[hit].T.astype(np.float64)
        weights = np.stack([1 - u - v, u, v], axis=1)[..., None]
        points_world = np.sum(weights * bumpy_mesh[0][bumpy_mesh[1][ours.face_index[hit]]], axis=1)
        rays = (pixel_rays(view.K, **SIZE)[hit] * ours.depth_m[hit][:, None]) @ view.world_from_cam[:3, :3].T
        # float32 depth at 2 m, and weights in float32 of faces of some centimetres.
        assert np.abs(rays + view.world_from_cam[:3, 3] - points_world).max() < 2e-6


@pytest.mark.parametrize("scene", proof.proof_scenes(), ids=lambda scene: scene.name)
def test_the_rasteriser_passes_the_proof_that_render_processes_must_pass(scene, monkeypatch):
    seen = rasterise(scene.vertices, scene.faces, scene.view, height=proof.HEIGHT, width=proof.WIDTH)
    # Normals hang on the visibility buffer and are held against their closed form elsewhere.
    monkeypatch.setattr(proof, "_refuse_normal", lambda *_: None)
    normal = np.zeros((*seen.depth_m.shape, 3), np.float32)
    hit = seen.face_index >= 0
    proof.check_proof(scene, RenderedView(frame=0, depth_m=seen.depth_m, normal=normal, mask=hit))


def test_a_closed_sphere_has_no_cracks():
    directions, faces = icosphere(6)  # faces below a pixel
    view = View(frame=0, K=np.array([[90.0, 0, 48], [0, 90, 48], [0, 0, 1]]), world_from_cam=np.eye(4))
    seen = rasterise(directions * 0.5 + [0, 0, 1.2], faces, view, height=97, width=97)
    rays = pixel_rays(view.K, 97, 97)
    along = rays @ [0, 0, 1.2] / np.linalg.norm(rays, axis=-1)
    hit = np.sqrt(1.2**2 - along**2) < 0.4995  # the facets lie at most 0.2 mm inside the sphere
    assert np.count_nonzero(hit) > 2000 and (seen.face_index[hit] >= 0).all()
    # A crack would show the far side.
    front_m = (along - np.sqrt(np.maximum(0.25 - 1.2**2 + along**2, 0))) / np.linalg.norm(rays, axis=-1)
    assert np.abs(seen.depth_m - front_m)[hit].max() < 0.02


def test_malformed_meshes_and_views_are_refused():
    view = View(frame=3, K=np.eye(3), world_from_cam=np.diag([-1.0, 1, 1, 1]))
    faces = np.array([[0, 1, 2]], np.int32)
    with pytest.raises(ValueError, match=r"renderers\.raster: frame 3: world_from_cam must be rigid"):
        rasterise(np.eye(3), faces, view, height=8, width=8)
    with pytest.raises(ValueError, match=r"renderers\.raster: faces must index 0\.\.2"):
        rasterise(np.eye(3), faces + 1, view, height=8, width=8)
