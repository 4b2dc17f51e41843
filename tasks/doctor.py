"""The verb that examines the machine; what it looks for stands in `tasks.doctoring`."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import StageError
from pipeline.manifest import OUT_VARIABLE
from tasks.options import Json


def doctor(
    out: Annotated[
        Path | None, typer.Option("--out", help=f"output root to look at; also {OUT_VARIABLE}, else ./out")
    ] = None,
    json: Json = False,
) -> None:
    """Check the machine: libraries, rendering against known depth, GPU, memory, disk, bodies, formats.

    Example: bodytruth doctor

    Nothing is written but in the temporary folder. Ends with 4 if anything that is required is missing or broken.
    """
    from tasks.doctoring.examination import examine
    from tasks.doctoring.show import show, show_json, summary

    started = time.monotonic()
    rows = examine(out or Path(os.environ.get(OUT_VARIABLE) or "out"))
    if json:
        found = list(rows)
        show_json(found)
    else:
        found = show(rows)
        sys.stdout.write(f"\n{summary(found, time.monotonic() - started)}\n")
    raise typer.Exit(StageError.exit_code if any(row.fails for row in found) else 0)
