"""Depth-Net: from an image of a person to a smooth base depth and the detail on it.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 5.
The paper names a U-Net and two branches; sizes and counts follow the authors' public code.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from training.networks.bins import Bins, bin_centres_m, soft_argmax_m
from training.networks.blocks import (
    Norm,
    Residual,
    at_least_float32,
    check_size,
    conv_unit,
    deconv_unit,
    initialise,
    initialise_output,
    scaled,
)
from training.networks.options import check_options
from training.networks.unet import UNet

IMAGE_CHANNELS = 4  # red, green, blue, mask
STEM_CHANNELS = 128
CHANNELS = 256
M_FROM_RAW_DETAIL = 0.01  # the detail head works in centimetres: its outputs are then of the order of one


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthNetOptions:
    """What a Depth-Net may be built with; the defaults are the paper's.

    Attributes:
        width: fraction of the full 128 and 256 channels.
        extra_channels: maps appended to image and mask, such as parts and joints.
        levels: how often the U-Net halves; an image's sides must be multiples of 2 ** (levels + 1) px.
        norm: "group" or "batch", see `training.networks.blocks.normalisation`.
        bins: "paper" or "code", see `training.networks.bins.bin_centres_m`.
    """

    width: float = 1.0
    extra_channels: int = 0
    levels: int = 5
    norm: Norm = "group"
    bins: Bins = "paper"

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1:
            raise ValueError(f"depth-net: width must be above 0 and at most 1, is {self.width}")
        if self.extra_channels < 0:
            raise ValueError(f"depth-net: extra_channels must be at least 0, is {self.extra_channels}")
        if self.levels < 1:
            raise ValueError(f"depth-net: levels must be at least 1, is {self.levels}")


@dataclass(frozen=True, slots=True)
class DepthOutput:
    """What Depth-Net answers, for every pixel; only those in the person's mask mean anything.

    Attributes:
        base_logits: (B bins H W) scores of the depth bins.
        base_m: (B H W) smooth depth relative to the person's median, metres.
        detail_m: (B H W) what is added to it, metres.
        composed_m: (B H W) base_m + detail_m.
    """

    base_logits: Tensor
    base_m: Tensor
    detail_m: Tensor
    composed_m: Tensor


class DepthNet(nn.Module):
    """Image and mask to base and detail depth at the image's size.

    The parts that a training phase may train or leave alone are `trunk`, `base_head` and `detail_head`;
    together they hold every parameter. The bins' depths are saved with the weights.
    """

    bin_centres_m: Tensor

    def __init__(self, options: DepthNetOptions) -> None:
        super().__init__()
        stem, channels = scaled(STEM_CHANNELS, options.width), scaled(CHANNELS, options.width)
        norm = options.norm
        self.trunk = nn.Sequential(
            conv_unit(IMAGE_CHANNELS + options.extra_channels, stem, kernel=7, stride=2, norm=norm),
            Residual(stem, channels, norm=norm),
            UNet([channels] * (options.levels + 1), norm=norm),
            deconv_unit(channels, channels, norm=norm),
            Residual(channels, channels, norm=norm),
        )
        centres_m = bin_centres_m(options.bins)
        self.register_buffer("bin_centres_m", centres_m)
        self.base_head = _head(channels, len(centres_m), norm=norm)
        self.detail_head = _head(channels, 1, norm=norm)
        self._multiple = 2 ** (options.levels + 1)
        initialise(self.trunk)

    def forward(self, inputs: Tensor) -> DepthOutput:
        """Depths of every pixel.

        Args:
            inputs: (B 4+extra H W) whitened red, green, blue, mask, extra maps.

        Raises:
            ValueError: if height or width is not a multiple of 2 ** (levels + 1) px.
        """
        check_size(inputs, self._multiple, "depth-net")
        features = self.trunk(inputs)
        base_logits = self.base_head(features)
        base_m = soft_argmax_m(base_logits, self.bin_centres_m)
        detail_m = at_least_float32(self.detail_head(features)[:, 0]) * M_FROM_RAW_DETAIL  # cm -> m
        return DepthOutput(base_logits, base_m, detail_m, base_m + detail_m)


def build_depth_net(options: Mapping[str, Any]) -> DepthNet:
    """A Depth-Net from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    check_options("depth-net", asdict(DepthNetOptions()), options)
    return DepthNet(DepthNetOptions(**options))


def _head(channels: int, out_channels: int, *, norm: Norm) -> nn.Sequential:
    residual, output = Residual(channels, channels, norm=norm), nn.Conv2d(channels, out_channels, 1)
    initialise(residual)
    initialise_output(output)
    return nn.Sequential(residual, output)
