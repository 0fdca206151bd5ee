"""What of a lead's history still counts: silences, and what they made the team forget.

Worked example (its dates are a test), with `reset_days = 90`: a lead is active on 1 January and
then on 10 May. On 1 April, after 90 days, its behaviour was reset: from then on it has no points,
and the activity on 10 May starts a second epoch from 0. A view of 20 December that becomes known
only on 11 May happened before the silence, so it is forgotten as well.
"""

from datetime import timedelta

import polars as pl

from intentcast.contracts import INSTANT
from intentcast.sources import Dataset

EPOCH = pl.UInt32
OF_LEAD = "lead_id"
OF_EPOCH = ("lead_id", "epoch")


def known_history(
    dataset: Dataset,
    snapshots: pl.DataFrame,
    *,
    inactive: tuple[str, ...],
    reset_days: int | None,
) -> pl.DataFrame:
    """Return what the leads in the snapshots, and their colleagues, did before the last as-of time.

    An epoch ends when `reset_days` passed without activity, as seen at that time: the next event
    becomes known at least `reset_days` after the latest activity known until then. Within events
    that become known together, the times at which they occurred decide.

    Args:
        dataset: Its events; those of machines are left out.
        snapshots: `lead_id`, `as_of`, `account_id`.
        inactive: Event types that do not end a silence.
        reset_days: Days of silence that end an epoch; None: there is one epoch.

    Returns:
        Sorted by lead and `known_at`: `lead_id`, `account_id`, `known_at`, `occurred_at`,
        `event_type`, `content`, `channel`; `epoch` (0, 1, …, within the lead); `last_activity`
        (occurrence of the latest activity known by then, this event included); `is_forgotten`
        (happened before the silence that began its epoch).
    """
    accounts = snapshots.select("account_id").unique()
    people = dataset.leads.select("lead_id", "account_id").join(
        accounts, on="account_id", how="semi"
    )
    is_person = ~pl.col("is_machine").fill_null(value=False)
    is_active = ~pl.col("event_type").is_in(inactive)
    latest = pl.lit(snapshots["as_of"].max(), dtype=INSTANT)  # null, so false, without any
    events = (
        dataset.events.filter(is_person, pl.col("known_at") < latest)
        .select("lead_id", "known_at", "occurred_at", "event_type", "content", "channel")
        .join(people, on="lead_id")
        # Activity first among what became known together: it alone says whether a silence ended.
        .sort("lead_id", "known_at", ~is_active, "occurred_at")
    )
    activity = pl.when(is_active).then("occurred_at").cum_max().forward_fill().over(OF_LEAD)
    events = events.with_columns(last_activity=activity)
    if reset_days is None:
        return events.with_columns(epoch=pl.lit(0, dtype=EPOCH), is_forgotten=pl.lit(value=False))
    reset = timedelta(days=reset_days)
    is_news = (pl.col("known_at") != pl.col("known_at").shift(1).over(OF_LEAD)).fill_null(
        value=True
    )
    waited = pl.when(is_news).then("known_at").otherwise("occurred_at")
    return (
        events.with_columns(before=pl.col("last_activity").shift(1).over(OF_LEAD))
        .with_columns(
            begins=(is_active & (waited - pl.col("before") >= reset)).fill_null(value=False)
        )
        .with_columns(epoch=pl.col("begins").cum_sum().over(OF_LEAD).cast(EPOCH))
        .with_columns(silent_since=pl.when("begins").then("before").forward_fill().over(OF_LEAD))
        .with_columns(
            is_forgotten=(pl.col("occurred_at") <= pl.col("silent_since")).fill_null(value=False)
        )
        .drop("before", "begins", "silent_since")
    )
