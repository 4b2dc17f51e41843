"""Names in a manifest: one, a list of them, or a range such as "p01..p26"."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.bodies.named_poses import POSES

_RANGE = re.compile(r"(.*?)(\d+)\.\.(.*?)(\d+)")


def names_between(text: str) -> tuple[str, ...]:
    """Return the names of a range such as "p01..p26", both ends included; any other text is one name.

    Raises:
        ValueError: for two dots between anything but two counted names, the lower first.
    """
    if ".." not in text:
        return (text,)
    match = _RANGE.fullmatch(text)
    if match is None or match[1] != match[3] or int(match[4]) < int(match[2]):
        raise ValueError(f'a range of names must be like "p01..p26", is {text!r}')
    stem, first, _, last = match.groups()
    return tuple(f"{stem}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))


def names_problem(
    id: str, held: Collection[str], names: Mapping[str, Collection[str] | None], *, simulated: bool
) -> str | None:
    """What is wrong with the names that a capture lists; None where nothing is.

    Args:
        held: keys of the placeholders in its id.
        names: by key, "pose" among them; None where a key is not given.
        simulated: several names of a key, and poses that must be known, are of simulated captures alone.
    """
    many = {key: len(given) for key, given in names.items() if given and len(given) > 1}
    if not simulated:
        told = (
            f"{key} may list several names with format simulated alone, lists {many[key]}" for key in many
        )
        return next(told, None)
    for pose in names["pose"] or ():
        if pose not in POSES:
            near = get_close_matches(pose, POSES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            return f"pose of a simulated capture must be one of {', '.join(POSES)}, is {pose!r}.{hint}"
    for key in many:
        if key not in held:
            return f"id must hold {{{key}}}, for {key} lists {many[key]} names; it is {id!r}"
    for key in sorted(held):
        if names.get(key) is None:
            return f"id {id!r} has a placeholder for {key}, which is not given"
    return None


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _ranged(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for text in names for name in names_between(text))


Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
Ranges = Annotated[Names, AfterValidator(_ranged)]
