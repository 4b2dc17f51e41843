"""What one file or folder holds: its fields, their ranges, where it comes from, and a contact sheet."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.fields import FIELDS
from pipeline.pictures import (
    chart_picture,
    contact_sheet,
    depth_picture,
    length_picture,
    mask_picture,
    normal_picture,
    part_picture,
    png_bytes,
    signed_picture,
    volume_picture,
)
from pipeline.sealing import RECORD
from pipeline.shards import INDEX, read_index
from pipeline.store import FrameReader
from pipeline.voxels.packing import unpack
from tasks.inputs import FRAMES_FILE

SHEET_SAMPLES = 6
SHEET_TILE_PX = 192


def describe(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Provenance and one row per field of a shard, a stage output or a whole dataset.

    Provenance holds `figures`: what was measured of a stage's output; of a shard or a dataset, per capture, what
    was measured against the truth.

    Ranges are over all samples of a file; values that the field table calls invalid are left out.

    Raises:
        InputError: when there is nothing of ours at the path.
    """
    if path.name == INDEX or (path / INDEX).is_file():
        return _describe_dataset(path)
    file = _frames_file(path)
    with _reader(file) as reader:
        provenance = {"file": str(file), "samples": len(reader), **_attributes(reader)}
        if (file.parent / RECORD).is_file():
            record = json.loads((file.parent / RECORD).read_text())
            provenance |= {key: record[key] for key in ("stage", "version", "fingerprint", "recipe", "run")}
            provenance["figures"] = [{"name": name, **stat} for name, stat in record["stats"].items()]
        elif "capture" in reader.fields and (file.parents[1] / INDEX).is_file():
            names = sorted(set(reader.column("capture").tolist()))
            provenance["figures"] = _against_truth(read_index(file.parents[1]), names)
        return provenance, [_describe_field(reader, name) for name in reader.fields]


def write_sheet(path: Path, target: Path) -> None:
    """Draw the picture fields of a few samples, evenly spaced, into one PNG.

    Raises:
        InputError: when the path holds no picture field.
    """
    with _reader(_frames_file(path)) as reader:
        names = [name for name in reader.fields if _drawable(name)]
        if not names or len(reader) == 0:
            raise InputError(
                "no-pictures", f"{path}: must hold image fields, holds {', '.join(reader.fields)}."
            )
        count = min(SHEET_SAMPLES, len(reader))
        positions = sorted({round(i) for i in np.linspace(0, len(reader) - 1, count)})
        numbers = reader.column("frame")
        tiles, labels = [], []
        for name in names:
            for position in positions:
                row = reader.row(position, [name] + (["mask"] if "mask" in reader.fields else []))
                tiles.append(_picture(name, row))
                labels.append(f"{name} {numbers[position]}")
        sheet = contact_sheet(tiles, len(positions), SHEET_TILE_PX, labels)
    target.write_bytes(png_bytes(sheet))


def _frames_file(path: Path) -> Path:
    file = path / FRAMES_FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".h5":
        raise InputError(
            "nothing-to-inspect",
            f"{path}: must be a shard (.h5), a sealed stage folder or a dataset.json, is none of them. "
            "`bodytruth why` lists the places of one capture's outputs.",
        )
    return file


def _reader(file: Path) -> FrameReader:
    try:
        reader = FrameReader(file)
    except (OSError, ValueError) as error:
        raise InputError(
            "not-ours", f"{file}: must be a whole HDF5 file of ours, is not ({error}). Build it again."
        ) from error
    foreign = sorted(set(reader.fields) - set(FIELDS))
    if foreign:
        raise InputError(
            "not-ours", f"{file}: must hold fields of the table alone, holds {', '.join(foreign)} too."
        )
    return reader


def _describe_dataset(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    index = read_index(path)
    provenance = {
        key: index[key] for key in ("name", "fingerprint", "generator", "schema", "seed", "settings")
    }
    provenance["shards"] = [f"{entry['path']} ({entry['samples']} samples)" for entry in index["shards"]]
    provenance["quarantined"] = len(index["quarantine"])
    provenance["figures"] = _against_truth(index, sorted(index.get("captures", {})))
    blank = {"min": None, "median": None, "max": None}
    rows = [
        {**field, **blank, "field": name, "shape": f"N {field['shape']}".strip()}
        for name, field in index["fields"].items()
    ]
    return provenance, rows


def _against_truth(index: dict[str, Any], captures: list[str]) -> list[dict[str, Any]]:
    """What the stage `truth` measured of these captures; nothing where there is none to measure against."""
    return [
        {"capture": capture, "name": name, **stat}
        for capture in captures
        for name, stat in index["captures"][capture]["stats"].items()
        if name.startswith(("true ", "truth "))
    ]


def _describe_field(reader: FrameReader, name: str) -> dict[str, Any]:
    field = FIELDS[name]
    row: dict[str, Any] = {"field": name, "dtype": field.dtype, "unit": field.unit, "frame": field.frame}
    if field.dtype == "str":
        values = sorted(set(reader.column(name).tolist()))
        return {**row, "shape": f"({len(reader)},)", "min": values[:1], "median": None, "max": values[-1:]}
    lows, middles, highs, shape = [], [], [], ()
    for sample in reader.rows([name]):
        array = np.asarray(sample[name])
        shape = array.shape
        valid = _valid(array, field.invalid)
        if valid.size:
            lows.append(float(valid.min()))
            highs.append(float(valid.max()))
            middles.append(float(np.median(valid)))
    return {
        **row,
        "shape": str((len(reader), *shape)),
        "min": round(min(lows), 6) if lows else None,
        "median": round(float(np.median(middles)), 6) if middles else None,
        "max": round(max(highs), 6) if highs else None,
    }


def _valid(array: np.ndarray, invalid: str) -> np.ndarray:
    """The values that are not the field's invalid value; pictures of vectors are judged vector by vector."""
    if invalid not in ("0", "-1"):
        return array
    if array.ndim == 3:
        return array[(array != float(invalid)).any(axis=-1)]
    return array[array != float(invalid)]


def _attributes(reader: FrameReader) -> dict[str, Any]:
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in reader.attributes.items()
        if name != "samples"
    }


def _drawable(name: str) -> bool:
    shape = FIELDS[name].shape.split()
    return shape[:2] in (["H", "W"], ["Hs", "Ws"]) or shape[:3] == ["R", "H", "W"] or _is_volume(name)


def _is_volume(name: str) -> bool:
    return FIELDS[name].frame == "vox" and FIELDS[name].dtype == "uint8"


def _picture(name: str, row: dict[str, Any]) -> np.ndarray:
    value = row[name]
    if _is_volume(name):
        return volume_picture(unpack(value, 8 * value.shape[-1]))
    if FIELDS[name].shape.startswith("R "):
        value = value[0]  # the first of a frame's references
        if value.ndim == 3:
            lengths = np.linalg.norm(value, axis=-1)
            return length_picture(value, lengths > 0, max(float(np.percentile(lengths, 99)), 1e-6))
    if value.dtype == np.uint8:
        return part_picture(value) if value.ndim == 2 else value
    if value.dtype == np.bool_:
        return mask_picture(value)
    if name in ("surface_uv", "densepose_uv"):
        return chart_picture(value.any(axis=-1).astype(np.uint8), value)
    if value.ndim == 3:
        return normal_picture(value, value.any(axis=-1))
    if name in ("base_m", "detail_m"):
        mask = row.get("mask", value != 0)
        limit_m = max(float(np.percentile(np.abs(value[mask]), 99)), 1e-6) if mask.any() else 1.0
        return signed_picture(value, mask, limit_m)
    return depth_picture(value, value > 0)[0]
