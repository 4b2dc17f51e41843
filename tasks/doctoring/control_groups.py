"""Memory and processor time that Linux's control groups leave to this process; containers are bound by them."""

from collections.abc import Iterator
from pathlib import Path


def memory_left_bytes(root: Path = Path("/")) -> int | None:
    """The least that any group around this process still allows, or None where none is bound.

    Args:
        root: under which `proc` and `sys` lie.
    """
    left = []
    for folder, version in _folders(root, "memory"):
        names = ("memory.max", "memory.current", "inactive_file")
        if version == 1:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = _number(folder / names[0]), _number(folder / names[1])
        if limit is not None and used is not None and limit < 1 << 60:  # version 1 writes 2^63 for no limit
            # Read-ahead and written pages count as used but make way.
            left.append(max(limit - used + _stat(folder / "memory.stat", names[2]), 0))
    return min(left, default=None)


def cores_allowed(root: Path = Path("/")) -> float | None:
    """Processor time per time that the tightest group allows, such as 1.5; None where none is bound."""
    allowed = []
    for folder, version in _folders(root, "cpu"):
        if version == 2:
            quota, _, period = _text(folder / "cpu.max").partition(" ")
        else:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # else "max", -1, or no such file
            allowed.append(int(quota) / int(period))
    return min(allowed, default=None)


def _folders(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Folders of the groups around this process, innermost first, with the version of their files."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            top, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        inner = top / path.strip("/")
        for folder in (inner, *inner.parents):
            yield folder, version
            if folder == top:
                break


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _stat(path: Path, name: str) -> int:
    rows = [line.split() for line in _text(path).splitlines()]
    return next((int(row[1]) for row in rows if row[:1] == [name]), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
