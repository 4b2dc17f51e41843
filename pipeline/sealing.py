"""Sealed folders: written beside their place, checked, recorded in stage.json, then renamed whole.

A sealed folder counts only if its stage.json parses and lists exactly what lies there by size and time.
Whatever a killed build leaves behind has another name and never counts.
"""

import hashlib
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
    owner = f"{_machine()}-{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}"
    part = place.with_name(f"{place.name}{PART_MARK}{owner}")
    part.mkdir()
    return part


def seal(part: Path, place: Path, record: dict[str, Any]) -> None:
    """Checksum and fsync every file of `part`, write stage.json last, and rename it to `place`.

    What stands at `place` stays until then. If it is sealed with the same fingerprint (another host was
    faster), it stays for good and ours is dropped; if sealed with another one, it goes; if it is damaged or
    not sealed, it is moved aside and kept.

    Raises:
        StageError: when the place cannot be taken.
    """
    files = {name: describe_file(part / name) for name in _names(part)}
    _write_json(part / RECORD, {**record, "files": files})
    for folder in {part, *(path for path in part.rglob("*") if path.is_dir())}:
        fsync_folder(folder)
    try:
        if not _stands_already(place, record):
            replaced = _out_of_the_way(place)
            os.rename(part, place)
            if replaced is not None:
                shutil.rmtree(replaced)
    except OSError as error:
        if not _stands_already(place, record):
            raise StageError(
                f"{place}: must be free for the sealed output, is not ({error}). Move it away and build again."
            ) from error
    shutil.rmtree(part, ignore_errors=True)
    fsync_folder(place.parent)


def _stands_already(place: Path, record: dict[str, Any]) -> bool:
    standing = read_record(place)
    return standing is not None and standing.get("fingerprint") == record.get("fingerprint")


def _out_of_the_way(place: Path) -> Path | None:
    """Rename what stands at `place`; returns it if it was whole and may go, None if it is kept aside."""
    if not place.exists():
        return None
    whole = read_record(place) is not None
    aside = place.with_name(f"{place.name}{ASIDE_MARK}{secrets.token_hex(4)}")
    os.rename(place, aside)
    return aside if whole else None


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
        except (FileNotFoundError, NotADirectoryError) as error:
            # Other errors come and go with disks and networks: they say nothing about the bytes.
            found.append(f"{place / name}: must be there, is not ({error})")
            continue
        if (now["bytes"], now["sha256"]) != (entry["bytes"], entry["sha256"]):
            found.append(
                f"{place / name}: must have {entry['bytes']} bytes and sha256 {entry['sha256'][:12]}, "
                f"has {now['bytes']} and {now['sha256'][:12]}"
            )
    return found


def mark_damaged(place: Path, found: list[str]) -> None:
    """Take a folder out of use; the next build moves it aside and makes it again."""
    if place.is_dir():  # another build may have moved it aside meanwhile
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


def leftovers(parts: Iterable[Path]) -> Iterable[Path]:
    """Those temporary folders whose owner is provably gone: made where we run, by no process of now."""
    machine = _machine()
    for part in parts:
        owner = part.name.rpartition(PART_MARK)[2].rsplit("-", 3)
        ours = part.is_dir() and len(owner) == 4 and owner[0] == machine
        if ours and _started(int(owner[1])) != owner[2]:
            yield part


def _machine() -> str:
    """Host, boot and process namespace: only where all three agree does a process number mean the same."""
    facts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(source)
        if path.exists():
            facts.append(os.readlink(path) if path.is_symlink() else path.read_text())
    return f"{socket.gethostname()}.{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}"


def _started(pid: int) -> str | None:
    """When a living process started, in the kernel's ticks since boot, which no setting of the clock moves."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if facts[0] in "ZX" else facts[19]  # dead, and its parent has not asked for it yet
    except (FileNotFoundError, ProcessLookupError):
        pass
    try:  # not Linux
        return str(int(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess:
        return None


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w") as file:
        json.dump(content, file, indent=1, sort_keys=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
