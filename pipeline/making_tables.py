"""The manifest's tables of captures that are made or rendered: simulated people and scans."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from pipeline.toml_tables import Table

Recording = Annotated[str, Field(pattern=r"^[^/\\].*\.(bvh|BVH)$")]


class SimulationTable(Table):
    """[capture.simulation]: what a simulated person does, and how it is filmed."""

    motion: Literal["walk", "turn", "reach", "squat"] | Recording | None = Field(
        None,
        description="what a moving person does, or a BVH file relative to data_root; a still one keeps its pose",
    )
    cloth: Literal["folded", "simulated"] = Field(
        "folded",
        description="folded: drawn folds | simulated: moved by Blender's cloth solver, minutes a capture",
    )
    camera: Literal["orbit", "arc", "still"] | None = Field(
        None,
        description="orbit: once around the person | arc: a third of that | still: on a tripod; "
        "orbit for a still person, still for a moving one, unless told",
    )
    cameras: int = Field(1, ge=1, le=8, description="synchronised cameras, spread evenly around the person")


class ScanTable(Table):
    """[capture.scan]: how a mesh file is read."""

    unit_m: PositiveFloat = Field(description="length in metres of the file's unit")
    up: Literal["x", "y", "z"] = Field("y", description="the file's axis that points up")
