"""How a Kinect v2's raw streams lie in a folder: our own layout, and those of common recorders.

`bodytruth` is our own, the one that pipeline/captures/kinect2.py draws.

`iai_kinect2` is what `kinect2_calibration record sync` of iai_kinect2 writes, with its calibration in the same
folder: %04d_sync_depth.png (raw, 16 bit) and %04d_sync_color.png (raw, grey), no times. Its bridge has turned
the images upright. What `kinect2_viewer` saves (%04d_depth.png, %04d_color.jpg) is not raw but registered to
one camera already: that is an `rgbd-folder`.

libfreenect2 and the Kinect SDK come without a recorder, and everyone writes their frames out in another way. For
both, what is chosen here is the frame buffer as the library hands it out, one file a frame:

`libfreenect2`: depth/{frame}.bin, the float32 millimetres of a depth Frame; color/{frame}.bin, the BGRX of a
colour Frame; calibration libfreenect2.json.

`kinect-sdk`: depth/{frame}.bin, the uint16 millimetres of a DepthFrame; color/{frame}.jpg; bodyindex/{frame}.bin,
the bytes of a BodyIndexFrame, 255 = nobody; calibration kinect-sdk.json.

Both libraries deliver images mirrored left to right, as in a bathroom mirror, and the calibration that they hand
out belongs to mirrored images: `mirrored` says so of the images, and `calibration_mirrored` of the calibration.
Every other key names what a folder does differently.
"""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.captures.pairing import placeholder

LayoutName = Literal["bodytruth", "iai_kinect2", "libfreenect2", "kinect-sdk"]
DepthCoding = Literal["png", "uint16", "float32"]
ColorCoding = Literal["image", "bgra", "rgba", "yuy2"]
MaskCoding = Literal["png", "body-index-png", "body-index"]

NO_COLOR = "none"
# Colour a whole frame late is of another moment; the streams of one device tick within 10 ms of each other.
MAX_SKEW_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinect2Layout:
    """A layout in full; the attributes are the keys of `Kinect2Files`, None where there is no such stream.

    Attributes:
        pose_needed, mask_needed: whether the stream must have a file; else it may be absent as a whole.
    """

    depth: str
    depth_coding: DepthCoding
    color: str | None
    color_coding: ColorCoding
    mask: str | None
    mask_coding: MaskCoding
    pose: str | None
    times: str | None
    time_unit_s: float
    calibration: str
    calibration_format: LayoutName
    mirrored: bool
    calibration_mirrored: bool
    max_time_skew_s: float = MAX_SKEW_S
    pose_needed: bool = False
    mask_needed: bool = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of all streams that it names, depth first."""
        return tuple(pattern for pattern in (self.depth, self.color, self.mask, self.pose) if pattern)


LAYOUTS: dict[LayoutName, Kinect2Layout] = {
    "bodytruth": Kinect2Layout(
        depth="depth/{frame}.png", depth_coding="png",
        color="color/{frame}.jpg", color_coding="image",
        mask="mask/{frame}.png", mask_coding="png",
        pose="pose/{frame}.txt",
        times="timestamps.csv", time_unit_s=1.0,
        calibration="calibration.json", calibration_format="bodytruth",
        mirrored=False, calibration_mirrored=False,
    ),
    "iai_kinect2": Kinect2Layout(
        depth="{frame}_sync_depth.png", depth_coding="png",
        color="{frame}_sync_color.png", color_coding="image",
        mask=None, mask_coding="png",
        pose=None,
        times=None, time_unit_s=1.0,
        calibration=".", calibration_format="iai_kinect2",
        mirrored=False, calibration_mirrored=False,
    ),
    "libfreenect2": Kinect2Layout(
        depth="depth/{frame}.bin", depth_coding="float32",
        color="color/{frame}.bin", color_coding="bgra",
        mask=None, mask_coding="png",
        pose=None,
        times=None, time_unit_s=1e-4,
        calibration="libfreenect2.json", calibration_format="libfreenect2",
        mirrored=True, calibration_mirrored=True,
    ),
    "kinect-sdk": Kinect2Layout(
        depth="depth/{frame}.bin", depth_coding="uint16",
        color="color/{frame}.jpg", color_coding="image",
        mask="bodyindex/{frame}.bin", mask_coding="body-index",
        pose=None,
        times=None, time_unit_s=1e-7,
        calibration="kinect-sdk.json", calibration_format="kinect-sdk",
        mirrored=True, calibration_mirrored=True,
    ),
}  # fmt: skip


class Kinect2Files(BaseModel):
    """What a folder of a Kinect v2 holds, where it differs from the layout that it names.

    Patterns are relative to the capture and hold one placeholder, `{frame}` (an integer, padded with zeros or
    not) or `{time}` (in time units): all of them the same one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: LayoutName = Field(default="bodytruth", description="The recorder's layout to start from.")
    depth: str | None = Field(default=None, description="Pattern of the raw depth images, 512x424 px.")
    depth_coding: DepthCoding | None = Field(
        default=None,
        description="png: 16 bit; uint16 and float32: a frame buffer without a head, little-endian. "
        "All in millimetres.",
    )
    color: str | None = Field(
        default=None, description="Pattern of the raw colour images, 1920x1080 px; none for depth alone."
    )
    color_coding: ColorCoding | None = Field(
        default=None,
        description="image: JPEG or PNG; bgra (BGRX as well), rgba, yuy2: a frame buffer without a head.",
    )
    mask: str | None = Field(default=None, description="Pattern of foreground masks in raw depth pixels.")
    mask_coding: MaskCoding | None = Field(
        default=None,
        description="png: not 0 = use; body-index-png, body-index (a frame buffer without a head): "
        "255 = nobody.",
    )
    pose: str | None = Field(
        default=None,
        description="Pattern of 4x4 text files, world_from_cam in metres of the depth camera, upright.",
    )
    times: str | None = Field(
        default=None,
        description="Text file of frame, time of depth and, if known, time of colour in each row.",
    )
    time_unit_s: float | None = Field(
        default=None, gt=0, description="Seconds to one step of all times; the Kinect SDK's is 1e-7."
    )
    max_time_skew_s: float = Field(
        default=MAX_SKEW_S,
        ge=0,
        description="With `{time}`: largest time between a depth image and its partners.",
    )
    calibration: str | None = Field(default=None, description="Calibration file; iai_kinect2: its folder.")
    calibration_format: LayoutName | None = Field(
        default=None, description="Whose calibration it is, where it is not the recorder's own."
    )
    mirrored: bool | None = Field(default=None, description="Whether the images are mirrored left to right.")
    calibration_mirrored: bool | None = Field(
        default=None, description="Whether the calibration was made on mirrored images."
    )

    @field_validator("depth", "color", "mask", "pose")
    @classmethod
    def _one_placeholder(cls, pattern: str | None) -> str | None:
        if pattern not in (None, NO_COLOR) and placeholder(pattern or "") is None:
            raise ValueError(f"{pattern!r} must hold {{frame}} or {{time}}, holds neither")
        return pattern

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        layout = self.resolved
        kinds = {placeholder(pattern) for pattern in layout.patterns}
        if len(kinds) > 1:
            raise ValueError(f"all files must be paired in one way, but {', '.join(layout.patterns)} are not")
        if kinds == {"{time}"} and layout.times is not None:
            raise ValueError(f"times stand in the names of {layout.depth!r}: `times` must not be given")
        return self

    @property
    def resolved(self) -> Kinect2Layout:
        """The layout in full.

        A stream that the layout alone names by `{frame}` is left out where depth goes by `{time}`.
        """
        base = LAYOUTS[self.layout]
        calibration_format = self.calibration_format or base.calibration_format
        depth = self.depth or base.depth
        by_time = placeholder(depth) == "{time}"
        color = self.color or base.color
        mirrored_by = self.calibration_mirrored
        return Kinect2Layout(
            depth=depth,
            depth_coding=self.depth_coding or base.depth_coding,
            color=None if color == NO_COLOR else color,
            color_coding=self.color_coding or base.color_coding,
            mask=self.mask or (None if by_time else base.mask),
            mask_coding=self.mask_coding or base.mask_coding,
            pose=self.pose or (None if by_time else base.pose),
            times=self.times or (None if by_time else base.times),
            time_unit_s=self.time_unit_s or base.time_unit_s,
            calibration=self.calibration or LAYOUTS[calibration_format].calibration,
            calibration_format=calibration_format,
            mirrored=base.mirrored if self.mirrored is None else self.mirrored,
            calibration_mirrored=(
                LAYOUTS[calibration_format].calibration_mirrored if mirrored_by is None else mirrored_by
            ),
            max_time_skew_s=self.max_time_skew_s,
            pose_needed=self.pose is not None,
            mask_needed=self.mask is not None,
        )
