"""One process or many: who this process is, where it computes, and what all of them agree on."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from pipeline.errors import ManifestError, StageError
from training.run import Run


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that `torchrun` started; alone, it is rank 0 of 1."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def place(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its tensors on this rank's device."""
        return {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }

    def share(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are averaged over all ranks in `backward`."""
        if self.count == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        # A phase's losses need not reach every part.
        return nn.parallel.DistributedDataParallel(module, device_ids=devices, find_unused_parameters=True)

    def total(self, values: Tensor) -> Tensor:
        """Sum over all ranks, the same on each; takes `values` for its own.

        Raises:
            StageError: when another rank is gone.
        """
        if self.count > 1:
            try:
                dist.all_reduce(values)
            except RuntimeError as error:
                raise StageError(
                    f"rank {self.rank}: must work with {self.count - 1} other ranks, one has ended. "
                    "Its own message says why."
                ) from error
        return values


@contextmanager
def joined(run: Run) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started: nccl on CUDA, gloo elsewhere.

    Raises:
        ManifestError: when the run asks for CUDA and this process has none.
    """
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = _device(run, int(os.environ.get("LOCAL_RANK", 0)))
    if count == 1:
        yield Ranks(rank, count, device)
        return
    if device.type == "cuda":
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield Ranks(rank, count, device)
    finally:
        dist.destroy_process_group()


def _device(run: Run, local_rank: int) -> torch.device:
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if run.device == "cpu" or (run.device == "auto" and found == 0):
        return torch.device("cpu")
    if local_rank >= found:
        raise ManifestError(
            f'{run.path}: device: must be there for each process of a machine, is "{run.device}" for process '
            f'{local_rank + 1} and PyTorch sees {found} CUDA devices. Set it to "cpu", start fewer processes, '
            "or mend the driver."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def device_name(device: torch.device) -> str:
    """What to print beside a time."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
