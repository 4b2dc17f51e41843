"""The field table's rows about the body in the picture: known from a model, or annotated."""

from pipeline.field import Field
from pipeline.surface_fields import SURFACE_FIELDS

# Joint sets that annotators and networks use, with the number of their joints: `pipeline.bodies.joints`.
ANNOTATED_SETS = {"coco17": 17, "body25": 25, "mpii16": 16, "h36m17": 17}


def _annotated_joints(name: str, count: int) -> dict[str, Field]:
    """Rows of one annotated joint set."""
    # The camera frame is that of the picture before it was cropped.
    in_space = {
        f"joints_{name}_cam_m": Field(
            shape=f"{count} 3",
            dtype="float32",
            unit="m",
            frame="cam",
            doc="as the set of annotations brings them",
        )
    }
    return {
        **(in_space if name == "h36m17" else {}),
        f"joints_{name}_px": Field(
            shape=f"{count} 2",
            dtype="float32",
            unit="px",
            frame="px",
            invalid="0",
            doc=f"u and v of the joints of `{name.upper()}` as annotated, found or drawn; 0 where the confidence is 0",
        ),
        f"joints_{name}_confidence": Field(
            shape=f"{count}",
            dtype="float32",
            unit="1",
            doc="0 where there is no such joint, 1 for whatever a person marked, a network's own between",
        ),
        f"joints_{name}_visible": Field(
            shape=f"{count}",
            dtype="bool",
            unit="1",
            doc="False where there is none, or it was marked as hidden",
        ),
    }


def _occupancy(name: str, shape: str) -> dict[str, Field]:
    """Rows of one volume."""
    return {
        name: Field(
            shape=shape,
            dtype="uint8",
            unit="1",
            frame="vox",
            doc="inside the body, X Y Z, one bit a voxel along Z, highest bit first",
        ),
        f"{name}_world_from_vox": Field(
            shape="4 4",
            dtype="float64",
            unit="m",
            frame="world",
            doc="from voxel centres (i, j, k, 1) to the world; divide by w where the grid is a frustum",
        ),
        f"{name}_share_cut": Field(
            shape="", dtype="float32", unit="1", doc="share of the body's voxels that lie outside of the grid"
        ),
    }


BODY_FIELDS: dict[str, Field] = {
    "part14": Field(
        shape="H W",
        dtype="uint8",
        unit="1",
        frame="px",
        invalid="0",
        doc="body part 1..14 (`TANG14_NAMES`); cloth has the part of the skin below it; the subject's own left",
    ),
    "part24": Field(
        shape="H W",
        dtype="uint8",
        unit="1",
        frame="px",
        invalid="0",
        doc="body part 1..24 in SMPL's joint order (`SURREAL24_NAMES`)",
    ),
    "surface_part": Field(
        shape="H W",
        dtype="uint8",
        unit="1",
        frame="px",
        invalid="0",
        doc="chart 1..24 of the surface atlas (`DENSEPOSE24_NAMES`)",
    ),
    "surface_uv": Field(
        shape="H W 2",
        dtype="float32",
        unit="1",
        frame="chart",
        invalid="0",
        doc="U and V in [0, 1] in the chart that surface_part names",
    ),
    "joints_smpl24_cam_m": Field(
        shape="24 3", dtype="float32", unit="m", frame="cam", doc="SMPL's 24 joints, seen or not"
    ),
    "joints_tang16_cam_m": Field(
        shape="16 3", dtype="float32", unit="m", frame="cam", doc="the 16 joints of `TANG16`, seen or not"
    ),
    "joints_tang16_px": Field(
        shape="16 2", dtype="float32", unit="px", frame="px", doc="u and v of joints_tang16_cam_m"
    ),
    "body_pose_rad": Field(
        shape="24 3",
        dtype="float64",
        unit="rad",
        frame="body",
        doc="axis-angle of each joint relative to its parent, about the T-pose's axes",
    ),
    "body_betas": Field(shape="B", dtype="float64", unit="1", doc="shape of the body in standard deviations"),
    "body_transl_m": Field(
        shape="3",
        dtype="float64",
        unit="m",
        frame="world",
        doc="added to the posed body; the world is the body frame then, +Y up",
    ),
    # how a fitted body agrees with what it was fitted to; none of a body that is known
    "body_fit_landmark_residual_px": Field(
        shape="",
        dtype="float32",
        unit="px",
        frame="px",
        doc="root mean square distance of the landmarks from the body's, weighted as in the fit",
    ),
    "body_fit_depth_residual_m": Field(
        shape="",
        dtype="float32",
        unit="m",
        invalid="-1",
        doc="median distance of the measured points from the body; -1 where none were measured",
    ),
    "body_fit_energy": Field(
        shape="", dtype="float32", unit="1", doc="-2 log posterior of the fit, up to a constant"
    ),
    "body_fit_source": Field(
        shape="",
        dtype="str",
        unit="1",
        doc="where the landmarks came from: truth (drawn, with noise), file, or network",
    ),
    "body_depth_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="z of the body's own surface, without clothes: the base depth of Tan 2020",
    ),
    **SURFACE_FIELDS,
    # volumes
    **{
        row: field
        for name, shape in (("occupancy_128", "128 128 16"), ("occupancy_128x256x96", "128 256 12"))
        for row, field in _occupancy(name, shape).items()
    },
    "occupancy_scale": Field(
        shape="",
        dtype="float32",
        unit="1",
        doc="factor by which the volumes were enlarged about the crop's middle",
    ),
    # motion to R other frames of the clip, from this camera's frame to theirs
    "motion_reference_frame": Field(
        shape="R", dtype="int32", unit="1", invalid="-1", doc="the other frame's own number"
    ),
    "motion_rotvec_rad": Field(
        shape="R H W 3",
        dtype="float32",
        unit="rad",
        frame="cam",
        invalid="0",
        doc="axis-angle of R in p_reference = R p + t for the body's surface at the pixel",
    ),
    "motion_t_m": Field(
        shape="R H W 3", dtype="float32", unit="m", frame="cam", invalid="0", doc="t, likewise"
    ),
    "motion_valid": Field(
        shape="R H W",
        dtype="bool",
        unit="1",
        frame="px",
        invalid="False",
        doc="True where both frames see the surface and |t| exceeds min_pixel_baseline_m",
    ),
    "motion_base_depth_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="z of the body smoothed and blown up, as the public code of Tan 2020 has it, where the settings ask for it",
    ),
    # annotated on pictures
    "person_mask": Field(
        shape="H W",
        dtype="bool",
        unit="1",
        frame="px",
        invalid="False",
        doc="True on the person as outlined on the picture",
    ),
    "coarse_part": Field(
        shape="H W",
        dtype="uint8",
        unit="1",
        frame="px",
        invalid="0",
        doc="DensePose's coarse part 1..14 as painted by an annotator; not the parts of part14",
    ),
    "densepose_part": Field(
        shape="H W",
        dtype="uint8",
        unit="1",
        frame="px",
        invalid="0",
        doc="chart 1..24 as a network drew it, in DensePose's own parametrisation, which is not surface_part's",
    ),
    "densepose_uv": Field(
        shape="H W 2",
        dtype="float32",
        unit="1",
        frame="chart",
        invalid="0",
        doc="U and V in [0, 1] in the chart that densepose_part names",
    ),
    "densepose_points_px": Field(
        shape="196 2",
        dtype="float32",
        unit="px",
        frame="px",
        invalid="0",
        doc="u and v of annotated points of the surface; rows past the last have part 0",
    ),
    "densepose_points_part": Field(
        shape="196",
        dtype="uint8",
        unit="1",
        invalid="0",
        doc="chart 1..24 of each point (`DENSEPOSE24_NAMES`), in DensePose's own parametrisation",
    ),
    "densepose_points_uv": Field(
        shape="196 2",
        dtype="float32",
        unit="1",
        frame="chart",
        invalid="0",
        doc="U and V in [0, 1] of each point in its chart",
    ),
    **{
        row: field
        for name, count in ANNOTATED_SETS.items()
        for row, field in _annotated_joints(name, count).items()
    },
}
