"""Arrays in an npz file that may come from anyone: nothing is unpickled, evaluated, extracted or overgrown.

numpy's own reader allocates what a header asks for before it looks at the data, and evaluates the header as
Python text; here a header is matched letter by letter and must ask for just the bytes that are there.
"""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.checksums import fsync_folder

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that zip knows: the same arrays give the same bytes at any time
LIMIT_BYTES = 1 << 30
MAX_HEADER_BYTES = 4096
_DESCR = re.compile(r"[<>|=]?[biufUS]\d{1,6}")
# The optional L stands behind whole numbers that python 2 wrote.
_HEADER = re.compile(
    r"\{'descr': (?P<descr>'[^']*'|\[.*\]), 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,18}L?(?:, ?|(?=\))))*)\), \} *\n?",
    re.DOTALL,
)


class ObjectArrayError(ValueError):
    """The file holds pickled Python objects, which are never read."""


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write all arrays as one compressed npz, whole or not at all; the same arrays give the same bytes.

    Members stand in the order of the mapping.
    """
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        with part.open("wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, array in arrays.items():
                    _add(archive, name, array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    fsync_folder(path.resolve().parent)


def read_npz(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file by name, numbers and texts only.

    Args:
        limit_bytes: of all arrays together; a file that declares more is refused before it is unpacked.

    Raises:
        OSError: if the file cannot be opened.
        ObjectArrayError: if an array holds Python objects.
        ValueError: if it is no npz, is damaged, too large, or holds records or names with folders.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_members(path, members, limit_bytes)
                return {member.filename[:-4]: _read(path, archive, member) for member in members}
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(
                f"{path}: must be a whole npz file, is not ({error}). Copy it again from its source."
            ) from error


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    member = zipfile.ZipInfo(f"{name}.npy", date_time=EPOCH)
    member.create_system = 3  # Unix, also when written elsewhere
    member.external_attr = 0o644 << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    archive.writestr(member, buffer.getvalue(), compresslevel=9)


def _check_members(path: Path, members: list[zipfile.ZipInfo], limit_bytes: int) -> None:
    names = [member.filename for member in members]
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-]{0,99}\.npy", name):
            raise ValueError(f"{path}: members must be named NAME.npy without folders, one is {name[:100]!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: member names must differ, {max(names, key=names.count)!r} stands twice")
    declared = sum(member.file_size for member in members)
    if declared > limit_bytes:
        raise ValueError(
            f"{path}: arrays must take at most {limit_bytes / 1e6:.0f} MB, take {declared / 1e6:.0f} MB"
        )


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    where = f"{path}, {member.filename}"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(
            f"{where}: must be stored or deflated, is compressed by method {member.compress_type}"
        )
    with archive.open(member) as file:
        version, length = file.read(8), 0
        if version[:6] == b"\x93NUMPY" and version[6:] in (b"\x01\x00", b"\x02\x00"):
            length = int.from_bytes(file.read(2 if version[6] == 1 else 4), "little")
        if not 0 < length <= MAX_HEADER_BYTES:
            raise ValueError(f"{where}: must be an npy array of format 1 or 2, is not")
        dtype, shape, order = _parse_header(where, file.read(length).decode("latin-1"))
        content = file.read()
    wanted_bytes = dtype.itemsize
    for size in shape:
        wanted_bytes *= size
    if wanted_bytes != len(content):
        raise ValueError(f"{where}: {dtype} {shape} must be {wanted_bytes} bytes, is {len(content)}")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)  # of empty texts, which no buffer can hold
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _parse_header(where: str, header: str) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    match = _HEADER.fullmatch(header)
    if match is None:
        raise ValueError(f"{where}: must have a header as numpy writes it, has {header.strip()[:80]!r}")
    descr = match["descr"].strip("'")
    if re.fullmatch(r"[<>|=]?O\d*", descr):
        raise ObjectArrayError(f"{where}: must be numbers or text, is an array of Python objects")
    if not _DESCR.fullmatch(descr):
        raise ValueError(f"{where}: must be numbers or text, is {descr[:80]!r}")
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise ValueError(f"{where}: must be numbers or text, is {descr[:80]!r}") from error
    shape = tuple(int(size) for size in re.findall(r"\d+", match["shape"]))
    if len(shape) > 8:
        raise ValueError(f"{where}: must have at most 8 axes, has {len(shape)}")
    return dtype, shape, "F" if match["fortran"] == "True" else "C"
