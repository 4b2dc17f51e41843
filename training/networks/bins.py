"""Depth by expectation over bins: where the bins lie, and the soft argmax that reads them.

Sun et al., "Integral Human Pose Regression", ECCV 2018; Tang et al., ICCV 2019, sections 4 and 5: "we discretize
the depth range between [-0.6, 0.6] meters into 19 bins". The papers leave open where in its bin a bin's value
lies; here the values themselves are spread over the range, so that every depth in it can be expressed.
"""

from typing import Literal

import torch
from torch import Tensor

from training.networks.blocks import at_least_float32

Bins = Literal["paper", "code"]


def bin_centres_m(rule: Bins) -> Tensor:
    """Depths (bins,) in metres that the bins stand for, relative to the median depth, rising away from the camera.

    "paper": 19 values from -0.6 to 0.6 m, both included, 66.7 mm apart. "code": the 20 values of the authors'
    public code, -0.54 to 0.60 m, 60 mm apart, of which the last stands for the background.

    Raises:
        ValueError: for another rule.
    """
    if rule == "paper":
        return (torch.arange(-9, 10, dtype=torch.float64) / 15).float()
    if rule == "code":
        return (torch.arange(-9, 11, dtype=torch.float64) * 0.06).float()
    raise ValueError(f'bins must be "paper" or "code", is {rule!r}')


def soft_argmax_m(logits: Tensor, centres_m: Tensor) -> Tensor:
    """Mean of the bins' depths, weighted by the softmax of `logits`.

    Sun et al., eq. (3). Always computed in float32 or better: a step of half precision at 0.5 m is 0.5 mm.

    Args:
        logits: (B bins H W).
        centres_m: (bins,) from `bin_centres_m`.

    Returns:
        (B H W) metres, strictly between the outermost bins.
    """
    probability = torch.softmax(at_least_float32(logits), dim=1)
    # Not a matrix product: mixed precision would run that in half.
    return (probability * centres_m[:, None, None]).sum(dim=1)
