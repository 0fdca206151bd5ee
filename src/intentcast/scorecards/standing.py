"""Where each lead stands at an as-of time: the one computation behind scores and ledgers.

All points here are Int64 thousandths. A running total of awards per lead is joined to each
snapshot by time: the latest row known strictly before the as-of time.
"""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from intentcast.scorecards.awards import behaviour_awards
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.fit import attribute_points
from intentcast.scorecards.history import OF_EPOCH, OF_LEAD, known_history
from intentcast.scorecards.points import scaled, to_thousandths
from intentcast.sources import Dataset


@dataclass(frozen=True)
class Standings:
    """Where leads stand, and the awards that brought them there.

    Attributes:
        rows: One row per snapshot, in their order: its columns; from `attribute_points` the bands,
            axes, `attributes_raw` and `attributes`; `epoch` and `last_activity` (null without
            any event); `behaviours_raw` (sum of awards), `behaviours_capped`, `behaviours` (after
            decay); `total_raw`, `total`; `tier`.
        awards: From `behaviour_awards`.
    """

    rows: pl.DataFrame
    awards: pl.DataFrame


def stand(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> Standings:
    """Compute where each lead stands at its as-of time."""
    reset_days = card.decay.forgets_after_days
    history = known_history(dataset, snapshots, inactive=card.opt_out, reset_days=reset_days)
    awards = behaviour_awards(card, history)
    rows = attribute_points(card, dataset, snapshots.select("lead_id", "as_of", "account_id"))
    # Every join keeps the order of the snapshots.
    rows = rows.join(_opted_out_at(card, history), on="lead_id", how="left", maintain_order="left")
    rows = _joined_before(rows, _running_totals(card, history, awards))
    return Standings(_classed(card, _totalled(card, rows)), awards)


def _opted_out_at(card: Scorecard, history: pl.DataFrame) -> pl.DataFrame:
    opted_out = history.filter(pl.col("event_type").is_in(card.opt_out))
    return opted_out.group_by("lead_id").agg(opted_out_at=pl.col("known_at").min())


def _running_totals(card: Scorecard, history: pl.DataFrame, awards: pl.DataFrame) -> pl.DataFrame:
    """Points, latest activity and immediate events after each change, sorted by lead and time."""
    is_immediate = pl.col("event_type").is_in(card.immediate) & ~pl.col("is_forgotten")
    done = history.select(
        *OF_EPOCH,
        "known_at",
        "last_activity",
        thousandths=pl.lit(0, dtype=pl.Int64),
        n_immediate=is_immediate.cast(pl.UInt32),
    )
    earned = awards.select(*OF_EPOCH, "known_at", "thousandths")
    return (
        pl.concat([done, earned], how="diagonal")
        .sort("lead_id", "known_at", "epoch")
        # A colleague may complete an award of an epoch that is over: it comes too late.
        .filter(pl.col("epoch") >= pl.col("epoch").cum_max().over(OF_LEAD))
        .with_columns(
            behaviours_raw=pl.col("thousandths").cum_sum().over(OF_EPOCH),
            n_immediate=pl.col("n_immediate").fill_null(0).cum_sum().over(OF_EPOCH),
            last_activity=pl.col("last_activity").cum_max().forward_fill().over(OF_LEAD),
        )
        .drop("thousandths")
    )


def _joined_before(rows: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """Give each snapshot the latest total known strictly before its as-of time."""
    return (
        rows.with_row_index("position")
        .sort("as_of")
        .join_asof(
            totals.sort("known_at", maintain_order=True),
            left_on="as_of",
            right_on="known_at",
            by="lead_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,  # both are sorted just above
        )
        .sort("position")
        .drop("position", "known_at")
    )


def _totalled(card: Scorecard, rows: pl.DataFrame) -> pl.DataFrame:
    factor = card.decay.factor(pl.col("as_of") - pl.col("last_activity"))
    return (
        rows.with_columns(pl.col("behaviours_raw").fill_null(0), factor=factor)
        .with_columns(behaviours_capped=_up_to(card.behaviours_cap, "behaviours_raw"))
        .with_columns(behaviours=scaled(pl.col("behaviours_capped"), pl.col("factor")))
        .with_columns(total_raw=pl.col("attributes") + pl.col("behaviours"))
        .with_columns(total=_up_to(card.total_cap, "total_raw"))
    )


def _up_to(cap: Decimal | None, column: str) -> pl.Expr:
    points = pl.col(column)
    return points if cap is None else points.clip(upper_bound=to_thousandths(cap))


def _classed(card: Scorecard, rows: pl.DataFrame) -> pl.DataFrame:
    classes = card.classes
    fits = pl.col("attributes") >= to_thousandths(classes.hot_needs_attributes)
    is_hot = (pl.col("total") >= to_thousandths(classes.hot)) & fits
    is_urgent = (pl.col("n_immediate").fill_null(0) > 0) & (pl.col("factor") > 0)
    has_left = (pl.col("opted_out_at") < pl.col("as_of")).fill_null(value=False)
    tier: pl.Expr = pl.lit("cold")
    if classes.warm is not None:
        is_warm = pl.col("total") >= to_thousandths(classes.warm)
        tier = pl.when(is_warm).then(pl.lit("warm")).otherwise(tier)
    tier = pl.when(is_hot | is_urgent).then(pl.lit("hot")).otherwise(tier)
    return rows.with_columns(tier=pl.when(has_left).then(pl.lit("out")).otherwise(tier))
