"""The documents say what the code says: links, codes, fields, settings, libraries, places."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from pipeline.capture_options import OPTION_TABLES
from pipeline.capture_tables import CaptureTable, Format
from pipeline.captures.annotation_files import AnnotationFiles
from pipeline.captures.kinect2_files import Kinect2Files
from pipeline.captures.open3d_folder import Open3dFiles
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rig_files import RigCamera, RigTable
from pipeline.captures.rosbag_topics import BagTopics
from pipeline.captures.tum import TumFiles
from pipeline.errors import BodytruthError
from pipeline.fields import fields_markdown
from pipeline.making_tables import ScanTable, SimulationTable
from pipeline.manifest import DatasetTable
from pipeline.settings import StagesSettings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("pipeline", "renderers", "training", "tasks")
BUILT = {"out", "data", "build", "dist", "runs"}  # at the top of the checkout; git ignores them
CACHES = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"}


def project_texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project with its content."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if parts[0] in BUILT or CACHES & set(parts) or any(part.endswith(".egg-info") for part in parts):
            continue
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield path, content.decode("utf-8")


# links


def without_code(markdown: str) -> str:
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE))


def anchors(markdown: str) -> set[str]:
    """The names that a renderer gives to headings: lower case, punctuation dropped, blanks to hyphens."""
    fenced = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} +(.+?) *$", fenced, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(file: Path) -> list[str]:
    """Relative links and images of one Markdown file whose target or heading is not there."""
    text = without_code(file.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    broken = []
    for target in targets:
        place, _, heading = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = file.parent / place if place else file
        if not linked.exists():
            broken.append(f"{file.name}: {target}")
        elif heading and heading not in anchors(linked.read_text(encoding="utf-8")):
            broken.append(f"{file.name}: {target} (no such heading)")
    return broken


def test_every_relative_link_resolves() -> None:
    files = [path for path, _ in project_texts() if path.suffix == ".md"]
    assert DOCS / "architecture.md" in files
    assert [broken for file in files for broken in broken_links(file)] == []


def test_a_planted_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One *head*\n[good](page.md#one-head) [self](#one-head) [out](https://example.org/x)\n"
        "[gone](gone.md) [lost](page.md#two) ![picture](no.png)\n"
        '`[code](no.md)`\n```\n[code](no.md)\n```\n<img src="no.svg">\n'
    )
    assert broken_links(page) == [
        "page.md: gone.md",
        "page.md: page.md#two (no such heading)",
        "page.md: no.png",
        "page.md: no.svg",
    ]


# places


def foreign_places(text: str) -> list[str]:
    """Absolute paths of somebody's home or work folder."""
    return re.findall(r"(?<![\w.~/-])/(?:home|Users|root|work|workspace)/[\w.-]+", text)


def test_no_file_names_a_home_or_work_folder() -> None:
    found = {str(path.relative_to(ROOT)): foreign_places(text) for path, text in project_texts()}
    assert "pyproject.toml" in found
    assert {path: places for path, places in found.items() if places} == {}


def test_a_planted_home_folder_is_found() -> None:
    assert foreign_places('path = "/' + 'home/ann/captures"; url = "https://example.org/home/ann"') == [
        "/" + "home/ann"
    ]


# reason codes


def reason_patterns(source: str) -> set[str]:
    """A regular expression for each reason code that a module hands to an error, a row or a helper.

    A helper is a function of the module with a parameter `reason`; blanks in it make it prose, no code.
    Codes that come in a variable are written where the variable is filled.
    """
    tree = ast.parse(source)
    errors = {"InputError": 0, "GateError": 0}
    position = dict(errors)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
            if "reason" in names and node.name != "__init__":
                position[node.name] = names.index("reason")
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            given = node.args[position[name] :][:1] if name in position else []
            given += [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            patterns = {pattern for value in given for pattern in _patterns(value)}
            found |= {pattern for pattern in patterns if name in errors or " " not in pattern}
    return found


def _patterns(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield re.escape(value.value)
    elif isinstance(value, ast.JoinedStr):
        parts = (re.escape(p.value) if isinstance(p, ast.Constant) else "[a-z-]+" for p in value.values)
        yield "".join(parts)
    elif isinstance(value, ast.IfExp):
        yield from _patterns(value.body)
        yield from _patterns(value.orelse)


def raised_patterns() -> set[str]:
    # Training reads shards, which hold no quarantined frame: its errors end on the console, not in rows.
    makers = [package for package in PACKAGES if package != "training"]
    files = [file for package in makers for file in (ROOT / package).rglob("*.py")]
    return {pattern for file in files for pattern in reason_patterns(file.read_text(encoding="utf-8"))}


def documented_codes() -> set[str]:
    return set(re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "quarantine.md").read_text(), flags=re.MULTILINE))


def test_every_reason_code_is_documented() -> None:
    patterns, codes = raised_patterns(), documented_codes()
    assert "depth\\-type" in patterns
    assert {p for p in patterns if not any(re.fullmatch(p, code) for code in codes)} == set()


def test_every_documented_reason_code_is_raised_somewhere() -> None:
    patterns = raised_patterns()
    assert {code for code in documented_codes() if not any(re.fullmatch(p, code) for p in patterns)} == set()


def test_reason_codes_are_found_however_they_are_handed_over() -> None:
    source = (
        "raise InputError('a', 'm')\n"
        "raise errors.GateError(f'{what}-b', 'm', value=None, unit='1', limit=None)\n"
        "rows.append(QuarantineRow(reason='c' if x else 'd', message='m'))\n"
        "class T:\n"
        "    def _row(self, frame, reason): ...\n"
        "    def f(self, reason):\n"
        "        return self._row(1, 'e'), self._row(2, reason), InputError(error.reason, 'm')\n"
        "def no_blender(reason): ...\n"
        "no_blender('it is not there')\n"
    )
    assert reason_patterns(source) == {"a", "[a-z-]+\\-b", "c", "d", "e"}


# tables against the code


def test_fields_page_is_the_field_table() -> None:
    assert (DOCS / "fields.md").read_text(encoding="utf-8") == fields_markdown()


def test_exit_codes_page_lists_every_code() -> None:
    listed = re.findall(r"^\| (\d+) \|", (DOCS / "exit-codes.md").read_text(), flags=re.MULTILINE)
    raised = {BodytruthError.exit_code, *(error.exit_code for error in BodytruthError.__subclasses__())}
    assert {int(code) for code in listed} == raised | {0, 130}


def settings_rows(model: BaseModel) -> Iterator[tuple[str, str]]:
    """`stage.setting` and its default as TOML writes it."""
    for stage in type(model).model_fields:
        for name, value in getattr(model, stage):
            yield f"{stage}.{name}", f'`"{value}"`' if isinstance(value, str) else str(value)


def test_manifest_page_lists_every_setting_with_its_default() -> None:
    page = (DOCS / "manifest.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z_]+\.[a-z0-9_]+)` \| (.+?) \|", page, flags=re.MULTILINE))
    assert listed == set(settings_rows(StagesSettings()))


TABLES = [
    ("[dataset]", DatasetTable),
    ("[[capture]]", CaptureTable),
    ("[capture.files]", RgbdFiles),
    ("[capture.topics]", BagTopics),
    ("[capture.annotations]", AnnotationFiles),
    ("[capture.kinect2]", Kinect2Files),
    ("[capture.tum]", TumFiles),
    ("[capture.open3d]", Open3dFiles),
    ("[capture.scan]", ScanTable),
    ("[capture.simulation]", SimulationTable),
    ("[capture.rig]", RigTable),
    ("[[capture.rig.cameras]]", RigCamera),
]


@pytest.mark.parametrize(("heading", "model"), TABLES)
def test_manifest_page_lists_every_key_of_a_table(heading: str, model: type[BaseModel]) -> None:
    page = (DOCS / "manifest.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| [^|]+ \| [^|]+ \|$", section, flags=re.MULTILINE)
    tables_of_their_own = {CaptureTable: {*OPTION_TABLES, "rig"}, RigTable: {"cameras"}}.get(model, set())
    assert set(re.findall(r"[a-z_]+", " ".join(rows))) == set(model.model_fields) - tables_of_their_own


@pytest.mark.parametrize(("heading", "model"), TABLES)
def test_manifest_page_gives_every_default_of_a_table(heading: str, model: type[BaseModel]) -> None:
    page = (DOCS / "manifest.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    given = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", section, flags=re.MULTILINE))
    for name, field in model.model_fields.items():
        if name in given and (field.is_required() or field.default is not None):
            default = [] if field.default == () else field.default
            wanted = "required" if field.is_required() else str(default)
            assert given[name].strip('`"').capitalize() == wanted.capitalize(), name


def test_formats_page_has_a_section_of_every_format() -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## ([a-z0-9-]+)$", page, flags=re.MULTILINE))
    assert sections == set(get_args(Format))
    listed = re.findall(r"^\| \[`([a-z0-9-]+)`\]\(#", page, flags=re.MULTILINE)
    assert listed == sorted(get_args(Format))


def test_libraries_page_lists_every_dependency_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    declared = {re.split(r"[\[<>=~! ;]", requirement)[0] for requirement in wanted}
    page = (DOCS / "libraries.md").read_text().partition("## System libraries")[0]
    assert set(re.findall(r"^\| ([a-z][\w-]+) \|", page, flags=re.MULTILINE)) - {"library"} == declared


# citation


def test_citation_is_well_formed_and_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    shape = re.compile(r"(?:  )*(?:- )?[a-z-]+:(?: \S.*)?|(?:  )+- \S.*")
    assert [line for line in lines if not shape.fullmatch(line)] == []
    top = dict(line.split(":", 1) for line in lines if line[0].isalpha())
    assert {"cff-version", "message", "title", "version", "license", "authors", "references"} <= set(top)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert top["version"].strip() == version


def test_citation_names_the_papers_of_the_bibliography() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    bibliography = (DOCS / "papers.bib").read_text(encoding="utf-8")
    titles = re.findall(r"^ *title *= \{(.+)\},$", bibliography, flags=re.MULTILINE)
    assert len(titles) == bibliography.count("\n@") == 4
    assert [title for title in titles if f'title: "{re.sub("[{}]", "", title)}"' not in citation] == []
