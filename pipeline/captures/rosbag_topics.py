"""What a manifest says of a ROS bag's topics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.cameras import RIGID_TOLERANCE, rigid_error
from pipeline.errors import InputError

Row = tuple[float, float, float, float]

IMAGE_TYPES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
INFO_TYPES = {"sensor_msgs/msg/CameraInfo"}
POSE_TYPES = {"geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/TransformStamped", "nav_msgs/msg/Odometry"}
TOPIC_TYPES = {
    "depth": IMAGE_TYPES,
    "depth_info": INFO_TYPES,
    "color": IMAGE_TYPES,
    "color_info": INFO_TYPES,
    "pose": POSE_TYPES,
}


class BagTopics(BaseModel):
    """Which topics of a bag hold what, and how depth and colour lie to each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: str = Field(description="Depth: Image (16UC1, mono16, 32FC1) or CompressedImage.")
    depth_info: str = Field(description="CameraInfo of the depth images; its first message counts.")
    color: str | None = Field(default=None, description="Colour: Image or CompressedImage; none without.")
    color_info: str | None = Field(
        default=None, description="CameraInfo of the colour images; needed where depth is not registered."
    )
    pose: str | None = Field(
        default=None,
        description="PoseStamped, TransformStamped or Odometry: world_from_cam of the optical frame (x right, "
        "y down, z forward) of the colour camera, of the depth camera where there is no colour.",
    )
    depth_unit_m: float = Field(
        default=0.001, gt=0, description="Metres per step of 16-bit depth; floats are metres."
    )
    max_time_skew_s: float = Field(
        default=0.02,
        ge=0,
        description="Largest time between the stamps of a depth image and its colour or pose.",
    )
    registered: bool = Field(
        default=True, description="Whether depth is already in the colour camera, pixel on pixel."
    )
    rectified: bool = Field(
        default=False,
        description="Whether the images are without lens distortion (image_rect): P of CameraInfo instead of K and D.",
    )
    color_from_depth: tuple[Row, Row, Row, Row] | None = Field(
        default=None, description="4x4, metres, depth's optical frame to colour's; where not registered."
    )

    @model_validator(mode="after")
    def _way_to_colour(self) -> Self:
        needed = (self.color, self.color_info, self.color_from_depth)
        if not self.registered and None in needed:
            raise ValueError("registered = false needs color, color_info and color_from_depth")
        if self.registered and self.color_from_depth is not None:
            raise ValueError("color_from_depth belongs to registered = false alone")
        if self.color_from_depth is not None:
            error = rigid_error(np.array(self.color_from_depth))
            if error > RIGID_TOLERANCE:
                raise ValueError(
                    f"color_from_depth must be rigid within {RIGID_TOLERANCE:g}, is off by {error:.3g}"
                )
        return self


def check_topics(path: Path, types: Mapping[str, set[str]], options: BagTopics) -> None:
    """Raise InputError topic-missing or topic-type unless a bag has what `options` name.

    Args:
        types: topic to the types of its messages.
    """
    for key, accepted in TOPIC_TYPES.items():
        topic = getattr(options, key)
        if topic is None:
            continue
        if topic not in types:
            held = ", ".join(f"{name} ({'|'.join(sorted(kinds))})" for name, kinds in sorted(types.items()))
            raise InputError(
                "topic-missing",
                f"{path}: topics.{key} = {topic!r} must be in the bag, is not; it holds {held or 'none'}. "
                "Correct [capture.topics].",
            )
        if len(types[topic]) != 1 or not types[topic] <= accepted:
            raise InputError(
                "topic-type",
                f"{path}: topics.{key} = {topic!r} must be of {' or '.join(sorted(accepted))}, is of "
                f"{' and '.join(sorted(types[topic]))}. Correct [capture.topics].",
            )
