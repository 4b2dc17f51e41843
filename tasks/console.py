"""How verbs speak: tables on a terminal, plain lines elsewhere, one JSON object with --json."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from tasks.stage import SealedTask

PLAIN_EVERY_S = 10.0


def out(*, stderr: bool = False) -> Console:
    # No emoji: a slice such as 0:100:2 holds a code of one.
    if (sys.stderr if stderr else sys.stdout).isatty():
        return Console(stderr=stderr, emoji=False)
    # Without a terminal nothing is wrapped or coloured, so that lines can be searched.
    return Console(stderr=stderr, emoji=False, no_color=True, highlight=False, soft_wrap=True)


def print_json(verb: str, ok: bool, rows: Sequence[dict[str, Any]]) -> None:
    """The one object of the reading verbs."""
    sys.stdout.write(
        json.dumps({"verb": verb, "ok": ok, "rows": list(rows)}, indent=1, allow_nan=False) + "\n"
    )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on a terminal; elsewhere one line a row, cells parted by two spaces."""
    console = out()
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*columns)
        for row in cells:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
        return
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [list(columns), *cells]:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console.print(text.rstrip(), markup=False)


def print_line(text: str) -> None:
    out().print(text, markup=False, soft_wrap=True)  # a path is copied whole


class BuildProgress:
    """Shows a build: finished stages as lines, the running one as a bar (terminal) or a line each 10 s."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._console = out(stderr=True)
        self._running: str | None = None
        self._first = 0
        self._started = self._spoke = time.monotonic()
        self._bar: Progress | None = None
        self._bar_task: TaskID | None = None
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)

    def __enter__(self) -> "BuildProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def planned(self, total: int) -> None:
        self._total = total

    def working(self, task: SealedTask, done: int, total: int) -> None:
        name = _name(task)
        now = time.monotonic()
        if name != self._running:
            self._running, self._first, self._started, self._spoke = name, done, now, now
            if self._bar:
                if self._bar_task is not None:
                    self._bar.remove_task(self._bar_task)
                self._bar_task = self._bar.add_task(name, total=total)
        if self._bar and self._bar_task is not None:
            self._bar.update(self._bar_task, completed=done, total=total)
        elif now - self._spoke >= PLAIN_EVERY_S:
            self._spoke = now
            rate = (done - self._first) / max(now - self._started, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
            self._say(f"{name}: {done} of {total} samples, {rate:.1f}/s{left}")

    def finished(self, task: SealedTask, seconds: float, how: str) -> None:
        self._done += how != "failed"
        self._say(f"[{self._done}/{self._total}] {_name(task)}: {how}, {seconds:.1f} s")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def _name(task: SealedTask) -> str:
    # A chunk says which of its capture's it is.
    parts = (task.NAME, *(getattr(task, name, None) for name in ("capture", "chunk")))
    return " ".join(part for part in parts if part is not None)
