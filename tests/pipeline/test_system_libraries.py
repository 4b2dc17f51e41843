from pathlib import Path

import pytest

from pipeline.system_libraries import DEBIAN_LINE, missing_library

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_missing_library_is_named_with_the_line_that_installs_it(kind):
    said = missing_library(kind("libGL.so.1: cannot open shared object file: No such file or directory"))
    assert "libGL.so.1 must be installed" in said and "libgl1" in said and "apt-get install" in said


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'bpy'"), ValueError("libGL.so.1: cannot open shared object file")]
)
def test_other_errors_are_left_alone(error):
    assert missing_library(error) is None


def test_line_is_the_one_of_the_documents():
    assert DEBIAN_LINE in (DOCS / "libraries.md").read_text()
