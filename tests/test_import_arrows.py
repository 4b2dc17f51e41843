"""Who may import whom (docs/architecture.md), read from the source and seen in fresh interpreters."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ARROWS = {
    "pipeline": {"pipeline"},
    "renderers": {"renderers", "pipeline"},
    "training": {"training", "pipeline"},
    "tasks": {"tasks", "pipeline", "renderers", "training"},
}
WORKER = "renderers/blender_worker/"
# library: the packages or files that may import it
HOMES = {
    "bpy": (WORKER,),
    "torch": ("training/", "pipeline/bodies/", "pipeline/fitting/"),  # gradients for fitting, on demand
    "luigi": ("tasks/",),
    "typer": ("tasks/",),
    "rich": ("tasks/",),
    "jinja2": ("tasks/",),
    "open3d": ("pipeline/", "renderers/", "tasks/"),
    "pydantic": ("pipeline/", "tasks/"),
}
NOT_FOR_TRAINING = {"bpy", "open3d", "luigi", "pydantic", "typer"}
HEAVY = ("bpy", "open3d", "torch")


def sources() -> Iterator[tuple[str, str]]:
    """Path relative to the root, and text, of every module of the four packages."""
    for package in ARROWS:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def imports(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, at any depth; `from a import b` gives a and a.b."""
    folder = path.split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).split(".")[-1]
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def wrong_imports(path: str, source: str) -> list[str]:
    """One sentence for each import of a module that the arrows do not allow."""
    found = []
    for line, name in imports(path, source):
        top = name.split(".")[0]
        if top in ARROWS and top not in ARROWS[path.split("/")[0]]:
            found.append(f"{path}:{line}: {path.split('/')[0]} must not import {top}")
        if name.startswith("renderers.blender_worker") and not path.startswith(WORKER):
            found.append(f"{path}:{line}: nobody may import renderers.blender_worker")
        if not path.startswith(HOMES.get(top, ("",))):
            found.append(f"{path}:{line}: {top} may be imported in {', '.join(HOMES[top])} only")
    return sorted(set(found))


def reachable_libraries(start: str, modules: dict[str, str]) -> set[str]:
    """Top names of all that the modules of one package import, followed through our own modules."""
    waiting = {name for name in modules if name.split(".")[0] == start}
    seen: set[str] = set()
    libraries: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        for _, name in imports(module.replace(".", "/") + ".py", modules[module]):
            libraries.add(name.split(".")[0])
            waiting |= {name} & (modules.keys() - seen)
    return libraries


def heavy_after(code: str, *, path: Path = ROOT) -> str:
    """Run code in a fresh interpreter and return which heavy libraries it has loaded, parted by spaces."""
    tail = f"\nimport sys; sys.stderr.write('loaded:' + ' '.join(m for m in {HEAVY} if m in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code + tail],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr.rpartition("loaded:")[2]


def test_every_import_follows_the_arrows() -> None:
    files = dict(sources())
    assert {path.split("/")[0] for path in files} == set(ARROWS)
    assert [wrong for path, source in files.items() for wrong in wrong_imports(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source", "finding"),
    [
        ("pipeline/layers.py", "import tasks.stage", "pipeline must not import tasks"),
        ("pipeline/layers.py", "from renderers import raycast", "pipeline must not import renderers"),
        ("pipeline/a/b.py", "from ...renderers.raycast import cast", "pipeline must not import renderers"),
        (
            "renderers/raycast.py",
            "def f():\n    from training import data",
            "renderers must not import training",
        ),
        ("training/data.py", "import tasks", "training must not import tasks"),
        ("training/data.py", "import pydantic", "pydantic may be imported in"),
        ("training/data.py", "import open3d as o3d", "open3d may be imported in"),
        ("renderers/views.py", "import bpy", "bpy may be imported in"),
        ("pipeline/store.py", "from torch.nn import Module", "torch may be imported in"),
        ("pipeline/store.py", "import luigi", "luigi may be imported in"),
        ("pipeline/manifest.py", "from rich.table import Table", "rich may be imported in"),
        ("tasks/render.py", "from renderers import blender_worker", "nobody may import"),
        (
            "tasks/render.py",
            "import importlib\nimportlib.import_module('renderers.blender_worker')",
            "nobody may",
        ),
        ("pipeline/seeds.py", "__import__('torch')", "torch may be imported in"),
    ],
)
def test_a_planted_import_against_the_arrows_is_found(path: str, source: str, finding: str) -> None:
    assert any(finding in wrong for wrong in wrong_imports(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (f"{WORKER}scenes.py", "import bpy\nfrom . import geometry"),
        ("training/train.py", "import torch\nfrom pipeline.store import FrameReader"),
        ("tasks/cli.py", "import luigi, typer, rich, jinja2\nfrom renderers import raycast"),
        ("pipeline/a/b.py", "from . import c\nfrom ..cameras import project\nimport numpy as np"),
    ],
)
def test_imports_along_the_arrows_pass(path: str, source: str) -> None:
    assert wrong_imports(path, source) == []


def test_training_reaches_none_of_the_builder_libraries() -> None:
    modules = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): s for path, s in sources()
    }
    assert reachable_libraries("training", modules) & NOT_FOR_TRAINING == set()


def test_a_library_two_imports_away_is_reached() -> None:
    modules = {
        "training.data": "from pipeline.a import f",
        "pipeline.a": "import pydantic",
        "pipeline.b": "import luigi",
    }
    assert reachable_libraries("training", modules) == {"pipeline", "pydantic"}


def test_importing_the_packages_loads_nothing_heavy() -> None:
    assert heavy_after("import pipeline, renderers, training") == ""


def test_no_module_of_pipeline_loads_anything_heavy() -> None:
    code = (
        "import importlib, pkgutil, sys, pipeline\n"
        "names = [m.name for m in pkgutil.walk_packages(pipeline.__path__, 'pipeline.')]\n"
        "assert 'pipeline.cameras' in names, names\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [m for m in {HEAVY} if m in sys.modules]\n"
        "    assert not heavy, f'{name} loads {heavy}'\n"
    )
    assert heavy_after(code) == ""


@pytest.mark.skipif(not (ROOT / "tasks" / "cli.py").is_file(), reason="there is no command line yet")
def test_help_loads_nothing_heavy() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['bodytruth', '--help']\n"
        "try:\n"
        "    runpy.run_module('tasks', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
    )
    assert heavy_after(code) == ""


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "innocent.py").write_text("import torch\n")
    shadow = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    assert heavy_after(shadow + "import innocent", path=tmp_path) == "torch"
