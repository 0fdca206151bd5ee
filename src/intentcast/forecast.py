"""When does a hot or warm lead drop a tier if it, and its account, stay silent?

The answer comes from scoring itself: the same features and model at T + 1 day, T + 2 days, … with
nothing known but what was known strictly before T. A probability need not fall steadily with
silence (a feature such as "days since" can help before it hurts), so the date is that of the first
day on which the tier is lower, and no day before it is skipped; the lead may rise again later.

`forecast` gives a table: `lead_id`, `as_of` (T), `tier` (at T), `probability` (at T), `drops_on`
(as-of time at which the tier is first lower; null if not within the limit), `drops_to`,
`days_left`, `rules_tier` (of the points table at T; null without one), `rules_drops_on` (likewise;
null also where the points table has the lead below warm already), `rules_days_left`, `limit_days`,
`model_version`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.bundle import Bundle
from intentcast.contracts import INSTANT
from intentcast.propensity.margins import Floats
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.scoring import predict_primary, told_tiers
from intentcast.snapshots import known_dataset, snapshots_at
from intentcast.sources import Dataset
from intentcast.tiers import TIERS, TierPolicy

RANKS: dict[str, int] = {"out": -1} | {tier: rank for rank, tier in enumerate(TIERS)}
_FIRST_BLOCK = 7
_MOST_ROWS = 20_000
_NEVER = 2**31 - 1  # days

Ints = NDArray[np.int64]
# From snapshots to the rank of each one's tier, given the rank that it has now.
Ranker = Callable[[pl.DataFrame, Ints], Ints]


def of_accounts(dataset: Dataset, snapshots: pl.DataFrame) -> Dataset:
    """Return the data set with the accounts of some snapshots only: no score looks at others."""
    accounts = snapshots["account_id"].unique().implode()
    leads = dataset.leads.filter(pl.col("account_id").is_in(accounts))
    people = leads["lead_id"].implode()
    return replace(
        dataset,
        leads=leads,
        events=dataset.events.filter(pl.col("lead_id").is_in(people)),
        outcomes=dataset.outcomes.filter(pl.col("lead_id").is_in(people)),
    )


def forecast(
    bundle: Bundle,
    dataset: Dataset,
    as_of: datetime,
    *,
    policy: TierPolicy | None = None,
    previous: pl.DataFrame | None = None,
    limit_days: int = 180,
) -> pl.DataFrame:
    """Return when each hot or warm lead of the cohort drops a tier in silence.

    Args:
        bundle: From `load_bundle`.
        dataset: What became known at or after `as_of` is not used.
        as_of: T.
        policy: Thresholds instead of the bundle's. Where it has leave thresholds, a lead drops
            only below those.
        previous: `lead_id` and `tier` as told last: a lead that was hot and is still above the
            leave threshold is hot. Without it every lead's tier is that at which tiers begin.
        limit_days: Days that are looked ahead.

    Returns:
        The table of the module's description, hot before warm, soonest first.

    Raises:
        RefusedError: If nobody is in the cohort.
    """
    policy = policy or bundle.tiers
    past = known_dataset(dataset, as_of)
    everyone = snapshots_at(past, as_of)
    probabilities = _probabilities(bundle, past, everyone)
    now = _ranks(policy.tiers(probabilities, told_tiers(previous, everyone)))
    above = now > RANKS["cold"]
    rows, now, probabilities = everyone.filter(above), now[above], probabilities[above]
    past = of_accounts(past, rows)

    def by_model(snapshots: pl.DataFrame, ranks: Ints) -> Ints:
        found = _probabilities(bundle, past, snapshots)
        return _ranks(policy.tiers(found, previous=_names(ranks).to_list()))

    days, to = first_lower(rows, now, by_model, limit_days=limit_days)
    found = rows.select("lead_id", "as_of").with_columns(
        *_dated(as_of, days),
        _names(now).alias("tier"),
        pl.Series("probability", probabilities, dtype=pl.Float64),
        pl.select(pl.when(pl.Series(days) > 0).then(_names(to))).to_series().alias("drops_to"),
    )
    found = found.hstack(_by_rules(bundle.scorecard, past, rows, as_of, limit_days))
    return (
        found.with_columns(
            pl.lit(limit_days, dtype=pl.Int32).alias("limit_days"),
            pl.lit(bundle.version).alias("model_version"),
            pl.Series("rank", now),
        )
        .sort("rank", "days_left", "lead_id", descending=[True, False, False], nulls_last=True)
        .select(
            "lead_id", "as_of", "tier", "probability", "drops_on", "drops_to", "days_left",
            "rules_tier", "rules_drops_on", "rules_days_left", "limit_days", "model_version",
        )
    )  # fmt: skip


def first_lower(
    rows: pl.DataFrame, now: Ints, ranker: Ranker, *, limit_days: int
) -> tuple[Ints, Ints]:
    """Return the first day on which each row's tier is lower than now, and the tier it has then.

    Days are tried in blocks that double in length, all leads of a block at once; a lead that has
    dropped is not tried again. So every day before the drop is looked at, and leads that drop soon
    cost little.

    Args:
        rows: `lead_id`, `as_of`, `account_id`; the days are counted from `as_of`.
        now: Rank of each row's tier, shape (n,).
        ranker: Ranks at later as-of times.
        limit_days: The last day that is tried.

    Returns:
        Days from 1, 0 where the tier is not lower within the limit; and ranks, shape (n,).
    """
    days, to = np.zeros(len(rows), dtype=np.int64), now.copy()
    start, stop = 1, min(_FIRST_BLOCK, limit_days)
    while start <= stop:
        tried = np.arange(start, stop + 1)
        left = np.flatnonzero(days == 0)
        at_once = max(1, _MOST_ROWS // len(tried))
        for first in range(0, len(left), at_once):
            some = left[first : first + at_once]
            later = rows[np.repeat(some, len(tried))].with_columns(
                pl.col("as_of") + pl.duration(days=pl.lit(pl.Series(np.tile(tried, len(some)))))
            )
            ranks = ranker(later, np.repeat(now[some], len(tried))).reshape(len(some), len(tried))
            lower = ranks < now[some][:, None]
            place = np.argmax(lower, axis=1)
            drops = lower.any(axis=1)
            days[some[drops]] = tried[place[drops]]
            to[some[drops]] = ranks[drops, place[drops]]
        start, stop = stop + 1, min(2 * stop, limit_days)
    return days, to


def _probabilities(bundle: Bundle, dataset: Dataset, snapshots: pl.DataFrame) -> Floats:
    if snapshots.is_empty():
        return np.empty(0)
    return predict_primary(bundle, dataset, snapshots)


def _ranks(tiers: Sequence[str]) -> Ints:
    return np.array([RANKS[tier] for tier in tiers], dtype=np.int64)


def _names(ranks: Ints) -> pl.Series:
    names = {rank: name for name, rank in RANKS.items()}
    return pl.Series(ranks, dtype=pl.Int64).replace_strict(names, return_dtype=pl.String)


def _dated(as_of: datetime, days: Ints, *, prefix: str = "") -> pl.DataFrame:
    """Return dates and days left, null where there are none."""
    left = pl.select(pl.when(pl.Series(days) > 0).then(pl.Series(days)).cast(pl.Int32)).to_series()
    on = pl.lit(as_of, dtype=INSTANT) + pl.duration(days=pl.lit(left))
    return pl.select(on.alias(f"{prefix}drops_on"), left.alias(f"{prefix}days_left"))


def _by_rules(
    card: Scorecard | None, past: Dataset, rows: pl.DataFrame, as_of: datetime, limit_days: int
) -> pl.DataFrame:
    """Return the points table's tier at T, and when it drops, of the same leads."""
    if card is None or rows.is_empty():
        nothing = np.zeros(len(rows), dtype=np.int64)
        tiers = pl.Series("rules_tier", [None] * len(rows), dtype=pl.String)
        return _dated(as_of, nothing, prefix="rules_").insert_column(0, tiers)

    def ranks_at(snapshots: pl.DataFrame) -> Ints:
        tiers = score_snapshots(card, past, snapshots)["tier"]
        return tiers.replace_strict(RANKS, return_dtype=pl.Int64).to_numpy()

    now = ranks_at(rows)
    above = now > RANKS["cold"]
    days = np.zeros(len(rows), dtype=np.int64)
    days[above], _ = first_lower(
        rows.filter(above), now[above], lambda later, _: ranks_at(later), limit_days=limit_days
    )
    return _dated(as_of, days, prefix="rules_").insert_column(0, _names(now).alias("rules_tier"))


def drop_counts(found: pl.DataFrame, limits: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Return, per tier, how many leads there are and how many drop within each number of days."""
    counts: dict[str, dict[str, Any]] = {}
    for tier in ("hot", "warm"):
        of_tier = found.filter(pl.col("tier") == tier)
        by_rules = of_tier.filter(pl.col("rules_tier").is_in(["hot", "warm"]))
        left = of_tier["days_left"]
        # Where only the points table drops a lead within the limit, it does so sooner.
        model_left = by_rules["days_left"].fill_null(_NEVER)
        counts[tier] = {
            "n_leads": len(of_tier),
            "within_days": {str(limit): int((left <= limit).sum()) for limit in limits},
            "not_within_limit": int(left.null_count()),
            "median_days_left": left.median(),
            "also_by_rules": len(by_rules),
            "rules_drop_sooner": int((by_rules["rules_days_left"] < model_left).sum()),
        }
    return counts
