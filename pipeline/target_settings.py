"""Settings of the stages that make what networks learn from, with the papers' values as defaults."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from pipeline.setting_types import Odd, Settings, Share

Starts = Literal[1, 2, 3, 4, 6, 8, 12, 24]  # sectors of 24 yaws


class LayersSettings(Settings):
    """Zero-median depth and its bilateral base and detail (Tang 2019, eq. 1)."""

    sigma_space_px: PositiveFloat = Field(75.0, description="standard deviation of the spatial kernel")
    sigma_depth_m: PositiveFloat = Field(0.10, description="standard deviation of the depth kernel")
    window_px: Literal["full"] | Odd = Field(
        "full", description="support: the whole mask, or the diameter of a disc; 15 as the released network"
    )


class NormalsSettings(Settings):
    """Least-squares normals (Tang 2019, section 6.1)."""

    model: Literal["plane", "quadric"] = Field(
        "plane", description="surface that is fitted; a quadric is best with a window of 9 px"
    )
    window_px: Odd = Field(7, description="side of the square neighbourhood")
    max_step_m: PositiveFloat = Field(0.03, description="neighbours across a larger depth step are left out")


class BodySettings(Settings):
    """Parameters, joints, parts and charts of the body in each frame."""


class FitSettings(Settings):
    """Bodies fitted to landmarks, and to depth where there is some (Bogo et al., 2016). Pixels are the crop's."""

    joint_set: Literal["coco17", "body25", "mpii16", "h36m17"] = Field(
        "coco17", description="landmarks that are drawn from the truth; files say their own"
    )
    landmark_noise_px: NonNegativeFloat = Field(
        3.0, description="standard deviation of landmarks that are drawn from the truth, in u and in v"
    )
    landmark_sigma_px: PositiveFloat = Field(
        3.0, description="standard deviation of a landmark of confidence 1, as the fit weighs it"
    )
    landmark_robust: PositiveFloat = Field(
        10.0, description="scale of Geman-McClure's cost of a landmark, in standard deviations"
    )
    starts: Starts = Field(8, description="yaws that a fit with depth starts from")
    kept: PositiveInt = Field(3, description="starts that go on from the landmarks to the depth")
    starts_without_depth: Starts = Field(24, description="the same of a fit to landmarks alone")
    kept_without_depth: PositiveInt = Field(
        24, description="likewise; all of them find people who sit, whom few starts lead to"
    )
    shape_sigma: PositiveFloat = Field(0.85, description="standard deviation of the betas to expect")
    tilt_sigma_rad: PositiveFloat = Field(0.15, description="how well the vertical is known")
    checkpoint: str = Field(
        "landmark-net-small",
        description="landmarks = network: a shipped network by name, or a run below the output's root",
    )
    pose_prior: str | None = Field(
        None,
        description="npz of a mixture over all joints' poses (weights, means, covars), relative to data_root; "
        "our pose sampler's unless given",
    )
    bend_weight: NonNegativeFloat = Field(
        0.3, description="weight of the prior against bent knees and elbows"
    )
    limit_sigma_rad: PositiveFloat = Field(0.05, description="how far a joint may pass its range")
    touch_sigma_m: PositiveFloat = Field(0.01, description="how far limbs may pass into each other")
    depth_points: PositiveInt = Field(360, description="measured points of a frame that count")
    depth_sigma_m: PositiveFloat = Field(
        0.007, description="standard deviation of a measured point from the body: sensor, cloth, coarse body"
    )
    depth_robust_m: PositiveFloat = Field(0.05, description="scale of Geman-McClure's cost of a point")
    silhouette_sigma_m: PositiveFloat = Field(0.02, description="how far skin may stand out of the mask")
    min_confidence: PositiveFloat = Field(
        6.0, description="a frame whose landmarks' confidences add up to less is quarantined"
    )
    min_person_px: PositiveFloat = Field(
        24.0, description="a frame whose landmarks' box has a smaller larger side is quarantined"
    )
    max_landmark_share: Share = Field(
        0.05, description="a fit farther from its landmarks, over that side, is quarantined"
    )
    max_depth_m: PositiveFloat = Field(
        0.03, description="a fit whose median distance from the depth is larger is quarantined"
    )
    max_off_mask: Share = Field(
        0.3, description="a frame with a larger share of its landmarks off the mask is quarantined"
    )
    max_energy: PositiveFloat = Field(
        6.0, description="a fit with more energy per landmark's coordinate or measured point is quarantined"
    )
    smooth: bool = Field(
        True,
        description="role moving: runs of frames of one camera are fitted again as clips, of one shape each",
    )
    smooth_turn_sigma_rad: PositiveFloat = Field(
        0.03, description="standard deviation of the second difference of a joint's angles between frames"
    )
    smooth_place_sigma_m: PositiveFloat = Field(0.006, description="likewise of a joint's place")

    @model_validator(mode="after")
    def _kept_are_of_the_starts(self) -> Self:
        for kept, starts in (("kept", "starts"), ("kept_without_depth", "starts_without_depth")):
            if getattr(self, kept) > getattr(self, starts):
                raise ValueError(f"{kept} must be at most {starts}, is {getattr(self, kept)}")
        return self


class SurfaceSettings(Settings):
    """Points of the picture with their places on the body's surface (Yoshiyasu 2019, section 8.2)."""

    points: PositiveInt = Field(
        196, description="points of a picture at most; DensePose-COCO has no more on a person"
    )
    most_off_chart: PositiveFloat = Field(
        0.05, description="a point farther beyond its chart's rim, in chart coordinates, has no place"
    )
    min_placed_share: Share = Field(
        0.8, description="a frame with a place for a smaller share of its points is quarantined"
    )
    min_sides_right: Share = Field(
        0.5, description="a frame whose points agree less on left and right is quarantined"
    )
    min_sides_votes: PositiveInt = Field(
        20, description="with fewer points that tell left from right, nothing is said of it"
    )


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
    base_smoothing_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="umbrella steps over the body whose depth is the base; 4 as the public code has it"
    )
    base_inflate_m: float = Field(
        0.0, description="how far that body is blown up along its normals; 0.026 as the public code"
    )
    occlusion_m: PositiveFloat = Field(
        0.01, description="how far behind the reference's own surface a point still counts as visible"
    )
    min_silhouette_iou: Share = Field(
        0.7, description="a frame whose body overlaps the measured person less is in no pair"
    )
    max_keypoint_residual_px: PositiveFloat = Field(
        8.0, description="a frame whose body's joints are farther from its landmarks is in no pair"
    )
