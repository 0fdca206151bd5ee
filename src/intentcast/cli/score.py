"""`intentcast score`."""

from pathlib import Path
from typing import Annotated

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, PreviousScores, open_bundle
from intentcast.cli.console import AsJson, AsOf, DataFolder, instant, open_dataset, progress, show

NAME = "score"
HELP = (
    "Score the cohort at one as-of time with a bundle; the server gives the same numbers.\n\n"
    "Writes one row per lead and horizon: probability with its 95 % interval, tier, stage.\n\n"
    "Example: intentcast score data/sample --as-of 2025-12-29 --out scores.parquet"
)


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A .parquet or .csv file to write.")
    ] = Path("scores.parquet"),
    policy: PolicyFile = None,
    previous: PreviousScores = None,
    as_json: AsJson = False,
) -> None:
    """Score and write."""
    import polars as pl

    from intentcast.cli.tables import checked_suffix, told_before, write_frame
    from intentcast.scoring import score, unseen_vocabulary
    from intentcast.snapshots import known_as_of, snapshots_at
    from intentcast.tiers import TIERS

    checked_suffix(out)
    with progress() as say:
        loaded, odd = open_bundle(bundle, policy)
        dataset = open_dataset(folder, say)
        moment = instant(as_of, default=dataset.data_cutoff)
        snapshots = snapshots_at(dataset, moment)
        say(f"scoring {len(snapshots):,} leads")
        told = told_before(previous, moment) if previous else None
        scores = score(loaded, dataset, snapshots, previous=told)
        write_frame(scores, out)
        seen = known_as_of(dataset.events, moment).filter(
            pl.col("lead_id").is_in(snapshots["lead_id"].implode())
        )
        warnings = odd + unseen_vocabulary(loaded, seen)
    tiers = dict(
        scores.unique(subset="lead_id", maintain_order=True)["tier"].value_counts().iter_rows()
    )
    if as_json:
        show(
            {
                "out": str(out),
                "as_of": moment.isoformat(),
                "n_leads": len(snapshots),
                "tiers": dict(sorted(tiers.items())),
                "model_version": loaded.version,
                "policy": str(policy) if policy else None,
                "warnings": warnings,
            }
        )
        return
    # Without a policy nobody is deprioritised, and nothing is said of it.
    shown = [tier for tier in reversed(TIERS) if tier != "deprioritised" or tier in tiers]
    counts = ", ".join(f"{tiers.get(tier, 0):,} {tier}" for tier in shown)
    print(f"{len(snapshots):,} leads as of {moment:%Y-%m-%d %H:%M} UTC: {counts}")
    for warning in warnings:
        print(f"Note: {warning}")
    print(f"Wrote {out} with bundle {loaded.name} {loaded.version}")
