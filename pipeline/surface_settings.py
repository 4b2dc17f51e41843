"""Settings of the stages that make one surface of a static capture: tracking, fusion, rendering."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pipeline.setting_types import Settings, Share


class TrackSettings(Settings):
    """Camera poses of a static capture that brings none."""

    tracked: Literal["person", "room", "both"] = Field(
        "both",
        description="what is taken for rigid: person and room while both hold still, the person alone on a "
        "turntable, the room alone",
    )
    voxel_m: PositiveFloat = Field(
        0.006, description="edge of a voxel of the model that frames are aligned with"
    )
    trunc_m: PositiveFloat = Field(0.03, description="its truncation")
    depth_min_m: PositiveFloat = Field(0.3, description="nearer depth is not used")
    depth_max_m: PositiveFloat = Field(4.5, description="farther depth is not used")
    noise_floor_m: PositiveFloat = Field(
        0.001, description="spread of the sensor's depth at no distance; 1 mm as a Kinect v2"
    )
    noise_square_per_m: Annotated[float, Field(ge=0)] = Field(
        0.0006, description="what distance squared adds, at 1 m; 0.0015 for structured light"
    )
    colour_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="of grey values beside depth; 0 leaves colour out"
    )
    min_fitness: Share = Field(
        0.35, description="a frame of which a smaller share of pixels fits the model is quarantined"
    )
    max_residual_m: PositiveFloat = Field(
        0.015, description="a frame whose pixels lie farther from the model, in the median, is quarantined"
    )
    max_jump_m: PositiveFloat = Field(
        0.3, description="a frame whose camera lies farther from where its motion led is quarantined"
    )
    max_jump_rad: PositiveFloat = Field(0.3, description="likewise, of its rotation")
    keyframe_m: PositiveFloat = Field(0.15, description="motion after which a frame becomes a keyframe")
    keyframe_rad: PositiveFloat = Field(0.1, description="likewise, of rotation")
    refinements: Annotated[int, Field(ge=0)] = Field(
        1, description="rounds of aligning all frames with each other once turns are closed"
    )
    memory_limit_gb: PositiveFloat = Field(
        4.0, exclude=True, description="a model that would need more is refused before it grows"
    )


class FuseSettings(Settings):
    """Truncated signed distance fusion of all frames of a static capture."""

    voxel_m: PositiveFloat = Field(0.005, description="edge of a voxel")
    trunc_m: PositiveFloat = Field(0.04, description="truncation: how far the band reaches on both sides")
    depth_min_m: PositiveFloat = Field(0.2, description="nearer depth is not used")
    depth_max_m: PositiveFloat = Field(3.0, description="farther depth is not used")
    min_weight: Annotated[float, Field(ge=0)] = Field(
        2.0, description="surface seen by fewer frames than this is left out of the mesh"
    )
    band_sigmas: Annotated[float, Field(ge=0)] = Field(
        0.0, description="the band reaches at least this many sigmas of the depth, up to three times trunc_m"
    )
    min_component_faces: PositiveInt = Field(
        100, description="parts of the mesh with fewer faces are left out"
    )
    max_faces: Annotated[int, Field(ge=0)] = Field(
        0, description="the mesh is simplified to about this many faces; 0 keeps all"
    )
    vertex_colour: bool = Field(False, description="average the colour of the frames on the mesh")
    max_residual_m: PositiveFloat = Field(
        0.010, description="gate: largest median distance between the fused surface and all raw pixels"
    )
    memory_limit_gb: PositiveFloat = Field(
        8.0, exclude=True, description="a volume that would need more is refused before it is allocated"
    )

    @model_validator(mode="after")
    def _band_holds_a_voxel_on_both_sides(self) -> Self:
        if self.trunc_m < 2 * self.voxel_m:
            raise ValueError(
                f"trunc_m must be at least 2 voxel_m ({2 * self.voxel_m:g} m), is {self.trunc_m:g} m; "
                "without a voxel on both sides no surface is found"
            )
        return self


class RenderSettings(Settings):
    """The fused surface seen from the capture's cameras."""

    renderer: Literal["fast", "blender"] = Field(
        "fast",
        description="fast: our z-buffer, held against Blender on check_frames; blender: on every frame",
    )
    check_frames: PositiveInt = Field(
        3, description="renderer fast: frames, evenly spread, that Blender renders too"
    )
    chunk_frames: PositiveInt = Field(
        250, exclude=True, description="renderer blender: frames of one task; a killed build repeats one task"
    )
    max_disagreement_m: PositiveFloat = Field(
        0.0001, description="gate: largest median |Blender - z-buffer| of a frame's depth"
    )
    min_mask_px: PositiveInt = Field(500, description="a frame that sees less of the surface is quarantined")
    memory_limit_gb: PositiveFloat = Field(
        6.0, exclude=True, description="Blender's process is ended when it grows beyond this"
    )
