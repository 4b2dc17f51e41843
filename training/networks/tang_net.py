"""The whole network of Tang et al.: joints and parts as cues to depth, normals beside it, and both refined.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 3. At full
width it has 26,915,477 parameters with the hourglass for normals.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from training.networks.bins import Bins
from training.networks.blocks import Norm, at_least_float32
from training.networks.depth_net import DepthNet, DepthNetOptions, DepthOutput
from training.networks.normal_net import Graph, NormalNet, NormalNetOptions
from training.networks.options import check_options
from training.networks.refinement import CODE_PITCH_M, PAPER, Refinement, refine_depth
from training.networks.segmentation_net import (
    CLASSES,
    SegmentationNet,
    SegmentationOutput,
    foreground,
    upsampled,
)
from training.networks.skeleton_net import BINS, JOINTS, SkeletonNet, SkeletonOutput
from training.networks.stacked import HourglassOptions

Cues = Literal["heat", "scores", "none"]
NormalMask = Literal["predicted", "given"]

CUE_CHANNELS = CLASSES + JOINTS * BINS


@dataclass(frozen=True, kw_only=True, slots=True)
class TangNetOptions:
    """What the whole network may be built with; the defaults are the paper's.

    Attributes:
        width: fraction of the full channels of all four networks.
        cues: what Depth-Net sees of the other two: "heat", the paper's maps of probability; "scores", the
            numbers before the softmax, as its public code; "none", nothing, as in its ablation.
        normal_mask: the mask that Normal-Net sees: Segmentation-Net's, "predicted", or the one that is "given".
        normal_graph: see `training.networks.normal_net.NormalNetOptions`.
        stacks, depth: of the hourglasses of joints and parts, see `training.networks.stacked.HourglassOptions`.
        levels, bins: see `training.networks.depth_net.DepthNetOptions`.
        norm: "group" or "batch", see `training.networks.blocks.normalisation`.
    """

    width: float = 1.0
    cues: Cues = "heat"
    normal_mask: NormalMask = "predicted"
    normal_graph: Graph = "hourglass"
    stacks: int = 2
    depth: int = 4
    levels: int = 5
    bins: Bins = "paper"
    norm: Norm = "group"

    def __post_init__(self) -> None:
        if self.cues not in ("heat", "scores", "none"):
            raise ValueError(f'tang-net: cues must be "heat", "scores" or "none", is {self.cues!r}')
        if self.normal_mask not in ("predicted", "given"):
            raise ValueError(f'tang-net: normal_mask must be "predicted" or "given", is {self.normal_mask!r}')


@dataclass(frozen=True, slots=True)
class TangOutput:
    """What the four networks answer.

    Attributes:
        normal: (B 3 H W) unit, camera frame.
        mask: (B H W) bool, the person's mask that was given.
    """

    skeleton: SkeletonOutput
    segmentation: SegmentationOutput
    depth: DepthOutput
    normal: Tensor
    mask: Tensor


class TangNet(nn.Module):
    """The four networks.

    A phase may train or leave alone `skeleton`, `segmentation`, `depth`, `normal`, which together hold every
    parameter, and the parts of each, such as `depth.trunk` and `depth.base_head`.
    """

    def __init__(self, options: TangNetOptions) -> None:
        super().__init__()
        self._cues, self._normal_mask = options.cues, options.normal_mask
        hourglass = HourglassOptions(
            width=options.width, stacks=options.stacks, depth=options.depth, norm=options.norm
        )
        self.skeleton, self.segmentation = SkeletonNet(hourglass), SegmentationNet(hourglass)
        self.depth = DepthNet(
            DepthNetOptions(
                width=options.width,
                extra_channels=0 if options.cues == "none" else CUE_CHANNELS,
                levels=options.levels,
                norm=options.norm,
                bins=options.bins,
            )
        )
        self.normal = NormalNet(
            NormalNetOptions(width=options.width, graph=options.normal_graph, norm=options.norm)
        )

    def forward(self, inputs: Tensor) -> TangOutput:
        """All answers.

        Args:
            inputs: (B 4 H W) whitened red, green and blue of the whole picture, and the person's mask.

        Raises:
            ValueError: if height or width is not a multiple of what the deepest of the networks needs.
        """
        picture, given = inputs[:, :3], inputs[:, 3:]
        skeleton, segmentation = self.skeleton(picture), self.segmentation(picture)
        seen = depth_inputs(inputs, skeleton, segmentation, self._cues)
        person = given if self._normal_mask == "given" else _person(segmentation, inputs)
        normal = self.normal(torch.cat([picture, person], dim=1))
        return TangOutput(skeleton, segmentation, self.depth(seen), normal, given[:, 0] > 0)


def build_tang_net(options: Mapping[str, Any]) -> TangNet:
    """The whole network from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    check_options("tang-net", asdict(TangNetOptions()), options)
    return TangNet(TangNetOptions(**options))


def depth_inputs(
    inputs: Tensor, skeleton: SkeletonOutput, segmentation: SegmentationOutput, cues: Cues
) -> Tensor:
    """What Depth-Net sees: the person before the mean colour, the mask, and the cues at the image's size.

    Args:
        inputs: (B 4 H W) as the whole network's.

    Returns:
        (B 4+319 H W), or (B 4 H W) without cues.
    """
    given = inputs[:, 3:]
    maps = [torch.where(given > 0, inputs[:, :3], 0), given]
    if cues != "none":
        found = cue_maps(skeleton.volumes[-1], segmentation.logits[-1], cues)
        maps.append(upsampled(found, (inputs.shape[2], inputs.shape[3])).to(inputs.dtype))
    return torch.cat(maps, dim=1)


def cue_maps(volumes: Tensor, logits: Tensor, kind: Cues) -> Tensor:
    """What Depth-Net sees beside the picture (B 15+304 h w): parts, then joints bin by bin.

    "heat" is each cell's probability of the parts, and each joint's probability over that of its likeliest voxel:
    probabilities over 77,824 voxels themselves are next to nothing everywhere.
    """
    joints, parts = at_least_float32(volumes), at_least_float32(logits)
    if kind == "heat":
        joints = torch.exp(joints - joints.amax(dim=(2, 3, 4), keepdim=True))
        parts = torch.softmax(parts, dim=1)
    return torch.cat([parts, joints.flatten(1, 2)], dim=1)


def refined_depth(
    output: TangOutput,
    *,
    K: Tensor | None = None,
    median_m: Tensor | None = None,
    pitch_m: float = CODE_PITCH_M,
    how: Refinement = PAPER,
) -> Tensor:
    """Composed depth and normals brought together, (B H W) relative to the person's median, 0 outside the mask.

    Args:
        K: (B 3 3) intrinsics of the picture, and `median_m`: (B) the person's median depth, for rays through a lens;
            where either is not known, rays run along the axis, `pitch_m` apart.
        how: see `training.networks.refinement.Refinement`.
    """
    depth_m = output.depth.composed_m
    if K is None or median_m is None:
        return refine_depth(depth_m, output.normal, output.mask, pitch_m=pitch_m, how=how)
    away_m = at_least_float32(median_m)[:, None, None]
    refined_m = refine_depth(depth_m + away_m, output.normal, output.mask, K=K, how=how)
    return torch.where(output.mask, refined_m - away_m, 0)


def _person(segmentation: SegmentationOutput, inputs: Tensor) -> Tensor:
    mask = foreground(segmentation.logits[-1], (inputs.shape[2], inputs.shape[3]))
    return mask[:, None].to(inputs.dtype)
