"""What the verbs share: their arguments, and where captures and outputs lie."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE

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


def set_places(data_root: Path | None, out: Path | None) -> None:
    """Children and plain Luigi tasks see the same places through the environment."""
    for name, path in ((DATA_ROOT_VARIABLE, data_root), (OUT_VARIABLE, out)):
        if path is not None:
            os.environ[name] = str(path.resolve())


def loaded(manifest: Path) -> str:
    """Check the manifest before anything else; its errors are the user's first."""
    from tasks.context import forget, manifest_of

    forget()
    path = str(manifest.resolve())
    manifest_of(path)
    return path
