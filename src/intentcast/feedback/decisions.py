"""What sales decided on each hand-off, with the instant before which a lead is to be scored."""

from datetime import datetime

import polars as pl

from intentcast.errors import RefusedError
from intentcast.sources import Dataset

NO_REASON = "no reason given"


def decisions(
    dataset: Dataset, *, since: datetime | None = None, until: datetime | None = None
) -> pl.DataFrame:
    """Return each acceptance and rejection as a snapshot at the instant it became known.

    What is known strictly before that instant does not hold the decision itself, so a lead scored
    there is scored as it stood when sales had it in hand. The data do not say when it was handed
    over: what sales and the lead did between the two is seen as well.

    Args:
        dataset: Its `sales.accepted` and `sales.rejected` name the outcomes.
        since: Decisions that became known before are left out.
        until: Those that became known at or after are left out.

    Returns:
        `lead_id`, `account_id`, `as_of`, `is_rejected`, `reason` (null where accepted); one row
        per lead and instant, sorted by both. A lead that became both accepted and rejected at one
        instant is left out there.

    Raises:
        RefusedError: If no acceptance or no rejection is left.
    """
    sales = dataset.config.sales
    told = dataset.outcomes.filter(
        pl.col("outcome").is_in([*sales.accepted, *sales.rejected]),
        pl.lit(value=True) if since is None else pl.col("known_at") >= since,
        pl.lit(value=True) if until is None else pl.col("known_at") < until,
    )
    is_rejected = pl.col("outcome").is_in(sales.rejected)
    reasons = pl.col("reason") if "reason" in told.columns else pl.lit(None, dtype=pl.String)
    found = (
        told.select(
            "lead_id",
            as_of="known_at",
            is_rejected=is_rejected,
            reason=pl.when(is_rejected).then(reasons.fill_null(NO_REASON)),
        )
        .sort("lead_id", "as_of", "is_rejected", "reason")
        .filter(pl.col("is_rejected").n_unique().over("lead_id", "as_of") == 1)
        .unique(["lead_id", "as_of"], keep="first", maintain_order=True)
        .join(
            dataset.leads.select("lead_id", "account_id", "created_at"),
            on="lead_id",
            maintain_order="left",
        )
        .filter(pl.col("created_at") < pl.col("as_of"))
        .select("lead_id", "account_id", "as_of", "is_rejected", "reason")
    )
    if found["is_rejected"].n_unique() < 2:
        raise _nothing_to_compare(dataset, found, since=since, until=until)
    return found


def count_reasons(reasons: pl.Series) -> pl.DataFrame:
    """Return how often each reason was given, the commonest first, then by name.

    Args:
        reasons: Called `reason`; null where there is none.

    Returns:
        `reason`, `count`.
    """
    counts = reasons.drop_nulls().value_counts()
    return counts.sort(["count", "reason"], descending=[True, False])


def _nothing_to_compare(
    dataset: Dataset, found: pl.DataFrame, *, since: datetime | None, until: datetime | None
) -> RefusedError:
    sales = dataset.config.sales
    n_rejected = int(found["is_rejected"].sum())
    there = (
        dataset.outcomes["outcome"]
        .value_counts(sort=True)
        .sort(["count", "outcome"], descending=[True, False])
    )
    listed = ", ".join(f"{name} ({n:,})" for name, n in there.head(8).iter_rows()) or "none"
    within = "".join(
        f" {word} {moment:%Y-%m-%d}"
        for word, moment in (("from", since), ("before", until))
        if moment
    )
    accepted, rejected = (
        ", ".join(names) or "no outcome named" for names in (sales.accepted, sales.rejected)
    )
    return RefusedError(
        f"{len(found) - n_rejected:,} acceptances ({accepted}) and "
        f"{n_rejected:,} rejections ({rejected})"
        f"{within} among the outcomes {listed}",
        expected="at least one of each, so that what sales took can be told from what it sent back",
        next_step="name the outcomes under [sales] accepted and rejected in dataset.toml"
        + (", or widen --since and --until" if within else ""),
    )
