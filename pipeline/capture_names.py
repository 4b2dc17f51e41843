"""Names in a manifest: one, a list of them, or a range such as "p01..p26"."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

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


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _ranged(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for text in names for name in names_between(text))


Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
Ranges = Annotated[Names, AfterValidator(_ranged)]
