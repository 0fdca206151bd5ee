"""`intentcast forecast`."""

import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, PreviousScores, open_bundle
from intentcast.cli.console import (
    AsJson,
    AsOf,
    DataFolder,
    instant,
    open_dataset,
    percent,
    progress,
    show,
)

if TYPE_CHECKING:
    import polars as pl

NAME = "forecast"
HELP = (
    "When each hot or warm lead drops a tier if it and its account stay silent.\n\n"
    "Scores the same leads at later as-of times with nothing new: the date is the first day on "
    "which the tier is lower, by the model and by the points table.\n\n"
    "Example: intentcast forecast data/sample --as-of 2025-12-29 --out forecast.parquet"
)
_WITHIN = (7, 14, 30, 60, 90)


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A .parquet or .csv file to write.")
    ] = Path("forecast.parquet"),
    policy: PolicyFile = None,
    previous: PreviousScores = None,
    limit_days: Annotated[
        int, typer.Option(metavar="N", min=1, max=3650, help="Days to look ahead.")
    ] = 180,
    as_json: AsJson = False,
) -> None:
    """Forecast and write."""
    from intentcast.cli.tables import checked_suffix, told_before, write_frame
    from intentcast.forecast import drop_counts, forecast

    checked_suffix(out)
    with progress() as say:
        loaded, notes = open_bundle(bundle, policy)
        dataset = open_dataset(folder, say)
        moment = instant(as_of, default=dataset.data_cutoff)
        told = told_before(previous, moment) if previous else None
        say(f"up to {limit_days} days of silence")
        found = forecast(
            loaded, dataset, moment, policy=loaded.tiers, previous=told, limit_days=limit_days
        )
        write_frame(found, out)
    within = (*(days for days in _WITHIN if days < limit_days), limit_days)
    counts = drop_counts(found, within)
    if as_json:
        show(
            {
                "out": str(out),
                "as_of": moment.isoformat(),
                "limit_days": limit_days,
                "n_leads": len(found),
                "tiers": counts,
                "model_version": loaded.version,
                "notes": notes,
            }
        )
        return
    print(f"{len(found):,} leads are hot or warm as of {moment:%Y-%m-%d %H:%M} UTC.")
    print("\n".join(in_words(found, counts, within)))
    for note in notes:
        print(textwrap.fill(f"Note: {note}", 80))
    print(f"Wrote {out} with bundle {loaded.name} {loaded.version}")


def in_words(
    found: "pl.DataFrame", counts: dict[str, dict[str, Any]], within: tuple[int, ...]
) -> list[str]:
    """Return how many leads drop by when, and who is next, in at most 80 columns."""
    lines = ["If they and their accounts stay silent, they drop a tier within"]
    head = "".join(f"{f'{days} d':>8}" for days in within)
    lines.append(f"{'':<8}{'leads':>7}{head}{'later':>8}")
    for tier, row in counts.items():
        cells = "".join(f"{n:>8,}" for n in row["within_days"].values())
        lines.append(f"{tier:<8}{row['n_leads']:>7,}{cells}{row['not_within_limit']:>8,}")
    both = sum(row["also_by_rules"] for row in counts.values())
    sooner = sum(row["rules_drop_sooner"] for row in counts.values())
    if both:
        said = (
            f"Of the {both:,} that the points table has as hot or warm too, it drops {sooner:,} "
            f"before the model does."
        )
        lines += textwrap.wrap(said, 80)
    soonest = found.drop_nulls("drops_on").head(5)
    if len(soonest):
        lines.append("Next to drop, hot leads first:")
        lines.append(
            f"  {'lead':<20} {'tier':<4} {'chance':>7}  {'drops on':<10}  {'to':<13} points table"
        )
        lines += [
            f"  {row['lead_id'][:20]:<20} {row['tier']:<4} {percent(row['probability']):>7}  "
            f"{row['drops_on']:%Y-%m-%d}  {row['drops_to']:<13} {_day(row['rules_drops_on'])}"
            for row in soonest.iter_rows(named=True)
        ]
    return lines


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d}"
