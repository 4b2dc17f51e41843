"""The verbs that make files of a user's own body model and of DensePose's charts of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError, StageError


def convert_body(
    file: Annotated[Path, typer.Argument(help="SMPL's .pkl (1.0 or 1.1) or .npz", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="new body file; FILE.body.npz unless given")
    ] = None,
) -> None:
    """Convert a body model of your own, such as SMPL's, to a body file; nothing in it is run.

    Example: bodytruth convert-body SMPL_NEUTRAL.pkl -o smpl.npz

    The arrays stay under the licence that came with the file.
    """
    from pipeline.bodies.body_file import write_body
    from pipeline.bodies.smpl_files import read_smpl
    from tasks.console import print_line

    place = _new_place(file.with_suffix(".body.npz") if out is None else out)
    body = read_smpl(file)
    with _writable(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_body(place, body)
    print_line(f"{len(body.template_m)} vertices, {body.shape_dirs_m.shape[2]} betas: {place}")


def convert_charts(
    file: Annotated[Path, typer.Argument(help="DensePose's UV_Processed.mat", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="new chart file; FILE.charts.npz unless given")
    ] = None,
) -> None:
    """Convert DensePose's own charts of SMPL's surface to a chart file; nothing in it is run.

    Example: bodytruth convert-charts UV_Processed.mat -o charts.npz

    The arrays stay under the licence that came with the file.
    """
    from pipeline.correspondences.chart_file import convert_densepose_mat
    from tasks.console import print_line

    place = _new_place(file.with_suffix(".charts.npz") if out is None else out)
    with _writable(place):
        faces = convert_densepose_mat(file, place)
    print_line(f"{faces} faces with a chart: {place}")


def _new_place(place: Path) -> Path:
    if place.exists():
        raise InputError("out-exists", f"{place}: must not exist, does. Name another file or move it away.")
    return place


@contextmanager
def _writable(place: Path) -> Iterator[None]:
    """Say so where a new file or its folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise StageError(
            f"{place}: must be writable, is not ({error.strerror}). Name another place."
        ) from error
