"""What commands share: progress on stderr, results on stdout, and options by one name."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.errors import InputError

if TYPE_CHECKING:
    from intentcast.config import LearnerConfig
    from intentcast.gate import GateSettings
    from intentcast.handoff import HandoffSettings
    from intentcast.sources import Dataset

DataFolder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Folder with leads, events, outcomes and dataset.toml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on stdout.")]
Registry = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of MLflow's SQLite file and artefacts.")
]
REGISTRY = Path("models/registry")
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        help="The instant to pretend it is, UTC, such as 2026-01-31 or 2026-01-31T09:00:00Z; "
        "without it, where the data end. It is stated in the answer.",
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Learner settings; without it models/conversion.toml."),
]

Gate = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The gate's margins; without it models/gate.toml."),
]


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a function that says on stderr what is being done, with the seconds so far.

    On a terminal one line is rewritten; elsewhere each step is a line of its own.
    """
    started = time.monotonic()
    is_terminal = sys.stderr.isatty()

    def say(what: str) -> None:
        seconds = time.monotonic() - started
        line = f"{seconds:6.1f} s  {what}"
        if is_terminal:
            print(f"\r\x1b[K{line[:78]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def show(value: dict[str, Any]) -> None:
    """Print a result as JSON."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def instant(text: str | None, *, default: datetime, option: str = "--as-of") -> datetime:
    """Read an option such as `--as-of`: a date is its first instant, a zone-less time is UTC.

    Raises:
        InputError: If it is neither, or not between 1990 and 2099.
    """
    if text is None:
        return default
    try:
        if len(text) == len("2026-01-31"):
            moment = datetime.combine(date.fromisoformat(text), clock())
        else:
            moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not 1990 <= moment.year < 2100:
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"{option} {text[:40]!r}",
            expected="a date or an instant between 1990 and 2099, such as 2026-01-31 or "
            "2026-01-31T09:00:00Z",
            next_step="correct it",
        ) from None
    return moment


def open_dataset(folder: Path, say: Callable[[str], None]) -> "Dataset":
    """Load a data set, saying each table, and how many rows were set aside."""
    from intentcast.sources import load_dataset

    dataset = load_dataset(folder, on_table=lambda table: say(f"reading {table}"))
    n_bad = sum(len(bad.rows) for bad in dataset.quarantined)
    if n_bad:
        say(f"{n_bad:,} rows set aside; `intentcast check {folder}` says which and why")
    n_copies = sum(bad.n_duplicates for bad in dataset.quarantined)
    if n_copies:
        say(f"{n_copies:,} copies of rows already there left out")
    return dataset


def learner_settings(path: Path | None) -> "LearnerConfig":
    """Read `conversion.toml`, the given or the shipped one."""
    from intentcast.config import LearnerConfig, read_settings
    from intentcast.shipped import shipped

    place = path or shipped("conversion.toml", in_checkout="models/conversion.toml")
    return read_settings(place, LearnerConfig)


def gate_settings(path: Path | None) -> "GateSettings":
    """Read `gate.toml`, the given or the shipped one."""
    from intentcast.config import read_settings
    from intentcast.gate import GateSettings
    from intentcast.shipped import shipped

    return read_settings(path or shipped("gate.toml", in_checkout="models/gate.toml"), GateSettings)


def handoff_settings() -> "HandoffSettings":
    """Read the shipped `handoff.toml`."""
    from intentcast.config import read_settings
    from intentcast.handoff import HandoffSettings
    from intentcast.shipped import shipped

    place = shipped("handoff.toml", in_checkout="models/handoff.toml")
    return read_settings(place, HandoffSettings)


def percent(share: float | None) -> str:
    """Return a share for people: 12.3 %, or a dash."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")
