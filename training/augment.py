"""Augmentation that leaves every field of a sample true: the mirrored person, another focal length, other light.

What is drawn depends on seed, epoch and sample number alone, so that any worker of any rank draws the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import BODY25, COCO17, H36M17, MPII16, SMPL24, TANG16, mirrored_pose
from pipeline.bodies.parts import DENSEPOSE24_NAMES, SURREAL24_NAMES, TANG14_NAMES, flipped_labels
from pipeline.cameras import crop_intrinsics, crop_resize, project
from pipeline.fields import FIELDS
from pipeline.seeds import stream

MIRROR_X = np.diag([-1.0, 1.0, 1.0, 1.0])

# What a field is when the camera's x axis is mirrored or its focal length changes. Labels, joints and poses name
# left and right, and swap the two.
Kind = Literal[
    "picture",
    "vectors",
    "labels",
    "chart",
    "intrinsics",
    "pose",
    "joints",
    "pixels",
    "angles",
    "place",
    "landmarks",
    "of_joints",
    "volume",
    "voxel_map",
    "stack",
    "turns",
    "shifts",
    "foreign",
    "same",
]
PICTURES: tuple[Kind, ...] = ("picture", "vectors", "labels", "chart")
ANNOTATED = (COCO17, BODY25, MPII16, H36M17)
KINDS: dict[str, Kind] = {
    "capture": "same",
    "subject": "same",
    "frame": "same",
    "timestamp_s": "same",
    "image": "picture",
    "K": "intrinsics",
    "world_from_cam": "pose",
    "depth_raw_m": "picture",
    "mask": "picture",
    "depth_m": "picture",
    "depth_sigma_m": "picture",
    "fused_residual_m": "same",
    "fused_coverage": "same",
    "depth_median_m": "same",  # of the whole person, also where scaling cuts a part off
    "base_m": "picture",
    "detail_m": "picture",
    "normal": "vectors",
    "normal_residual_m": "picture",
    "part14": "labels",
    "part24": "labels",
    "surface_part": "labels",
    "surface_uv": "chart",
    "joints_smpl24_cam_m": "joints",
    "joints_tang16_cam_m": "joints",
    "joints_tang16_px": "pixels",
    "body_pose_rad": "angles",
    "body_betas": "same",  # the body at rest is its own mirror image
    "body_transl_m": "place",
    "body_depth_m": "picture",
    "motion_base_depth_m": "picture",
    **{name: "same" for name in FIELDS if name.startswith("track_")},
    **{
        f"body_fit_{what}": "same"
        for what in ("landmark_residual_px", "depth_residual_m", "energy", "source")
    },
    "person_mask": "picture",
    "coarse_part": "labels",
    **{f"joints_{each.name}_px": "landmarks" for each in ANNOTATED},
    **{f"joints_{each.name}_confidence": "of_joints" for each in ANNOTATED},
    **{f"joints_{each.name}_visible": "of_joints" for each in ANNOTATED},
    "joints_h36m17_cam_m": "joints",
    "occupancy_128": "volume",
    "occupancy_128x256x96": "volume",
    "occupancy_128_world_from_vox": "voxel_map",
    "occupancy_128x256x96_world_from_vox": "voxel_map",
    "occupancy_128_share_cut": "same",
    "occupancy_128x256x96_share_cut": "same",
    "occupancy_scale": "same",
    "motion_reference_frame": "same",
    "motion_rotvec_rad": "turns",
    "motion_t_m": "shifts",
    "motion_valid": "stack",
    # Their charts and faces are no mirror images of each other, and a cut would part points from their picture.
    **{f"densepose_{what}": "foreign" for what in ("part", "uv", "points_px", "points_part", "points_uv")},
    **{f"surface_points_{what}": "foreign" for what in ("px", "part", "uv", "face", "bary", "vertex")},
    **{f"surface_points_{what}": "same" for what in ("reason", "charts", "body")},
}
# They line up with the crop as it was made: another lens would part them from it.
UNSCALED: tuple[Kind, ...] = ("volume", "voxel_map", "stack", "turns", "shifts", "foreign")
VOXELS_ALONG_X = 128  # of both volumes
# DensePose's 14: torso, hands R L, feet L R, upper legs R L, lower legs R L, upper arms L R, lower arms L R, head.
COARSE_PARTNERS = np.array([0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14], dtype=np.uint8)
PARTNERS = {
    "part14": flipped_labels(TANG14_NAMES),
    "part24": flipped_labels(SURREAL24_NAMES),
    "surface_part": flipped_labels(DENSEPOSE24_NAMES),
    "joints_smpl24_cam_m": np.array(SMPL24.flip),
    "joints_tang16_cam_m": np.array(TANG16.flip),
    "joints_tang16_px": np.array(TANG16.flip),
    "coarse_part": COARSE_PARTNERS,
    "joints_h36m17_cam_m": np.array(H36M17.flip),
    **{
        f"joints_{each.name}_{what}": np.array(each.flip)
        for each in ANNOTATED
        for what in ("px", "confidence", "visible")
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What may happen to a training sample; the default is what the code of Tang et al. does, their gain alone.

    Attributes:
        flip: probability of the mirrored sample.
        scale: least and greatest factor of the focal length, drawn evenly in its logarithm.
        gain: least and greatest factor of each colour channel.
    """

    flip: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    gain: tuple[float, float] = (0.6, 1.4)

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"Augmentation: flip must be from 0 to 1, is {self.flip}")
        for name, (low, high) in (("scale", self.scale), ("gain", self.gain)):
            if not 0 < low <= high:
                raise ValueError(f"Augmentation: {name} must be 0 < low <= high, is {low}, {high}")


def augment(
    sample: Mapping[str, Any], augmentation: Augmentation, *, seed: int, epoch: int, index: int
) -> dict[str, Any]:
    """A changed copy of a sample; its arrays are of the same shapes and dtypes.

    Args:
        sample: fields as the shards hold them.
        index: number of the sample within the training set.

    Raises:
        ValueError: as `scale`; for a field that has no kind.
    """
    rng = stream(seed, "augment", str(epoch), index)
    flips = rng.random() < augmentation.flip
    factor = float(np.exp(rng.uniform(*np.log(augmentation.scale))))
    gain = rng.uniform(*augmentation.gain, size=3)
    changed = flip(sample) if flips else dict(sample)
    if factor != 1:
        changed = scale(changed, factor)
    if "image" in changed:
        changed["image"] = apply_gain(changed["image"], gain)
    return changed


def flip(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The sample as a mirrored person's camera would see it; the world's x axis is mirrored with the camera's."""
    width = next((np.shape(value)[1] for name, value in sample.items() if _is_picture(name)), None)
    return {name: _flipped(name, value, width) for name, value in sample.items()}


def scale(sample: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The sample through a lens of `factor` times the focal length, turned about the image's centre.

    Depths and normals keep their values, since neither camera nor person moves; what comes in from beyond the
    border is invalid (0). Images are resampled as `pipeline.cameras.crop_resize` does.

    Raises:
        ValueError: unless pictures are square, or for a field that cannot be seen through another lens.
    """
    fixed = [name for name in sample if _kind(name) in UNSCALED]
    if fixed:
        raise ValueError(f"scale: {fixed[0]} belongs to the crop as it is. Leave it, or the scaling, out.")
    pictures = {name: value for name, value in sample.items() if _is_picture(name)}
    lensed = [name for name in sample if _kind(name) in ("intrinsics", "pixels", "landmarks")]
    if not pictures:
        if lensed:
            raise ValueError(
                f"scale: {lensed[0]} must come with a picture, which tells the image's centre; there is none"
            )
        return dict(sample)
    height, width = next(iter(pictures.values())).shape[:2]
    if height != width:
        raise ValueError(f"scale: pictures must be square, are {height} x {width} px")
    side = width / factor
    corner = (width - side) / 2
    box = (corner, corner, side)
    scaled, _ = crop_resize(pictures, np.eye(3), box, width)
    for name in lensed:
        if _kind(name) == "intrinsics":
            scaled[name] = crop_intrinsics(np.asarray(sample[name]), box, width)
        else:
            scaled[name] = _kept_absent(sample[name], _lensed(sample[name], box, width), _kind(name))
    return {**sample, **scaled}


def apply_gain(image: NDArray[np.uint8], gain: NDArray[np.float64]) -> NDArray[np.uint8]:
    """`image` (H W 3) with each channel times its gain, clipped to white."""
    levels = np.clip(np.rint(np.arange(256) * gain[:, None]), 0, 255).astype(np.uint8)
    return np.stack([levels[channel][image[..., channel]] for channel in range(3)], axis=-1)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise ValueError(f"augment: {name!r} must have a kind in training.augment.KINDS, has none. Add it.")
    return KINDS[name]


def _is_picture(name: str) -> bool:
    return _kind(name) in PICTURES


def _lensed(pixels: NDArray[Any], box: tuple[float, float, float], size_px: int) -> NDArray[Any]:
    """Pixel coordinates (J 2) as the lens of `crop_intrinsics` shows them: a crop is a camera for pixels."""
    homogeneous = np.concatenate([pixels, np.ones_like(pixels[:, :1])], axis=1)
    moved = project(homogeneous, crop_intrinsics(np.eye(3), box, size_px))
    return np.asarray(moved, dtype=pixels.dtype)


def _flipped(name: str, value: Any, width: int | None) -> Any:
    kind = _kind(name)
    if kind in PICTURES:
        return _flipped_picture(name, kind, np.ascontiguousarray(value[:, ::-1]))
    if kind in ("intrinsics", "pixels", "landmarks"):
        if width is None:
            raise ValueError(f"flip: {name} must come with a picture, which tells the width; there is none")
        source = value if kind == "intrinsics" else value[PARTNERS[name]]
        mirrored = np.array(source)
        column = (0, 2) if kind == "intrinsics" else (slice(None), 0)
        mirrored[column] = width - 1 - mirrored[column]
        return _kept_absent(source, mirrored, kind)
    if kind == "of_joints":
        return value[PARTNERS[name]]
    if kind == "foreign":
        raise ValueError(
            f"flip: {name} is of charts or faces that are no mirror images of each other. Leave it, or flips, out."
        )
    if kind in ("volume", "voxel_map", "stack", "turns", "shifts"):
        return _flipped_target(kind, value)
    if kind == "joints":
        return value[PARTNERS[name]] * np.array([-1, 1, 1], value.dtype)
    if kind == "angles":
        return mirrored_pose(value)
    if kind == "place":
        return value * np.array([-1, 1, 1], value.dtype)
    return MIRROR_X @ value @ MIRROR_X if kind == "pose" else value


def _kept_absent(before: NDArray[Any], after: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Landmarks that are not there stay at (0, 0), which says so."""
    if kind != "landmarks":
        return after
    return np.where(before.any(axis=-1, keepdims=True), after, 0).astype(after.dtype)


def _flipped_target(kind: Kind, value: NDArray[Any]) -> NDArray[Any]:
    """Volumes (X Y Z/8), their maps (4 4), and what stands at the pixels of several frames (R H W ...)."""
    if kind == "volume":
        return np.ascontiguousarray(value[::-1])
    if kind == "voxel_map":
        turned = np.eye(4)
        turned[0, 0], turned[0, 3] = -1, VOXELS_ALONG_X - 1
        return np.asarray(MIRROR_X @ value @ turned)
    columns = np.ascontiguousarray(value[:, :, ::-1])
    if kind == "stack":
        return columns
    # A rotation's axis is no arrow: mirrored in x, it keeps x and turns round y and z.
    signs = [1, -1, -1] if kind == "turns" else [-1, 1, 1]
    return np.asarray(columns * np.array(signs, columns.dtype) + columns.dtype.type(0))


def _flipped_picture(name: str, kind: Kind, turned: NDArray[Any]) -> NDArray[Any]:
    """What a picture's values become once its columns are turned round."""
    if kind == "vectors":
        # 0 means invalid, and -0 is not the same bytes.
        return np.asarray(turned * np.array([-1, 1, 1], turned.dtype) + turned.dtype.type(0))
    if kind == "labels":
        return np.asarray(PARTNERS[name][turned])
    if kind == "chart":
        # A disc inside its square holds no corner, so (0, 0) is no place on it. Charts of left and right are
        # mirror images to 0.001 of their side.
        there = turned.any(axis=-1)
        turned[..., 0] = np.where(there, 1 - turned[..., 0], 0)
    return turned
