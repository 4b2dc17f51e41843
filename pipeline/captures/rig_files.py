"""What a manifest says of several synchronised cameras that film one capture."""

from pathlib import PurePosixPath
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from pipeline.cameras import RIGID_TOLERANCE, rigid_error

Row = tuple[float, float, float, float]

# Recordings of one camera each; the others are single maps, pictures, meshes, or draw their cameras themselves.
FORMATS = (
    "7scenes", "azure-kinect", "deepdeform", "infinitam", "kinect2", "open3d", "pcd", "rgbd-folder", "rosbag",
    "tum",
)  # fmt: skip


class RigCamera(BaseModel):
    """One of the cameras: where its recording lies, and where it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="recording of this camera, relative to the capture")
    rig_from_cam: str | tuple[Row, Row, Row, Row] = Field(
        description="4x4, metres, rigid: this camera in the frame that all cameras share; or a text file of it, "
        "relative to the capture"
    )

    @field_validator("path")
    @classmethod
    def _lies_below(cls, path: str) -> str:
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts:
            raise ValueError("path of a camera must lie below the capture's own")
        return str(place)

    @model_validator(mode="after")
    def _is_rigid(self) -> Self:
        if isinstance(self.rig_from_cam, str):
            return self
        error = rigid_error(np.array(self.rig_from_cam))
        if error > RIGID_TOLERANCE:
            raise ValueError(
                f"rig_from_cam of camera {self.path!r} must be rigid within {RIGID_TOLERANCE:g}, is off by {error:.3g}"
            )
        return self


class RigTable(BaseModel):
    """[capture.rig]: the cameras in their order, and how their frames belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cameras: tuple[RigCamera, ...] = Field(
        min_length=2, description="synchronised cameras; frame n is camera n % N at moment n // N"
    )
    poses: Literal["none", "first"] = Field(
        "none",
        description="none: the cameras stood still, the world is the rig's frame | first: the first camera's "
        "recording brings the poses of a rig that moved as one",
    )
    max_time_skew_s: PositiveFloat = Field(
        0.02,
        description="largest time between the first camera's depth image and another's of the same moment",
    )

    @model_validator(mode="after")
    def _has_distinct_cameras(self) -> Self:
        paths = [camera.path for camera in self.cameras]
        again = next((path for path in paths if paths.count(path) > 1), None)
        if again is not None:
            raise ValueError(f"every camera of a rig must have a path of its own, two have {again!r}")
        return self


class RigOptions(BaseModel):
    """How a rig's recordings are read: the rig, and the table of their format.

    Attributes:
        each: None where the format has nothing to say.
    """

    model_config = ConfigDict(frozen=True)

    rig: RigTable
    each: Any


def rig_problem(rig: RigTable | None, *, format: str, poses: str, person: int | None) -> str | None:
    """Why a manifest's capture cannot be filmed by these cameras; None where nothing is wrong with it."""
    if rig is None:
        return None
    if format not in FORMATS:
        return f'[capture.rig] goes with recordings of format {", ".join(FORMATS)}, format is "{format}"'
    if poses == "tracked":
        return 'poses "tracked" are of one camera; where a rig\'s cameras stand, rig_from_cam says'
    if person is not None:
        return "person counts from the left of one camera's picture, which another camera sees otherwise: give masks"
    return None
