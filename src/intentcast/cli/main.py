"""The `intentcast` command: its subcommands, and errors as one line and an exit code.

Nothing heavy is imported here or at the top of a command's module, so that `--help` is quick.
"""

import json
import os
import sys
from typing import NoReturn

import typer

from intentcast.cli import (
    accounts,
    backtest,
    calibrate,
    check,
    demo,
    distil,
    explain,
    explore,
    export,
    features,
    feedback,
    forecast,
    monitor,
    promote,
    recalibrate,
    replay,
    reprice,
    retrain,
    rollback,
    score,
    serve,
    simulate,
    themes,
    train,
)
from intentcast.errors import InputError, IntentcastError, RefusedError

app = typer.Typer(
    name="intentcast",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Which leads will buy: the calibrated probability that each lead converts within a "
        "horizon, and an honest comparison with your points table.\n\n"
        "Start with `intentcast demo`. With your own data: `check DIR`, `backtest DIR`, "
        "`train DIR`, `score DIR`, `serve`. DIR holds leads, events and outcomes as .parquet or "
        ".csv, and dataset.toml."
    ),
    epilog="Exit codes: 0 done; 2 bad input; 3 refused for a stated reason.",
)
_EXTRA = {
    **dict.fromkeys(("sklearn", "mlflow", "optuna", "altair", "vl_convert", "jinja2"), "train"),
    **dict.fromkeys(
        ("fastapi", "uvicorn", "prometheus_client", "structlog", "pydantic_settings"), "serve"
    ),
}
for command in (
    simulate,
    check,
    themes,
    features,
    train,
    backtest,
    retrain,
    calibrate,
    recalibrate,
    score,
    accounts,
    explain,
    reprice,
    distil,
    export,
    forecast,
    feedback,
    explore,
    monitor,
    promote,
    rollback,
    serve,
    replay,
    demo,
):
    app.command(command.NAME, help=command.HELP)(command.run)


_WRONG_COMMAND_LINE = 2


def _fail(error: IntentcastError) -> NoReturn:
    """Say what was found, expected and next, in one line, and exit."""
    if "--json" in sys.argv:
        _print_json(error)
    print(f"intentcast: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2 if isinstance(error, InputError) else 3)


def _print_json(error: IntentcastError) -> None:
    kind = "refused" if isinstance(error, RefusedError) else "bad input"
    found = {"kind": kind, "found": error.found, "expected": error.expected}
    print(json.dumps({"error": found | {"next_step": error.next_step}}))


def main() -> None:
    """Run the command line and exit."""
    # Idle OpenMP threads sleep instead of spinning: on a busy machine that is many times faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(standalone_mode=True)
    except IntentcastError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        extra = _EXTRA.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(
            InputError(
                f"{error.name} is not installed",
                expected=f"the extra '{extra}'",
                next_step=f"install intentcast[{extra}]",
            )
        )
    except KeyboardInterrupt:
        print("intentcast: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = None  # the reader went away: nothing to flush to
        sys.exit(0)
    except OSError as error:
        _fail(
            InputError(
                f"{error.filename or 'a file'} ({error.strerror or error})",
                expected="files that can be read, and a place that can be written to",
                next_step="check the path and its permissions",
            )
        )
    except SystemExit as stop:
        if stop.code == _WRONG_COMMAND_LINE and "--json" in sys.argv:
            # What is wrong with it is on stderr already, in the words of the option parser.
            _print_json(
                InputError(
                    "a command line that cannot be read",
                    expected="a command with its arguments and known options",
                    next_step="read stderr, or --help",
                )
            )
        raise
