"""The field table's rows about points of the picture with their places on the body's surface."""

from pipeline.correspondences.reasons import REASONS
from pipeline.field import Field

SURFACE_FIELDS: dict[str, Field] = {
    "surface_points_px": Field(
        shape="P 2",
        dtype="float32",
        unit="px",
        frame="px",
        invalid="0",
        doc="u and v of points of the body's surface; rows past the last have reason 1",
    ),
    "surface_points_part": Field(
        shape="P",
        dtype="uint8",
        unit="1",
        invalid="0",
        doc="chart 1..24 of each point (`DENSEPOSE24_NAMES`), in the atlas that surface_points_charts names",
    ),
    "surface_points_uv": Field(
        shape="P 2",
        dtype="float32",
        unit="1",
        frame="chart",
        invalid="0",
        doc="U and V in [0, 1] of each point in its chart",
    ),
    "surface_points_face": Field(
        shape="P",
        dtype="int32",
        unit="1",
        invalid="-1",
        doc="face that each point lies on, a row of the faces of the body that surface_points_body names",
    ),
    "surface_points_bary": Field(
        shape="P 2",
        dtype="float32",
        unit="1",
        invalid="0",
        doc="weights of that face's second and third vertex at the point",
    ),
    "surface_points_vertex": Field(
        shape="P",
        dtype="int32",
        unit="1",
        invalid="-1",
        doc="that body's vertex that is nearest to the point within its chart (Yoshiyasu 2019, section 8.2)",
    ),
    "surface_points_reason": Field(
        shape="P",
        dtype="uint8",
        unit="1",
        doc="0 where the point has a place, else why not: "
        + ", ".join(f"{code} {reason}" for code, reason in enumerate(REASONS) if code),
    ),
    "surface_points_charts": Field(
        shape="",
        dtype="str",
        unit="1",
        doc="whose coordinates part and U V are: bodytruth, as surface_part, or densepose, as densepose_part",
    ),
    "surface_points_body": Field(
        shape="", dtype="str", unit="1", doc="name of the body whose faces and vertices are meant"
    ),
}
