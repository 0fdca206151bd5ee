"""`intentcast accounts`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.bundles import BundleFolder, open_bundle
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

NAME = "accounts"
HELP = (
    "The chance that any lead of an account converts, for every account of the cohort.\n\n"
    "Leads of one account close together, so their chances are not multiplied as if they were "
    "strangers: how far they are is learnt by `train`. Leads without an account are left out.\n\n"
    "Example: intentcast accounts data/sample --as-of 2025-12-29 --out accounts.parquet"
)


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    top: Annotated[int, typer.Option(metavar="N", min=0, help="Accounts to print.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .parquet or .csv file of all accounts to write."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score accounts, print, write."""
    import polars as pl

    from intentcast.account_scores import of_accounts, score_accounts
    from intentcast.cli.tables import checked_suffix, write_frame
    from intentcast.snapshots import snapshots_at

    if out is not None:
        checked_suffix(out)
    with progress() as say:
        loaded, _ = open_bundle(bundle)
        dataset = open_dataset(folder, say)
        moment = instant(as_of, default=dataset.data_cutoff)
        cohort = snapshots_at(dataset, moment)
        named = of_accounts(cohort)
        say(f"scoring {named['account_id'].n_unique():,} accounts")
        scores = score_accounts(loaded, dataset, named)
        if out is not None:
            write_frame(scores, out)
    days = loaded.primary_horizon_days
    primary = scores.filter(pl.col("horizon_days") == days).sort(
        "probability", "account_id", descending=[True, False]
    )
    expected = float(primary["probability"].sum())
    n_alone = len(cohort) - len(named)
    if as_json:
        show(
            {
                "out": str(out) if out else None,
                "as_of": moment.isoformat(),
                "horizon_days": days,
                "n_accounts": len(primary),
                "n_leads": len(named),
                "n_without_account": n_alone,
                "expected": expected,
                "own_share": loaded.accounts.own_share if loaded.accounts else None,
                "accounts": primary.head(top).drop("as_of", "horizon_days").to_dicts(),
                "model_version": loaded.version,
            }
        )
        return
    print(f"{len(primary):,} accounts with {len(named):,} leads as of {moment:%Y-%m-%d %H:%M} UTC.")
    print(f"Within {days} days {expected:,.1f} of them are expected to convert.")
    print("\n".join(in_words(primary.head(top))))
    if n_alone:
        print(f"Left out: {n_alone:,} leads without an account.")
    if out is not None:
        print(f"Wrote {out} with bundle {loaded.name} {loaded.version}")


def in_words(rows: "pl.DataFrame") -> list[str]:
    """Return the accounts given, in at most 80 columns."""
    if rows.is_empty():
        return []
    head = f"  {'account':<24}{'chance':>8}{'leads':>7}  {'likeliest lead':<24}{'alone':>8}"
    return [head] + [
        f"  {row['account_id'][:23]:<24}{percent(row['probability']):>8}{row['n_leads']:>7}"
        f"  {row['top_lead_id'][:23]:<24}{percent(row['top_probability']):>8}"
        for row in rows.iter_rows(named=True)
    ]
