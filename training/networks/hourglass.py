"""Stacked hourglass: down to a few pixels and up again, several times, with an answer after each.

Newell et al., "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016. Tensors are B C H W.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.blocks import (
    Norm,
    Residual,
    Upsampling,
    check_size,
    conv_unit,
    initialise,
    initialise_output,
    scaled,
    upsample_2x,
)


class Hourglass(nn.Module):
    """One residual block at every position; skips pass one too and are added.

    Height and width must be multiples of 2 ** depth px.

    Args:
        depth: how often the size is halved.
        upsampling: "nearest" as the paper, or "bilinear".
    """

    def __init__(self, depth: int, channels: int, *, norm: Norm, upsampling: Upsampling) -> None:
        super().__init__()
        self._upsampling = upsampling
        self.skip = Residual(channels, channels, norm=norm)
        self.before = Residual(channels, channels, norm=norm)
        self.inner = (
            Hourglass(depth - 1, channels, norm=norm, upsampling=upsampling)
            if depth > 1
            else Residual(channels, channels, norm=norm)
        )
        self.after = Residual(channels, channels, norm=norm)

    def forward(self, features: Tensor) -> Tensor:
        low = self.after(self.inner(self.before(F.max_pool2d(features, 2))))
        skip: Tensor = self.skip(features)
        return skip + upsample_2x(low, self._upsampling)


class _Stack(nn.Module):
    """An hourglass, the features that follow from it, and its answer."""

    def __init__(
        self, depth: int, channels: int, out_channels: int, *, norm: Norm, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Hourglass(depth, channels, norm=norm, upsampling=upsampling),
            Residual(channels, channels, norm=norm),
            conv_unit(channels, channels, kernel=1, stride=1, norm=norm),
        )
        self.answer = nn.Conv2d(channels, out_channels, 1)
        initialise(self.features)
        initialise_output(self.answer)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(features)
        return features, self.answer(features)


class StackedHourglass(nn.Module):
    """Images to one answer a stack, at a quarter of the images' size; losses belong on every one of them.

    Args:
        in_channels: of the images.
        out_channels: of each answer.
        channels: at every level; the paper's 256 with its stem of 64 and 128, or a fraction of both.
        depth: how often each hourglass halves the size, from a quarter of the image's.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stacks: int = 2,
        depth: int = 4,
        channels: int = 256,
        norm: Norm = "group",
        upsampling: Upsampling = "nearest",
    ) -> None:
        super().__init__()
        if stacks < 1 or depth < 1:
            raise ValueError(f"hourglass: stacks and depth must be at least 1, are {stacks} and {depth}")
        quarter, half = scaled(channels, 1 / 4), scaled(channels, 1 / 2)
        self.stem = nn.Sequential(
            conv_unit(in_channels, quarter, kernel=7, stride=2, norm=norm),
            Residual(quarter, half, norm=norm),
            nn.MaxPool2d(2),
            Residual(half, half, norm=norm),
            Residual(half, channels, norm=norm),
        )
        self.stacks = nn.ModuleList(
            _Stack(depth, channels, out_channels, norm=norm, upsampling=upsampling) for _ in range(stacks)
        )
        self.merge_features = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))
        self.merge_answers = nn.ModuleList(nn.Conv2d(out_channels, channels, 1) for _ in range(stacks - 1))
        self._multiple = 4 * 2**depth
        for part in (self.stem, self.merge_features, self.merge_answers):
            initialise(part)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """One (B out_channels H/4 W/4) a stack, the last one the best.

        Raises:
            ValueError: if height or width is not a multiple of 4 * 2 ** depth px.
        """
        check_size(images, self._multiple, "hourglass")
        features = self.stem(images)
        answers = []
        for index, stack in enumerate(self.stacks):
            refined, answer = stack(features)
            answers.append(answer)
            if index < len(self.stacks) - 1:  # what follows the last stack would train nothing
                features = features + self.merge_features[index](refined) + self.merge_answers[index](answer)
        return tuple(answers)
