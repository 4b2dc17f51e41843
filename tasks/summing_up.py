"""The end of a build: what was sealed, what was left out, and where the report lies."""

from pathlib import Path
from typing import Any

from pipeline.shards import read_index
from tasks.building import BuildResult
from tasks.console import print_line, print_table
from tasks.context import manifest_of

USABLE_ROWS = 12


def print_summary(manifest: str, result: BuildResult) -> None:
    """Print failures and quarantined captures as tables, then the last line with the counts."""
    if result.failed:
        rows = [(outcome.message,) for outcome in result.failed.values()]
        print_table(("failed",), rows)
        for outcome in result.failed.values():
            if outcome.details:
                print_line(outcome.details)
    if result.rejected:
        columns = ("quarantined capture", "stage", "reason", "message")
        print_table(
            columns,
            [
                (name, row["stage"], row["reason"], row["message"])
                for name, row in sorted(result.rejected.items())
            ],
        )
    folder = manifest_of(manifest).folder
    if result.published:
        _print_usable(read_index(folder))
        print_line(f"report: {shown(folder / 'report' / 'index.html')}")
        print_line(f"index: {shown(folder / 'dataset.json')}")
    print_line(
        f"{result.samples if result.published else 0} samples of {result.captures} captures sealed, "
        f"{result.frames} frames and {len(result.rejected)} captures quarantined, "
        f"{len(result.failed)} tasks failed, {result.built} tasks run"
    )


def _print_usable(index: dict[str, Any]) -> None:
    """Of each capture, which share of its chosen frames became samples; the worst of many."""
    rows = sorted(
        (entry["stats"]["usable frames"]["value"], name, entry["samples"])
        for name, entry in index["captures"].items()
    )
    shares = [(name, f"{share:.1%}", samples) for share, name, samples in rows[:USABLE_ROWS]]
    print_table(("capture", "usable frames", "samples"), shares)
    if len(rows) > USABLE_ROWS:
        print_line(f"and {len(rows) - USABLE_ROWS} captures more, none of them worse")


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
