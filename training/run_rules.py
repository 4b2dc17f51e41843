"""What every key of a RUN.json must be."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError

SCHEMA = 1

# How a value is checked: what it must be, whether it is, and what an absent key stands for.
_REQUIRED, _ABSENT = object(), object()
Rule = tuple[str, Callable[[Any], bool], Any]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_number(item) for item in value)


def _text(default: Any = _REQUIRED) -> Rule:
    return "a text", lambda value: isinstance(value, str) and value != "", default


def _whole(least: int, default: Any = _REQUIRED) -> Rule:
    return (
        f"a whole number of at least {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
        default,
    )


def _above(bound: float, default: Any = _REQUIRED) -> Rule:
    return f"a number above {bound:g}", lambda value: _number(value) and value > bound, default


def _share(default: Any = _REQUIRED) -> Rule:
    return "a number from 0 to below 1", lambda value: _number(value) and 0 <= value < 1, default


def _one_of(*words: str) -> Rule:
    return f"one of {', '.join(words)}", lambda value: value in words, _REQUIRED


def _table(default: Any = _REQUIRED) -> Rule:
    return "a table", lambda value: isinstance(value, dict), default


def _maybe(rule: Rule) -> Rule:
    what, fits, _ = rule
    return f"{what}, or null", lambda value: value is None or fits(value), None


_FLAG: Rule = ("true or false", lambda value: isinstance(value, bool), _REQUIRED)
_TABLES: Rule = (
    "a list of one or more tables",
    lambda value: isinstance(value, list) and value != [],
    _REQUIRED,
)
PLAIN = ("seed", "batch_size", "workers", "device", "amp", "log_every", "validate_every", "keep_last")

RUN: dict[str, Rule] = {
    "schema": (f"{SCHEMA}, the version of this layout", lambda value: value == SCHEMA, _REQUIRED),
    "model": _table(),
    "data": _table(),
    "seed": _whole(0),
    "batch_size": _whole(1),
    "workers": _whole(0),
    "device": _one_of("auto", "cpu", "cuda"),
    "amp": _FLAG,
    "phases": _TABLES,
    "log_every": _whole(1),
    "validate_every": _whole(1),
    "keep_last": _whole(1),
    "accept_fingerprints": ("a list of texts", _texts, []),
    "out": _text(),
}
MODEL = {"name": _text(), "options": _table({})}
DATA = {
    "datasets": _TABLES,
    "train_split": _text(),
    "val_split": _text(),
    "subset": _table({}),
    "augmentation": _maybe(_table()),
}
SUBSET: dict[str, Rule] = {
    "subjects": _maybe(("a list of texts", _texts, None)),
    "captures": _maybe(("a list of texts", _texts, None)),
    "quality": (
        "a table of pairs: lowest and highest value",
        lambda value: isinstance(value, dict) and all(_pair(each) for each in value.values()),
        {},
    ),
}
_PAIR: Rule = (
    "a pair: lowest above 0 and highest",
    lambda value: _pair(value) and 0 < value[0] <= value[1],
    _ABSENT,
)
AUGMENTATION: dict[str, Rule] = {
    "flip": ("a probability", lambda value: _number(value) and 0 <= value <= 1, _ABSENT),
    "scale": _PAIR,
    "gain": _PAIR,
}
SOURCE = {"path": _text(), "fingerprint": _text(), "weight": _above(0, 1.0)}
INIT = {"checkpoint": _text(), "sha256": _text()}
PHASE: dict[str, Rule] = {
    "name": _text(),
    "train": (
        '"all" or a list of parts',
        lambda value: value == "all" or (_texts(value) and value != []),
        "all",
    ),
    "losses": (
        "one or more losses with a weight above 0 each",
        lambda value: (
            isinstance(value, dict)
            and value != {}
            and all(_number(weight) and weight > 0 for weight in value.values())
        ),
        _REQUIRED,
    ),
    "optimizer": _table(),
    "schedule": _table({"name": "constant"}),
    "epochs": _maybe(_whole(1)),
    "steps": _maybe(_whole(1)),
    "clip_norm": _maybe(_above(0)),
    "init": _maybe(_table()),
}
_COMMON = {"name": _text(), "lr": _above(0), "eps": _above(0, _ABSENT), "weight_decay": _share(_ABSENT)}
OPTIMIZERS: dict[str, dict[str, Rule]] = {
    "rmsprop": {**_COMMON, "alpha": _share(_ABSENT), "momentum": _share(_ABSENT)},
    "adam": {**_COMMON, "beta1": _share(_ABSENT), "beta2": _share(_ABSENT)},
}
SCHEDULES: dict[str, dict[str, Rule]] = {
    "constant": {"name": _text()},
    "step": {
        "name": _text(),
        "at": (
            "a list of positive numbers",
            lambda value: isinstance(value, list) and all(_number(item) and item > 0 for item in value),
            _REQUIRED,
        ),
        "factor": _above(0),
    },
    "cosine": {"name": _text(), "final": _share()},
}


def checked(content: Any, rules: Mapping[str, Rule], path: Path, place: str) -> dict[str, Any]:
    """The table with absent keys filled in; every key of it known and every value as its rule wants."""
    if not isinstance(content, dict):
        raise mistake(path, place.rstrip(".") or "the whole", "a table", repr(content))
    for key in content:
        if key not in rules:
            near = difflib.get_close_matches(key, rules, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(rules))}."
            raise ManifestError(f"{path}: {place}{key}: unknown key. {hint}")
    found: dict[str, Any] = {}
    for key, (what, fits, default) in rules.items():
        if key not in content and default is _REQUIRED:
            raise ManifestError(
                f"{path}: {place}{key}: must be given, is missing. Add it (docs/training.md)."
            )
        if key in content and not fits(content[key]):
            raise mistake(path, f"{place}{key}", what, repr(content[key]))
        if key in content or default is not _ABSENT:
            found[key] = content.get(key, default)
    return found


def mistake(path: Path, place: str, what: str, found: str) -> ManifestError:
    return ManifestError(f"{path}: {place}: must be {what}, is {found}. Mend it (docs/training.md).")
