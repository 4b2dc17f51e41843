"""The training manifest: TOML in, the content of a RUN.json out, with every default and fingerprint in it.

`training` reads RUN.json by itself: a machine that trains needs neither pydantic nor this module.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from pipeline.checksums import describe_file
from pipeline.errors import ManifestError
from pipeline.fields import FIELDS
from pipeline.manifest import NAME
from pipeline.shards import read_index
from pipeline.toml_tables import Table, read_tables

RUN_SCHEMA = 1
PAGE = "docs/training.md"
WEIGHTS = "model.safetensors"

Split = Literal["train", "val", "test"]
Share = Annotated[float, Field(ge=0, lt=1)]


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 < value[0] <= value[1]:
        raise ValueError("must be a pair of a lowest value above 0 and a highest")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Text = Annotated[str, StringConstraints(min_length=1)]


class ModelTable(Table):
    """[model]"""

    name: Text = Field(description="a recipe of `training.recipes`")
    options: dict[str, bool | int | float | str] = Field({}, description="the network's own, such as `width`")


class MixTable(Table):
    """One dataset of `data.mix`."""

    dataset: Text
    weight: PositiveFloat


class SubsetTable(Table):
    """[data.subset]: what is left of the training split; a sample must pass all that is given."""

    subjects: tuple[Text, ...] | None = Field(None, min_length=1, description="these people alone")
    captures: tuple[Text, ...] | None = Field(None, min_length=1, description="these captures alone")
    quality: dict[str, tuple[float, float]] = Field(
        {}, description="lowest and highest value of a field that is one number a sample"
    )

    @field_validator("quality")
    @classmethod
    def _numbers(cls, quality: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in quality.items():
            field = FIELDS.get(name)
            if field is None or field.shape or field.dtype == "str" or not field.shard:
                raise ValueError(f"{name} must be a field of the shards that is one number a sample")
            if not low <= high:
                raise ValueError(f"{name} must go from low to high, goes from {low} to {high}")
        return quality


class AugmentationTable(Table):
    """[data.augmentation]: what may happen to a training sample; nothing does without this table."""

    flip: float = Field(0.0, ge=0, le=1, description="probability of the mirrored sample")
    scale: Range = Field((1.0, 1.0), description="least and greatest factor of the focal length")
    gain: Range = Field((0.6, 1.4), description="least and greatest factor of each colour channel")


class DataTable(Table):
    """[data]"""

    dataset: Text | None = Field(
        None, description="a name under the output root, or a path to a dataset's folder or its dataset.json"
    )
    mix: tuple[MixTable, ...] | None = Field(
        None, min_length=1, description="several datasets, drawn from by weight; instead of `dataset`"
    )
    train_split: Split = "train"
    val_split: Split = "val"
    subset: SubsetTable = SubsetTable()
    augmentation: AugmentationTable | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.dataset is None) == (self.mix is None):
            raise ValueError("dataset must be given, or mix, and not both")
        return self


class TrainingTable(Table):
    """[training]"""

    seed: int = Field(0, ge=0, description="first weights, order and augmentation follow from it")
    batch_size: PositiveInt = Field(1, description="samples a process takes in one step")
    workers: int = Field(2, ge=0, description="processes that read samples, for each that trains")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is any")
    amp: bool = Field(False, description="bfloat16 where it is safe, on CUDA alone")
    log_every: PositiveInt = Field(50, description="steps between two rows of the log")
    validate_every: PositiveInt = Field(1000, description="steps between two checkpoints with validation")
    keep_last: PositiveInt = Field(2, description="checkpoints kept, besides the best")


class RmspropTable(Table):
    """optimizer with name rmsprop"""

    name: Literal["rmsprop"]
    lr: PositiveFloat
    alpha: Share = 0.99
    eps: PositiveFloat = 1e-8
    momentum: Share = 0.0
    weight_decay: Share = 0.0


class AdamTable(Table):
    """optimizer with name adam"""

    name: Literal["adam"]
    lr: PositiveFloat
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: PositiveFloat = 1e-8
    weight_decay: Share = 0.0


class ConstantTable(Table):
    """schedule with name constant"""

    name: Literal["constant"]


class StepTable(Table):
    """schedule with name step"""

    name: Literal["step"]
    at: tuple[PositiveFloat, ...]
    factor: PositiveFloat


class CosineTable(Table):
    """schedule with name cosine"""

    name: Literal["cosine"]
    final: Share = 0.0


class InitTable(Table):
    """init of a phase"""

    run: Text | None = Field(None, description="folder of a run, absolute or below the output root")
    manifest: Text | None = Field(None, description="instead of `run`: a training manifest beside this one")
    checkpoint: Text = Field("best", description="`best`, `last` or `checkpoints/step-N`")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.run is None) == (self.manifest is None):
            raise ValueError("run must be given, or manifest, and not both")
        return self


class PhaseTable(Table):
    """One [[phase]]."""

    name: Text = Field(description="unique; the paper's times stand beside a phase of the same name")
    train: Literal["all"] | tuple[Text, ...] = Field(
        "all", min_length=1, description="parts that learn; the others stay as they are"
    )
    losses: dict[str, PositiveFloat] = Field(min_length=1, description="weight of each loss that counts")
    optimizer: Annotated[RmspropTable | AdamTable, Field(discriminator="name")]
    schedule: Annotated[ConstantTable | StepTable | CosineTable, Field(discriminator="name")] = ConstantTable(
        name="constant"
    )
    epochs: PositiveInt | None = Field(None, description="length; or `steps`")
    steps: PositiveInt | None = Field(None, description="length; or `epochs`")
    clip_norm: PositiveFloat | None = Field(None, description="largest norm of the whole gradient")
    init: InitTable | None = Field(None, description="weights to start from")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("epochs must be given, or steps, and not both")
        return self


class _File(Table):
    model: ModelTable
    data: DataTable
    training: TrainingTable = TrainingTable()
    phase: list[PhaseTable] = Field(min_length=1)

    @field_validator("phase")
    @classmethod
    def _named_once(cls, phases: list[PhaseTable]) -> list[PhaseTable]:
        names = [phase.name for phase in phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"names must be unique, {name!r} stands twice")
        return phases


@dataclass(frozen=True, slots=True)
class RunManifest:
    """A checked training manifest."""

    path: Path
    content: _File


def load_run_manifest(path: Path) -> RunManifest:
    """Read and check a training manifest.

    Raises:
        ManifestError: file, key, what it must be, what it is, and the nearest known key.
    """
    return RunManifest(path.resolve(), read_tables(path, _File, page=PAGE)[0])


def resolve(manifest: RunManifest, out: Path, *, run_of: Callable[[Path], Path]) -> dict[str, Any]:
    """The content of RUN.json: what the manifest says, what it leaves to defaults, and which data that means.

    Args:
        out: the output root, where datasets and runs lie.
        run_of: from another training manifest to the folder of its run; only training knows its fingerprint.

    Raises:
        ManifestError: when a phase is to start from a checkpoint that is not there.
        InputError: when a dataset is not there.
    """
    content, out = manifest.content, out.resolve()
    data = content.data
    mix = data.mix or (MixTable(dataset=str(data.dataset), weight=1.0),)
    training = content.training.model_dump(mode="json")
    return {
        "schema": RUN_SCHEMA,
        "model": content.model.model_dump(mode="json"),
        "data": {
            "datasets": [_source(manifest.path, each, out) for each in mix],
            "train_split": data.train_split,
            "val_split": data.val_split,
            "subset": data.subset.model_dump(mode="json"),
            "augmentation": data.augmentation and data.augmentation.model_dump(mode="json"),
        },
        **training,
        "accept_fingerprints": [],
        "phases": [
            {
                **phase.model_dump(mode="json"),
                "init": phase.init and _checkpoint(manifest.path, phase.init, out, run_of),
            }
            for phase in content.phase
        ],
        "out": str(out),
    }


def _source(path: Path, each: MixTable, out: Path) -> dict[str, Any]:
    is_name = re.match(NAME, each.dataset) and not each.dataset.endswith(".json")
    place = out / each.dataset if is_name else (path.parent / each.dataset).resolve()
    return {"path": str(place), "fingerprint": read_index(place)["fingerprint"], "weight": each.weight}


def _checkpoint(path: Path, init: InitTable, out: Path, run_of: Callable[[Path], Path]) -> dict[str, str]:
    """The checkpoint that stands there now: `best` may point elsewhere tomorrow."""
    if init.manifest is None:
        run, first = out / str(init.run), "Train it"
    else:
        other = path.parent / init.manifest
        run, first = run_of(other), f"Run `bodytruth train {other}`"
    folder = (run / init.checkpoint).resolve()
    if not (folder / WEIGHTS).is_file():
        raise ManifestError(
            f"{path}: phase.init: {run} must be a run with a checkpoint {init.checkpoint!r}, "
            f"has none. {first} first, or mend the path."
        )
    return {
        "checkpoint": str(folder),
        "sha256": describe_file(folder / WEIGHTS, sync=False)["sha256"],
    }
