"""Settings of the stages that make what networks learn from, with the papers' values as defaults."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pipeline.setting_types import Odd, Settings, Share


class LayersSettings(Settings):
    """Zero-median depth and its bilateral base and detail (Tang 2019, eq. 1)."""

    sigma_space_px: PositiveFloat = Field(75.0, description="standard deviation of the spatial kernel")
    sigma_depth_m: PositiveFloat = Field(0.10, description="standard deviation of the depth kernel")
    window_px: Literal["full"] | Odd = Field(
        "full", description="support: the whole mask, or the diameter of a disc; 15 as the released network"
    )


class NormalsSettings(Settings):
    """Least-squares normals (Tang 2019, section 6.1)."""

    window_px: Odd = Field(7, description="side of the square neighbourhood")
    max_step_m: PositiveFloat = Field(0.03, description="neighbours across a larger depth step are left out")


class BodySettings(Settings):
    """Parameters, joints, parts and charts of the body in each frame."""


class VoxelsSettings(Settings):
    """The body as a volume that lines up with the crop (Jackson 2018)."""

    grid: Literal["orthographic", "frustum"] = Field(
        "orthographic", description="columns parallel, as the papers have them, or along the pixels' rays"
    )
    align: Literal["mean", "box"] = Field(
        "mean", description="which z lies in the middle of the grid: the vertices' mean or their box's centre"
    )
    max_open_share: Share = Field(
        0.05, description="largest share of the surface that closing a mesh may add"
    )
    scale_low: PositiveFloat = Field(
        1.0, description="least factor by which a volume is enlarged, drawn per frame"
    )
    scale_high: PositiveFloat = Field(1.0, description="largest factor; the picture is not scaled along")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> Self:
        if self.scale_low > self.scale_high:
            raise ValueError(
                f"scale_low must be at most scale_high ({self.scale_high:g}), is {self.scale_low:g}"
            )
        return self


class MotionSettings(Settings):
    """Rigid motion of the body's surface from frame to frame (Tan 2020, step 2)."""

    references: PositiveInt = Field(2, description="frames that each frame is paired with, at most")
    max_gap_frames: PositiveInt = Field(30, description="largest distance of a pair in the clip")
    min_pair_baseline_m: PositiveFloat = Field(0.5, description="least mean |t| over the pixels of a pair")
    min_pixel_baseline_m: PositiveFloat = Field(0.05, description="least |t| of a valid pixel")
    min_valid_px: PositiveInt = Field(500, description="a pair with fewer valid pixels is left out")
    occlusion_m: PositiveFloat = Field(
        0.01, description="how far behind the reference's own surface a point still counts as visible"
    )
    min_silhouette_iou: Share = Field(
        0.7, description="a frame whose body overlaps the measured person less is in no pair"
    )
    max_keypoint_residual_px: PositiveFloat = Field(
        8.0, description="a frame whose body's joints are farther from its landmarks is in no pair"
    )
