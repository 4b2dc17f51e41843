"""The verbs that show what is built; they change nothing but marks of damage."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.errors import DamagedError
from tasks.options import DataRoot, Json, ManifestArgument, Out, loaded, set_places

ExportFormat = Literal["shards", "tar", "npz"]
ExportFilter = Literal["gzip", "none"]


def status(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Say where each capture stands.

    Example: bodytruth status manifests/demo.toml
    """
    from tasks.console import print_json, print_table
    from tasks.planning import status_rows

    set_places(data_root, out)
    rows = status_rows(loaded(manifest))
    if json:
        print_json("status", all(row["state"] == "sealed" for row in rows), rows)
        return
    columns = ("capture", "state", "samples", "quarantined frames", "next")
    print_table(
        columns,
        [[row[key] for key in ("capture", "state", "samples", "quarantined", "next")] for row in rows],
    )


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

    set_places(data_root, out)
    rows = lineage(loaded(manifest), capture)
    if json:
        print_json("why", True, rows)
        return
    for line in lineage_lines(rows):
        print_line(line)


def verify(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Read every sealed byte of the dataset again and compare it with its checksum; mark what differs.

    Example: bodytruth verify manifests/demo.toml
    """
    from tasks.console import print_json, print_line
    from tasks.keeping import verify_outputs

    set_places(data_root, out)
    checked, rows = verify_outputs(loaded(manifest))
    if json:
        print_json("verify", not rows, rows)
    else:
        for row in rows:
            print_line(row["message"])
        print_line(f"{checked} sealed folders read, {len(rows)} damaged")
    raise typer.Exit(DamagedError.exit_code if rows else 0)


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
    figures = provenance.pop("figures", [])
    for key, value in provenance.items():
        print_line(f"{key}: {value}")
    for stat in figures:
        value = "not measured" if stat["value"] is None else f"{stat['value']:.4g} {stat['unit']}"
        print_line(
            f"{stat['capture']}, {stat['name']}: {value}" if "capture" in stat else f"{stat['name']}: {value}"
        )
    columns = ("field", "shape", "dtype", "unit", "min", "median", "max")
    print_table(columns, [[row[key] for key in columns] for row in rows])
    if sheet is not None:
        print_line(f"contact sheet: {sheet}")


def report(
    manifest: ManifestArgument, data_root: DataRoot = None, out: Out = None, json: Json = False
) -> None:
    """Say where the built dataset's HTML report lies, with its figures.

    Example: bodytruth report manifests/demo.toml
    """
    from tasks.console import print_json, print_line
    from tasks.keeping import report_figures

    set_places(data_root, out)
    page, figures = report_figures(loaded(manifest))
    if json:
        print_json("report", True, [{"path": str(page)}, *figures])
        return
    for figure in figures:
        if figure["section"] in ("counts", "overview"):
            shown = "not measured" if figure["value"] is None else f"{figure['value']:.4g} {figure['unit']}"
            print_line(f"{figure['capture'] or 'dataset'}: {figure['name']}: {shown}")
    print_line(f"report: {page}")


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="benchmarks; all when none", metavar="NAME...")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help="a peer that is not installed and its folder", metavar="NAME=FOLDER"),
    ] = None,
    json: Json = False,
) -> None:
    """Measure speed beside the libraries that people use today, with the error beside the time.

    Example: bodytruth bench fusion
    """
    from tasks.benching import run_benchmarks
    from tasks.console import print_json, print_table

    rows = run_benchmarks(names or [], peer or [])
    if json:
        print_json("bench", all(row["holds"] is not False for row in rows), rows)
        return
    columns = ("bench", "name", "value", "unit", "peer", "peer_value", "ratio", "target", "holds")
    shown = [
        [f"{row[key]:.3g}" if isinstance(row[key], float) else row[key] for key in columns] for row in rows
    ]
    print_table(columns, shown)


def export(
    dataset: Annotated[Path, typer.Argument(help="a built dataset's folder", metavar="DATASET")],
    out: Annotated[Path, typer.Option("-o", "--out", help="new folder for what is exported")],
    format: Annotated[
        ExportFormat, typer.Option("--format", help="plain shards, WebDataset tar, npz")
    ] = "shards",
    filter: Annotated[ExportFilter, typer.Option("--filter", help="of plain shards")] = "gzip",
) -> None:
    """Write a dataset in a form that other tools read without ours.

    Example: bodytruth export out/demo -o exported --format tar
    """
    from pipeline.export import export_dataset
    from tasks.console import print_line

    export_dataset(dataset, out, format=format, filter=filter)
    print_line(f"exported: {out}")
