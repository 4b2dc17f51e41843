"""The command line: one verb, one function; heavy libraries load inside the verb that needs them."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline.errors import BodytruthError, DamagedError, InputError
from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE

EXAMPLES = """Turns raw depth-camera captures of people into checked ground truth in HDF5 shards.

\b
Examples:
  bodytruth demo
      build the embedded simulated dataset through every stage
  bodytruth check manifests/apc-shelf.toml --data-root captures
      what is missing or malformed, in one list
  bodytruth plan manifests/demo.toml
      what would run, and why
  bodytruth build manifests/demo.toml --out out
      build; what is sealed already is kept
  bodytruth why manifests/demo.toml p01-static-01
      settings and hashes behind one capture

\b
Exit codes:
  0 all sealed                          4 a capture failed or is wholly quarantined
  1 a bug of ours                       5 damage found
  2 usage or manifest                   6 another build holds the lock
  3 inputs missing or malformed         130 interrupted
"""

app = typer.Typer(
    help=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ManifestArgument = Annotated[
    Path, typer.Argument(help="dataset manifest (docs/manifest.md)", metavar="MANIFEST")
]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help=f"folder of the raw captures; also {DATA_ROOT_VARIABLE}")
]
Out = Annotated[Path | None, typer.Option("--out", help=f"output root; also {OUT_VARIABLE}")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object: verb, ok, rows")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="processes and threads in all")]
Rehash = Annotated[
    bool, typer.Option("--rehash", help="read every raw file again instead of trusting its time")
]


@app.command()
def demo(out: Out = None, workers: Workers = None) -> None:
    """Build the embedded simulated dataset through every stage and say where its report lies.

    Example: bodytruth demo --out out
    """
    import tasks

    _places(None, out)
    _build(Path(tasks.__file__).parents[1] / "manifests" / "demo.toml", workers)


@app.command()
def check(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Check the manifest and decode every input; list all that is missing or malformed.

    Example: bodytruth check manifests/7scenes-room.toml --data-root captures
    """
    from tasks.building import input_problems
    from tasks.console import print_json, print_line

    _places(data_root, out)
    problems = []
    for capture, frame, error in input_problems(_loaded(manifest)):
        problems.append({"capture": capture, "frame": frame, "reason": error.reason, "message": str(error)})
        if not json:
            print_line(f"{error.reason}: {error}")
    if json:
        print_json("check", not problems, problems)
    elif not problems:
        print_line("every input is readable")
    raise typer.Exit(InputError.exit_code if problems else 0)


@app.command()
def plan(
    manifest: ManifestArgument,
    data_root: DataRoot = None,
    out: Out = None,
    json: Json = False,
    rehash: Rehash = False,
) -> None:
    """Say what would run, why, and what it would take.

    Example: bodytruth plan manifests/demo.toml
    """
    from tasks.console import print_json, print_line, print_table
    from tasks.context import rehash as rehash_raw
    from tasks.planning import plan as plan_tasks
    from tasks.planning import totals

    _places(data_root, out)
    path = _loaded(manifest)
    if rehash:
        rehash_raw(path)
    planned = plan_tasks(path)
    if json:
        print_json("plan", True, [item.to_json() for item in planned])
        return
    rows = [(item.task.NAME, getattr(item.task, "capture", ""), item.state, item.why) for item in planned]
    print_table(("stage", "capture", "state", "why"), rows)
    print_line(totals(planned))


@app.command()
def build(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, workers: Workers = None
) -> None:
    """Build the dataset; what is sealed already is kept.

    Example: bodytruth build manifests/apc-shelf.toml --data-root captures
    """
    _places(data_root, out)
    _build(manifest, workers)


@app.command()
def status(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Say where each capture stands.

    Example: bodytruth status manifests/demo.toml
    """
    from tasks.console import print_json, print_table
    from tasks.planning import status_rows

    _places(data_root, out)
    rows = status_rows(_loaded(manifest))
    if json:
        print_json("status", all(row["state"] == "sealed" for row in rows), rows)
        return
    columns = ("capture", "state", "samples", "quarantined frames", "next")
    print_table(
        columns,
        [[row[key] for key in ("capture", "state", "samples", "quarantined", "next")] for row in rows],
    )


@app.command()
def why(
    manifest: ManifestArgument,
    capture: Annotated[str, typer.Argument(help="id of the capture", metavar="CAPTURE")],
    data_root: DataRoot = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Show one capture's lineage: every stage with its settings, inputs and hashes.

    Example: bodytruth why manifests/demo.toml p01-static-01
    """
    from tasks.console import print_json, print_line
    from tasks.planning import lineage, lineage_lines

    _places(data_root, out)
    rows = lineage(_loaded(manifest), capture)
    if json:
        print_json("why", True, rows)
        return
    for line in lineage_lines(rows):
        print_line(line)


@app.command()
def verify(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Read every sealed byte of the dataset again and compare it with its checksum; mark what differs.

    Example: bodytruth verify manifests/demo.toml
    """
    from tasks.console import print_json, print_line
    from tasks.keeping import verify_outputs

    _places(data_root, out)
    checked, rows = verify_outputs(_loaded(manifest))
    if json:
        print_json("verify", not rows, rows)
    else:
        for row in rows:
            print_line(row["message"])
        print_line(f"{checked} sealed folders read, {len(rows)} damaged")
    raise typer.Exit(DamagedError.exit_code if rows else 0)


@app.command()
def clean(
    manifests: Annotated[
        list[Path], typer.Argument(help="manifests whose outputs stay", metavar="MANIFEST...")
    ],
    data_root: DataRoot = None,
    out: Out = None,
) -> None:
    """Remove outputs of these manifests' datasets that none of the manifests refers to any more.

    Example: bodytruth clean manifests/demo.toml
    """
    from tasks.console import print_line
    from tasks.keeping import clean_outputs

    _places(data_root, out)
    removed, freed = clean_outputs([_loaded(manifest) for manifest in manifests])
    for path in removed:
        print_line(f"removed {path}")
    print_line(f"{len(removed)} folders removed, {freed / 1e6:.1f} MB freed")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="a shard, a sealed folder, or a dataset.json", metavar="PATH")],
    sheet: Annotated[Path | None, typer.Option("--sheet", help="write a contact sheet to this PNG")] = None,
    json: Json = False,
) -> None:
    """Show what a shard or a stage output holds: fields, shapes, ranges, provenance.

    Example: bodytruth inspect out/demo/shards/test-00000.h5 --sheet sheet.png
    """
    from tasks.console import print_json, print_line, print_table
    from tasks.inspecting import describe, write_sheet

    provenance, rows = describe(path)
    if sheet is not None:
        write_sheet(path, sheet)
    if json:
        print_json("inspect", True, [{"provenance": provenance}, *rows])
        return
    for key, value in provenance.items():
        print_line(f"{key}: {value}")
    columns = ("field", "shape", "dtype", "unit", "min", "median", "max")
    print_table(columns, [[row[key] for key in columns] for row in rows])
    if sheet is not None:
        print_line(f"contact sheet: {sheet}")


@app.command()
def report(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Say where the built dataset's HTML report lies, with its figures.

    Example: bodytruth report manifests/demo.toml
    """
    from tasks.console import print_json, print_line
    from tasks.keeping import report_figures

    _places(data_root, out)
    page, figures = report_figures(_loaded(manifest))
    if json:
        print_json("report", True, [{"path": str(page)}, *figures])
        return
    for figure in figures:
        if figure["section"] in ("counts", "overview"):
            shown = "not measured" if figure["value"] is None else f"{figure['value']:.4g} {figure['unit']}"
            print_line(f"{figure['capture'] or 'dataset'}: {figure['name']}: {shown}")
    print_line(f"report: {page}")


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="benchmarks; all when none", metavar="NAME...")
    ] = None,
    json: Json = False,
) -> None:
    """Measure speed beside the libraries that people use today, with the error beside the time.

    Example: bodytruth bench fusion
    """
    from tasks.benching import run_benchmarks
    from tasks.console import print_json, print_table

    rows = run_benchmarks(names or [])
    if json:
        print_json("bench", all(row["holds"] is not False for row in rows), rows)
        return
    columns = ("bench", "name", "value", "unit", "peer", "peer_value", "ratio", "target", "holds")
    shown = [
        [f"{row[key]:.3g}" if isinstance(row[key], float) else row[key] for key in columns] for row in rows
    ]
    print_table(columns, shown)


def main() -> None:
    """Run the command line; every failure of a known kind is one sentence and its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        app(prog_name="bodytruth")
    except BodytruthError as error:
        if "--json" in sys.argv:
            _say_json(sys.argv[1], error)
        _say_error(str(error))
        sys.exit(error.exit_code)


def _say_json(verb: str, error: BodytruthError) -> None:
    from tasks.console import print_json

    print_json(verb, False, [{"error": type(error).__name__, "message": str(error)}])


def _interrupted(*_: object) -> NoReturn:
    # The progress bar hides the cursor and stands on the line.
    restored = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""
    # Unbuffered and at once, past every handler and half-written line: the stage process dies with us.
    os.write(
        2, f"{restored}interrupted; what is sealed stays, the rest is swept by the next build\n".encode()
    )
    os._exit(130)


def _build(manifest: Path, workers: int | None) -> None:
    from tasks.building import build as run_build
    from tasks.console import BuildProgress
    from tasks.summing_up import print_summary

    if workers is not None:
        os.environ["BODYTRUTH_WORKERS"] = str(workers)
    path = _loaded(manifest)
    with BuildProgress() as progress:
        result = run_build(
            path, planned=progress.planned, progress=progress.working, finished=progress.finished
        )
    print_summary(path, result)
    raise typer.Exit(result.exit_code)


def _places(data_root: Path | None, out: Path | None) -> None:
    """Children and plain Luigi tasks see the same places through the environment."""
    for name, path in ((DATA_ROOT_VARIABLE, data_root), (OUT_VARIABLE, out)):
        if path is not None:
            os.environ[name] = str(path.resolve())


def _loaded(manifest: Path) -> str:
    """Check the manifest before anything else; its errors are the user's first."""
    from tasks.context import forget, manifest_of

    forget()
    path = str(manifest.resolve())
    manifest_of(path)
    return path


def _say_error(text: str) -> None:
    sys.stderr.write(text + "\n")
