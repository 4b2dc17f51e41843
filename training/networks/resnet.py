"""ResNet-18 and ResNet-50 under the key names of the public checkpoints, so that a user's file of weights loads.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. A bottleneck that halves the size does so
in its 3x3 convolution ("v1.5"), not in the 1x1 before it as the paper has it: the public weights were trained so.
Tensors are B C H W.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import InputError
from training.networks.blocks import initialise, scaled

MAX_LISTED_KEYS = 5


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the first one halves the size."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(features)))
        branch = self.bn2(self.conv2(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        return F.relu(branch + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 halves the size, the last widens four times."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(features)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        return F.relu(branch + shortcut)


class ResNet(nn.Module):
    """Images to class scores; `pooled` gives the features before the last layer, `fc` may be replaced.

    Args:
        blocks: how many blocks each of the four stages has.
        width: fraction of the public networks' 64 to 512 channels.

    Attributes:
        channels: of what each of the four `stages` gives.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        *,
        classes: int,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        stem, second, third, last = (scaled(channels, width) for channels in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = _stage(block, stem, stem, count=blocks[0], stride=1)
        self.layer2 = _stage(block, stem * block.expansion, second, count=blocks[1], stride=2)
        self.layer3 = _stage(block, second * block.expansion, third, count=blocks[2], stride=2)
        self.layer4 = _stage(block, third * block.expansion, last, count=blocks[3], stride=2)
        self.channels = tuple(each * block.expansion for each in (stem, second, third, last))
        self.fc: nn.Module = nn.Linear(self.channels[-1], classes)
        initialise(self)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Features at 1/4, 1/8, 1/16 and 1/32 of the size of images (B 3 H W), rounded up."""
        features = F.relu(self.bn1(self.conv1(images)))
        features = F.max_pool2d(features, 3, stride=2, padding=1)
        found = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            found.append(features)
        return found

    def maps(self, images: Tensor) -> Tensor:
        """Features (B, 512 or 2048, H / 32, W / 32, rounded up) of images (B 3 H W)."""
        return self.stages(images)[-1]

    def pooled(self, images: Tensor) -> Tensor:
        """Mean features (B, 512 or 2048) of images (B 3 H W)."""
        return self.maps(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.pooled(images))
        return scores


def resnet18(*, classes: int = 1000, width: float = 1.0) -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2), classes=classes, width=width)


def resnet50(*, classes: int = 1000, width: float = 1.0) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3), classes=classes, width=width)


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill `module` with a file's weights, all of them and nothing else.

    Only the counters `num_batches_tracked` may be missing, which older files do not have and inference does not
    use. To load into a network with another last layer, load first and replace `fc` then.

    Args:
        path: `.safetensors`, or `.pth` or `.pt` that holds tensors by name and nothing that would be executed.

    Raises:
        InputError: if the file cannot be read, or a key is missing, unexpected or of another shape; `module` is
            unchanged then.
    """
    weights = _read_weights(path)
    expected = module.state_dict()
    missing = [key for key in expected.keys() - weights.keys() if not key.endswith("num_batches_tracked")]
    shared = expected.keys() & weights.keys()
    reshaped = [
        f"{key} {tuple(weights[key].shape)} for {tuple(expected[key].shape)}"
        for key in shared
        if weights[key].shape != expected[key].shape
    ]
    lists = {"missing": missing, "unexpected": weights.keys() - expected.keys(), "of another shape": reshaped}
    faults = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in lists.items() if keys]
    if faults:
        raise InputError(
            "wrong-weights",
            f"{path}: its keys must be those of {type(module).__name__}, but there are {', '.join(faults)}. "
            "Take a file for this very network.",
        )
    module.load_state_dict({**expected, **weights})


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        weights = _parse(path)
    # Whatever a reader makes of foreign bytes, to the user it is a file that holds no weights.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            "unreadable-weights",
            f"{path}: a file of weights must be readable, is not: {reason}. Get it again.",
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(
            "unreadable-weights",
            f"{path}: a file of weights must hold tensors by name, holds something else. "
            "Save the network's state_dict alone.",
        )
    return weights


def _parse(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix in (".pth", ".pt"):
        return torch.load(path, map_location="cpu", weights_only=True)
    raise ValueError(f"its name must end in .safetensors, .pth or .pt, ends in {path.suffix!r}")


def _some(keys: Any) -> str:
    listed = sorted(keys)[:MAX_LISTED_KEYS]
    return ", ".join(listed) + (", ..." if len(keys) > MAX_LISTED_KEYS else "")


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, channels: int, *, count: int, stride: int
) -> nn.Sequential:
    further = (block(channels * block.expansion, channels, stride=1) for _ in range(count - 1))
    return nn.Sequential(block(in_channels, channels, stride=stride), *further)


def _shortcut(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
