"""Accounts scored with a bundle: the probability that any of its leads converts."""

import polars as pl

from intentcast.account_view import account_probabilities
from intentcast.bundle import Bundle
from intentcast.contracts import AccountScores, validate
from intentcast.errors import BundleError
from intentcast.scoring import predict
from intentcast.sources import Dataset


def score_accounts(bundle: Bundle, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return `contracts.AccountScores`: one row per account, as-of time and horizon, sorted.

    What converts is any of the leads given here: those of the cohort, if the snapshots are the
    cohort's. A colleague who is not in it, or arrives later, is not spoken of.

    Args:
        bundle: From `scoring.load_bundle`.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`; see `of_accounts` for leads that have none.

    Raises:
        BundleError: If the bundle is from before the account view.
    """
    if bundle.accounts is None:
        raise BundleError(
            f"{bundle.name} {bundle.version} says nothing of accounts",
            expected="a bundle with accounts.json",
            next_step="train again with this version",
        )
    _, predicted = predict(bundle, dataset, snapshots)
    cells = snapshots.select(
        "account_id", "as_of", "lead_id", cell=pl.struct("account_id", "as_of").rank("dense") - 1
    )
    of_cell = cells["cell"].to_numpy().astype("int64")
    p = predicted.probabilities
    found = account_probabilities(p, of_cell, bundle.accounts) if len(cells) else p
    parts = []
    for column, days in enumerate(predicted.horizons_days):
        # The likeliest lead; of equals the first by name.
        leads = cells.with_columns(p=pl.Series(p[:, column])).sort(
            "cell", "p", "lead_id", descending=[False, True, False]
        )
        top = leads.group_by("cell", maintain_order=True).agg(
            pl.first("account_id", "as_of"),
            n_leads=pl.len().cast(pl.Int32),
            top_lead_id=pl.first("lead_id"),
            top_probability=pl.first("p"),
        )
        parts.append(
            top.with_columns(
                horizon_days=pl.lit(days, dtype=pl.Int32),
                probability=pl.Series(found[:, column]),
                model_version=pl.lit(bundle.version),
            )
        )
    ordered = pl.concat(parts).sort("account_id", "as_of", "horizon_days")
    return validate(ordered.select(AccountScores.column_names()), AccountScores)


def of_accounts(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return the snapshots of leads that name an account; tables call any other `lead:<lead>`."""
    alone = pl.concat_str(pl.lit("lead:"), pl.col("lead_id"))
    return snapshots.filter(pl.col("account_id") != alone)
