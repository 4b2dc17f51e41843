"""The command line: `bodytruth VERB`, its exit codes, and what an interruption does."""

import os
import signal
import sys
from typing import NoReturn

import typer

from pipeline.errors import BodytruthError, StageError
from pipeline.system_libraries import missing_library
from tasks import body_verbs, doctor, making_verbs, reading_verbs, training_verbs

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
for _verb in (
    making_verbs.demo,
    doctor.doctor,
    making_verbs.check,
    making_verbs.plan,
    making_verbs.build,
    reading_verbs.status,
    reading_verbs.why,
    reading_verbs.inspect,
    reading_verbs.report,
    reading_verbs.verify,
    making_verbs.clean,
    reading_verbs.export,
    body_verbs.convert_body,
    body_verbs.convert_charts,
    training_verbs.train,
    training_verbs.evaluate,
    training_verbs.predict,
    reading_verbs.bench,
):
    app.command()(_verb)


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
    except ImportError as error:
        library = missing_library(error)
        if library is None:
            raise
        _say_error(library)
        sys.exit(StageError.exit_code)


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


def _say_error(text: str) -> None:
    sys.stderr.write(text + "\n")
