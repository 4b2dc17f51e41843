"""What one process knows of manifests and raw inputs; read once, so that a graph sees one state."""

import functools
import os
from pathlib import Path

from pipeline.captures.opening import open_capture
from pipeline.errors import InputError
from pipeline.fingerprints import FileHashes
from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE, Manifest, load_manifest, select_frames

PLACE_VARIABLES = (DATA_ROOT_VARIABLE, OUT_VARIABLE)


def manifest_of(path: str) -> Manifest:
    """The checked manifest at a path, read again only when the file or where things lie has changed."""
    stat = Path(path).stat() if Path(path).is_file() else None
    places = tuple(os.environ.get(name) for name in PLACE_VARIABLES)
    return _manifest(path, None if stat is None else (stat.st_mtime_ns, stat.st_size), places)


@functools.cache
def _manifest(path: str, stamp: object, places: object) -> Manifest:
    return load_manifest(Path(path))


@functools.cache
def raw_digest(path: str, capture: str) -> str:
    """One hash over every raw file that a capture's chosen frames touch; a broken capture has one too."""
    return _raw_digest(path, capture, trust=True)


def rehash(path: str) -> None:
    """Read every raw file of a manifest again instead of trusting size, time and inode."""
    for capture in manifest_of(path).captures:
        _raw_digest(path, capture, trust=False)


def _raw_digest(path: str, capture: str, *, trust: bool) -> str:
    manifest = manifest_of(path)
    table = manifest.captures[capture]
    folder = manifest.capture_folder(capture)
    if folder is None:
        return ""
    try:
        opened = open_capture(folder, table.format, table.files)
        files = opened.files(select_frames(opened.frames, table.frames))
    except InputError as error:
        # Mending the capture changes its files, so the digest of what is there moves with the repair.
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return f"{error.reason}-{_digest(manifest, files, folder, trust)}"
    return _digest(manifest, files, folder, trust)


def forget() -> None:
    """Drop what was read, so that the next call sees the files as they are now."""
    _manifest.cache_clear()
    raw_digest.cache_clear()


def _digest(manifest: Manifest, files: list[Path], folder: Path, trust: bool) -> str:
    hashes = FileHashes(manifest.folder / "raw-hashes.sqlite", trust=trust)
    try:
        return hashes.digest(files, root=folder)
    finally:
        hashes.close()
