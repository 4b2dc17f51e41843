"""Settings of every stage, with the papers' values as defaults.

What is excluded from the dump never changes an answer, so it stays out of the fingerprint.
"""

from typing import Annotated, Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pipeline.setting_types import Settings, Share
from pipeline.surface_settings import FuseSettings, RenderSettings, TrackSettings
from pipeline.target_settings import (
    BodySettings,
    FitSettings,
    LayersSettings,
    MotionSettings,
    NormalsSettings,
    SurfaceSettings,
    VoxelsSettings,
)


class SimulateSettings(Settings):
    """A virtual depth camera around a person of known surface."""

    radius_m: PositiveFloat = Field(2.2, description="mean distance of the camera from the person's axis")


class ScanSettings(Settings):
    """One mesh of one person: read, or drawn."""


class PortraySettings(Settings):
    """Pictures of a scan, each with a light, view, scale and background of its own."""

    samples: PositiveInt = Field(24, description="of light per pixel; grain falls with their square root")
    fill_min: PositiveFloat = Field(
        0.55, le=1, description="least share of the picture's side that the person's fuller side takes"
    )
    fill_max: PositiveFloat = Field(0.95, le=1, description="largest share; the person is never cut off")
    max_disagreement_m: PositiveFloat = Field(
        0.0001, description="gate: largest median |Blender - ray cast| of a picture's depth"
    )
    min_mask_px: PositiveInt = Field(
        500, description="a picture that shows less of the person is quarantined"
    )
    memory_limit_gb: PositiveFloat = Field(
        6.0, exclude=True, description="Blender's process is ended when it grows beyond this"
    )

    @model_validator(mode="after")
    def _fill_is_a_range(self) -> Self:
        if self.fill_min > self.fill_max:
            raise ValueError(f"fill_min must be at most fill_max ({self.fill_max:g}), is {self.fill_min:g}")
        return self


class AnnotatedSettings(Settings):
    """Annotated pictures to crops of one person each."""

    min_person_px: PositiveInt = Field(
        32, description="a person whose box is smaller, by its longer side in the picture, is quarantined"
    )


class IngestSettings(Settings):
    """Raw capture to checked frames."""

    min_valid_share: Share = Field(
        0.02, description="a frame whose depth is valid on a smaller share is quarantined"
    )
    min_median_depth_m: PositiveFloat = Field(
        0.2, description="gate: least median of the valid depth of a capture; less is another unit"
    )
    max_median_depth_m: PositiveFloat = Field(10.0, description="gate: largest median, likewise")
    max_gap_periods: Annotated[float, Field(gt=1)] = Field(
        1.5, description="frames are missing where more of the capture's median periods lie between two"
    )
    max_dropped_share: Share = Field(
        0.1, description="gate: largest share of a capture's frames that may be missing"
    )
    max_skew_s: PositiveFloat = Field(
        0.02, description="a frame whose colour is farther in time from its depth is quarantined"
    )
    max_clock_offset_s: PositiveFloat = Field(
        0.017, description="gate: largest median of colour's time less depth's; half a period of 30 Hz"
    )
    max_repeats: Annotated[int, Field(ge=0)] = Field(
        0, description="a frame that repeats depth or colour more often than this in a row is quarantined"
    )
    max_exposure_jump_stops: PositiveFloat = Field(
        0.7, description="a frame brighter or darker than both frames before it by more is quarantined"
    )
    max_saturated_share: Share = Field(
        0.5, description="a frame with a larger share of pixels that are burnt out is quarantined"
    )
    min_luminance: Share = Field(
        0.005, description="a frame of less mean linear luminance, 1 for white, is quarantined"
    )
    tang2019_shift_px: int = Field(
        3, description="format tang2019: its depth is moved right by this much, onto its image"
    )

    @model_validator(mode="after")
    def _median_depth_is_a_range(self) -> Self:
        if self.min_median_depth_m >= self.max_median_depth_m:
            raise ValueError(
                f"min_median_depth_m must be below max_median_depth_m ({self.max_median_depth_m:g} m), "
                f"is {self.min_median_depth_m:g} m"
            )
        return self


class ForegroundSettings(Settings):
    """Mask of the subject and the square crop."""

    min_foreground_px: PositiveInt = Field(
        1000, description="a frame with fewer foreground pixels at the sensor's resolution is quarantined"
    )
    max_cut_share: Share = Field(
        0.03, description="a frame with more of the person's outline on the picture's border is quarantined"
    )
    min_person_m: PositiveFloat = Field(
        0.8, description="a frame whose person reaches less far from top to bottom, uncut, is quarantined"
    )
    max_person_m: PositiveFloat = Field(
        2.3, description="a frame whose person reaches farther from top to bottom is quarantined"
    )
    max_lean_deg: Annotated[float, Field(gt=0, lt=90)] = Field(
        60.0, description="a frame whose person's long axis is farther from upright is quarantined"
    )
    min_elongation: Annotated[float, Field(ge=1)] = Field(
        1.5, description="a person less long than wide by this factor has no long axis to lean"
    )

    @model_validator(mode="after")
    def _height_is_a_range(self) -> Self:
        if self.min_person_m >= self.max_person_m:
            raise ValueError(
                f"min_person_m must be below max_person_m ({self.max_person_m:g} m), "
                f"is {self.min_person_m:g} m"
            )
        return self


class AdoptSettings(Settings):
    """Depth that is taken as it is, where `role` is moving or fused."""

    erode_px: Annotated[int, Field(ge=0)] = Field(
        1, description="rings of pixels taken off the outline, where interpolation has mixed depths"
    )
    max_from_median_m: PositiveFloat = Field(1.0, description="farther depth is no part of the person")
    least_piece_share: Share = Field(
        0.02,
        description="role moving: smaller pieces, over the largest, are left out; fused keeps the largest",
    )
    min_mask_px: PositiveInt = Field(500, description="a frame with less trusted depth is quarantined")


class TruthSettings(Settings):
    """Scores against the known surface of a simulated capture."""


class ShardsSettings(Settings):
    """Packing of samples into HDF5 files."""

    shard_bytes: PositiveInt = Field(64_000_000, description="a shard is closed when it holds this much")


class ReportSettings(Settings):
    """The HTML page."""

    sheets: PositiveInt = Field(24, description="captures whose contact sheet is shown, worst residual first")
    frames_per_sheet: PositiveInt = Field(6, description="frames shown per capture, evenly spaced")
    worst_frames: PositiveInt = Field(6, description="worst frames shown per metric")


class DrapeSettings(Settings):
    """Cloth moved by a solver, for simulated captures that ask for it."""

    quality: PositiveInt = Field(5, description="steps of the solver per frame; more let less cloth through")
    lead_s: PositiveFloat = Field(0.5, description="time from the pose of the garments' making to the first")
    settle_s: PositiveFloat = Field(0.2, description="time in that pose before anything is filmed")
    memory_limit_gb: PositiveFloat = Field(
        6.0, exclude=True, description="Blender's process is ended when it grows beyond this"
    )


class StagesSettings(Settings):
    """All stages' settings, as in the manifest's [stages.*] tables."""

    simulate: SimulateSettings = SimulateSettings()
    drape: DrapeSettings = DrapeSettings()
    scan: ScanSettings = ScanSettings()
    portray: PortraySettings = PortraySettings()
    annotated: AnnotatedSettings = AnnotatedSettings()
    ingest: IngestSettings = IngestSettings()
    foreground: ForegroundSettings = ForegroundSettings()
    track: TrackSettings = TrackSettings()
    fuse: FuseSettings = FuseSettings()
    render: RenderSettings = RenderSettings()
    adopt: AdoptSettings = AdoptSettings()
    layers: LayersSettings = LayersSettings()
    normals: NormalsSettings = NormalsSettings()
    body: BodySettings = BodySettings()
    fit: FitSettings = FitSettings()
    surface: SurfaceSettings = SurfaceSettings()
    voxels: VoxelsSettings = VoxelsSettings()
    motion: MotionSettings = MotionSettings()
    truth: TruthSettings = TruthSettings()
    shards: ShardsSettings = ShardsSettings()
    report: ReportSettings = ReportSettings()

    def of(self, stage: str) -> dict[str, Any]:
        """What enters the stage's fingerprint."""
        settings: Settings = getattr(self, stage)
        return settings.model_dump(mode="json")
