"""What the project says it needs: Python, libraries and the versions of them."""

import importlib.metadata
import re
import tomllib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

PROJECT = "bodytruth"
DEVELOPERS = "dev"  # the extra whose libraries only the tests need


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A library, the versions of it that fit (such as `>=1.26,<2`), and the extra that it belongs to, or None."""

    name: str
    versions: str
    extra: str | None


def required_python() -> str:
    """Versions of Python that fit, such as `==3.11.*`."""
    project = _own_project()
    if project is None:
        return str(importlib.metadata.metadata(PROJECT)["Requires-Python"])
    return str(project["requires-python"])


def requirements() -> list[Requirement]:
    """All libraries but the developers', in the order in which the project lists them."""
    project = _own_project()
    if project is None:
        lines = importlib.metadata.requires(PROJECT) or []
    else:
        lines = list(project["dependencies"])
        for extra, more in project.get("optional-dependencies", {}).items():
            lines += [f'{line}; extra == "{extra}"' for line in more]
    found = [parse_requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.extra != DEVELOPERS]


def parse_requirement(line: str) -> Requirement:
    """Read one line such as `numpy>=1.26,<2` or `tensorboard>=2.18; extra == "board"`."""
    match = re.fullmatch(r"([\w.-]+)\s*([^;]*?)\s*(?:;\s*extra\s*==\s*[\"']([\w-]+)[\"']\s*)?", line)
    if match is None:
        raise ValueError(f"requirement must be a name, versions and an extra, is {line!r}.")
    return Requirement(name=match[1], versions=match[2], extra=match[3])


def fits(version: str, versions: str) -> bool:
    """Whether a version is among those wanted; suffixes such as `+cpu` and `rc1` are not looked at.

    PEP 440's comparisons of release numbers; `packaging`, which knows the rest, is not everywhere.

    Raises:
        ValueError: for a version without a number, or a comparison that is none of PEP 440's.
    """
    return all(_holds(_release(version), clause.strip()) for clause in versions.split(",") if clause.strip())


def _holds(have: list[int], clause: str) -> bool:
    match = re.fullmatch(r"(==|!=|~=|>=|<=|>|<)\s*([\w.+!-]+?)(\.\*)?", clause)
    if match is None:
        raise ValueError(f"versions must be compared by one of == != ~= >= <= > <, are by {clause!r}.")
    operator, wanted, any_after = match[1], _release(match[2]), match[3] is not None
    pairs = list(zip_longest(have, wanted, fillvalue=0))
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    if any_after:  # == and != alone may end so
        same = left[: len(wanted)] == wanted
        return same if operator == "==" else not same
    if operator == "~=":
        return left >= right and left[: len(wanted) - 1] == wanted[:-1]
    return {
        "==": left == right, "!=": left != right, ">=": left >= right,
        "<=": left <= right, ">": left > right, "<": left < right,
    }[operator]  # fmt: skip


def _release(version: str) -> list[int]:
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    if match is None:
        raise ValueError(f"version must start with a number, is {version!r}.")
    return [int(part) for part in match[1].split(".")]


def checkout() -> Path | None:
    """The clone that this file lies in; None in an installed package."""
    folder = Path(__file__).resolve().parents[2]
    return folder if _project_of(folder) is not None else None


def _own_project() -> dict[str, Any] | None:
    """[project] of the clone, since what was installed from it may be older; None in an installed package."""
    return _project_of(Path(__file__).resolve().parents[2])


def _project_of(folder: Path) -> dict[str, Any] | None:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    project: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    return project if project.get("name") == PROJECT else None
