"""What the networks on stacked hourglasses may be built with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.networks.blocks import Norm, scaled
from training.networks.hourglass import StackedHourglass
from training.networks.options import check_options

CHANNELS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class HourglassOptions:
    """Of Skeleton-Net and Segmentation-Net; the defaults are those of the authors' public code.

    Attributes:
        width: fraction of the full 256 channels.
        stacks: hourglasses, each with an answer that is trained; the last one's counts.
        depth: how often each halves the size; an image's sides must be multiples of 4 * 2 ** depth px.
        norm: "group" or "batch", see `training.networks.blocks.normalisation`.
    """

    width: float = 1.0
    stacks: int = 2
    depth: int = 4
    norm: Norm = "group"

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1:
            raise ValueError(f"hourglass: width must be above 0 and at most 1, is {self.width}")


def hourglass_options(network: str, options: Mapping[str, Any]) -> HourglassOptions:
    """Checked options of a run.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    check_options(network, asdict(HourglassOptions()), options)
    return HourglassOptions(**options)


def stacked_hourglass(out_channels: int, options: HourglassOptions) -> StackedHourglass:
    """Images of red, green and blue to one answer a stack, at a quarter of their size."""
    return StackedHourglass(
        3,
        out_channels,
        stacks=options.stacks,
        depth=options.depth,
        channels=scaled(CHANNELS, options.width),
        norm=options.norm,
    )
