"""What a set of simulated samples holds: which samples go into which shard and split, and its index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py

from pipeline.errors import ManifestError
from pipeline.fields import FIELDS
from pipeline.fingerprints import fingerprint
from pipeline.shards import generator
from pipeline.simulation.samples import PAPER_TARGETS, SAMPLES_PER_WARDROBE, Targets, subject_of
from pipeline.store import SCHEMA

SHARES = {"train": 0.9, "val": 0.05, "test": 0.05}
STORED_BYTES_PER_PX = 7.5  # of a sample on disk, all fields together: as measured at 256 px
GOLDEN = (5**0.5 - 1) / 2
LICENCES = {
    "software": "bodytruth is Apache-2.0; no part of it is in the data",
    "body model": "the default body, which derives from CC0 data (pipeline/bodies/NOTICE)",
    "inputs": "none",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSet:
    """What a set of samples is made of.

    Attributes:
        subjects: how many people; None for a new one with every wardrobe.
        upright: as of `pipeline.simulation.samples.draw_sample`.
        shares: of the subjects, by split; they sum to 1.
    """

    seed: int
    count: int
    subjects: int | None
    size_px: int
    shares: Mapping[str, float]
    upright: bool = False
    targets: Targets = PAPER_TARGETS


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One shard: its name, split and sample numbers."""

    name: str
    split: str
    numbers: tuple[int, ...]


def split_of(subject: int, shares: Mapping[str, float]) -> str:
    """The split of a subject by its number: evenly spread, and the same however many there are."""
    place, end = (subject * GOLDEN) % 1.0, 0.0
    # The smallest first: its first subject comes soonest.
    order = sorted(shares, key=lambda split: (shares[split], split))
    for split in order:
        end += shares[split]
        if place < end:
            return split
    return order[-1]


def blocks_of(wanted: SampleSet, shard_bytes: int) -> list[Block]:
    """Which samples go into which shard; whole wardrobes, in the order of their numbers."""
    groups: dict[str, list[range]] = {split: [] for split, share in wanted.shares.items() if share > 0}
    for first in range(0, wanted.count, SAMPLES_PER_WARDROBE):
        numbers = range(first, min(first + SAMPLES_PER_WARDROBE, wanted.count))
        subject = int(subject_of(first, wanted.subjects)[1:])
        groups[split_of(subject, wanted.shares)].append(numbers)
    lacking = [split for split, members in groups.items() if not members]
    if lacking:
        raise ManifestError(
            f"make_samples: every split must have a subject, {lacking[0]} has none: {wanted.count} samples, "
            f"{SAMPLES_PER_WARDROBE} to a wardrobe, show too few. Ask for more samples or subjects."
        )
    stored = SAMPLES_PER_WARDROBE * wanted.size_px**2 * STORED_BYTES_PER_PX
    step = max(1, round(shard_bytes / stored))
    return [
        Block(
            name=f"{split}-{start // step:05d}.h5",
            split=split,
            numbers=tuple(number for numbers in members[start : start + step] for number in numbers),
        )
        for split, members in groups.items()
        for start in range(0, len(members), step)
    ]


def settings_of(wanted: SampleSet) -> dict[str, Any]:
    """All that a sample depends on beside its number."""
    return {
        "seed": wanted.seed,
        "size_px": wanted.size_px,
        "subjects": wanted.subjects,
        "upright": wanted.upright,
        "samples_per_wardrobe": SAMPLES_PER_WARDROBE,
        "targets": asdict(wanted.targets),
    }


def index_of(
    part: Path,
    name: str,
    wanted: SampleSet,
    blocks: Sequence[Block],
    entries: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the content of dataset.json.

    Args:
        part: folder that holds the shards.
        entries: what `pack_capture` said of each shard, by file name.
    """
    captures = {block.name: _unique(_capture(number, wanted) for number in block.numbers) for block in blocks}
    shards = [
        {**entries[block.name], "split": block.split, "captures": captures[block.name]} for block in blocks
    ]
    settings = {**settings_of(wanted), "count": wanted.count, "shares": dict(wanted.shares)}
    return {
        "schema": SCHEMA,
        "name": name,
        "fingerprint": fingerprint({**settings, "shards": [shard["sha256"] for shard in shards]}),
        "generator": generator(),
        "seed": wanted.seed,
        "image_size_px": wanted.size_px,
        "fields": _fields(part / "shards" / blocks[0].name),
        "splits": {split: _split(split, blocks, wanted) for split in _unique(b.split for b in blocks)},
        "shards": shards,
        "captures": _captures(blocks, wanted),
        "quarantine": [],
        "settings": {"samples": settings},
        "licences": LICENCES,
    }


def _fields(shard: Path) -> dict[str, dict[str, str]]:
    described = ("shape", "dtype", "unit", "frame", "invalid", "doc")
    with h5py.File(shard, "r") as file:
        return {name: {key: getattr(FIELDS[name], key) for key in described} for name in sorted(file)}


def _split(split: str, blocks: Sequence[Block], wanted: SampleSet) -> dict[str, Any]:
    mine = [block for block in blocks if block.split == split]
    return {
        "samples": sum(len(block.numbers) for block in mine),
        "shards": [f"shards/{block.name}" for block in mine],
        "subjects": _unique(
            subject_of(number, wanted.subjects) for block in mine for number in block.numbers
        ),
    }


def _captures(blocks: Sequence[Block], wanted: SampleSet) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for block in blocks:
        for number in block.numbers:
            entry = found.setdefault(
                _capture(number, wanted),
                {
                    "subject": subject_of(number, wanted.subjects), "split": block.split, "role": "image",
                    "format": "simulated", "foreground": "given", "pose": None, "outfit": None,
                    "K_source": "calibration", "samples": 0, "rejected": None, "stats": {},
                },
            )  # fmt: skip
            entry["samples"] += 1
    return found


def _capture(number: int, wanted: SampleSet) -> str:
    return f"{subject_of(number, wanted.subjects)}-{number // SAMPLES_PER_WARDROBE:06d}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
