"""Sealed folders: written beside their place, checked, recorded in stage.json, then renamed whole.

A sealed folder counts only if its stage.json parses and lists exactly what lies there by size and time.
Whatever a killed build leaves behind has another name and never counts.
"""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from pipeline.checksums import describe_file, fsync_folder
from pipeline.errors import DamagedError, StageError

RECORD = "stage.json"
DAMAGE = "DAMAGED.json"
PART_MARK = ".part-"
ASIDE_MARK = ".damaged-"


def begin(place: Path) -> Path:
    """Make an empty temporary folder beside `place`; its name says who owns it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    started_ms = int(psutil.Process().create_time() * 1000)
    owner = f"{socket.gethostname()}-{os.getpid()}-{started_ms}-{secrets.token_hex(4)}"
    part = place.with_name(f"{place.name}{PART_MARK}{owner}")
    part.mkdir()
    return part


def seal(part: Path, place: Path, record: dict[str, Any]) -> None:
    """Checksum and fsync every file of `part`, write stage.json last, and rename it to `place`.

    A folder that already stands at `place` must not be sealed (see `set_aside`), except when another host
    sealed the same fingerprint first: then its work stands and ours is dropped.

    Raises:
        StageError: when something unsealed stands at `place`.
    """
    files = {name: describe_file(part / name) for name in _names(part)}
    _write_json(part / RECORD, {**record, "files": files})
    for folder in {part, *(path for path in part.rglob("*") if path.is_dir())}:
        fsync_folder(folder)
    standing = read_record(place)
    if standing is not None and standing.get("fingerprint") == record.get("fingerprint"):
        shutil.rmtree(part)
        return
    try:
        os.rename(part, place)
    except OSError as error:
        raise StageError(
            f"{place}: must be free for the sealed output, is not ({error}). Move it away and build again."
        ) from error
    fsync_folder(place.parent)


def read_record(place: Path) -> dict[str, Any] | None:
    """The folder's stage.json if it is sealed and whole by size and time, else None."""
    if (place / DAMAGE).exists():
        return None
    try:
        record: dict[str, Any] = json.loads((place / RECORD).read_text())
        for name, entry in record["files"].items():
            stat = (place / name).stat()
            if (stat.st_size, stat.st_mtime_ns) != (entry["bytes"], entry["mtime_ns"]):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record


def damage(place: Path) -> list[str]:
    """Re-read every listed byte; return one sentence for each file that differs from the record."""
    try:
        listed = json.loads((place / RECORD).read_text())["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{place / RECORD}: must be a readable record, is not ({error})"]
    found = []
    for name, entry in listed:
        try:
            now = describe_file(place / name, sync=False)
        except OSError as error:
            found.append(f"{place / name}: must be readable, is not ({error})")
            continue
        if (now["bytes"], now["sha256"]) != (entry["bytes"], entry["sha256"]):
            found.append(
                f"{place / name}: must have {entry['bytes']} bytes and sha256 {entry['sha256'][:12]}, "
                f"has {now['bytes']} and {now['sha256'][:12]}"
            )
    return found


def mark_damaged(place: Path, found: list[str]) -> None:
    """Take a folder out of use; the next build moves it aside and makes it again."""
    _write_json(place / DAMAGE, {"found": found})


def require_undamaged(place: Path) -> None:
    """A consumer's first read: compare every checksum, mark and refuse what differs.

    Raises:
        DamagedError: with the first file that differs.
    """
    found = damage(place)
    if found:
        mark_damaged(place, found)
        raise DamagedError(f"{found[0]}. It is marked; build again to replace it.")


def set_aside(place: Path) -> Path | None:
    """Move an unsealed or damaged folder out of `place`, keeping it for inspection."""
    if not place.exists():
        return None
    aside = place.with_name(f"{place.name}{ASIDE_MARK}{secrets.token_hex(4)}")
    os.rename(place, aside)
    return aside


def leftovers(parts: Iterable[Path]) -> Iterable[Path]:
    """Those temporary folders whose owner is provably gone: made on this host, by no process of now."""
    host = socket.gethostname()
    for part in parts:
        owner = part.name.rpartition(PART_MARK)[2].rsplit("-", 3)
        ours = part.is_dir() and len(owner) == 4 and owner[0] == host
        if ours and not _alive(int(owner[1]), int(owner[2])):
            yield part


def _alive(pid: int, started_ms: int) -> bool:
    try:
        # A clock that was set meanwhile moves the reading a little; a reused number is far off.
        return bool(abs(psutil.Process(pid).create_time() * 1000 - started_ms) < 5000)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w") as file:
        json.dump(content, file, indent=1, sort_keys=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
