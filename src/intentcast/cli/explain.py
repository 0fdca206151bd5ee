"""`intentcast explain`."""

import textwrap
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, open_bundle
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

    from intentcast.bundle import Bundle
    from intentcast.sources import Dataset

NAME = "explain"
HELP = (
    "One lead in words: probabilities, what raises and lowers them, and the points ledger.\n\n"
    "With --since also why the points and the tier are not what they were then: time, news, "
    "attributes, another bundle's rules, caps, model and thresholds; the lines add up exactly.\n\n"
    "Example: intentcast explain data/sample --lead L0003055 --as-of 2025-12-29"
)


def run(
    folder: DataFolder,
    lead: Annotated[str, typer.Option(metavar="ID", help="The lead's id.")],
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="T0", help="Also explain what has changed since then; as --as-of."),
    ] = None,
    since_bundle: Annotated[
        Path | None,
        typer.Option(metavar="B0", help="Bundle in use at --since; without it the same one."),
    ] = None,
    scorecard: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A points table to explain instead of the bundle's own."),
    ] = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Explain and print."""
    import polars as pl

    from intentcast.errors import InputError
    from intentcast.scorecards import read_scorecard
    from intentcast.scoring import answer, load_bundle

    with progress() as say:
        loaded, odd = open_bundle(bundle, policy)
        if scorecard is not None:
            loaded = replace(loaded, scorecard=read_scorecard(scorecard))
        dataset = open_dataset(folder, say)
        moment = instant(as_of, default=dataset.data_cutoff)
        known = dataset.leads.filter(pl.col("lead_id") == lead)
        if known.is_empty():
            raise InputError(
                f"no lead {lead[:60]!r} in {folder}",
                expected=f"one of {len(dataset.leads):,}, such as {dataset.leads['lead_id'][0]}",
                next_step="check the id",
            )
        snapshot = known.select(
            "lead_id", pl.lit(moment).cast(pl.Datetime("us", "UTC")).alias("as_of"), "account_id"
        )
        found = answer(loaded, dataset, snapshot, explain=True)
        found["warnings"] += odd
        if since is not None:
            then = instant(since, default=moment, option="--since")
            if then > moment:
                raise InputError(
                    f"--since {then:%Y-%m-%dT%H:%MZ} is after --as-of {moment:%Y-%m-%dT%H:%MZ}",
                    expected="the earlier of the two times",
                    next_step="exchange them",
                )
            earlier = load_bundle(since_bundle) if since_bundle else loaded
            found["changes"] = _changes(earlier, loaded, dataset, snapshot, then)
        elif since_bundle is not None:
            raise InputError(
                "--since-bundle without --since",
                expected="the time at which that bundle was in use",
                next_step="give --since",
            )
    if as_json:
        show(found)
    else:
        print("\n".join(in_words(found)))


def _changes(
    before: "Bundle", after: "Bundle", dataset: "Dataset", lead: "pl.DataFrame", since: datetime
) -> dict[str, Any]:
    """Return what changed since then as JSON values."""
    from intentcast.scorecards import change_ledger
    from intentcast.tier_changes import as_json, explain_tier_change

    found: dict[str, Any] = {
        "since": since.isoformat().replace("+00:00", "Z"),
        "tier": as_json(explain_tier_change(before, after, dataset, lead, since=since)),
        "points": None,
    }
    if before.scorecard and after.scorecard:
        changed = change_ledger(
            before.scorecard,
            after.scorecard,
            dataset,
            lead["lead_id"][0],
            since=since,
            as_of=lead["as_of"][0],
        )
        found["points"] = {
            "score_before": float(changed.before.score),
            "score_after": float(changed.after.score),
            "tier_before": changed.before.tier,
            "tier_after": changed.after.tier,
            "lines": [
                {"cause": x.cause, "item": x.item, "points": float(x.points), "n": x.n}
                for x in changed.lines
            ],
        }
    return found


_CAUSES = {
    "time": "time passed",
    "attributes": "attributes",
    "events": "new events",
    "rules": "other rules",
    "caps": "other caps",
    "news": "what became known",
    "model": "another model",
    "threshold": "other thresholds",
}


def changes_in_words(found: dict[str, Any]) -> list[str]:
    """Return what changed as lines of at most 80 columns."""
    tier = found["tier"]
    lines = [
        f"Since {found['since'][:16].replace('T', ' ')} UTC: "
        f"{percent(tier['probability_before'])} to {percent(tier['probability_after'])}, "
        f"{tier['tier_before']} to {tier['tier_after']}"
    ]
    for step in tier["steps"]:
        new = step["tier_before"] != step["tier_after"]
        if step["moved"] or new:
            to = f", {step['tier_before']} to {step['tier_after']}" if new else ""
            lines.append(f"  {100 * step['moved']:+8.1f} %  {_CAUSES[step['cause']]}{to}")
    if points := found["points"]:
        lines.append(
            f"Points: {points['score_before']:g} to {points['score_after']:g}, "
            f"{points['tier_before']} to {points['tier_after']}"
        )
        for line in points["lines"]:
            lines.append(f"  {line['points']:>+8g}  {_CAUSES[line['cause']]}: {line['item']}")
    return lines


def in_words(found: dict[str, Any]) -> list[str]:
    """Return an answer as lines of at most 80 columns."""
    from intentcast.packet import packet_lines

    chances = "; ".join(
        f"{percent(p['probability'])} within {p['horizon_days']} days "
        f"({percent(p['low'])} to {percent(p['high'])})"
        for p in found["probabilities"]
    )
    head = (
        f"{found['lead_id']} as of {found['as_of'][:16].replace('T', ' ')} UTC is {found['tier']}, "
        f"stage {found['stage']}: {chances}."
    )
    lines = textwrap.wrap(head, 80)
    for reason in found["reasons"]:
        sign = "+" if reason["direction"] == "raises" else "−"
        lines.append(f"  {sign} {reason['text']} ({reason['contribution']:+.2f})")
    handoff = found["handoff"]
    lines.append(f"Hand-off to sales: {'ready' if handoff['ready'] else 'not yet'}")
    for criterion in handoff["criteria"]:
        met = "met" if criterion["met"] else "not met"
        asked = "" if criterion["needed"] else "; not asked here"
        lines.append(f"  {criterion['name']}: {met} ({criterion['detail']}{asked})")
    if packet := found["packet"]:
        lines += ["For sales:", *packet_lines(packet)]
    if rules := found["rules"]:
        lines.append(f"Points ({rules['scorecard']}): {rules['score']:g}, {rules['tier']}")
        lines += [f"  {line['points']:>8g}  {line['item']}" for line in rules["ledger"]]
    if changes := found.get("changes"):
        lines += changes_in_words(changes)
    lines += [f"Note: {warning}" for warning in found["warnings"]]
    return [part for line in lines for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    indent = " " * (4 + len(line) - len(line.lstrip()))
    return textwrap.wrap(line, 80, subsequent_indent=indent)
