"""Losses over the pixels of a mask: prediction, truth and mask in, one number out.

Every loss is the mean over a sample's mask, then over the samples. So each person counts the same, however many
pixels the mask has, and a batch parted evenly over processes gives the mean of their losses and gradients. What
lies outside the mask is never read, be it NaN. A sample without a mask adds nothing, and a batch without any
gives 0 with zero gradient, never NaN.
"""

import torch
from torch import Tensor


def huber(pred: Tensor, target: Tensor, mask: Tensor, *, alpha: float) -> Tensor:
    """Quadratic up to `alpha`, linear beyond, with one slope at the seam.

    Huber, 1964: 0.5 x^2 for |x| <= alpha, else alpha (|x| - 0.5 alpha). Tang et al., ICCV 2019, eq. (3), print
    0.2 (|x| - alpha) for the second, which jumps at the seam; their later public code has Huber's form.

    Args:
        pred: (B ...) in any unit.
        mask: (B ...) bool, True means use.
        alpha: in the unit of `pred`.

    Returns:
        Scalar, in that unit squared.

    Raises:
        ValueError: if the shapes differ, the mask is not bool, or alpha is not positive.
    """
    error = _masked_error(pred, target, mask, alpha).abs()
    quadratic = error.clamp(max=alpha)
    # (|x| <= alpha): x (x - x/2) = x^2/2; beyond: alpha (|x| - alpha/2).
    return masked_mean(quadratic * (error - 0.5 * quadratic), mask)


def truncated_l1(pred: Tensor, target: Tensor, mask: Tensor, *, alpha: float) -> Tensor:
    """The absolute error, but never more than `alpha`: beyond it a pixel pulls no longer.

    Tang et al., ICCV 2019, eq. (6), read with |x| for x.

    Args:
        pred: (B ...) in any unit.
        mask: (B ...) bool, True means use.
        alpha: in the unit of `pred`.

    Returns:
        Scalar, in that unit.

    Raises:
        ValueError: if the shapes differ, the mask is not bool, or alpha is not positive.
    """
    return masked_mean(_masked_error(pred, target, mask, alpha).abs().clamp(max=alpha), mask)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over each sample's mask, then over all samples; a sample without a mask counts as 0.

    Args:
        values: (B ...), already finite where the mask is False.
        mask: (B ...) bool, True means use.
    """
    sums = torch.where(mask, values, 0).flatten(1).sum(dim=1)
    counts = mask.flatten(1).sum(dim=1)
    return (sums / counts.clamp(min=1)).mean()


def _masked_error(pred: Tensor, target: Tensor, mask: Tensor, alpha: float) -> Tensor:
    if not pred.shape == target.shape == mask.shape:
        raise ValueError(
            f"loss: pred, target and mask must have one shape, have {tuple(pred.shape)}, {tuple(target.shape)} "
            f"and {tuple(mask.shape)}"
        )
    if mask.dtype != torch.bool:
        raise ValueError(f"loss: mask must be bool, is {mask.dtype}")
    if alpha <= 0:
        raise ValueError(f"loss: alpha must be positive, is {alpha}")
    # Chosen before anything is computed from it: 0 times a NaN's gradient would be NaN.
    return torch.where(mask, pred - target, 0)
