"""The verbs that check, plan, build and clean; heavy libraries load inside the verb that needs them."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import GateError, InputError
from tasks.options import DataRoot, Json, ManifestArgument, Out, Rehash, Workers, loaded, set_places


def demo(out: Out = None, workers: Workers = None) -> None:
    """Build the embedded simulated dataset through every stage, train and score a small network on it.

    Example: bodytruth demo --out out
    """
    import tasks
    from tasks.console import print_line
    from tasks.summing_up import shown
    from tasks.training_verbs import run_training, write_run

    set_places(None, out)
    manifests = Path(tasks.__file__).parents[1] / "manifests"
    code = _build(manifests / "demo.toml", workers)
    if code == 0:
        run = write_run(manifests / "train-depth-net-demo.toml")
        code = run_training("train", str(run)) or run_training("evaluate", str(run.parent))
        if code == 0:
            folder = run.parents[3] / "demo"
            print_line((run.parent / "evaluation" / "table.md").read_text())
            print_line(f"scores: {shown(run.parent / 'evaluation')}")
            print_line(f"report: {shown(folder / 'report' / 'index.html')}")
    raise typer.Exit(code)


def check(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Check the manifest, decode every input and pass it through every gate; list what would be left out.

    Example: bodytruth check manifests/7scenes-room.toml --data-root captures
    """
    from tasks.checking import checked_captures
    from tasks.console import print_json, print_line, print_table
    from tasks.rows import sentence

    set_places(data_root, out)
    rows, counted, codes = [], [], {0}
    for checked in checked_captures(loaded(manifest)):
        codes.add(checked.exit_code)
        counted.append((checked.capture, checked.frames, checked.usable))
        for finding in checked.findings:
            message = sentence(checked.capture, finding)
            rows.append({"capture": checked.capture, **asdict(finding), "message": message})
            if not json:
                print_line(f"{finding.reason}: {message}")
    code = next((code for code in (InputError.exit_code, GateError.exit_code) if code in codes), 0)
    if json:
        print_json("check", code == 0, rows)
    else:
        print_table(("capture", "frames", "usable"), [row for row in counted if row[1]])
        if not rows:
            print_line("every input is readable, and passes every gate")
    raise typer.Exit(code)


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

    set_places(data_root, out)
    path = loaded(manifest)
    if rehash:
        rehash_raw(path)
    planned = plan_tasks(path)
    if json:
        print_json("plan", True, [item.to_json() for item in planned])
        return
    rows = [(item.task.NAME, getattr(item.task, "capture", ""), item.state, item.why) for item in planned]
    print_table(("stage", "capture", "state", "why"), rows)
    print_line(totals(planned))


def build(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, workers: Workers = None
) -> None:
    """Build the dataset; what is sealed already is kept.

    Example: bodytruth build manifests/apc-shelf.toml --data-root captures
    """
    set_places(data_root, out)
    raise typer.Exit(_build(manifest, workers))


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

    set_places(data_root, out)
    removed, freed = clean_outputs([loaded(manifest) for manifest in manifests])
    for path in removed:
        print_line(f"removed {path}")
    print_line(f"{len(removed)} folders removed, {freed / 1e6:.1f} MB freed")


def _build(manifest: Path, workers: int | None) -> int:
    from tasks.building import build as run_build
    from tasks.console import BuildProgress
    from tasks.summing_up import print_summary

    if workers is not None:
        os.environ["BODYTRUTH_WORKERS"] = str(workers)
    path = loaded(manifest)
    with BuildProgress() as progress:
        result = run_build(
            path, planned=progress.planned, progress=progress.working, finished=progress.finished
        )
    print_summary(path, result)
    return result.exit_code
