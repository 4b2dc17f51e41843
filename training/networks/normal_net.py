"""Normal-Net: from an image and the person's mask to a unit normal at every pixel.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 6.1, which
names an hourglass and nothing more; the authors' public code holds a U-Net. Both begin with a stem that halves the
image and end with a transposed convolution that doubles it again. At full width the hourglass has 4,133,635
parameters, the U-Net 1,851,203.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from training.networks.hourglass import Hourglass
from training.networks.options import check_options
from training.networks.unet import UNet

Graph = Literal["hourglass", "unet"]

IN_CHANNELS = 4  # red, green, blue, mask
STEM_CHANNELS = 64
CHANNELS = 256
UNET_CHANNELS = (64, 64, 64, 128, 128, 256)  # from half the image's size down
SHORTEST = 1e-6  # of an answer before it is brought to length one: a shorter one has a bounded gradient


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalNetOptions:
    """What a Normal-Net may be built with.

    Attributes:
        width: fraction of the full channels.
        graph: "hourglass" as the paper, or "unet" as its public code.
        norm: "group" or "batch", see `training.networks.blocks.normalisation`.
    """

    width: float = 1.0
    graph: Graph = "hourglass"
    norm: Norm = "group"

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1:
            raise ValueError(f"normal-net: width must be above 0 and at most 1, is {self.width}")
        if self.graph not in ("hourglass", "unet"):
            raise ValueError(f'normal-net: graph must be "hourglass" or "unet", is {self.graph!r}')


class NormalNet(nn.Module):
    """Whitened red, green and blue, and mask, to unit normals that begin by facing the camera.

    The parts that a phase may train or leave alone are `trunk` and `head`; together they hold every parameter.
    """

    levels = 5

    def __init__(self, options: NormalNetOptions) -> None:
        super().__init__()
        stem, norm = scaled(STEM_CHANNELS, options.width), options.norm
        wide = scaled(CHANNELS, options.width)
        if options.graph == "unet":
            channels = [scaled(count, options.width) for count in UNET_CHANNELS]
            inner = [Residual(stem, channels[0], norm=norm), UNet(channels, norm=norm)]
        else:
            channels = [wide]
            hourglass = Hourglass(self.levels, wide, norm=norm, upsampling="nearest")
            inner = [Residual(stem, wide, norm=norm), hourglass, Residual(wide, wide, norm=norm)]
        self.trunk = nn.Sequential(conv_unit(IN_CHANNELS, stem, kernel=7, stride=2, norm=norm), *inner)
        answer = nn.Conv2d(wide, 3, 1)
        self.head = nn.Sequential(
            deconv_unit(channels[0], stem, norm=norm), Residual(stem, wide, norm=norm), answer
        )
        initialise(self)
        initialise_output(answer)
        answer.bias = nn.Parameter(torch.tensor([0.0, 0.0, -1.0]))  # towards the camera

    def forward(self, inputs: Tensor) -> Tensor:
        """Unit normals (B 3 H W) in the camera frame, float32; only those in the mask mean anything.

        Args:
            inputs: (B 4 H W) whitened red, green, blue, and mask.

        Raises:
            ValueError: if height or width is not a multiple of 64 px.
        """
        check_size(inputs, 2 ** (self.levels + 1), "normal-net")
        return F.normalize(at_least_float32(self.head(self.trunk(inputs))), dim=1, eps=SHORTEST)


def build_normal_net(options: Mapping[str, Any]) -> NormalNet:
    """A Normal-Net from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    check_options("normal-net", asdict(NormalNetOptions()), options)
    return NormalNet(NormalNetOptions(**options))
