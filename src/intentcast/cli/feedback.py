"""`intentcast feedback`."""

import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, open_bundle
from intentcast.cli.console import AsJson, DataFolder, instant, open_dataset, progress, show

if TYPE_CHECKING:
    import polars as pl

    from intentcast.bundle import Bundle
    from intentcast.sources import Dataset
    from intentcast.tiers import TierPolicy

NAME = "feedback"
HELP = (
    "What sales accepted and sent back, why, and what that suggests for thresholds and points.\n\n"
    "Scores each lead as it stood just before the decision became known; rates per tier and stage "
    "with 95 % intervals, reasons by rule and by theme. Nothing is applied. dataset.toml names the "
    "outcomes under [sales] accepted and rejected.\n\n"
    "Example: intentcast feedback data/sample --since 2025-01-01"
)


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Only decisions known from this instant on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Only decisions known before this instant.")
    ] = None,
    policy: PolicyFile = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the decisions, a .parquet or .csv file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Survey and print."""
    from intentcast.cli.tables import checked_suffix, write_frame
    from intentcast.feedback import decisions, feedback_lines, survey_feedback

    if out is not None:
        checked_suffix(out)
    with progress() as say:
        loaded, notes = open_bundle(bundle, policy)
        dataset = open_dataset(folder, say)
        first = instant(since, default=dataset.data_cutoff) if since else None
        last = instant(until, default=dataset.data_cutoff)
        decided = decisions(dataset, since=first, until=last)
        say(f"scoring {len(decided):,} decisions")
        judged = judge(loaded, dataset, decided, tiers=loaded.tiers)
        say("rules that each lead had met")
        hits = hits_of(loaded, dataset, decided)
        start = first or decided["as_of"].min()
        assert isinstance(start, datetime)
        found = survey_feedback(
            judged,
            hits,
            tiers=loaded.tiers,
            span=(start, min(last, dataset.data_cutoff)),
            learnt_before=datetime.fromisoformat(loaded.data_cutoff),
        )
        if out is not None:
            write_frame(judged, out)
    found = {
        "dataset": dataset.config.name,
        "model_version": loaded.version,
        "scorecard": loaded.scorecard.name if loaded.scorecard else None,
        "notes": notes,
        **found,
    }
    if as_json:
        show({**found, "out": str(out) if out else None})
        return
    print("\n".join(feedback_lines(found)))
    for note in notes:
        print(textwrap.fill(f"Note: {note}", 80))
    if out is not None:
        print(f"Wrote {out}")


def judge(
    bundle: "Bundle", dataset: "Dataset", decided: "pl.DataFrame", *, tiers: "TierPolicy"
) -> "pl.DataFrame":
    """Return the decisions with probability, tier, stage, theme, and whether the lead converted."""
    import polars as pl

    from intentcast.feedback import dominating_themes
    from intentcast.labels import label_snapshots
    from intentcast.scoring import predict
    from intentcast.stages import stage_snapshots

    features, predicted = predict(bundle, dataset, decided)
    p = predicted.at(bundle.primary_horizon_days)
    complete = bundle.featurizer.complete
    if complete is not bundle.featurizer:
        features = complete.transform(dataset, decided).doubles
    themes = dominating_themes(complete.spec, features)
    return decided.with_columns(
        pl.Series("probability", p),
        pl.Series("tier", tiers.tiers(p), dtype=pl.String),
        stage_snapshots(bundle.handoff.signals, dataset, decided),
        pl.Series("theme", themes, dtype=pl.String),
        label_snapshots(
            decided,
            dataset,
            horizon_days=bundle.primary_horizon_days,
            known_by=dataset.data_cutoff,
        ),
    )


def hits_of(bundle: "Bundle", dataset: "Dataset", decided: "pl.DataFrame") -> "pl.DataFrame":
    """Return the rules of the bundle's points table that each lead had met; none without one."""
    import polars as pl

    from intentcast.feedback import rule_hits

    if bundle.scorecard is None:
        return pl.DataFrame(schema={"row": pl.UInt32, "item": pl.String})
    return rule_hits(bundle.scorecard, dataset, decided)
