"""What a manifest may say of a network: its options by name, each of the default's kind."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any


def check_options(network: str, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse what a network does not know.

    Raises:
        ValueError: for an unknown option, naming the nearest known one, or a value of another kind.
    """
    for name, value in options.items():
        if name not in defaults:
            near = get_close_matches(name, defaults, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{network}: an option must be one of {', '.join(defaults)}, is {name!r}.{hint}")
        kind = type(defaults[name])
        if type(value) is not kind and (kind, type(value)) != (float, int):
            raise ValueError(f"{network}: {name} must be {kind.__name__}, is {value!r}")
