"""Masked losses against their laws, closed forms and PyTorch's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from training.losses import huber, masked_mean, truncated_l1

LOSSES = pytest.mark.parametrize("loss", [huber, truncated_l1])
ALPHA = 0.2
SHAPE = (3, 5, 7)


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction, truth and mask (B H W) with errors on both sides of ALPHA; every sample has a mask."""
    generator = torch.Generator().manual_seed(seed)
    pred, target = torch.randn(2, *SHAPE, generator=generator, dtype=torch.float64) * 0.3
    mask = torch.rand(SHAPE, generator=generator) < 0.6
    assert mask.flatten(1).any(dim=1).all()
    return pred, target, mask


def test_huber_is_that_of_pytorch_on_a_full_mask():
    pred, target, mask = sample()
    ours = huber(pred, target, torch.ones_like(mask), alpha=ALPHA)
    assert torch.allclose(ours, F.huber_loss(pred, target, delta=ALPHA), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "error", "expected"),
    [
        (huber, 0.1, 0.5 * 0.1**2),
        (huber, 0.2, 0.5 * 0.2**2),
        (huber, 0.5, 0.2 * (0.5 - 0.1)),
        (truncated_l1, 0.1, 0.1),
        (truncated_l1, 0.2, 0.2),
        (truncated_l1, 0.5, 0.2),
    ],
)
def test_a_constant_error_costs_what_the_equation_says(loss, error, expected):
    _, target, mask = sample()
    for sign in (1, -1):
        cost = loss(target + sign * error, target, mask, alpha=ALPHA)
        assert cost.item() == pytest.approx(expected, rel=1e-9)


@LOSSES
def test_value_and_slope_go_through_the_seam_without_a_jump(loss):
    step = 1e-9
    around = torch.tensor([ALPHA - step, ALPHA + step], dtype=torch.float64)
    below, above = (
        loss(e.view(1, 1), torch.zeros(1, 1).double(), torch.ones(1, 1).bool(), alpha=ALPHA) for e in around
    )
    assert abs(above - below) < 2.5 * step  # no slope is above 1
    if loss is huber:
        slopes = []
        for error in around:
            error = error.clone().requires_grad_()
            loss(
                error.view(1, 1), torch.zeros(1, 1).double(), torch.ones(1, 1).bool(), alpha=ALPHA
            ).backward()
            slopes.append(error.grad)
        assert abs(slopes[0] - slopes[1]) < 2.5 * step


@LOSSES
def test_the_truth_costs_nothing_and_pulls_nowhere(loss):
    _, target, mask = sample()
    pred = target.clone().requires_grad_()
    cost = loss(pred, target, mask, alpha=ALPHA)
    cost.backward()
    assert cost.item() == 0
    assert not pred.grad.any()


@LOSSES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100))
def test_symmetry_scale_and_bound_hold(loss, seed, factor):
    pred, target, mask = sample(seed)
    cost = loss(pred, target, mask, alpha=ALPHA)
    assert torch.allclose(loss(target, pred, mask, alpha=ALPHA), cost, rtol=1e-12)
    # In another unit: Huber is a squared length, the truncated L1 a length.
    power = 2 if loss is huber else 1
    scaled = loss(factor * pred, factor * target, mask, alpha=factor * ALPHA)
    assert torch.allclose(scaled, factor**power * cost, rtol=1e-9)
    assert cost > 0
    if loss is truncated_l1:
        assert cost <= ALPHA


@LOSSES
def test_gradients_are_those_of_finite_differences(loss):
    pred, target, mask = sample()
    # Away from the corners, where a difference quotient straddles two slopes.
    error = (pred - target).abs()
    mask = mask & (error > 1e-3) & ((error - ALPHA).abs() > 1e-3)
    assert torch.autograd.gradcheck(lambda p: loss(p, target, mask, alpha=ALPHA), pred.requires_grad_())


@LOSSES
@pytest.mark.parametrize("far", [1e-30, 1e6, 1e30])
def test_gradients_are_finite_however_far_the_prediction(loss, far):
    _, target, mask = sample()
    pred = torch.full(SHAPE, far).requires_grad_()
    loss(pred, target.float(), mask, alpha=ALPHA).backward()
    assert pred.grad.isfinite().all()


@LOSSES
def test_nothing_outside_the_mask_is_read(loss):
    pred, target, mask = sample()
    poisoned = torch.where(mask, target, math.nan)
    results = []
    for truth in (target, poisoned):
        given_pred = torch.where(mask, pred, math.inf if truth is poisoned else 0).requires_grad_()
        cost = loss(given_pred, truth, mask, alpha=ALPHA)
        cost.backward()
        results.append((cost.detach(), given_pred.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[1][1][~mask].any()


@LOSSES
def test_a_nan_inside_the_mask_is_not_hidden(loss):
    pred, target, mask = sample()
    pred[mask] = math.nan
    assert loss(pred, target, mask, alpha=ALPHA).isnan()


@LOSSES
def test_an_empty_mask_gives_zero_and_zero_gradient(loss):
    pred, target, mask = sample()
    pred.requires_grad_()
    cost = loss(pred, target, torch.zeros_like(mask), alpha=ALPHA)
    cost.backward()
    assert cost.item() == 0
    assert torch.equal(pred.grad, torch.zeros_like(pred))


@LOSSES
def test_a_batch_is_the_mean_of_its_samples_however_large_their_masks(loss):
    pred, target, mask = sample()
    mask[0, 1:], mask[1], mask[2] = False, True, False  # few pixels, all, none
    whole = loss(pred, target, mask, alpha=ALPHA)
    parts = [loss(pred[i : i + 1], target[i : i + 1], mask[i : i + 1], alpha=ALPHA) for i in range(len(pred))]
    assert torch.allclose(whole, torch.stack(parts).mean(), rtol=1e-12)
    assert parts[2] == 0


def test_the_masked_mean_of_a_ramp_is_that_of_its_masked_pixels():
    values = torch.arange(8.0).view(2, 4)
    mask = torch.tensor([[True, False, True, False], [False, False, False, True]])
    assert masked_mean(values, mask) == ((0 + 2) / 2 + 7) / 2


@LOSSES
def test_wrong_arguments_are_refused(loss):
    pred, target, mask = sample()
    with pytest.raises(ValueError, match="one shape"):
        loss(pred[:, None], target, mask, alpha=ALPHA)  # would broadcast
    with pytest.raises(ValueError, match="mask must be bool, is torch.uint8"):
        loss(pred, target, mask.byte(), alpha=ALPHA)
    with pytest.raises(ValueError, match="alpha must be positive, is 0"):
        loss(pred, target, mask, alpha=0)
