"""Where a dataset comes from: stages, raw inputs, libraries, licences, files."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from tasks.inputs import Inputs
from tasks.report.records import InputRecord, Provenance, ShardRecord, StageRecord

VERSIONED = (
    "bodytruth",
    "bpy",
    "h5py",
    "luigi",
    "numba",
    "numpy",
    "open3d",
    "opencv-python",
    "scipy",
    "trimesh",
)


def provenance_of(inputs: Inputs, index: Mapping[str, Any]) -> Provenance:
    """Gather it from the index and the stages' records."""
    stages: dict[str, dict[str, str]] = {}
    versions: dict[str, int] = {}
    raw = []
    for capture, entry in index["captures"].items():
        for stage, print_of_stage in entry["stages"].items():
            record = inputs.stage_record(f"{stage}/{capture}")
            versions[stage] = record["version"]
            stages.setdefault(stage, {})[capture] = print_of_stage
        if "raw files" in entry["stats"]:
            raw.append(
                InputRecord(
                    capture=capture,
                    files=int(entry["stats"]["raw files"]["value"]),
                    size_bytes=int(entry["stats"]["raw size"]["value"]),
                    digest=entry["raw"],
                )
            )
    return Provenance(
        stages=tuple(
            StageRecord(
                stage=stage,
                version=versions[stage],
                settings=index["settings"].get(stage, {}),
                fingerprints=prints,
            )
            for stage, prints in stages.items()
        ),
        versions={name: version(name) for name in VERSIONED} | {"python": platform.python_version()},
        inputs=tuple(raw),
        licences=index["licences"],
        shards=tuple(
            ShardRecord(
                path=entry["path"],
                split=entry["split"],
                samples=entry["samples"],
                size_bytes=entry["bytes"],
                sha256=entry["sha256"],
            )
            for entry in index["shards"]
        ),
    )
