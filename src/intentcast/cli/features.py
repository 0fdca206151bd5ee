"""`intentcast features`."""

import os
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from intentcast.cli.console import (
    AsJson,
    DataFolder,
    Settings,
    instant,
    learner_settings,
    progress,
    show,
)
from intentcast.errors import InputError

NAME = "features"
HELP = (
    "Write the features of every lead at every as-of time, for data of any size.\n\n"
    "Reads the events once, in batches, and works through them in partitions of whole accounts, "
    "so memory stays bounded. Each partition becomes one parquet file: lead_id, account_id, as_of, "
    "then one float32 column per feature, from what was known before as_of. manifest.json, "
    "written last, lists the files, the features and what was set aside.\n\n"
    "Stop it whenever you like, or lose the machine: the same command goes on where it was and "
    "leaves finished parts alone. The numbers are the same bits for any --partitions and "
    "--threads.\n\n"
    "Example: intentcast features data/sample --out out/features\n\n"
    "Then: polars.scan_parquet('out/features/part-*.parquet')"
)


def run(
    folder: DataFolder,
    out: Annotated[
        Path, typer.Option(metavar="OUT", help="Folder to write to: new, empty or the same job's.")
    ],
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="B",
            help="Bundle whose vocabulary and themes to use, as scoring with it would; without it "
            "they are learnt from the data set.",
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="One as-of time, UTC; without it those of [cohort] in dataset.toml.",
        ),
    ] = None,
    known_by: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Learn the vocabulary from what was known before T; without it, before the first "
            "as-of time, so that no feature looks ahead.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Write this feature only, or those that a pattern such as 'theme.*' or "
            "'*.count.*.30d' matches; may be given several times. Families of features without "
            "any are not computed.",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=10_000,
            help="How many; without it as many as keep each to some hundred MB of memory.",
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Partitions worked on at once.")
    ] = 2,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Go on with the parts of the same job in OUT, or remove what a job wrote there "
            "and begin anew.",
        ),
    ] = True,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Compute and write, or go on."""
    # Read by polars when it is imported.
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    from intentcast.engines import FeatureRequest, LocalEngine, write_features

    if bundle is not None and (known_by is not None or settings is not None):
        raise InputError(
            f"--bundle with {'--known-by' if known_by is not None else '--settings'}",
            expected="one of them: a bundle's vocabulary is learnt already",
            next_step="leave one out",
        )
    config = learner_settings(settings)
    request = FeatureRequest(
        data=folder,
        out=out,
        bundle=bundle,
        known_by=_instant(known_by, "--known-by"),
        as_of=_instant(as_of, "--as-of"),
        n_partitions=partitions,
        settings=config.features,
        seed=config.seed,
        only=tuple(only or ()),
    )
    with progress() as say:
        done = write_features(request, engine=LocalEngine(threads), resume=resume, on_progress=say)
    if as_json:
        show(_summary(out, done.manifest, done.n_resumed))
    else:
        _print(out, done.manifest, done.n_resumed)


def _instant(text: str | None, option: str) -> datetime | None:
    return None if text is None else instant(text, default=datetime.max, option=option)


def _summary(out: Path, manifest: dict[str, Any], n_resumed: int) -> dict[str, Any]:
    times = manifest["as_of_times"]
    kept = ("dataset", "n_rows", "n_features", "n_events", "data_cutoff", "vocabulary", "tables")
    return {
        "out": str(out),
        "manifest": str(out / "manifest.json"),
        **{name: manifest[name] for name in kept},
        "feature_hash": manifest["feature_hash"],
        "as_of": {"from": times[0], "to": times[-1], "n_times": len(times)},
        "n_parts": len(manifest["parts"]),
        "n_parts_finished_before": n_resumed,
    }


def _print(out: Path, manifest: dict[str, Any], n_resumed: int) -> None:
    times, parts = manifest["as_of_times"], manifest["parts"]
    span = f"as of {times[0][:10]}" + (
        f" to {times[-1][:10]} ({len(times)} times)" if len(times) > 1 else ""
    )
    files = "1 part" if len(parts) == 1 else f"{len(parts):,} parts"
    before = f", {n_resumed:,} of them finished before" if n_resumed else ""
    _say(
        f"{manifest['n_rows']:,} rows of {manifest['n_features']:,} features {span}, from "
        f"{manifest['n_events']:,} events, in {files}{before}."
    )
    _say(_of_vocabulary(manifest["vocabulary"], first=times[0]))
    n_bad = sum(table["n_set_aside"] for table in manifest["tables"])
    n_copies = sum(table["n_duplicates"] for table in manifest["tables"])
    if n_bad:
        _say(f"{n_bad:,} rows broke a rule and were set aside in {out / 'quarantine'}.")
    if n_copies:
        _say(f"{n_copies:,} copies of rows already there were left out.")
    print(f"Wrote {out}")


def _of_vocabulary(vocabulary: dict[str, Any], *, first: str) -> str:
    known_by = vocabulary["known_by"]
    until = f"{known_by[:10]} {known_by[11:16]} UTC"
    if vocabulary["bundle"] is not None:
        told = f"Vocabulary of bundle {vocabulary['bundle']}, learnt from what was known by {until}"
    else:
        share = vocabulary["share_of_accounts"]
        of_all = "all accounts" if share >= 1 else f"{share:.1%} of accounts, drawn by hash"
        told = (
            f"Vocabulary learnt from {vocabulary['n_events']:,} events known before {until}, of "
            f"{of_all}"
        )
    # Both are written in UTC in one format, so text compares as time does.
    if known_by > first:
        return (
            f"{told}: later than the first as-of time, so early rows have groups and themes that "
            "were not known then."
        )
    return f"{told}."


def _say(text: str) -> None:
    print(textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False))
