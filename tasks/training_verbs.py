"""The verbs that train, score and use models. The work runs as `python -m training`, which needs none of this."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import ManifestError, StageError
from tasks.options import Out, set_places

TrainingManifest = Annotated[
    Path, typer.Argument(help="training manifest (docs/training.md)", metavar="TRAINING_MANIFEST")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]


def train(manifest: TrainingManifest, out: Out = None) -> None:
    """Train a model, or go on where its run ended; RUN.json is all that another machine needs.

    Example: bodytruth train manifests/train-depth-net-demo.toml
    """
    set_places(None, out)
    raise typer.Exit(run_training("train", str(write_run(manifest))))


def evaluate(
    manifests: Annotated[
        list[Path],
        typer.Argument(help="training manifests (docs/training.md)", metavar="TRAINING_MANIFEST..."),
    ],
    out: Out = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test")] = "test",
    device: Device = "auto",
) -> None:
    """Score trained models beside the trivial predictors and the paper's own figures, and against the first.

    Example: bodytruth evaluate manifests/train-depth-net-demo.toml
    """
    set_places(None, out)
    folders = [str(write_run(manifest).parent) for manifest in manifests]
    raise typer.Exit(run_training("evaluate", *folders, "--split", split, "--device", device))


def predict(
    checkpoint: Annotated[
        Path, typer.Argument(help="folder of a run or of a checkpoint", metavar="CHECKPOINT")
    ],
    inputs: Annotated[list[Path], typer.Argument(help="pictures, films, folders", metavar="INPUT...")],
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for what is predicted")],
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option("--box", help="left, top, right, bottom of the person in px; found when not given"),
    ] = None,
    device: Device = "auto",
) -> None:
    """Depth, normals, mesh and preview of pictures and films.

    Example: bodytruth predict out/runs/depth-net/RUN photo.jpg -o predicted
    """
    words = [str(checkpoint), *(str(path) for path in inputs), "--out", str(out), "--device", device]
    words += ["--box", *map(str, box)] if box else []
    raise typer.Exit(run_training("predict", *words))


def write_run(manifest: Path) -> Path:
    """Resolve a training manifest to OUT/runs/MODEL/FINGERPRINT/RUN.json and return its path."""
    content, folder = _resolved(manifest.resolve(), ())
    path = folder / "RUN.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(".RUN.json.new")
    fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    os.replace(fresh, path)
    return path


def _resolved(manifest: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], Path]:
    """The content of a manifest's RUN.json, and the folder of its run.

    Args:
        above: the manifests that start from this one, the first being trained.
    """
    from pipeline.manifest import OUT_VARIABLE
    from pipeline.run_manifest import load_run_manifest, resolve
    from training.run import parse_run

    if manifest in above:
        raise ManifestError(
            f"{above[0]}: phase.init: must not start from itself, does by way of {above[-1].name}. Mend it."
        )
    out = Path(os.environ.get(OUT_VARIABLE, "out")).resolve()

    def run_of(other: Path) -> Path:
        return _resolved(other.resolve(), (*above, manifest))[1]

    content = resolve(load_run_manifest(manifest), out, run_of=run_of)
    return content, parse_run(content, manifest).folder


def run_training(*words: str) -> int:
    """Run `python -m training` in a process of its own and return its exit code."""
    code = subprocess.run([sys.executable, "-m", "training", *words]).returncode
    if code < 0:
        raise StageError(
            f"training: must run to its end, was killed by signal {-code}. Look at its last lines."
        )
    return code
