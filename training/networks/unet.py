"""The U-Net that Tang et al. share between depth and normals, after their public code. Tensors are B C H W.

Ronneberger et al., "U-Net", MICCAI 2015, whose skips are concatenated; here they are added.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from training.networks.blocks import Norm, Residual, conv_unit, deconv_unit


class UNet(nn.Module):
    """Features to features of the same size and channels; skips pass a residual block and are added.

    Args:
        channels: from the finest level to the coarsest, one more than the size is halved.
    """

    def __init__(self, channels: Sequence[int], *, norm: Norm) -> None:
        super().__init__()
        fine, coarse = channels[:-1], channels[1:]

        def residuals(counts: Sequence[int]) -> nn.ModuleList:
            return nn.ModuleList(Residual(count, count, norm=norm) for count in counts)

        self.skips, self.before, self.after = residuals(fine), residuals(coarse), residuals(fine[::-1])
        steps = list(zip(fine, coarse, strict=True))
        self.downs = nn.ModuleList(
            conv_unit(above, below, kernel=2, stride=2, norm=norm) for above, below in steps
        )
        self.ups = nn.ModuleList(deconv_unit(below, above, norm=norm) for above, below in reversed(steps))
        self.bottleneck = nn.Sequential(
            Residual(channels[-1], channels[-1], norm=norm), Residual(channels[-1], channels[-1], norm=norm)
        )

    def forward(self, features: Tensor) -> Tensor:
        kept = []
        for skip, down, before in zip(self.skips, self.downs, self.before, strict=True):
            kept.append(skip(features))
            features = before(down(features))
        features = self.bottleneck(features)
        for up, after in zip(self.ups, self.after, strict=True):
            features = after(up(features) + kept.pop())
        return features
