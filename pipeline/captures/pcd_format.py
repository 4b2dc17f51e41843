"""PCD files of the Point Cloud Library, versions 0.6 and 0.7: their head, and the columns of their points."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

HEAD_BYTES = 1 << 16  # a head is ten lines
MAX_CLOUD_BYTES = 1 << 30  # of all points unpacked; the largest depth cameras need a tenth
LZF_MAX_RATIO = 88  # 3 bytes name 264 at most
TYPES = {
    "F4": "<f4",
    "F8": "<f8",
    **{f"{kind}{size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudField:
    """One column of a cloud; `offset` in bytes from the start of a point."""

    name: str
    type: str
    count: int
    offset: int

    @property
    def bytes(self) -> int:
        return np.dtype(TYPES[self.type]).itemsize * self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudHead:
    """A PCD file's head; `start` is the byte at which its points begin, `viewpoint` t and quaternion w x y z."""

    fields: tuple[CloudField, ...]
    width: int
    height: int
    viewpoint: tuple[float, ...]
    coding: str
    start: int

    @property
    def point_bytes(self) -> int:
        return sum(field.bytes for field in self.fields)


def read_cloud(path: Path) -> tuple[CloudHead, dict[str, NDArray[Any]]]:
    """Read an organised cloud's head and its columns x, y, z, rgb and rgba (H W flat), those that it has.

    Raises:
        InputError: depth-missing, unreadable-depth, depth-type, or cloud-not-organised.
    """
    try:
        with path.open("rb") as file:
            head = _read_head(path, file.read(HEAD_BYTES))
            size = file.seek(0, 2) - head.start
            file.seek(head.start)
            columns = _columns(path, head, np.frombuffer(file.read(_claimed(path, head, size)), np.uint8))
    except FileNotFoundError:
        raise InputError(
            "depth-missing", f"{path}: the cloud must exist, is missing. Restore the file."
        ) from None
    except (PermissionError, IsADirectoryError) as error:
        _refuse(path, f"it cannot be read ({error.strerror})")
    return head, columns


def _read_head(path: Path, data: bytes) -> CloudHead:
    ending = re.search(rb"^DATA[ \t]+(\w+)[ \t]*\r?\n", data, re.MULTILINE)
    if ending is None:
        _refuse(path, "it has no line `DATA ascii|binary|binary_compressed`")
    lines = data[: ending.end()].decode("ascii", "replace").splitlines()
    table = {words[0]: words[1:] for line in lines if (words := line.partition("#")[0].split())}
    try:
        return _checked_head(path, table, ending.end())
    except (KeyError, ValueError, IndexError) as error:
        _refuse(path, f"its head is damaged ({type(error).__name__}: {str(error)[:80]})")


def _checked_head(path: Path, table: dict[str, list[str]], start: int) -> CloudHead:
    names, sizes, kinds = table["FIELDS"], table["SIZE"], table["TYPE"]
    counts = [int(word) for word in table.get("COUNT", ["1"] * len(names))]
    fields: list[CloudField] = []
    offset = 0
    for name, size, kind, count in zip(names, sizes, kinds, counts, strict=True):
        if f"{kind}{size}" not in TYPES or not 1 <= count <= HEAD_BYTES:
            raise ValueError(f"field {name} has TYPE {kind}, SIZE {size}, COUNT {count}")
        fields.append(CloudField(name=name, type=f"{kind}{size}", count=count, offset=offset))
        offset += fields[-1].bytes
    (width,), (height,) = map(int, table["WIDTH"]), map(int, table["HEIGHT"])
    if table.get("VERSION", ["0.7"])[0] not in ("0.6", ".6", "0.7", ".7"):
        raise ValueError(f"VERSION is {table['VERSION'][0]}, not 0.6 or 0.7")
    viewpoint = tuple(float(word) for word in table.get("VIEWPOINT", ["0", "0", "0", "1", "0", "0", "0"]))
    if len(viewpoint) != 7:
        raise ValueError(f"VIEWPOINT has {len(viewpoint)} numbers, not 7")
    if int(table.get("POINTS", [str(width * height)])[0]) != width * height:
        raise ValueError(f"POINTS is {table['POINTS'][0]}, not {width} x {height}")
    if min(width, height) <= 1:
        raise InputError(
            "cloud-not-organised",
            f"{path}: the cloud must keep the camera's grid, WIDTH and HEIGHT over 1, is {width}x{height}. "
            "Save the cloud as the camera gives it, before NaN points are removed.",
        )
    return CloudHead(
        fields=tuple(fields),
        width=width,
        height=height,
        viewpoint=viewpoint,
        coding=table["DATA"][0],
        start=start,
    )


def _claimed(path: Path, head: CloudHead, size: int) -> int:
    """How many bytes of the file to read, of the `size` that lie behind the head; refuses what cannot be."""
    points = head.width * head.height
    unpacked = points * head.point_bytes
    # a number in text takes a digit and a blank
    text = 2 * points * sum(field.count for field in head.fields) - 1
    least = {"ascii": text, "binary": unpacked, "binary_compressed": 8 + unpacked // LZF_MAX_RATIO}
    if head.coding not in least:
        _refuse(path, f"its points are coded as {head.coding!r}")
    if max(unpacked, size if head.coding == "ascii" else 0) > MAX_CLOUD_BYTES:
        _refuse(
            path, f"{head.width}x{head.height} points would take {unpacked} bytes, over {MAX_CLOUD_BYTES}"
        )
    if size < least[head.coding]:
        _refuse(
            path,
            f"it is cut off: {head.width}x{head.height} points need {least[head.coding]} bytes at least, "
            f"{size} are there",
        )
    return (
        unpacked
        if head.coding == "binary"
        else min(size, 8 + 2 * unpacked)
        if head.coding != "ascii"
        else size
    )


def _columns(path: Path, head: CloudHead, data: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    points = head.width * head.height
    wanted = {field.name: field for field in head.fields if field.name in ("x", "y", "z", "rgb", "rgba")}
    for name in "xyz":
        if name not in wanted or wanted[name].type not in ("F4", "F8"):
            _refuse(path, f"it has no field {name} of 4 or 8 byte floats", "depth-type")
    if any(
        field.count != 1 or (field.name.startswith("rgb") and field.bytes != 4) for field in wanted.values()
    ):
        _refuse(path, "x, y, z must be one number each and colour four bytes", "depth-type")
    if head.coding == "ascii":
        return _text_columns(path, head, wanted, data.tobytes())
    if head.coding == "binary":
        rows = data.reshape(points, head.point_bytes)
        parts = {name: rows[:, field.offset : field.offset + field.bytes] for name, field in wanted.items()}
    else:  # the columns lie one behind the other
        whole = _unpacked(path, data, points * head.point_bytes)
        parts = {
            name: whole[points * field.offset : points * (field.offset + field.bytes)]
            for name, field in wanted.items()
        }
    return {
        name: np.ascontiguousarray(part).reshape(-1).view(TYPES[wanted[name].type])
        for name, part in parts.items()
    }


def _text_columns(
    path: Path, head: CloudHead, wanted: dict[str, CloudField], text: bytes
) -> dict[str, NDArray[Any]]:
    counts = [field.count for field in head.fields]
    words = text.split()
    if not text.endswith(b"\n"):  # the last number may have lost its last digits
        _refuse(path, "it is cut off: its last line has no end")
    if len(words) != head.width * head.height * sum(counts):
        _refuse(path, f"it holds {len(words)} numbers, not {head.width}x{head.height}x{sum(counts)}")
    columns = {}
    for field, first in zip(head.fields, np.cumsum([0, *counts]).tolist(), strict=False):
        if field.name not in wanted:
            continue
        try:
            numbers = np.array([float(word) for word in words[first :: sum(counts)]])
        except ValueError as error:
            _refuse(path, f"field {field.name}: {str(error)[:80]}")
        with np.errstate(over="ignore", invalid="ignore"):
            columns[field.name] = numbers.astype(TYPES[field.type])
    return columns


def _unpacked(path: Path, data: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from pipeline.captures.pcd_kernels import decode_lzf

    packed_size, unpacked_size = (int(number) for number in data[:8].view("<u4"))
    if unpacked_size != size:
        _refuse(path, f"its points unpack to {unpacked_size} bytes, not {size}")
    if packed_size > data.size - 8:
        _refuse(path, f"it is cut off: {packed_size} packed bytes were written, {data.size - 8} are there")
    out = np.zeros(size, np.uint8)
    if decode_lzf(data[8 : 8 + packed_size], out) != size:
        _refuse(path, "its packed points are damaged")
    return out


def unpacked_rgb(packed: NDArray[Any]) -> NDArray[np.uint8]:
    """RGB (N 3) of colours packed as 0xAARRGGBB in four bytes, whatever type they are declared as."""
    return np.ascontiguousarray(packed.view("<u4").view(np.uint8).reshape(-1, 4)[:, 2::-1])


def _refuse(path: Path, finding: str, reason: str = "unreadable-depth") -> NoReturn:
    raise InputError(
        reason,
        f"{path}: the cloud must be a whole PCD file of version 0.6 or 0.7, but {finding}. Save it again.",
    )
