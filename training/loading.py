"""Batches for the training loop: read by worker processes, in an order that knows nothing of them."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, default_collate

from pipeline.errors import BodytruthError, ManifestError
from pipeline.shards import EVERYTHING, INDEX, read_index
from pipeline.store import ROW_CHECKSUMS
from pipeline.subsets import Subset
from training.augment import Augmentation
from training.data import ShardDataset, TrainingSamples, View
from training.distributed import Ranks
from training.order import epoch_order, in_batches
from training.run import Run, Source
from training.schedule import Position, advance

Batch = dict[str, Any]
Row = tuple[int, list[int]]  # epoch and sample numbers of one batch


class Samples:
    """This rank's samples of a run: the datasets at the versions that stand when it begins.

    Args:
        fields: what training reads.
        val_fields: what validation reads.
        view: what the network sees of a sample, as of `TrainingSamples`; validation shows it plainly.

    Raises:
        ManifestError: when a dataset is not the one that RUN.json names, or a split is too small.
        InputError: without an index, for an unknown split, when a field is not in the shards, or when the subset
            leaves no sample.
    """

    def __init__(
        self,
        run: Run,
        ranks: Ranks,
        *,
        fields: Sequence[str],
        val_fields: Sequence[str],
        view: View | None = None,
    ) -> None:
        self._run, self._ranks = run, ranks
        self._indices = [_pinned(run, source) for source in run.datasets]
        self.fingerprints = [str(index["fingerprint"]) for _, index in self._indices]
        self._train = TrainingSamples(
            self._parts(run.train_split, fields, _subset(run)),
            augmentation=_augmentation(run),
            seed=run.seed,
            view=view,
        )
        val_parts = self._parts(run.val_split, val_fields, EVERYTHING)
        val = TrainingSamples(val_parts, augmentation=None, seed=0, view=view)
        self.val_size = len(val)
        if self.val_size < ranks.count or len(self._train) == 0:
            raise ManifestError(
                f"{run.path}: data: splits must have a sample for each of {ranks.count} processes, "
                f"{run.train_split} has {len(self._train)} and {run.val_split} {self.val_size}. Take others."
            )
        own = list(range(ranks.rank, self.val_size, ranks.count))
        starts = range(0, len(own), run.batch_size)
        rows = [(0, own[start : start + run.batch_size]) for start in starts]
        self._val = self._loader(_Batches(val), rows, persistent_workers=run.workers > 0)
        self.batches = len(self._order(0))

    def train(self, start: Position) -> Iterator[Batch]:
        """Batches from `start` to the end of its phase, with the sample numbers as `index`."""
        return _read(self._loader(_Batches(self._train), self._rows(start)))

    def val(self) -> Iterator[Batch]:
        """The validation split; all ranks together see each sample once."""
        return _read(self._val)

    def names(self, numbers: Sequence[int]) -> str:
        """Capture and frame of training samples, for messages."""
        parts = self._parts(self._run.train_split, ("capture", "frame"), _subset(self._run))
        places = [self._train.place(number) for number in numbers]
        samples = [parts[part][row] for part, row in places]
        return ", ".join(f"{sample['capture']} frame {int(sample['frame'])}" for sample in samples)

    def _parts(self, split: str, fields: Sequence[str], subset: Subset) -> list[ShardDataset]:
        # Shards of an earlier minor version hold no checksums of their rows.
        return [
            ShardDataset(
                folder,
                split=split,
                fields=fields,
                subset=subset,
                verify_rows=ROW_CHECKSUMS in index["fields"],
            )
            for folder, index in self._indices
        ]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """All ranks' batches of one epoch."""
        run = self._run
        weights = [source.weight for source in run.datasets] if len(run.datasets) > 1 else None
        order = epoch_order(self._train.sizes, seed=run.seed, epoch=epoch, weights=weights)
        return in_batches(order, run.batch_size, self._ranks.count)

    def _rows(self, start: Position) -> Iterator[Row]:
        run, count = self._run, self._ranks.count
        position, epoch, order = start, start.epoch, self._order(start.epoch)
        while position.phase == start.phase:
            if position.epoch != epoch:
                epoch, order = position.epoch, self._order(position.epoch)
            yield epoch, order[position.batch + self._ranks.rank].tolist()
            position = advance(position, run.phases[start.phase], batches=len(order), ranks=count)

    def _loader(self, batches: "_Batches", rows: Iterable[Row], **more: Any) -> DataLoader[Any]:
        workers = self._run.workers
        return DataLoader(
            batches,
            sampler=rows,
            batch_size=None,  # a row is a batch already
            num_workers=workers,
            # A process forked from one that has used torch may hang for good.
            multiprocessing_context="spawn" if workers else None,
            worker_init_fn=_leave_signals_to_the_trainer,
            pin_memory=self._ranks.device.type == "cuda",
            **more,
        )


class _Batches(Dataset[Any]):
    """Samples read a batch at a time; what goes wrong comes back as a value.

    An exception would leave its worker process with a traceback for a message.
    """

    def __init__(self, samples: TrainingSamples) -> None:
        self._samples = samples

    def __getitem__(self, row: Row) -> "Batch | _Failure":
        epoch, numbers = row
        try:
            batch: Batch = default_collate([self._samples[epoch, number] for number in numbers])
        except BodytruthError as error:
            return _Failure(str(error), error.exit_code)
        return {**batch, "index": torch.tensor(numbers)}


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    exit_code: int


def _read(loader: Iterable[Any]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, _Failure):
            error = BodytruthError(batch.message)
            error.exit_code = batch.exit_code
            raise error
        yield batch


def _subset(run: Run) -> Subset:
    return Subset(**run.subset)


def _augmentation(run: Run) -> Augmentation | None:
    return None if run.augmentation is None else Augmentation(**run.augmentation)


def _pinned(run: Run, source: Source) -> tuple[Path, dict[str, Any]]:
    """Folder and index of the version that stands now: the dataset's links may be switched any time."""
    file = source.path / INDEX if source.path.is_dir() else source.path
    folder = file.resolve().parent
    index = read_index(folder / INDEX)
    found = index["fingerprint"]
    if found != source.fingerprint and found not in run.accept_fingerprints:
        raise ManifestError(
            f"{run.path}: data.datasets: {source.path} must have fingerprint {source.fingerprint}, has {found}: "
            "it was built anew. Train a new run on it, or add its fingerprint to accept_fingerprints."
        )
    return folder, index


def _leave_signals_to_the_trainer(_: int) -> None:
    # Ctrl-C reaches every process of the terminal, and a cluster's SIGTERM every one of the job; the trainer ends
    # its readers by itself once its step is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
