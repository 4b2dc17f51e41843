"""The refinement layer: the paper's equations, what it may read, what it does to noise, and its gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.refinement import CODE, CODE_PITCH_M, PAPER, Refinement, refine_depth

FOCAL_PX = 277.0
ANYWHERE = Refinement(max_step_m=math.inf)


def lens(size: int, batch: int = 1) -> torch.Tensor:
    centre = (size - 1) / 2
    K = torch.tensor([[FOCAL_PX, 0, centre], [0, FOCAL_PX, centre], [0, 0, 1]], dtype=torch.float64)
    return K.expand(batch, 3, 3)


def unit(*components: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.stack(torch.broadcast_tensors(*components), dim=1), dim=1)


def sine(wave_m: float, size: int = 128) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth, exact normals and full mask of a 20 mm sine along the columns, in parallel rays."""
    phase = 2 * math.pi / wave_m * torch.arange(size, dtype=torch.float64) * CODE_PITCH_M
    depth_m = (0.02 * torch.sin(phase)).expand(1, size, size)
    slope = (0.02 * 2 * math.pi / wave_m * torch.cos(phase)).expand(1, size, size)
    normal = unit(slope, torch.zeros(()).double(), -torch.ones(()).double())
    return depth_m, normal, torch.ones(1, size, size, dtype=torch.bool)


def wavy(size: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth, normals that do not fit it, and a mask with a hole, none near a bound."""
    torch.manual_seed(0)
    depth_m = 2 + 0.01 * torch.randn(1, size, size, dtype=torch.float64)
    normal = unit(*(0.4 * torch.randn(2, 1, size, size, dtype=torch.float64)), -torch.ones(()).double())
    mask = torch.ones(1, size, size, dtype=torch.bool)
    mask[0, 3:6, 4:6], mask[0, 0, :7], mask[0, 9, 9] = False, False, False
    return depth_m, normal, mask


def rms_mm(depth_m: torch.Tensor, truth_m: torch.Tensor) -> float:
    return 1e3 * float((depth_m - truth_m).square().mean().sqrt())


def by_the_letter(depth_m, normal, mask, K, keep, iterations, pitch_m=CODE_PITCH_M):
    """Eq. (7) and (8) pixel by pixel, the second line through Z_j; what is missing leaves its eighth to Z0."""
    first, now = depth_m[0], depth_m[0].clone()
    height, width = first.shape

    def place(at, z):
        if K is None:
            return torch.tensor([at[1] * pitch_m, at[0] * pitch_m, z], dtype=torch.float64)
        x, y = (at[1] - K[0, 2]) / K[0, 0], (at[0] - K[1, 2]) / K[1, 1]
        return torch.tensor([x * z, y * z, z])

    def at_i(plane, j, i):
        """Depth at i of the plane through point j: by bisection over the ray, not by the layer's ratio."""
        through = place(j, float(now[j]))
        low, high = float(now[j]) - 0.2, float(now[j]) + 0.2
        for _ in range(48):
            middle = (low + high) / 2
            # Beyond the plane, seen from the camera, the product with a normal that faces it is negative.
            beyond = float(plane @ (place(i, middle) - through)) < 0
            low, high = (low, middle) if beyond else (middle, high)
        return (low + high) / 2

    for _ in range(iterations):
        following = now.clone()
        for v in range(height):
            for u in range(width):
                if not mask[0, v, u]:
                    continue
                found = []
                for j in ((v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)):
                    if 0 <= j[0] < height and 0 <= j[1] < width and mask[0][j]:
                        planes = (normal[0, :, j[0], j[1]], normal[0, :, v, u])
                        found += [at_i(plane, j, (v, u)) for plane in planes]
                total = keep * first[v, u] + (1 - keep) / 8 * sum(found)
                following[v, u] = total / (keep + (1 - keep) / 8 * len(found))
        now = following
    return torch.where(mask, now[None], 0)


@pytest.mark.parametrize("perspective", [False, True])
def test_it_is_the_papers_equations_pixel_by_pixel(perspective):
    depth_m, normal, mask = (each[..., :8, :8] for each in wavy())
    K = lens(8) if perspective else None
    how = Refinement(iterations=2, max_step_m=math.inf)
    ours = refine_depth(depth_m, normal, mask, K=K, how=how)
    theirs = by_the_letter(depth_m, normal, mask, None if K is None else K[0], how.keep, how.iterations)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)


def test_the_codes_rule_by_hand():
    depth_m = torch.tensor([[[0.0, 0.01]]], dtype=torch.float64)
    slope = torch.tensor([[[0.0, 1.0]]], dtype=torch.float64)  # the second plane rises by a pitch a pixel
    normal = unit(slope, torch.zeros(()).double(), -torch.ones(()).double())
    refined_m = refine_depth(
        depth_m, normal, depth_m >= 0, pitch_m=0.004, how=Refinement(keep=0.2, iterations=1, rule="code")
    )
    like = math.sqrt(0.5)  # of the normals
    first_m = 0.8 * (0.0 + like * (0.01 + 0.006) / 2) / (1 + like)
    second_m = 0.2 * 0.01 + 0.8 * (0.01 + like * (0.0 + 0.004) / 2) / (1 + like)
    assert refined_m[0, 0].tolist() == pytest.approx([first_m, second_m], rel=1e-12)


@pytest.mark.parametrize("wave_m", [0.15, 0.20])
def test_exact_normals_halve_white_noise_on_a_sine(wave_m):
    depth_m, normal, mask = sine(wave_m)
    noisy_m = (
        depth_m + 0.005 * torch.randn(depth_m.shape, generator=torch.Generator().manual_seed(0)).double()
    )
    paper_mm = rms_mm(refine_depth(noisy_m, normal, mask), depth_m)
    # 2.40 is measured over a whole image and known from an independent computation; a printed eq. (8) gives 3.1.
    assert 2.2 < paper_mm < 2.6
    code_mm = rms_mm(refine_depth(noisy_m, normal, mask, how=CODE), depth_m)
    assert 1.6 < code_mm < 1.95


def test_what_is_wider_than_a_few_pixels_is_not_put_back_by_five_steps():
    depth_m, normal, mask = sine(0.15)
    flat_m = torch.zeros_like(depth_m)
    five, many = (
        refine_depth(flat_m, normal, mask, how=how)
        for how in (PAPER, Refinement(keep=0.001, iterations=3000))
    )
    assert rms_mm(five, depth_m) > 12 and rms_mm(many, depth_m) < 2.5  # of 14.1 mm


@given(
    turn=st.tuples(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8)),
    perspective=st.booleans(),
    rule=st.sampled_from(["paper", "code"]),
)
@settings(max_examples=25, deadline=None)
def test_a_plane_with_its_own_normals_stays_where_it_is(turn, perspective, rule):
    size = 16
    normal = unit(*(torch.full((1, size, size), value, dtype=torch.float64) for value in (*turn, -1.0)))
    v, u = torch.meshgrid(*(2 * [torch.arange(size).double()]), indexing="ij")
    K = lens(size)
    x, y = ((each - (size - 1) / 2) / FOCAL_PX for each in (u, v))
    if perspective:  # turn . (X, Y) - Z = -2
        depth_m = (2 / (1 - turn[0] * x - turn[1] * y))[None]
    else:
        depth_m = (turn[0] * u + turn[1] * v)[None] * CODE_PITCH_M
    refined_m = refine_depth(
        depth_m,
        normal,
        torch.ones_like(depth_m, dtype=torch.bool),
        K=K if perspective else None,
        how=Refinement(iterations=20, rule=rule),
    )
    assert torch.allclose(refined_m, depth_m, rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", [PAPER, CODE])
@pytest.mark.parametrize("perspective", [False, True])
def test_nothing_is_read_outside_of_the_mask(how, perspective):
    depth_m, normal, mask = wavy()
    K = lens(12) if perspective else None
    clean = refine_depth(depth_m, normal, mask, K=K, how=how)
    outside = ~mask
    for poison in (math.nan, math.inf, 1.0):
        bad_m = torch.where(outside, poison, depth_m).requires_grad_()
        bad = torch.where(outside[:, None], poison, normal).requires_grad_()
        refined_m = refine_depth(bad_m, bad, mask, K=K, how=how)
        assert torch.equal(refined_m, clean) and not refined_m[outside].any()
        for gradient in torch.autograd.grad(refined_m.square().sum(), (bad_m, bad)):
            assert gradient.isfinite().all()
            assert not gradient[
                outside if gradient.dim() == 3 else outside[:, None].expand_as(gradient)
            ].any()


def test_a_pixel_alone_keeps_its_depth_and_an_unknown_normal_says_nothing():
    depth_m, normal, _ = wavy()
    alone = torch.zeros(1, 12, 12, dtype=torch.bool)
    alone[0, ::2, ::2] = True
    assert torch.allclose(refine_depth(depth_m, normal, alone)[alone], depth_m[alone], rtol=1e-15)
    unknown = refine_depth(depth_m, torch.zeros_like(normal), torch.ones_like(alone), K=lens(12))
    assert torch.allclose(unknown, depth_m, rtol=1e-15)


@pytest.mark.parametrize("perspective", [False, True])
def test_surfaces_apart_and_planes_on_edge_do_not_pull(perspective):
    depth_m = torch.full((1, 16, 16), 2.0, dtype=torch.float64)
    depth_m[..., 8:] = 2.1
    normal = unit(*(torch.full((1, 16, 16), value, dtype=torch.float64) for value in (0.0, 0.0, -1.0)))
    mask, K = torch.ones(1, 16, 16, dtype=torch.bool), lens(16) if perspective else None
    assert torch.allclose(refine_depth(depth_m, normal, mask, K=K), depth_m, rtol=0, atol=1e-12)
    assert not torch.allclose(refine_depth(depth_m, normal, mask, K=K, how=ANYWHERE), depth_m, atol=1e-3)
    level_m = torch.full_like(depth_m, 2.0)
    edge = normal.clone()
    edge[:, :, 8, 8] = torch.tensor([0.999, 0, -math.sqrt(1 - 0.999**2)]).double()  # 170 mm a pixel
    assert torch.allclose(refine_depth(level_m, edge, mask, K=K), level_m, rtol=0, atol=1e-12)


@pytest.mark.parametrize("perspective", [False, True])
def test_a_plane_along_the_ray_has_no_depth_and_no_gradient_without_bound(perspective):
    level_m, K = torch.full((1, 16, 16), 2.0, dtype=torch.float64), lens(17)  # whose middle is a pixel
    normal = unit(*(torch.full((1, 16, 16), value, dtype=torch.float64) for value in (0.0, 0.0, -1.0)))
    normal[:, :, 8, 8] = torch.tensor([0.0, 1.0, 0.0]).double()
    normal.requires_grad_()
    mask = torch.ones(1, 16, 16, dtype=torch.bool)
    refined_m = refine_depth(level_m, normal, mask, K=K if perspective else None, how=ANYWHERE)
    assert torch.allclose(refined_m, level_m, rtol=0, atol=1e-12)
    assert torch.autograd.grad(refined_m.square().sum(), normal)[0].isfinite().all()


@pytest.mark.parametrize("rule", ["paper", "code"])
@pytest.mark.parametrize("perspective", [False, True])
def test_gradients_of_depth_and_normals_are_those_of_differences(rule, perspective):
    depth_m, normal, mask = (each[..., :5, 2:7].contiguous() for each in wavy())
    K = lens(5) if perspective else None
    how = Refinement(iterations=2, max_step_m=math.inf, rule=rule)
    inputs = depth_m.requires_grad_(), normal.requires_grad_()
    assert torch.autograd.gradcheck(lambda z, n: refine_depth(z, n, mask, K=K, how=how), inputs)


def test_samples_are_refined_each_alone_with_its_own_lens():
    depth_m, normal, mask = wavy()
    other = lens(12).clone()
    other[:, 0, 0], other[:, 1, 1] = 400.0, 350.0
    both = refine_depth(
        torch.cat([depth_m, depth_m]),
        torch.cat([normal, normal]),
        torch.cat([mask, mask]),
        K=torch.cat([lens(12), other]),
    )
    for K, found in zip((lens(12), other), both, strict=True):
        assert torch.equal(refine_depth(depth_m, normal, mask, K=K)[0], found)
    assert not torch.equal(both[0], both[1])


def test_the_axes_of_the_image_are_alike():
    depth_m, normal, mask = wavy()
    K = lens(12).clone()
    K[:, 0, 0], K[:, 0, 2] = 300.0, 4.0
    turned = K[:, [1, 0, 2]][:, :, [1, 0, 2]]
    ours = refine_depth(depth_m, normal, mask, K=K)
    theirs = refine_depth(depth_m.mT, normal[:, [1, 0, 2]].mT, mask.mT, K=turned)
    assert torch.allclose(theirs.mT, ours, rtol=0, atol=1e-12)


def test_half_precision_is_refined_in_single():
    depth_m, normal, mask = wavy()
    assert refine_depth(depth_m.bfloat16(), normal.bfloat16(), mask).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 0}, "keep must be above 0 and at most 1, is 0"),
        ({"iterations": -1}, "iterations must be at least 0, are -1"),
        ({"max_step_m": 0}, "max_step_m must be positive, is 0 m"),
        ({"rule": "mine"}, 'rule must be "paper" or "code", is \'mine\''),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Refinement(**change)


def test_wrong_shapes_are_named():
    depth_m, normal, mask = wavy()
    with pytest.raises(ValueError, match="normal must be"):
        refine_depth(depth_m, normal.movedim(1, -1), mask)
    with pytest.raises(ValueError, match="mask bool"):
        refine_depth(depth_m, normal, mask.float())
    with pytest.raises(ValueError, match="K must be"):
        refine_depth(depth_m, normal, mask, K=lens(12)[0])
