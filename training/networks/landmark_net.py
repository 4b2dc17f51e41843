"""Landmark-Net: from a picture of a person to heat maps of their joints and a map of the body's surface.

A residual network and three deconvolutions: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
ECCV 2018, section 2, which Yoshiyasu and Gamez, "Learning Body Shape and Pose from Dense Correspondences", 2019,
take for joints. The dense head is that of Guler et al., "DensePose", CVPR 2018, section 3.1: which of 24 parts, and
U and V in each.

A joint's heat map is a distribution over cells and one more place, "nowhere in the picture". So a joint that is cut
off, or a wall without a person, has an answer of its own, and the mass at the peak says how sure the network is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.landmark_joints import LANDMARK27
from training.networks.blocks import at_least_float32, check_size, conv_unit, initialise, initialise_output
from training.networks.options import check_options
from training.networks.resnet import resnet18, resnet50

JOINTS = len(LANDMARK27.names)
PARTS = 24
STRIDE = 4  # pixels of the input to one cell of the maps
MULTIPLE = 32  # of the input's sides: what the trunk halves five times
TRUNKS = {18: resnet18, 50: resnet50}


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkNetOptions:
    """What a Landmark-Net may be built with; the defaults are the baseline's.

    Attributes:
        depth: of the residual network, 18 or 50.
        width: fraction of its channels.
        deconvolution: channels of each of the three deconvolutions.
        lateral: features of the trunk's earlier stages are added on the way up, and a 3x3 convolution follows: Lin et
            al., "Feature Pyramid Networks for Object Detection", CVPR 2017, as in DensePose's own network. The
            baseline has none: all that it tells of outlines passes the trunk's last few cells.
        size_px: side of the square picture that it is trained on and sees.
    """

    depth: int = 50
    width: float = 1.0
    deconvolution: int = 256
    lateral: bool = False
    size_px: int = 256

    def __post_init__(self) -> None:
        if self.depth not in TRUNKS:
            raise ValueError(f"landmark-net: depth must be 18 or 50, is {self.depth}")
        if not 0 < self.width <= 1:
            raise ValueError(f"landmark-net: width must be above 0 and at most 1, is {self.width}")
        if self.deconvolution < 1:
            raise ValueError(f"landmark-net: deconvolution must be at least 1, is {self.deconvolution}")
        if self.size_px < MULTIPLE or self.size_px % MULTIPLE:
            raise ValueError(f"landmark-net: size_px must be a multiple of {MULTIPLE}, is {self.size_px}")


@dataclass(frozen=True, slots=True)
class LandmarkOutput:
    """What Landmark-Net answers, in cells of `STRIDE` px, float32.

    Attributes:
        place_logits: (B 27 h w) scores of each joint's place, in the order of `LANDMARK27`.
        nowhere_logits: (B 27) scores of its being nowhere in the picture, to be held against the cells'.
        part_logits: (B 25 h w) scores of background and the parts 1..24 of `surface_part`.
        uv: (B 24 2 h w) U and V in each part, 0 to 1 where it is trained.
    """

    place_logits: Tensor
    nowhere_logits: Tensor
    part_logits: Tensor
    uv: Tensor


class Upward(nn.Module):
    """Three times twice the size, by the baseline's 4x4 transposed convolutions.

    Args:
        stages: channels of the trunk's four stages.
        channels: of each deconvolution.
        lateral: as of `LandmarkNetOptions`.
    """

    def __init__(self, stages: Sequence[int], channels: int, *, lateral: bool) -> None:
        super().__init__()
        self.deconvolutions = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for before in (stages[-1], channels, channels)
        )
        self.laterals = nn.ModuleList(
            nn.Conv2d(each, channels, 1) for each in (stages[-2::-1] if lateral else ())
        )
        self.last = (
            conv_unit(channels, channels, kernel=3, stride=1, norm="batch") if lateral else nn.Identity()
        )
        initialise(self)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        features = stages[-1]
        for level, deconvolution in enumerate(self.deconvolutions):
            features = deconvolution(features)
            if self.laterals:
                features = features + self.laterals[level](stages[-2 - level])
            features = F.relu(features)
        last: Tensor = self.last(features)
        return last


class LandmarkNet(nn.Module):
    """Whitened red, green and blue to joints and surface.

    The parts that a phase may train or leave alone are `trunk`, `upward`, `joint_head`, `nowhere_head` and
    `dense_head`; together they hold every parameter.
    """

    def __init__(self, options: LandmarkNetOptions) -> None:
        super().__init__()
        self.trunk = TRUNKS[options.depth](classes=1, width=options.width)
        self.trunk.fc = nn.Identity()  # of the classifier nothing is left
        channels = options.deconvolution
        self.upward = Upward(self.trunk.channels, channels, lateral=options.lateral)
        self.joint_head = nn.Conv2d(channels, JOINTS, 1)
        self.dense_head = nn.Conv2d(channels, 1 + PARTS + 2 * PARTS, 1)
        self.nowhere_head = nn.Linear(self.trunk.channels[-1], JOINTS)
        for head in (self.joint_head, self.dense_head):
            initialise_output(head)
        nn.init.zeros_(self.nowhere_head.weight)
        nn.init.zeros_(self.nowhere_head.bias)

    def forward(self, images: Tensor) -> LandmarkOutput:
        """Maps of pictures (B 3 H W), not necessarily square.

        Raises:
            ValueError: if height or width is not a multiple of 32 px.
        """
        check_size(images, MULTIPLE, "landmark-net")
        stages = self.trunk.stages(images.contiguous(memory_format=torch.channels_last))
        features = self.upward(stages)
        dense = at_least_float32(self.dense_head(features))
        return LandmarkOutput(
            place_logits=at_least_float32(self.joint_head(features)),
            nowhere_logits=at_least_float32(self.nowhere_head(stages[-1].mean(dim=(2, 3)))),
            part_logits=dense[:, : 1 + PARTS],
            uv=dense[:, 1 + PARTS :].reshape(len(dense), PARTS, 2, *dense.shape[2:]),
        )


def build_landmark_net(options: Mapping[str, Any]) -> LandmarkNet:
    """A Landmark-Net from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    check_options("landmark-net", asdict(LandmarkNetOptions()), options)
    net = LandmarkNet(LandmarkNetOptions(**options))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time on a CPU
    return net
