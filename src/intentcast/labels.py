"""Did the lead convert within the horizon: the only module that looks forward.

Worked example (its dates are a test): as of 2024-03-04, horizon 30 days, the window is
[2024-03-04, 2024-04-03). A conversion at exactly 2024-03-04T00:00 counts, one at
2024-04-03T00:00 does not. With a data cut-off of 2024-04-02 the label is null; with
2024-04-03 it is true or false.
"""

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
    conversion = dataset.config.conversion
    conversions = (
        dataset.outcomes.filter(
            pl.col("outcome").is_in(conversion.outcomes) & (pl.col("known_at") < known_by)
        )
        .select("lead_id", converted_at="occurred_at")
        .sort("converted_at", "lead_id")
    )
    horizon = timedelta(days=horizon_days)
    # The first conversion at or after each as-of time decides; later ones cannot be sooner.
    nearest = (
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
    ends = pl.col("as_of") + horizon
    delay = timedelta(hours=dataset.config.source_delay_hours.outcomes)
    is_judged = ends + delay <= known_by
    converted = pl.col("converted_at").is_not_null() & (pl.col("converted_at") < ends)
    return nearest.select(
        pl.when(is_judged).then(converted.fill_null(value=False)).alias("converted")
    )["converted"]


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
