"""`intentcast monitor`."""

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, bundle_in_use, refuse_strange
from intentcast.cli.console import (
    AsJson,
    AsOf,
    DataFolder,
    Gate,
    gate_settings,
    instant,
    open_dataset,
    progress,
    show,
)

if TYPE_CHECKING:
    import polars as pl

    from intentcast.monitoring import Monitored

NAME = "monitor"
HELP = (
    "Is the bundle in use still right? Green, amber or red, for cron.\n\n"
    "Looks at what comes in (drift of features and events against training), at scores whose "
    "horizon is over (level, spread, lift; outcomes from the instant of scoring on, late ones "
    "counted as they come), at conversions so far, and at how late outcomes are recorded; with "
    "--samples, whether a server's answers are those of the batch, to the bit. Without "
    "--scores the bundle is asked what it would have told since its data ended. Each bundle "
    "version is judged by itself.\n\n"
    "Writes monitor.html, monitor.json and state.json (what this run said; keep it, so that the "
    "next one can say what has changed).\n\n"
    "Exit codes: 0 green or amber; 3 red, with --strict amber too; 2 bad input.\n\n"
    "Example: intentcast monitor data/sample --scores scores/ --out out/monitor"
)
_REFUSED = 3
_MARK = {"green": "green", "grey": "–", "amber": "AMBER", "red": "RED"}
_WIDTH = 80


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Scores from `score`, or a folder of them; may be repeated.",
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="LOG",
            help="Answers that a server sampled (INTENTCAST_SAMPLE_TO): computed again.",
        ),
    ] = None,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")] = Path(
        "out/monitor"
    ),
    gate: Gate = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on amber too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Monitor, write, and say by the exit code whether someone must look."""
    from intentcast.files import json_bytes, write_atomic
    from intentcast.monitoring import monitor, read_runs, with_run
    from intentcast.monitoring.page import render_page
    from intentcast.replay import read_log
    from intentcast.scoring import load_bundle

    frames = _frames(scores or [])
    log = read_log(samples) if samples else None
    with progress() as say:
        place = bundle_in_use(bundle)
        loaded = load_bundle(place)
        margins = gate_settings(gate)
        runs = read_runs(out / "state.json")
        dataset = open_dataset(folder, say)
        refuse_strange(loaded, dataset)
        found = monitor(
            loaded,
            place,
            dataset,
            as_of=instant(as_of, default=dataset.data_cutoff),
            scores=frames,
            runs=runs,
            samples=log,
            margins=margins,
            on_progress=say,
        )
        say("page")
        written = found.to_json()
        write_atomic(out / "monitor.html", render_page(found).encode())
        write_atomic(out / "monitor.json", json_bytes(written))
        # Last: a run that was cut short is not remembered.
        write_atomic(out / "state.json", json_bytes(with_run(runs, found.run)))
    if as_json:
        short: dict[str, Any] = {k: v for k, v in written.items() if k not in ("drift", "volumes")}
        show({"out": str(out)} | short)
    else:
        print("\n".join(in_words(found)))
        print(f"Wrote {out / 'monitor.html'}")
    if found.light == "red" or (strict and found.light == "amber"):
        sys.exit(_REFUSED)


def _frames(paths: list[Path]) -> list[tuple[str, "pl.DataFrame"]]:
    """Read files of scores; of a folder, all that are there."""
    from intentcast.cli.tables import read_frame
    from intentcast.errors import InputError

    files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix in (".parquet", ".csv"))
        if not inside:
            raise InputError(
                f"no .parquet or .csv file in {path}",
                expected="files that `intentcast score` wrote",
                next_step="check --scores, or leave it out",
            )
        files += inside
    return [(str(file), read_frame(file)) for file in files]


def in_words(found: "Monitored") -> list[str]:
    """Return the lights, what has changed and what to do, in at most 80 columns."""
    told = found.told
    lines = [
        f"{found.light.upper()}: bundle {found.bundle['name']} {found.bundle['version']} as of "
        f"{found.as_of:%Y-%m-%d %H:%M} UTC"
    ]
    for signal in found.signals:
        head = f"  {_MARK[signal.light]:<6}"
        # A number keeps its percent sign on its line.
        kept = f"{signal.name}: {signal.sentence}".replace(" %", "\u00a0%")
        wrapped = textwrap.wrap(kept, _WIDTH, initial_indent=head, subsequent_indent=" " * 8)
        lines += [line.replace("\u00a0", " ") for line in wrapped]
    for key, change in found.changes.items():
        if change.converted or change.withdrawn:
            version, _, days = key.partition("|")
            said = (
                f"Since the run as of {change.since[:10]}: {change.converted:,} scores of "
                f"{version} ({days} days) have turned from non-conversion to conversion, "
                f"{change.withdrawn:,} the other way."
            )
            lines += textwrap.wrap(said, _WIDTH)
    if told.is_retrospective and len(told.rows):
        lines += textwrap.wrap(
            "No --scores: judged is what the bundle would have told since its data ended.", _WIDTH
        )
    if found.n_learnt:
        lines += textwrap.wrap(
            f"Note: {found.n_learnt:,} scores are of as-of times before the bundle's data ended. "
            "It may have learnt from their outcomes, so they look better than they are.",
            _WIDTH,
        )
    if told.n_unknown:
        lines.append(f"Left out: {told.n_unknown:,} scores of leads that the data do not have")
    if told.n_later:
        lines.append(f"Left out: {told.n_later:,} scores told at --as-of or after")
    for step in found.next_steps:
        lines += textwrap.wrap(f"Next: {step}", _WIDTH)
    return lines
