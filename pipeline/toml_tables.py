"""TOML files as pydantic models: every mistake is a sentence with file, key, finding and next step."""

import difflib
import hashlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ManifestError

Tables = TypeVar("Tables", bound=BaseModel)


class Table(BaseModel):
    """A TOML table: fixed once read, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_tables(path: Path, model: type[Tables], *, page: str) -> tuple[Tables, str]:
    """Read and check a TOML file; returns what it says and the sha256 of its bytes.

    Args:
        model: of the whole file.
        page: the document that lists the keys, for the messages.

    Raises:
        ManifestError: one line for each mistake.
    """
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{path}: must be a manifest file, is not there. Check the path.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: must be readable TOML, is not: {error}. Mend the file.") from error
    try:
        return model.model_validate(content), hashlib.sha256(raw).hexdigest()
    except ValidationError as error:
        raise ManifestError("\n".join(_sentences(path, model, error, page))) from None


def _sentences(path: Path, model: type[BaseModel], error: ValidationError, page: str) -> Iterable[str]:
    for item in error.errors():
        place, known = _walk(model, item["loc"])
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            yield f"{path}: {place}: unknown key. {hint}"
        elif item["type"] == "missing":
            yield f"{path}: {place}: must be given, is missing. Add it ({page})."
        else:
            shown = "" if isinstance(item["input"], dict) else f", is {item['input']!r}"
            yield f"{path}: {place}: {item['msg'].removeprefix('Value error, ')}{shown}. Mend it ({page})."


def _walk(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """The place as the file spells it, and the keys that are known where its last part stands.

    In a place pydantic also names the member of a union that it tried: a type, or the value of `name`.
    """
    choice, known = [model], sorted(model.model_fields)
    spelled: list[str] = []
    for part in loc:
        chosen = [each for each in choice if part in _names(each)]
        if chosen and spelled and part not in choice[0].model_fields:
            choice = chosen
            known = sorted(choice[0].model_fields)
            continue
        if part in ("int", "str"):
            continue
        spelled.append(str(part))
        known = sorted(choice[0].model_fields)
        if isinstance(part, str) and part in choice[0].model_fields:
            choice = list(_models(choice[0].model_fields[part].annotation)) or choice
    return ".".join(spelled) or "manifest", known


def _names(model: type[BaseModel]) -> tuple[Any, ...]:
    """The values of `name` that tell this model from the others of a union."""
    return get_args(model.model_fields["name"].annotation) if "name" in model.model_fields else ()


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
