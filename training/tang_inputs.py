"""What the networks of Tang et al., ICCV 2019, see of a batch, and what they are held against.

A batch holds fields and targets as shards and `training.made_targets` give them, stacked over samples.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Batch = Mapping[str, Any]
Prepared = tuple[Tensor, dict[str, Tensor]]

# Means and deviations of red, green and blue in the synthetic SURREAL images, in [0, 1]. The public code of
# Tang et al. whitens real images by these too; a network only needs them to be the same ever after.
SURREAL_MEAN = (0.50997676, 0.46663152, 0.41141176)
SURREAL_STD = (0.23047111, 0.2346968, 0.23176232)


def whitened(batch: Batch) -> Tensor:
    """(B 3 H W) float32: red, green and blue of `image`, the background with them. Of Skeleton-Net and
    Segmentation-Net, which are to find the person."""
    rgb: Tensor = batch["image"].movedim(-1, 1).float() / 255
    mean, std = (rgb.new_tensor(values)[:, None, None] for values in (SURREAL_MEAN, SURREAL_STD))
    return (rgb - mean) / std


def with_mask(batch: Batch) -> Tensor:
    """(B 4 H W) float32: `whitened`, and `mask`. Of Normal-Net and of the whole network."""
    return torch.cat([whitened(batch), batch["mask"][:, None].float()], dim=1)


def image_inputs(batch: Batch) -> Tensor:
    """(B 4 H W) float32: whitened red, green and blue, and the mask, from `image` and `mask`. Of Depth-Net.

    The background is 0 in all channels, that is, of the mean colour: what stands behind the person says nothing
    about the person's depth.
    """
    mask = batch["mask"][:, None]
    return torch.cat([torch.where(mask, whitened(batch), 0), mask.float()], dim=1)


def prepare_skeleton_net(batch: Batch) -> Prepared:
    """From `image`, `joint_places` and `joint_seen`: targets `places` (B 16 3) and `seen` (B 16)."""
    return whitened(batch), {"places": batch["joint_places"], "seen": batch["joint_seen"]}


def prepare_segmentation_net(batch: Batch) -> Prepared:
    """From `image` and `part_target`: target `part` (B 64 64) int64."""
    return whitened(batch), {"part": batch["part_target"].long()}


def prepare_normal_net(batch: Batch) -> Prepared:
    """From `image`, `mask` and `normal`: targets `normal` (B 3 H W) and `normal_mask` (B H W)."""
    return with_mask(batch), _normal_targets(batch)


def prepare_tang_net(batch: Batch) -> Prepared:
    """From `image`, `mask`, `base_m`, `detail_m` and `normal`: the targets of depth and of normals."""
    return with_mask(batch), {**depth_targets(batch), **_normal_targets(batch)}


def depth_targets(batch: Batch) -> dict[str, Tensor]:
    """`base_m`, `detail_m`, `composed_m` and `mask`, each (B H W).

    The mask is eroded once by a 3x3 cross, as the authors' loaders do: a person's outermost pixels mix with the
    background. What networks see is not, since that is what prediction will be given.

    A base beyond the outermost bins stays as it is, neither clipped nor left out: the losses bound its pull, and
    the best answer to it is the outermost bin either way.
    """
    return {
        "base_m": batch["base_m"],
        "detail_m": batch["detail_m"],
        "composed_m": batch["base_m"] + batch["detail_m"],
        "mask": erode_cross(batch["mask"]),
    }


def erode_cross(mask: Tensor) -> Tensor:
    """`mask` (B H W) without the pixels that have a False neighbour above, below, left or right.

    The image's border is no neighbour: a person who is cut off there has no outline there.
    """
    padded = F.pad(mask, (1, 1, 1, 1), value=True)
    up, down = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    return mask & up & down & left & right


def _normal_targets(batch: Batch) -> dict[str, Tensor]:
    known = (batch["normal"] != 0).any(dim=-1)  # a fit that found no plane left 0
    return {
        "normal": batch["normal"].movedim(-1, 1),
        "normal_mask": erode_cross(batch["mask"]) & known,
    }
