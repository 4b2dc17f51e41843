"""The one table of everything that a stage output or a shard may hold; nothing else is ever written.

Every array on disk has a leading axis N over the frames of a capture; the table gives one sample's shape.
`docs/fields.md` is generated from here by `python -m pipeline.fields`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.body_fields import BODY_FIELDS
from pipeline.field import Field

FIELDS: dict[str, Field] = {
    # who and when
    "capture": Field(shape="", dtype="str", unit="1", doc="id of the capture in the manifest"),
    "subject": Field(shape="", dtype="str", unit="1", doc="id of the person; splits are by subject"),
    "frame": Field(shape="", dtype="int32", unit="1", doc="the frame's own number in the raw capture"),
    "timestamp_s": Field(
        shape="", dtype="float64", unit="s", invalid="-1", doc="time of the depth image; its own clock"
    ),
    # the sensor's own resolution (Hs Ws), as ingested
    "sensor_image": Field(
        shape="Hs Ws 3", dtype="uint8", unit="1", frame="px", doc="RGB, registered to the depth", shard=False
    ),
    "sensor_depth_m": Field(
        shape="Hs Ws",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="z along the optical axis as measured",
        shard=False,
    ),
    "sensor_mask": Field(
        shape="Hs Ws",
        dtype="bool",
        unit="1",
        frame="px",
        invalid="False",
        doc="True where the foreground was measured",
        shard=False,
    ),
    "sensor_mask_given": Field(
        shape="Hs Ws",
        dtype="bool",
        unit="1",
        frame="px",
        invalid="False",
        doc="the capture's own foreground mask, as read",
        shard=False,
    ),
    "sensor_K": Field(
        shape="3 3", dtype="float64", unit="px", frame="px", doc="intrinsics of sensor_depth_m", shard=False
    ),
    "rejected_picture": Field(
        shape="96 256 3",
        dtype="uint8",
        unit="1",
        doc="small picture of a frame that was left out: colour on the left, depth on the right",
        shard=False,
    ),
    # the crop (H W)
    "image": Field(shape="H W 3", dtype="uint8", unit="1", frame="px", doc="RGB of the crop"),
    "K": Field(
        shape="3 3",
        dtype="float64",
        unit="px",
        frame="px",
        doc="intrinsics of the crop; integer pixel centres",
    ),
    "world_from_cam": Field(
        shape="4 4",
        dtype="float64",
        unit="m",
        frame="world",
        doc="rigid: the rotation nearest to the one given; p_world = world_from_cam @ p_cam",
    ),
    "depth_raw_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="the sensor's z on the crop, nearest pixel, foreground only",
    ),
    "mask": Field(
        shape="H W",
        dtype="bool",
        unit="1",
        frame="px",
        invalid="False",
        doc="True where depth_m holds the ground-truth surface",
    ),
    "depth_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="z along the optical axis of the ground-truth surface at the pixel centre: fused, adopted or known",
    ),
    "normal_rendered": Field(
        shape="H W 3",
        dtype="float32",
        unit="1",
        frame="cam",
        invalid="0",
        doc="unit normal of the fused mesh (angle-weighted vertex normals), facing the camera: n.p < 0",
        shard=False,
    ),
    "depth_sigma_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="standard deviation of depth_m as the fused observations tell it, larger where the surface slants; "
        "differences below it mean nothing",
    ),
    # how the fused surface fits what the sensor saw in this frame
    "track_residual_m": Field(
        shape="",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="-1",
        doc="median distance of the frame's pixels from the model that it was aligned with; -1 where it began one",
    ),
    "track_fitness": Field(
        shape="",
        dtype="float32",
        unit="1",
        invalid="-1",
        doc="share of the frame's pixels that found that model, likewise",
    ),
    "track_sigma_m": Field(
        shape="",
        dtype="float32",
        unit="m",
        frame="world",
        doc="spread of the camera's place, by the normal equations of the alignment",
    ),
    "track_sigma_rad": Field(
        shape="", dtype="float32", unit="rad", frame="world", doc="spread of the camera's rotation, likewise"
    ),
    "track_keyframe": Field(shape="", dtype="bool", unit="1", doc="True where later frames were tied to it"),
    "track_loop_edges": Field(
        shape="", dtype="int32", unit="1", doc="ties to frames far away in time that close a turn"
    ),
    "fused_residual_m": Field(
        shape="",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="-1",
        doc="median |fused - raw| over all raw pixels in range; -1 where over half of them miss the surface",
    ),
    "fused_coverage": Field(
        shape="", dtype="float32", unit="1", doc="share of the raw pixels in range that see the fused surface"
    ),
    # layers: base_m + detail_m = depth_m - depth_median_m inside the mask
    "depth_median_m": Field(
        shape="", dtype="float32", unit="m", frame="cam", doc="median of depth_m over the mask"
    ),
    "base_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="masked bilateral low pass of depth_m - depth_median_m",
    ),
    "detail_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="depth_m - depth_median_m - base_m",
    ),
    # normals by least squares
    "normal": Field(
        shape="H W 3",
        dtype="float32",
        unit="1",
        frame="cam",
        invalid="0",
        doc="unit normal of the fitted surface, facing the camera: n.p < 0",
    ),
    "normal_residual_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="root mean square distance of the neighbours from the fitted plane",
    ),
    # the body in the picture, known or annotated
    **BODY_FIELDS,
    # truth of a simulated capture
    "depth_truth_m": Field(
        shape="H W",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="0",
        doc="exact z of the simulated surface on the crop, by ray casting",
        shard=False,
    ),
    "truth_depth_error_m": Field(
        shape="",
        dtype="float32",
        unit="m",
        frame="cam",
        invalid="-1",
        doc="median |depth_m - depth_truth_m| where both stand",
        shard=False,
    ),
    "truth_normal_error_rad": Field(
        shape="",
        dtype="float32",
        unit="rad",
        invalid="-1",
        doc="median angle between normal and the true surface's, where both stand",
        shard=False,
    ),
    # added by `shards` itself
    "row_crc32": Field(
        shape="F",
        dtype="uint32",
        unit="1",
        doc="crc32 of each other field of the sample, as attribute `columns` lists them: "
        "of the values in C order, little-endian, texts in UTF-8",
    ),
}


def check_fields(arrays: Mapping[str, NDArray[Any]], *, where: str) -> None:
    """Raise ValueError unless every array (N, ...) fits its row, is finite, and all N and symbols agree.

    Args:
        where: file or stage that the message starts with.
    """
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        if name not in FIELDS:
            raise ValueError(f"{where}: {name!r} is not in the field table; it knows {', '.join(FIELDS)}")
        field = FIELDS[name]
        symbols = ["N", *field.shape.split()]
        if not _dtype_fits(array, field) or array.ndim != len(symbols):
            wanted = " ".join(symbols)
            raise ValueError(
                f"{where}: {name} must be {field.dtype} ({wanted}), is {array.dtype} {array.shape}"
            )
        for symbol, size in zip(symbols, array.shape, strict=True):
            expected = int(symbol) if symbol.isdigit() else sizes.setdefault(symbol, size)
            if size != expected:
                raise ValueError(f"{where}: {name} must have {symbol}={expected}, has {size}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            raise ValueError(f"{where}: {name} must be finite, has {count} NaN or infinite values")


def _dtype_fits(array: NDArray[Any], field: Field) -> bool:
    if field.dtype == "str":
        return array.dtype.kind == "O" and all(isinstance(item, str) for item in array.ravel())
    return array.dtype == np.dtype(field.dtype)


def fields_markdown() -> str:
    """The whole of docs/fields.md."""
    head = (
        "# Fields\n\nGenerated from `pipeline/fields.py` by `python -m pipeline.fields > docs/fields.md`; "
        "a test fails when the two differ.\n\nEvery array has a leading axis N over frames. "
        "`Hs Ws` is the sensor's own size, `H W` the crop's (`image_size_px`). "
        "Frames and signs: [conventions](conventions.md).\n\n"
        "| field | shape | dtype | unit | frame | invalid | in shards | meaning |\n|---|---|---|---|---|---|---|---|\n"
    )
    # A bar inside a cell would end it.
    docs = {name: field.doc.replace("|", "\\|") for name, field in FIELDS.items()}
    rows = [
        f"| `{name}` | {field.shape or 'scalar'} | {field.dtype} | {field.unit} | {field.frame} "
        f"| {field.invalid} | {'yes' if field.shard else 'no'} | {docs[name]} |"
        for name, field in FIELDS.items()
    ]
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(fields_markdown())
