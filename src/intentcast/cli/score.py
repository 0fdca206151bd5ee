"""`intentcast score`."""

from pathlib import Path
from typing import Annotated

import typer

from intentcast.cli.console import (
    AsJson,
    AsOf,
    BundleFolder,
    DataFolder,
    instant,
    newest_bundle,
    open_dataset,
    progress,
    show,
)

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
    as_json: AsJson = False,
) -> None:
    """Score and write."""
    import io

    import polars as pl

    from intentcast.errors import InputError
    from intentcast.files import write_atomic
    from intentcast.scoring import load_bundle, score, unseen_vocabulary
    from intentcast.snapshots import known_as_of, snapshots_at

    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out {out}", expected="a .parquet or .csv file", next_step="name it so")
    with progress() as say:
        loaded = load_bundle(newest_bundle(bundle))
        dataset = open_dataset(folder, say)
        moment = instant(as_of, default=dataset.data_cutoff)
        snapshots = snapshots_at(dataset, moment)
        say(f"scoring {len(snapshots):,} leads")
        scores = score(loaded, dataset, snapshots)
        buffer = io.BytesIO()
        if out.suffix == ".csv":
            scores.write_csv(buffer)
        else:
            scores.write_parquet(buffer, compression="zstd")
        write_atomic(out, buffer.getvalue())
        seen = known_as_of(dataset.events, moment).filter(
            pl.col("lead_id").is_in(snapshots["lead_id"].implode())
        )
        warnings = unseen_vocabulary(loaded, seen)
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
                "warnings": warnings,
            }
        )
        return
    counts = ", ".join(f"{tiers.get(tier, 0):,} {tier}" for tier in ("hot", "warm", "cold"))
    print(f"{len(snapshots):,} leads as of {moment:%Y-%m-%d %H:%M} UTC: {counts}")
    for warning in warnings:
        print(f"Note: {warning}")
    print(f"Wrote {out} with bundle {loaded.name} {loaded.version}")
