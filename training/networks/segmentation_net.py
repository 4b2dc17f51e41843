"""Segmentation-Net: from an image to which of 14 body parts, or the background, each of 64 x 64 cells shows.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 4. The
sizes of the two hourglasses are those of the authors' public code: 6,561,374 parameters at full width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.blocks import at_least_float32
from training.networks.stacked import HourglassOptions, hourglass_options, stacked_hourglass

CLASSES = 15  # the background, 0, and the parts of `part14`


@dataclass(frozen=True, slots=True)
class SegmentationOutput:
    """What Segmentation-Net answers.

    Attributes:
        logits: of each stack (B 15 h w), scores of background and parts in cells of 4 px; the last stack's count.
    """

    logits: tuple[Tensor, ...]


class SegmentationNet(nn.Module):
    """Whitened red, green and blue to scores of parts; `hourglass` holds every parameter."""

    def __init__(self, options: HourglassOptions) -> None:
        super().__init__()
        self.hourglass = stacked_hourglass(CLASSES, options)

    def forward(self, images: Tensor) -> SegmentationOutput:
        """Scores of pictures (B 3 H W).

        Raises:
            ValueError: if height or width is not a multiple of 4 * 2 ** depth px.
        """
        return SegmentationOutput(self.hourglass(images))


def build_segmentation_net(options: Mapping[str, Any]) -> SegmentationNet:
    """A Segmentation-Net from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    return SegmentationNet(hourglass_options("segmentation-net", options))


def upsampled(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Maps (B C h w) at the image's size, bilinearly, with pixel centres where a resize puts them."""
    return F.interpolate(at_least_float32(maps), size=size_hw, mode="bilinear", align_corners=False)


def foreground(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The person's mask (B H W), True where any part beats the background after the scores are upsampled."""
    scores = upsampled(logits, size_hw)
    return scores[:, 1:].amax(dim=1) > scores[:, 0]
