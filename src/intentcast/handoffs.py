"""Which leads of a table are ready for sales: `judge_handoff` for many at once, without its words.

Every column is the same function of the same facts as for one lead; a test compares them.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import Sales
from intentcast.contracts import INSTANT
from intentcast.handoff import Criteria, HandoffSettings
from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset
from intentcast.tiers import TierPolicy

Flags = NDArray[np.bool_]
_ROW = "row"


def handoff_snapshots(
    settings: HandoffSettings,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    *,
    sales: Sales,
    probabilities: Floats,
    tiers: TierPolicy,
    core_shares: Floats | None,
    attribute_points: Floats | None,
) -> pl.DataFrame:
    """Judge each snapshot by what was known strictly before its as-of time.

    Args:
        settings: From `models/handoff.toml`.
        dataset: Its events and outcomes.
        snapshots: `lead_id`, `as_of`.
        sales: What sends a lead back, and for how long.
        probabilities: Calibrated, of the tiers' horizon, shape (n_snapshots,).
        tiers: Where hot begins.
        core_shares: Shares of attention on the core themes, or None: no focus criterion.
        attribute_points: From the points table, or None: no fit criterion.

    Returns:
        The same rows in the same order: `lead_id`, `as_of`; `opt_out`, `renurture`, `at_once`,
        `consistency`, `focus`, `intent` and `fit`, true where met, null where not asked for;
        `ready`; `route` (at once, criteria or null).
    """
    criteria, passive = settings.criteria, settings.passive_event_types
    rows = snapshots.select("lead_id", "as_of").with_row_index(_ROW)
    rows = rows.with_columns(_returned(dataset, rows, sales))
    human = dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
    asked = _requested(criteria, human, rows)
    least = tiers.hot if criteria.intent.at_least is None else criteria.intent.at_least
    met: dict[str, Flags | None] = {
        "opt_out": _contactable(criteria, dataset.events, rows) if criteria.opt_out.on else None,
        "renurture": _eligible(settings, human, rows, sales) if criteria.renurture.on else None,
        "at_once": asked if criteria.at_once.on else None,
        "consistency": _consistent(criteria, human, rows, passive)
        if criteria.consistency.on
        else None,
        "focus": core_shares >= criteria.focus.core_share
        if criteria.focus.on and core_shares is not None
        else None,
        "intent": probabilities >= least if criteria.intent.on else None,
        "fit": attribute_points >= criteria.fit.attribute_points
        if criteria.fit.on and attribute_points is not None
        else None,
    }
    gates = _all(met["opt_out"], met["renurture"], like=asked)
    own = [met[name] for name in ("consistency", "focus", "intent", "fit")]
    # With every criterion switched off nothing speaks for a lead.
    some = any(part is not None for part in own)
    by_criteria = _all(*own, like=asked) if some else np.zeros_like(asked)
    at_once = asked & _all(met["fit"] if criteria.at_once.needs_fit else None, like=asked)
    ready = gates & np.where(asked, at_once, by_criteria)
    way = pl.when(pl.Series(asked)).then(pl.lit("at once")).otherwise(pl.lit("criteria"))
    return rows.select(
        "lead_id",
        "as_of",
        *(
            pl.lit(None, dtype=pl.Boolean).alias(name)
            if part is None
            else pl.Series(name, part, dtype=pl.Boolean)
            for name, part in met.items()
        ),
        pl.Series("ready", ready, dtype=pl.Boolean),
        pl.when(pl.Series(ready)).then(way).alias("route"),
    )


def _all(*parts: Flags | None, like: Flags) -> Flags:
    met = np.ones(len(like), dtype=np.bool_)
    for part in parts:
        if part is not None:
            met &= part
    return met


def _flags(found: pl.Series, rows: pl.DataFrame) -> Flags:
    flags = np.zeros(len(rows), dtype=np.bool_)
    flags[found.to_numpy()] = True
    return flags


def _known(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return each row's own events that were known strictly before its as-of time."""
    wanted = events.select("lead_id", "known_at", "occurred_at", "event_type")
    return rows.join(wanted, on="lead_id").filter(pl.col("known_at") < pl.col("as_of"))


def _is(kinds: tuple[str, ...]) -> pl.Expr:
    return pl.col("event_type").is_in(list(kinds))


def _within(days: int) -> pl.Expr:
    return pl.col("occurred_at") >= pl.col("as_of") - timedelta(days=days)


def _latest(dataset: Dataset, rows: pl.DataFrame, kinds: tuple[str, ...]) -> pl.Series:
    """Return when the latest of some outcomes became known to each row; null: none had."""
    known = dataset.outcomes.filter(pl.col("outcome").is_in(list(kinds)))
    latest = (
        rows.select(_ROW, "lead_id", "as_of")
        .join(known.select("lead_id", "known_at"), on="lead_id")
        .filter(pl.col("known_at") < pl.col("as_of"))
        .group_by(_ROW)
        .agg(pl.col("known_at").max())
    )
    return rows.select(_ROW).join(latest, on=_ROW, how="left", maintain_order="left")["known_at"]


def _returned(dataset: Dataset, rows: pl.DataFrame, sales: Sales) -> list[pl.Series]:
    return [
        _latest(dataset, rows, sales.rejected).alias("returned"),
        _latest(dataset, rows, sales.accepted).alias("accepted"),
    ]


def _eligible(
    settings: HandoffSettings, human: pl.DataFrame, rows: pl.DataFrame, sales: Sales
) -> Flags:
    """Whether a row is not in re-nurture."""
    waiting = rows.filter(
        pl.col("returned").is_not_null(),
        ~(pl.col("accepted") > pl.col("returned")).fill_null(value=False),
        pl.col("as_of") < pl.col("returned") + timedelta(days=sales.renurture_days),
    )
    renurture = settings.criteria.renurture
    new = _known(human.filter(~_is(settings.passive_event_types)), waiting).filter(
        pl.col("occurred_at") > pl.col("returned")
    )
    shown = (
        new.group_by(_ROW)
        .agg(
            days=pl.col("occurred_at").dt.date().n_unique(),
            is_key=_is(renurture.key_event_types).any(),
        )
        .filter((pl.col("days") >= renurture.active_days) | pl.col("is_key"))
    )
    return ~_flags(waiting.join(shown, on=_ROW, how="anti")[_ROW], rows)


def _requested(criteria: Criteria, human: pl.DataFrame, rows: pl.DataFrame) -> Flags:
    settings = criteria.at_once
    if not settings.on:
        return np.zeros(len(rows), dtype=np.bool_)
    asked = _known(human.filter(_is(settings.event_types)), rows).filter(
        _within(settings.within_days),
        (pl.col("occurred_at") > pl.col("returned")).fill_null(value=True),
    )
    return _flags(asked[_ROW], rows)


def _contactable(criteria: Criteria, events: pl.DataFrame, rows: pl.DataFrame) -> Flags:
    settings = criteria.opt_out
    told = _known(events.filter(_is((*settings.event_types, *settings.revoked_by))), rows)
    latest = (
        told.with_columns(is_out=_is(settings.event_types))
        .sort(_ROW, "occurred_at", "is_out")
        .group_by(_ROW, maintain_order=True)
        .last()
    )
    return ~_flags(latest.filter("is_out")[_ROW], rows)


def _consistent(
    criteria: Criteria, human: pl.DataFrame, rows: pl.DataFrame, passive: tuple[str, ...]
) -> Flags:
    settings = criteria.consistency
    earliest = pl.lit(rows["as_of"].min(), dtype=INSTANT)  # null, so false, without any
    recent = pl.col("occurred_at") >= earliest - timedelta(days=settings.within_days)
    active = human.filter(~_is(passive), recent)
    days = (
        _known(active, rows)
        .filter(_within(settings.within_days))
        .group_by(_ROW)
        .agg(days=pl.col("occurred_at").dt.date().n_unique())
    )
    return _flags(days.filter(pl.col("days") >= settings.active_days)[_ROW], rows)
