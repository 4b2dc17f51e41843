"""Shared ground of the training tests: the tiny network of tiny.py and a dataset for it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from training.run import Run, load_run


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tiny.py."""
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_dataset(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_dataset(tmp_path_factory.mktemp("tiny-dataset"))


@pytest.fixture
def run_of(tiny: ModuleType, tiny_dataset: Path, tmp_path: Path) -> Callable[..., Run]:
    """Make a checked run of the tiny network in a folder of its own."""

    def make(name: str = "a", **changes: Any) -> Run:
        return load_run(tiny.write_run(tmp_path / name, tiny_dataset, **changes))

    return make


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Threads that wait for each other spin, which on a busy machine costs far more than they save."""
    torch.set_num_threads(1)
