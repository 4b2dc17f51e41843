"""What a manifest says of a folder of colour and depth images."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.captures.pairing import placeholder

RawCode = Annotated[int, Field(ge=0, le=65535)]
LOG_SUFFIX = ".log"


class RgbdStreams(BaseModel):
    """Where a folder keeps its images and poses, and how its depth is coded.

    Images and poses are patterns relative to the capture with one placeholder, `{frame}` (an integer, padded
    with zeros or not) or `{time}` (seconds), or, without one, TUM files that carry the times. Poses may lie in
    one trajectory.log of Open3D's too, which numbers them by frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    color: str | None = Field(
        default=None,
        description="Pattern or TUM list of the colour images, PNG, JPEG or PPM; without it there is no colour.",
    )
    depth: str = Field(
        description="Pattern or TUM list of the depth images, 16-bit PNG or PGM, or float .npy, registered to "
        "colour."
    )
    mask: str | None = Field(
        default=None, description="Pattern or TUM list of foreground masks, PNG or PGM, not 0 = use."
    )
    pose: str | None = Field(
        default=None,
        description="Pattern of 4x4 text files, a TUM trajectory, or a .log trajectory; world_from_cam in "
        "metres; without it there are no poses.",
    )
    depth_unit_m: float = Field(
        default=0.001,
        gt=0,
        description="Metres per raw depth step; TUM's is 0.0002. Must be given for .npy, 1.0 for metres.",
    )
    invalid_raw: tuple[RawCode, ...] = Field(
        default=(), description="Raw depth codes that mean no measurement, besides 0."
    )
    max_time_skew_s: float = Field(
        default=0.02, ge=0, description="Largest time between a depth image and its colour, mask or pose."
    )

    @field_validator("color", "depth", "mask", "pose")
    @classmethod
    def _one_placeholder(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            placeholder(pattern)
        return pattern

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        named = {"color": self.color, "depth": self.depth, "mask": self.mask, "pose": self.pose}
        given = {name for name, pattern in named.items() if pattern is not None}
        by_frame = {name for name in given if placeholder(str(named[name])) == "{frame}"}
        if self.has_log:
            by_frame.add("pose")
        by_time = given - by_frame
        if by_frame and by_time:
            raise ValueError(
                f"all files must be paired in one way, but {', '.join(sorted(by_frame))} by {{frame}} and "
                f"{', '.join(sorted(by_time))} by time"
            )
        return self

    @model_validator(mode="after")
    def _npy_has_a_unit(self) -> Self:
        if self.depth.endswith(".npy") and "depth_unit_m" not in self.model_fields_set:
            raise ValueError(
                "depth_unit_m must be given for .npy depth: 1.0 for metres, 0.001 for millimetres"
            )
        return self

    @property
    def has_log(self) -> bool:
        """Whether the poses lie in one trajectory that is numbered by frame."""
        return self.pose is not None and placeholder(self.pose) is None and self.pose.endswith(LOG_SUFFIX)


class RgbdFiles(RgbdStreams):
    """[capture.files]: a folder of images with one calibration file."""

    calibration: str = Field(
        description="3x3 or 4x4 text file, or JSON: width, height and K, or a camera of Open3D's."
    )
