"""Where a dataset comes from, as the report shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """How one stage was run.

    Attributes:
        settings: resolved, name (with its unit) to value.
        fingerprints: capture id to the fingerprint of its output.
    """

    stage: str
    version: int
    settings: Mapping[str, Any]
    fingerprints: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecord:
    """The raw files of one capture.

    Attributes:
        digest: over the content of all its files.
    """

    capture: str
    files: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """One shard file."""

    path: str
    split: str
    samples: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where the dataset comes from.

    Attributes:
        versions: library to version.
        licences: what it covers to its licence.
    """

    stages: tuple[StageRecord, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputRecord, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    shards: tuple[ShardRecord, ...] = ()
