"""`bodytruth doctor` examines a machine to the end, says what to do, and is itself harmed by nothing."""

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.system_libraries import DEBIAN_LINE
from renderers.self_test import DEPTH_LIMIT_MM
from tasks.doctoring.requirements import requirements

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("bpy", "cv2", "h5py", "luigi", "matplotlib", "numba", "open3d", "scipy", "torch", "trimesh")


EXAMINED = f"""
import json, sys
from tasks import cli

sys.argv = ["bodytruth", "doctor", *sys.argv[1:]]
try:
    cli.main()
    code = 0
except SystemExit as end:
    code = end.code or 0
print("FACTS " + json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


@dataclass(frozen=True)
class Examined:
    """How one run of the command ended."""

    code: int
    heavy: list[str]
    rows: dict[str, dict[str, Any]]


def without_roots_rights() -> None:
    """Have the permissions of files hold for root too."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def examine_in_a_process(first_on_path: Path | None, home: Path, *words: object) -> Examined:
    """Run the command in a fresh interpreter, in an empty working folder, with this folder first on its path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}
    (home / "work").mkdir(parents=True, exist_ok=True)
    path = [str(first_on_path)] if first_on_path else []
    environment = kept | {"PYTHONPATH": os.pathsep.join([*path, str(ROOT)]), "HOME": str(home)}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", EXAMINED, "--json", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=home / "work",
        env=environment,
        preexec_fn=without_roots_rights if sys.platform == "linux" else None,
    )
    said, _, facts = ended.stdout.rpartition("FACTS ")
    assert facts, ended.stderr
    code, heavy = json.loads(facts)
    answer = json.loads(said, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(answer) == ["verb", "ok", "rows"]
    assert (answer["verb"], answer["ok"]) == ("doctor", code == 0)
    return Examined(code, heavy, {row["check"]: row for row in answer["rows"]})


def plant(folder: Path, name: str, code: str, *, version: str | None = None) -> None:
    """Put a package of this name into a folder, with what pip would have noted of it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    if version is not None:
        notes = folder / f"{name}-{version}.dist-info"
        notes.mkdir()
        (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder, "bpy", "", version="4.2.0")
    plant(folder, "open3d", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", version="0.19.0")
    lost = "libX11.so.6: cannot open shared object file: No such file or directory"
    plant(folder, "torch", f"raise OSError('{lost}')", version="2.13.0")
    plant(folder, "luigi", "raise ModuleNotFoundError(\"No module named 'luigi'\", name='luigi')")
    plant(folder, "jinja2", "import markupsafe_of_which_nobody_heard")
    noisy = """
import os, pathlib
from . import numpy
print('{"found": {}}')
(pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~"))) / "cached").write_text("")
"""
    plant(folder, "safetensors", noisy, version="0.5.3")
    for slow, version in (("numba", "0.60.0"), ("trimesh", "4.4")):  # to load, and of no interest here
        plant(folder, slow, "", version=version)
    (folder / "safetensors" / "numpy.py").write_text("import sys\nsys.stderr.write('noise')")
    return folder


@pytest.fixture(scope="module")
def examined(planted, tmp_path_factory) -> tuple[Examined, Path]:
    """One run for all: five libraries planted, an output folder that may not be written."""
    home = tmp_path_factory.mktemp("home")
    closed = home / "closed"
    closed.mkdir(mode=0o555)
    (home / "work").mkdir()
    (home / "work" / "h5py.py").write_text("1 / 0")  # the command's own process would not find it either
    return examine_in_a_process(planted, home, "--out", closed / "out"), home


def test_a_sick_machine_is_examined_to_the_end(examined):
    found, _ = examined
    assert found.code == 4
    assert set(found.rows) >= {r.name for r in requirements()} | {
        "Blender",
        "ray caster",
        "data root",
        "Python",
    }
    for row in found.rows.values():
        assert row["state"] in ("ok", "missing", "broken", "optional") and row["finding"]
        assert row["next"] or row["state"] in ("ok", "optional")
        assert all(set(figure) == {"name", "value", "unit"} for figure in row["figures"])
    for healthy in ("Python", "h5py", "numpy", "typer", "lz4 in HDF5", "default body"):
        assert found.rows[healthy]["state"] == "ok", found.rows[healthy]


def test_the_process_of_the_command_stays_clean(examined):
    assert examined[0].heavy == []


def test_too_old_a_library_is_broken_and_the_command_that_mends_it_is_named(examined):
    row = examined[0].rows["bpy"]
    assert row["state"] == "broken" and "must be ==5.0.1, is 4.2.0" in row["finding"]
    assert row["next"].endswith("-m pip install 'bpy==5.0.1'")


def test_library_that_lacks_a_system_library_names_it_and_the_debian_packages(examined, planted):
    row = examined[0].rows["torch"]
    assert row["state"] == "broken" and "libX11.so.6" in row["finding"] and str(planted) in row["finding"]
    assert DEBIAN_LINE in row["next"]
    assert examined[0].rows["GPU"]["state"] == "optional" and "libX11" in examined[0].rows["GPU"]["finding"]


def test_library_that_kills_its_process_is_one_broken_line(examined):
    row = examined[0].rows["open3d"]
    assert row["state"] == "broken" and "died of SIGSEGV" in row["finding"]
    assert "pip install --force-reinstall --no-deps 'open3d==0.19.0'" in row["next"]
    assert "died of SIGSEGV" in examined[0].rows["ray caster"]["finding"]


def test_library_that_is_not_there_is_missing(examined):
    row = examined[0].rows["luigi"]
    assert row["state"] == "missing" and row["next"].endswith("pip install 'luigi>=3.8'")


def test_library_whose_own_library_is_not_there_is_broken(examined):
    row = examined[0].rows["jinja2"]
    assert row["state"] == "broken" and "markupsafe_of_which_nobody_heard" in row["finding"]
    assert row["next"].endswith("pip install 'jinja2>=3.1'")  # pip looks after what it needs


def test_what_a_library_prints_is_not_taken_for_the_answer(examined):
    row = examined[0].rows["safetensors"]
    assert row["state"] == "ok" and row["finding"].startswith("0.5.3")


def test_blender_that_cannot_start_is_a_broken_line_with_its_reason(examined):
    row = examined[0].rows["Blender"]
    assert row["state"] == "broken" and row["finding"].startswith("renderers.blender: bpy must be")
    assert row["next"].endswith("'bpy==5.0.1'")


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are dropped by prctl")
def test_output_folder_that_may_not_be_written_is_broken(examined):
    found, home = examined
    row = found.rows["output"]
    assert row["state"] == "broken" and str(home / "closed") in row["finding"] and "--out" in row["next"]


def test_nothing_is_written_outside_the_temporary_folder(examined):
    home = examined[1]
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == [
        "closed",
        "work",
        "work/h5py.py",
    ]


@pytest.mark.slow
def test_a_machine_that_passes_these_tests_is_healthy(tmp_path):
    found = examine_in_a_process(None, tmp_path)
    required = {name: row for name, row in found.rows.items() if row["required"]}
    failing = {name: row for name, row in required.items() if row["state"] in ("missing", "broken")}
    assert (found.code, failing, found.heavy) == (0, {}, [])
    for check in ("Blender", "ray caster"):
        errors_mm = {figure["name"]: figure["value"] for figure in found.rows[check]["figures"]}
        assert 0 < errors_mm["depth error, median"] < errors_mm["depth error, maximum"] <= DEPTH_LIMIT_MM
    assert [path.name for path in tmp_path.rglob("*")] == ["work"]
