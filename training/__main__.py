"""`python -m training train RUN.json`: all that a machine without the command line of `tasks` needs."""

import argparse
import logging
import os
import sys
from pathlib import Path

from pipeline.errors import BodytruthError, ManifestError, StageError
from training.run import load_run

DEVICES = ("auto", "cpu", "cuda")


def main(words: list[str] | None = None) -> int:
    """Run one verb; every failure of a known kind is one sentence and its exit code.

    Returns:
        0, the error's code, or 128 and the number of the signal that ended it: 130 for Ctrl-C, 143 for SIGTERM.
    """
    arguments = _parser().parse_args(words)
    leads = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("training").setLevel(logging.INFO if leads else logging.WARNING)
    try:
        return int(arguments.act(arguments))
    except BodytruthError as error:
        return _say(str(error), error.exit_code)
    except OSError as error:
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", StageError.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    train = verbs.add_parser("train", help="train a run, or go on with it where it ended")
    train.add_argument("run", type=Path, metavar="RUN.json", help="what `bodytruth train` writes")
    train.set_defaults(act=_train)
    evaluate = verbs.add_parser("evaluate", help="score the best checkpoints of runs, and compare them")
    evaluate.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of the runs")
    evaluate.add_argument("--dataset", type=Path, help="the one that it was trained on, unless told")
    evaluate.add_argument("--split", default="test")
    evaluate.add_argument("--device", default="auto", choices=DEVICES)
    evaluate.set_defaults(act=_evaluate)
    export = verbs.add_parser("export", help="a trained model as a folder to ship, in half precision")
    export.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="its folder, or the run's")
    export.add_argument("folder", type=Path, metavar="FOLDER", help="not there yet")
    export.set_defaults(act=_export)
    predict = verbs.add_parser("predict", help="depth, or joints and surface, of pictures and films")
    predict.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="its folder, or the run's")
    predict.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="pictures, films, folders")
    predict.add_argument("-o", "--out", type=Path, required=True, help="folder for what is predicted")
    names = ("LEFT", "TOP", "RIGHT", "BOTTOM")
    predict.add_argument("--box", type=float, nargs=4, metavar=names, help="of the person, in px; else found")
    predict.add_argument("--device", default="auto", choices=DEVICES)
    predict.set_defaults(act=_predict)
    return parser


def _train(arguments: argparse.Namespace) -> int:
    run = load_run(arguments.run)
    from training.recipes import RECIPES
    from training.stopping import Stopped
    from training.train import train

    if run.model not in RECIPES:
        known = ", ".join(RECIPES)
        raise ManifestError(f"{run.path}: model.name: must be one of {known}, is {run.model!r}. Mend it.")
    try:
        train(run, RECIPES[run.model])
    except Stopped as stopped:
        return _say("stopped after a checkpoint; run the same command to go on", 128 + stopped.signal)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from training.suite import score_runs

    score_runs(arguments.runs, dataset=arguments.dataset, split=arguments.split, device=arguments.device)
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from training.predict import predict_images

    box = tuple(arguments.box) if arguments.box else None
    predict_images(arguments.checkpoint, arguments.inputs, arguments.out, box=box, device=arguments.device)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from training.export import export_checkpoint

    export_checkpoint(arguments.checkpoint, arguments.folder)
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
