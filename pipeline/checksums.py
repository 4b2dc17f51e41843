"""Size and checksum of files, and what it takes to have them safe on disk."""

import hashlib
import os
from pathlib import Path
from typing import Any


def describe_file(path: Path, *, sync: bool = True) -> dict[str, Any]:
    """Size, time and sha256 of one file, flushed to disk first unless `sync` is False."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        while block := file.read(1 << 20):
            digest.update(block)
        stat = os.fstat(file.fileno())
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest.hexdigest()}


def fsync_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
