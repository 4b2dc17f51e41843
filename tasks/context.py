"""What one process knows of manifests and raw inputs; read once, so that a graph sees one state."""

import functools
import os
import sqlite3
from pathlib import Path

from pipeline.capture_tables import frames_slice
from pipeline.captures.opening import open_capture
from pipeline.checksums import describe_file
from pipeline.errors import InputError, StageError
from pipeline.fingerprints import FileHashes
from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE, Manifest, load_manifest, select_frames

PLACE_VARIABLES = (DATA_ROOT_VARIABLE, OUT_VARIABLE)


def manifest_of(path: str) -> Manifest:
    """The checked manifest at a path, read once until `forget`, so that a graph sees one state of it."""
    return _manifest(path, tuple(os.environ.get(name) for name in PLACE_VARIABLES))


@functools.cache
def _manifest(path: str, places: object) -> Manifest:
    return load_manifest(Path(path))


@functools.cache
def raw_digest(path: str, capture: str) -> str:
    """One hash over every raw file that a capture's chosen frames touch; a broken capture has one too."""
    return _raw_digest(path, capture, trust=True)


@functools.cache
def capture_frames(path: str, capture: str) -> int:
    """How many frames a manifest chooses of a capture; 0 where it cannot be opened."""
    manifest = manifest_of(path)
    table = manifest.captures[capture]
    if table.count is not None:
        return table.count
    if isinstance(table.frames, tuple):
        return len(table.frames)
    folder = manifest.capture_folder(capture)
    try:
        listed = open_capture(folder, table.format, table.options).frames if folder else []
    except InputError:
        return 0
    return len(listed[frames_slice(table.frames)] if table.frames else listed)


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
    if table.format == "scan":
        return _digest(manifest, [folder] if folder.is_file() else [], folder.parent, trust)
    try:
        opened = open_capture(folder, table.format, table.options)
        chosen = set(select_frames(opened.frames, table.frames))
        files = opened.files([frame for frame in opened.frames if frame in chosen])
    except InputError as error:
        # Mending the capture changes its files, so the digest of what is there moves with the repair.
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return f"{error.reason}-{_digest(manifest, files, folder, trust)}"
    return _digest(manifest, files, folder, trust)


def forget() -> None:
    """Drop what was read, so that the next call sees the files as they are now."""
    _manifest.cache_clear()
    raw_digest.cache_clear()
    capture_frames.cache_clear()


def without_places(text: str, manifest: Manifest, capture: str) -> str:
    """A message without the folders of this machine: it goes into data files, which must not depend on them."""
    folder = manifest.capture_folder(capture) if capture in manifest.captures else None
    places = [manifest.data_root, manifest.folder, *([] if folder is None else [folder.parent])]
    for place in sorted({f"{place}/" for place in places}, key=len, reverse=True):
        text = text.replace(place, "")
    return text


def unwritable(folder: Path, error: Exception) -> StageError:
    """The one sentence for an output folder that is missing, full, or not ours to write."""
    return StageError(
        f"{folder}: must be writable with free space, is not ({error}). "
        "Free the disk or choose another --out, and build again."
    )


def _digest(manifest: Manifest, files: list[Path], folder: Path, trust: bool) -> str:
    # A file that may not be read is as good as missing here; reading its frame says so.
    readable = [file for file in files if os.access(file, os.R_OK)]
    try:
        hashes = FileHashes(manifest.folder / "raw-hashes.sqlite", trust=trust)
        try:
            return hashes.digest(readable, root=folder)
        finally:
            hashes.close()
    except (OSError, sqlite3.Error) as error:
        raise unwritable(manifest.folder, error) from error


def file_digest(path: Path) -> str:
    """The hash of one file that a manifest names."""
    # A file that may not be read says so when the stage reads it; bringing it changes the digest.
    try:
        return str(describe_file(path, sync=False)["sha256"])
    except OSError:
        return "unreadable"
