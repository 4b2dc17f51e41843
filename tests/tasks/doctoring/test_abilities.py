"""Wrong depths, GPUs that do not compute, files that come back otherwise, bodies, captures."""

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.system_libraries import DEBIAN_LINE
from renderers.self_test import DEPTH_LIMIT_MM, closed_form
from renderers.views import RenderedView
from tasks.doctoring import abilities, probe, show, trying
from tasks.doctoring.row import Row


def probed(monkeypatch, off_mm: float) -> Row:
    """The line for a Blender whose depth is off by so much."""

    def rendered(*args: object, **kwargs: object) -> Iterator[RenderedView]:
        depth_m, normal, _ = closed_form()
        depth_m = (depth_m + off_mm / 1e3).astype(np.float32)
        yield RenderedView(
            frame=0, depth_m=depth_m, normal=normal.astype(np.float32), mask=np.ones(depth_m.shape, bool)
        )

    monkeypatch.setattr("renderers.blender.render_views", rendered)
    monkeypatch.setattr(abilities, "attempt", lambda name, *words: getattr(probe, name)(*words))
    return abilities.blender_row(threads=1)


def test_wrong_depth_of_blender_is_broken_with_its_millimetres(monkeypatch):
    good, bad = probed(monkeypatch, 0.0), probed(monkeypatch, 3.0)
    assert good.state == "ok" and good.next == ""
    assert bad.state == "broken" and bad.fails and "depth at most 3.00 mm off" in bad.finding
    assert bad.next.endswith("'bpy==5.0.1'")
    values = {name: (value, unit) for name, value, unit in bad.figures}
    assert values["depth error, maximum"] == (pytest.approx(3.0, abs=1e-3), "mm")
    assert values["depth error, limit"] == (DEPTH_LIMIT_MM, "mm")


def test_blender_that_lacks_a_system_library_names_the_debian_packages(monkeypatch):
    text = f"renderers.blender: the system library libGL.so.1 must be installed, is missing. On Debian: {DEBIAN_LINE}."

    def fails(*words: str) -> dict[str, Any]:
        raise trying.ProbeError(text)

    monkeypatch.setattr(abilities, "attempt", fails)
    row = abilities.blender_row(threads=1)
    assert row.finding.endswith("libGL.so.1 must be installed, is missing.") and DEBIAN_LINE in row.next


@pytest.fixture
def torch_like(monkeypatch) -> Callable[..., dict[str, Any]]:
    """What the probe says of a PyTorch with these GPUs; on a broken one, products fail."""

    def ask(*, cuda: str | None, gpus: int = 0, broken: bool = False) -> dict[str, Any]:
        def zeros(*size: int, device: str) -> None:
            raise RuntimeError("The NVIDIA driver on your system is too old\nand a page of text")

        class Matrix:
            def __init__(self, there: bool = False) -> None:
                self.there = there

            def reshape(self, *size: int) -> "Matrix":
                return self

            def __mod__(self, by: int) -> "Matrix":
                return self

            def to(self, device: str) -> "Matrix":
                return Matrix(there=True)

            def __matmul__(self, other: "Matrix") -> "Matrix":
                if self.there and broken:
                    raise RuntimeError("no kernel image is available for execution on the device")
                return self

            def cpu(self) -> "Matrix":
                return self

        cards = SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            get_device_properties=lambda index: SimpleNamespace(name="Card", total_memory=24e9),
        )
        fake = SimpleNamespace(
            __version__="2.13.0", version=SimpleNamespace(cuda=cuda), cuda=cards, zeros=zeros,
            arange=lambda count: Matrix(), equal=lambda a, b: True,
        )  # fmt: skip
        monkeypatch.setitem(sys.modules, "torch_like", fake)
        return probe.gpu("torch_like")

    return ask


@pytest.mark.parametrize(
    ("asked", "driver", "state", "said", "next"),
    [
        ({"cuda": None}, None, "optional", "none; training runs on the CPU", ""),
        ({"cuda": None}, "550.1", "optional", "is built without CUDA", "CUDA build"),
        ({"cuda": "13.0"}, None, "optional", "none; training runs on the CPU", ""),
        ({"cuda": "13.0"}, "450.1", "optional", "too old; training runs on the CPU", "Update the driver"),
        ({"cuda": "13.0", "gpus": 2}, "580.1", "ok", "Card 24 GB, Card 24 GB; driver 580.1", ""),
        ({"cuda": "13.0", "gpus": 1, "broken": True}, "580.1", "broken", "no kernel image", 'device = "cpu"'),
    ],
)
def test_gpu_is_optional_unless_there_is_one_that_does_not_compute(
    torch_like, monkeypatch, asked, driver, state, said, next
):
    monkeypatch.setattr(probe, "_driver", lambda: driver)
    row = abilities.seen_gpus_row(torch_like(**asked))
    assert (row.state, row.fails) == (state, state == "broken")
    assert said in row.finding and next in row.next and bool(row.next) == bool(next)


def test_lz4_that_gives_other_pixels_or_none_is_broken(monkeypatch):
    monkeypatch.setattr(abilities, "attempt", lambda name: {"same": False, "ratio": 3.0})
    assert abilities.lz4_row().fails and "hdf5plugin" in abilities.lz4_row().next

    def fails(name: str) -> dict[str, Any]:
        raise trying.ProbeError("OSError: can't open directory (/nowhere/plugins)")

    monkeypatch.setattr(abilities, "attempt", fails)
    assert abilities.lz4_row().fails and "/nowhere/plugins" in abilities.lz4_row().finding


def test_the_round_trip_goes_through_the_filter(monkeypatch):
    assert probe.lz4()["ratio"] > 10  # a slope of few values: stored plainly, the ratio would be 1
    monkeypatch.setattr("pipeline.store.FrameReader.row", lambda self, index, names: {"depth_m": np.zeros(1)})
    assert probe.lz4()["same"] is False


def test_body_names_its_licence_and_a_lost_file_is_broken(monkeypatch):
    monkeypatch.setattr(abilities, "attempt", lambda name: probe.body())
    row = abilities.body_row()
    assert row.state == "ok" and "CC0" in row.finding and "Apache-2.0" in row.finding

    def fails(name: str) -> dict[str, Any]:
        raise trying.ProbeError("default_body.npz: must be a readable body file, is not")

    monkeypatch.setattr(abilities, "attempt", fails)
    assert abilities.body_row().fails and show.summary([abilities.body_row()], 1.0).count("default body") == 1


def test_data_root_that_is_set_must_be_there(monkeypatch, tmp_path, own_places):
    assert abilities.data_root_row().state == "optional"
    monkeypatch.setenv("BODYTRUTH_DATA_ROOT", str(tmp_path / "nowhere"))
    row = abilities.data_root_row()
    assert row.fails and str(tmp_path / "nowhere") in row.finding
    (tmp_path / "one").mkdir()
    monkeypatch.setenv("BODYTRUTH_DATA_ROOT", str(tmp_path))
    assert abilities.data_root_row().state == "ok" and "1 entries" in abilities.data_root_row().finding
