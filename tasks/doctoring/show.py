"""The doctor's lines on a terminal, one line a row elsewhere, or one object.

Not by `tasks.console`, which loads luigi: that may be what is missing.
"""

import json
import sys
import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from tasks.doctoring.row import Row

STYLES = {"ok": "green", "missing": "bold red", "broken": "bold red", "optional": "yellow"}
STATE_WIDTH, CHECK_WIDTH = 10, 15
NEXT_INDENT = 2 + STATE_WIDTH


def show_json(rows: list[Row]) -> None:
    """Write the one object of the reading verbs."""
    ok = not any(row.fails for row in rows)
    answer = {"verb": "doctor", "ok": ok, "rows": [row.to_json() for row in rows]}
    sys.stdout.write(json.dumps(answer, indent=1, allow_nan=False) + "\n")


def show(rows: Iterable[Row]) -> list[Row]:
    """Print each row as it comes, and return them all.

    On a terminal rows stand under their headings, findings are wrapped, and what to do next has a line of its own
    that is not wrapped, so that a command can be copied. Elsewhere a row is a line.
    """
    terminal = sys.stdout.isatty()
    console = Console(emoji=False, highlight=False, no_color=None if terminal else True, soft_wrap=True)
    shown: list[Row] = []
    for row in rows:
        if terminal:
            if not shown or shown[-1].group != row.group:
                console.print(Text(f"{'' if not shown else chr(10)}{row.group}", style="bold"))
            _print_wrapped(row, console)
        else:
            cells = f"{row.state:{STATE_WIDTH}}{row.check:{CHECK_WIDTH}}{row.finding}"
            console.print(cells + (f"  next: {row.next}" if row.next else ""), markup=False)
        shown.append(row)
    return shown


def summary(rows: list[Row], seconds: float) -> str:
    """How many of each, and what that means: two lines."""
    counts = {state: sum(row.state == state for row in rows) for state in STYLES}
    counted = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    failed = ", ".join(row.check for row in rows if row.fails)
    meaning = "All that is required works. A first dataset: bodytruth demo"
    if failed:
        meaning = f"To mend, from the top: {failed}. Then run `bodytruth doctor` again."
    return f"{counted}; {seconds:.0f} s\n{meaning}"


def _print_wrapped(row: Row, console: Console) -> None:
    indent = NEXT_INDENT + CHECK_WIDTH
    lines = textwrap.wrap(
        row.finding, max(console.width - indent, 20), break_long_words=False, break_on_hyphens=False
    )
    line = Text(f"  {row.state:{STATE_WIDTH}}", style=STYLES[row.state])
    line.append(f"{row.check:{CHECK_WIDTH}}", style="default not bold")
    line.append(f"\n{' ' * indent}".join(lines), style="default not bold")
    console.print(line)
    if row.next:
        console.print(Text(f"{' ' * NEXT_INDENT}next: {row.next}", style="cyan"))
