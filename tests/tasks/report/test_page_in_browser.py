"""The page as a person sees it: in headless Chromium, from a file, in a wide and a narrow window."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tasks.report.data import ReportData
from tasks.report.page import write_report

MARKER = (255, 0, 200)  # the colour of the first row of tiles, which nothing else on the page has
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
]
PROBE = """
<script>
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement;
    return {
      width: root.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      images: page.images.length,
      decoded: [...page.images].filter((image) => image.complete && image.naturalWidth > 0).length,
      closed: page.querySelectorAll("details.capture:not([open])").length,
      font: getComputedStyle(page.querySelector("h1")).fontWeight,
    };
  });
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
</script>
<pre id="seen"></pre>
"""

Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Run Chromium on a file and return what it prints."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program = next((path for path in found if path), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium must be installed where CI=true, is not on the PATH. Install chromium.")
        pytest.skip("no Chromium on the PATH")

    def run(path: Path, *arguments: str) -> str:
        profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
        profile.mkdir()
        command = [program, *FLAGS, f"--user-data-dir={profile}", *arguments, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    return run


@pytest.fixture
def report(dataset: Callable[..., ReportData], tmp_path: Path) -> Path:
    path = tmp_path / "index.html"
    write_report(dataset("a-capture-with-quite-a-long-name-without-any-space-" + "x" * 60), path)
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_the_contact_sheet_shows_its_tiles(browse: Browse, report: Path, tmp_path: Path, width: int) -> None:
    shot = tmp_path / "shot.png"
    browse(report, f"--window-size={width},2600", f"--screenshot={shot}")
    picture = cv2.imread(str(shot))[..., ::-1]
    assert picture.shape[1] == width
    there = (picture == MARKER).all(axis=-1).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(there)
    # Two captures with two frames each; on the phone the second tile may be cut by the scrolling sheet.
    whole = [box for box in boxes[1:] if box[2] == box[3] and box[4] == box[2] * box[3]]
    assert len(whole) >= (4 if width == 1280 else 2)
    assert all(box[2] >= 80 for box in whole)


def test_every_image_decodes_and_no_window_scrolls_sideways(
    browse: Browse, report: Path, tmp_path: Path
) -> None:
    source = html.escape(report.read_text())
    frames = [
        f'<iframe style="border: 0; width: {w}px; height: 900px" srcdoc="{source}"></iframe>'
        for w in (1280, 390)
    ]
    probe = tmp_path / "probe.html"
    probe.write_text("<!DOCTYPE html><meta charset=utf-8>" + "".join(frames) + PROBE)
    printed = browse(probe, "--window-size=1400,2000", "--dump-dom")
    seen: list[dict[str, Any]] = json.loads(re.findall(r'<pre id="seen">(.*?)</pre>', printed)[0])
    assert [page["width"] for page in seen] == [1280, 390]
    for page in seen:
        assert page["decoded"] == page["images"] == report.read_text().count("<img ")
        assert page["overflow"] == 0
        assert page["closed"] == 0
        assert page["font"] == "600"  # the style sheet is in force under the page's own policy
