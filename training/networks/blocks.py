"""Convolution blocks that the networks share, and how their weights start.

Pre-activation bottleneck: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, as used by
Newell et al., "Stacked Hourglass Networks", ECCV 2016. Tensors are B C H W.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["group", "batch"]
Upsampling = Literal["nearest", "bilinear"]

CHANNEL_STEP = 8  # scaled widths are multiples of it, so that vector units and tensor cores stay filled
MAX_GROUPS = 32  # Wu and He, "Group Normalization", ECCV 2018
MIN_GROUP_CHANNELS = 8


def scaled(channels: int, width: float) -> int:
    """`channels` times the fraction `width`, rounded to the nearest multiple of 8 and at least 8."""
    return max(CHANNEL_STEP, round(channels * width / CHANNEL_STEP) * CHANNEL_STEP)


def normalisation(channels: int, kind: Norm) -> nn.Module:
    """A layer that brings features to zero mean and unit variance, with a learned scale and offset.

    "group" takes its statistics from each sample alone: a batch of one trains as it will predict, frozen parts
    stay as they are, and a batch parted over several processes gives the gradient of the whole. "batch" is what
    the papers' public code holds; with a batch of one its running statistics never match those of training.

    Raises:
        ValueError: for another kind.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        # The most groups of at least MIN_GROUP_CHANNELS that part the channels evenly.
        most = max(1, min(MAX_GROUPS, channels // MIN_GROUP_CHANNELS))
        groups = next(count for count in range(most, 0, -1) if channels % count == 0)
        return nn.GroupNorm(groups, channels)
    raise ValueError(f'norm must be "group" or "batch", is {kind!r}')


def conv_unit(in_channels: int, out_channels: int, *, kernel: int, stride: int, norm: Norm) -> nn.Sequential:
    """Convolution without bias, normalisation, ReLU; the output is the input's size over `stride`.

    An odd kernel is padded to stay centred; an even one must equal the stride, so that its windows tile the input.

    Raises:
        ValueError: for an even kernel that differs from the stride.
    """
    if kernel % 2 == 0 and kernel != stride:
        raise ValueError(f"conv_unit: an even kernel must equal the stride, is {kernel} with stride {stride}")
    padding = kernel // 2 if kernel % 2 else 0
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False)
    return nn.Sequential(convolution, normalisation(out_channels, norm), nn.ReLU(inplace=True))


def deconv_unit(in_channels: int, out_channels: int, *, norm: Norm) -> nn.Sequential:
    """2x2 transposed convolution with stride 2 and without bias, normalisation, ReLU: twice the size."""
    deconvolution = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)
    return nn.Sequential(deconvolution, normalisation(out_channels, norm), nn.ReLU(inplace=True))


def upsample_2x(features: Tensor, mode: Upsampling) -> Tensor:
    """Twice the height and width; "bilinear" keeps pixel centres where a resize by 2 puts them.

    Raises:
        ValueError: for another mode.
    """
    if mode == "nearest":
        return F.interpolate(features, scale_factor=2, mode="nearest")
    if mode == "bilinear":
        return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    raise ValueError(f'upsampling must be "nearest" or "bilinear", is {mode!r}')


class Residual(nn.Module):
    """Pre-activation bottleneck: normalise, ReLU, convolve by 1x1 to half, 3x3 in half, 1x1 to all channels.

    The shortcut is the identity, or a 1x1 convolution where the number of channels changes.
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm) -> None:
        super().__init__()
        half = out_channels // 2
        self.branch = nn.Sequential(
            normalisation(in_channels, norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, half, 1, bias=False),
            normalisation(half, norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            normalisation(half, norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, out_channels, 1),
        )
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        total: Tensor = self.shortcut(features) + self.branch(features)
        return total


def initialise(module: nn.Module) -> None:
    """Draw every convolution below `module` from He's normal distribution, std sqrt(2 / fan), biases 0.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. (10). The fan is the number of products that are
    summed into one output: a transposed convolution reaches each output by kernel / stride taps a side, for
    which PyTorch's own initialiser counts otherwise. Normalisations start as the identity. Numbers come from
    torch's global generator. (The public code of Tang et al. draws by Xavier, with biases of 0.1.)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            fan = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
            if isinstance(layer, nn.ConvTranspose2d):
                fan //= layer.stride[0] * layer.stride[1]
            nn.init.normal_(layer.weight, std=(2 / fan) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_output(layer: nn.Conv2d) -> None:
    """Start a network's last convolution near zero, so that its first answer is near zero everywhere."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def check_size(features: Tensor, multiple: int, network: str) -> None:
    """Refuse an image whose height or width the network cannot halve evenly.

    Raises:
        ValueError: if height or width is not a positive multiple of `multiple` px.
    """
    height, width = features.shape[-2:]
    if height % multiple or width % multiple or not height or not width:
        raise ValueError(
            f"{network}: height and width must be multiples of {multiple} px, are {height} x {width} px. "
            "Resize the image, or build the network with fewer levels."
        )


def at_least_float32(values: Tensor) -> Tensor:
    """`values` in float32, or in its own type where that is more precise: half precision cannot hold metres."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
