"""Did the lead convert within the horizon: the only module that looks forward.

Worked example (its dates are a test): as of 2024-03-04, horizon 30 days, the window is
[2024-03-04, 2024-04-03). A conversion at exactly 2024-03-04T00:00 counts, one at
2024-04-03T00:00 does not. With a data cut-off of 2024-04-02 the label is null; with
2024-04-03 it is true or false.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from intentcast.sources import Dataset


def label_snapshots(
    snapshots: pl.DataFrame, dataset: Dataset, *, horizon_days: int, known_by: datetime
) -> pl.Series:
    """Return whether each snapshot's lead converted in `[as_of, as_of + horizon)`.

    Args:
        snapshots: `lead_id` and `as_of`.
        dataset: Its `conversion` says which outcomes count.
        horizon_days: Length of the half-open window, in days of 24 hours.
        known_by: What became known at or after this instant is not used. No default: a training
            label that forgets it has seen the future.

    Returns:
        Boolean, shape (n_snapshots,), in their order. A lead that did nothing is false. Null, never
        false, where `as_of + horizon` plus the outcomes' configured delay is after `known_by`:
        immature.
    """
    nearest = _first_conversions(snapshots, dataset, known_by=known_by)
    ends = pl.col("as_of") + timedelta(days=horizon_days)
    delay = timedelta(hours=dataset.config.source_delay_hours.outcomes)
    is_judged = ends + delay <= known_by
    converted = pl.col("converted_at").is_not_null() & (pl.col("converted_at") < ends)
    return nearest.select(
        pl.when(is_judged).then(converted.fill_null(value=False)).alias("converted")
    )["converted"]


def label_periods(
    snapshots: pl.DataFrame, dataset: Dataset, *, edges_days: Sequence[int], known_by: datetime
) -> pl.DataFrame:
    """Return for each snapshot how far it could be followed, and where it first converted.

    Interval k of a snapshot is `[as_of + edges_days[k], as_of + edges_days[k + 1])`. It is over
    where its end plus the outcomes' configured delay is not after `known_by`, the rule by which a
    label with that end as its horizon is known.

    Args:
        snapshots: `lead_id` and `as_of`.
        dataset: Its `conversion` says which outcomes count.
        edges_days: Rising, from 0, in days of 24 hours.
        known_by: What became known at or after this instant is not used.

    Returns:
        `n_over` (how many intervals are over) and `converted_in` (the interval of the first
        conversion; the number of intervals where there is none in one that is over), in the order
        of the snapshots. A closing outcome ends nothing: who is lost did not convert.
    """
    nearest = _first_conversions(snapshots, dataset, known_by=known_by)
    delay = timedelta(hours=dataset.config.source_delay_hours.outcomes)
    ends = [pl.col("as_of") + timedelta(days=days) for days in edges_days[1:]]
    over = pl.sum_horizontal((end + delay <= known_by).cast(pl.Int64) for end in ends)
    # The interval is as many as end at or before the conversion.
    passed = pl.sum_horizontal((end <= pl.col("converted_at")).cast(pl.Int64) for end in ends)
    found = nearest.select(n_over=over, passed=passed, has=pl.col("converted_at").is_not_null())
    is_seen = pl.col("has") & (pl.col("passed") < pl.col("n_over"))
    return found.select(
        "n_over",
        converted_in=pl.when(is_seen).then("passed").otherwise(len(edges_days) - 1),
    )


def _first_conversions(
    snapshots: pl.DataFrame, dataset: Dataset, *, known_by: datetime
) -> pl.DataFrame:
    """Return `as_of` and `converted_at`: the first conversion at or after it, of those known."""
    conversions = (
        dataset.outcomes.filter(
            pl.col("outcome").is_in(dataset.config.conversion.outcomes)
            & (pl.col("known_at") < known_by)
        )
        .select("lead_id", converted_at="occurred_at")
        .sort("converted_at", "lead_id")
    )
    # The first conversion at or after each as-of time decides; later ones cannot be sooner.
    return (
        snapshots.select("lead_id", "as_of")
        .with_row_index("position")
        .sort("as_of")
        .join_asof(
            conversions,
            left_on="as_of",
            right_on="converted_at",
            by="lead_id",
            strategy="forward",
            check_sortedness=False,
        )
        .sort("position")
    )


def matured(
    times: Sequence[datetime],
    dataset: Dataset,
    *,
    known_by: datetime,
    horizon_days: int | None = None,
) -> list[datetime]:
    """Return the as-of times whose horizon is over, and recorded, by `known_by`.

    Args:
        times: As-of times.
        dataset: Its outcomes' configured delay counts.
        known_by: The rule of `label_snapshots`: at such a time no label is null.
        horizon_days: Without it the primary one.
    """
    if horizon_days is None:
        horizon_days = dataset.config.conversion.primary_horizon_days
    days = timedelta(days=horizon_days)
    delay = timedelta(hours=dataset.config.source_delay_hours.outcomes)
    return [t for t in times if t + days + delay <= known_by]


def was_at_risk(snapshots: pl.DataFrame, dataset: Dataset, *, known_by: datetime) -> pl.Series:
    """Return whether each snapshot's lead could still convert, by what is known before `known_by`.

    A lead whose conversion was recorded late was in the cohort although it had converted already.
    Its label is false, but to learn from it would be to learn that the hottest leads do not buy.

    Returns:
        Boolean, shape (n_snapshots,), in their order; true throughout where conversions recur.
    """
    conversion = dataset.config.conversion
    first = (
        dataset.outcomes.filter(
            pl.col("outcome").is_in(conversion.outcomes) & (pl.col("known_at") < known_by)
        )
        .group_by("lead_id")
        .agg(pl.col("occurred_at").min().alias("first"))
    )
    joined = snapshots.join(first, on="lead_id", how="left", maintain_order="left")
    at_risk = (pl.col("first") >= pl.col("as_of")).fill_null(value=True)
    return joined.select((at_risk | conversion.recurring).alias("at_risk"))["at_risk"]
