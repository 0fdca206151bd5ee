"""`intentcast reprice`."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.console import AsJson, AsOf, DataFolder, instant, open_dataset, progress, show

if TYPE_CHECKING:
    from datetime import datetime

    from intentcast.evaluation.repriced import OutOfTime
    from intentcast.scorecards.repricing import Repricing
    from intentcast.sources import Dataset

NAME = "reprice"
HELP = (
    "Refit a points table to what became of the leads; write a table of the same format.\n\n"
    "Rules, caps, decay and the threshold for hot stay; as many leads as before reach it. Shows "
    "old points beside new ones with an interval and support, and compares both out of time at "
    "equal hand-off volume: fitted before the test only. Refuses on too little data (exit 3).\n\n"
    "Example: intentcast reprice data/sample --scorecard models/scorecards/playbook.toml "
    "--out repriced.toml"
)

ScorecardFile = Annotated[
    Path | None,
    typer.Option(
        metavar="S", help="The points table; without it the data set's own, or the playbook."
    ),
]


def run(
    folder: DataFolder,
    scorecard: ScorecardFile = None,
    out: Annotated[Path, typer.Option(metavar="S2", help="The .toml file to write.")] = Path(
        "repriced.toml"
    ),
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Refit, compare, write, print."""
    from intentcast.files import write_atomic
    from intentcast.scorecards import read_scorecard
    from intentcast.scorecards.repriced_card import card_text
    from intentcast.scorecards.repricing import reprice
    from intentcast.snapshots import as_of_times, cohort_span

    refuse_other_suffix(out)
    with progress() as say:
        dataset = open_dataset(folder, say)
        source = points_table(dataset, scorecard)
        card = read_scorecard(source)
        known_by = instant(as_of, default=dataset.data_cutoff)
        times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        found = reprice(card, dataset, times=times, known_by=known_by, on_progress=say)
        text = card_text(found, source.read_text(encoding="utf-8"))
        say("old against new on later leads")
        tested, why_not = _tested(dataset, found, times, known_by)
        write_atomic(out, text.encode())
    if as_json:
        compared = (
            {"refused": why_not}
            if tested is None
            else {
                **tested.paired.to_json(),
                "verdict": tested.verdict,
                "test_from": tested.test_from.isoformat(),
                "test_to": tested.test_to.isoformat(),
            }
        )
        show({"out": str(out), **found.to_json(), "out_of_time": compared})
        return
    print_repricing(found)
    print()
    if tested is None:
        print(textwrap.fill(f"Not compared on later leads: {why_not}.", 80))
    else:
        print(textwrap.fill(in_words(tested, dataset.config.capacity.handoffs_per_week), 80))
    print(f"Wrote {out}")


def refuse_other_suffix(out: Path) -> None:
    """Refuse a file that is not a .toml before anything is computed."""
    from intentcast.errors import InputError

    if out.suffix != ".toml":
        raise InputError(f"--out {out}", expected="a .toml file", next_step="name it so")


def points_table(dataset: "Dataset", scorecard: Path | None) -> Path:
    """Return the given points table, or the first that can score the data set."""
    from intentcast.errors import InputError
    from intentcast.scorecards import dataset_scorecards

    if scorecard is not None:
        return scorecard
    fitting = dataset_scorecards(dataset)
    if not fitting:
        raise InputError(
            "no points table whose rules name an event type of the data set",
            expected="at least one",
            next_step="give --scorecard, or write a scorecard.toml beside dataset.toml",
        )
    return fitting[0]


def _tested(
    dataset: "Dataset", found: "Repricing", times: "list[datetime]", known_by: "datetime"
) -> "tuple[OutOfTime | None, str]":
    from intentcast.errors import RefusedError
    from intentcast.evaluation.repriced import compare_out_of_time

    try:
        return compare_out_of_time(found.old, dataset, times=times, known_by=known_by), ""
    except RefusedError as refused:
        return None, f"{refused.found}; {refused.next_step}"


def print_repricing(found: "Repricing") -> None:
    """Print old points beside new ones, with support, in at most 80 columns."""
    from intentcast.scorecards.repriced_card import counted

    print(
        textwrap.fill(
            f"{found.old.name} fitted to {found.source}: {found.n_snapshots:,} snapshots of "
            f"{found.n_leads:,} leads, {found.n_converted:,} {counted(found)}, known before "
            f"{found.known_by:%Y-%m-%d %H:%M}",
            80,
        )
    )
    print(f"  {'':<38}{'old':>6}{'new':>6}{'95 %':>14}{'leads':>7}{'conv.':>7}")
    for rule in found.rules:
        item = textwrap.shorten(rule.item, 37, placeholder=" …")
        between = f"{rule.low:g} to {rule.high:g}" if rule.has_support else "no hit"
        print(
            f"  {item:<38}{rule.old.normalize():>6f}{rule.new.normalize():>6f}{between:>14}"
            f"{rule.n_leads:>7,}{rule.n_converted:>7,}"
        )
    if not all(rule.has_support for rule in found.rules):
        print("  no hit: nobody met it, scaled with the rest")
    old, new = found.old.classes, found.new.classes
    for name, before, after in (
        ("warm from", old.warm, new.warm),
        ("hot from", old.hot, new.hot),
        ("hot needs attributes of", old.hot_needs_attributes, new.hot_needs_attributes),
    ):
        if before is not None and after is not None and before > 0:
            print(f"  {name:<38}{before.normalize():>6f}{after.normalize():>6f}")
    held = found.anchor
    print(
        textwrap.fill(
            f"{'Leads that reach ' if held.threshold != 'mean score' else 'The '}"
            f"{held.threshold}: {held.n_old:,.10g} with the old points, {held.n_new:,.10g} with "
            f"the new",
            80,
        )
    )


def in_words(tested: "OutOfTime", per_week: int) -> str:
    """Return the comparison on later leads as a sentence."""
    pair = tested.paired
    low, high = pair.ci95
    return (
        f"Fitted before {tested.repricing.known_by:%Y-%m-%d} and tested from "
        f"{tested.test_from:%Y-%m-%d} to {tested.test_to:%Y-%m-%d}, at {per_week:,} hand-offs a "
        f"week: {pair.conversions_a:,.0f} conversions of {pair.handoffs:,.0f} hand-offs with the "
        f"new points, {pair.conversions_b:,.0f} with the old; difference {pair.difference:+,.0f} "
        f"({low:+,.0f} to {high:+,.0f}): {tested.verdict}."
    )
