"""`intentcast explain`."""

from typing import Annotated, Any

import typer

from intentcast.cli.console import (
    AsJson,
    AsOf,
    BundleFolder,
    DataFolder,
    instant,
    newest_bundle,
    open_dataset,
    percent,
    progress,
    show,
)

NAME = "explain"
HELP = (
    "One lead in words: probabilities, what raises and lowers them, and the points ledger.\n\n"
    "Example: intentcast explain data/sample --lead L0003055 --as-of 2025-12-29"
)


def run(
    folder: DataFolder,
    lead: Annotated[str, typer.Option(metavar="ID", help="The lead's id.")],
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Explain and print."""
    import polars as pl

    from intentcast.errors import InputError
    from intentcast.scoring import answer, load_bundle

    with progress() as say:
        loaded = load_bundle(newest_bundle(bundle))
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
    if as_json:
        show(found)
    else:
        print("\n".join(in_words(found)))


def in_words(found: dict[str, Any]) -> list[str]:
    """Return an answer as lines of at most 80 columns."""
    import textwrap

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
        met = "yes" if criterion["met"] else "no"
        lines.append(f"  {criterion['name']}: {met} ({criterion['detail']})")
    if rules := found["rules"]:
        lines.append(f"Points ({rules['scorecard']}): {rules['score']:g}, {rules['tier']}")
        lines += [f"  {line['points']:>8g}  {line['item']}" for line in rules["ledger"]]
    lines += [f"Note: {warning}" for warning in found["warnings"]]
    return lines
