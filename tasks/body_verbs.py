"""The verb that makes a body file of a user's own model."""

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

    place = file.with_suffix(".body.npz") if out is None else out
    if place.exists():
        raise InputError("out-exists", f"{place}: must not exist, does. Name another file or move it away.")
    body = read_smpl(file)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_body(place, body)
    except OSError as error:
        raise StageError(
            f"{place}: must be writable, is not ({error.strerror}). Name another place."
        ) from error
    print_line(f"{len(body.template_m)} vertices, {body.shape_dirs_m.shape[2]} betas: {place}")
