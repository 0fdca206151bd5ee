"""How good the probabilities turned out, of those whose horizon is over.

An outcome is looked for in `[as_of, as_of + horizon)` from the very instant of scoring. Labels are
made anew in every run from all that is recorded by then, so a conversion recorded late turns an
earlier non-conversion over. Every version and horizon is judged by itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.evaluation.capacity import handed_over, precision_at_capacity
from intentcast.evaluation.metrics import (
    CalibrationBin,
    auc,
    brier,
    brier_skill,
    log_loss,
    reliability,
)
from intentcast.gate.checks import CalibrationLimits, calibration_limits, clustered_mean
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.monitoring.delays import Delays
from intentcast.propensity.margins import Floats
from intentcast.snapshots import account_numbers, lead_numbers
from intentcast.sources import Dataset
from intentcast.tiers import TIERS

_Z95 = 1.959963984540054
_FEWEST_ROWS = 2


@dataclass(frozen=True)
class Judged:
    """Scores of one version and horizon whose outcome is known.

    Attributes:
        rows: `lead_id`, `account_id`, `as_of`, `probability`, `tier`, `converted`, `at_risk`.
        version: Of the bundle that told them.
        horizon_days: Of the probability.
    """

    rows: pl.DataFrame
    version: str
    horizon_days: int


@dataclass(frozen=True)
class TierFound:
    """What became of one tier.

    Attributes:
        tier: Its name.
        n: Scores.
        expected: Conversions by the probabilities.
        observed: Conversions.
        low: 95 % interval of the share that converted, by account.
        high: Its upper end.
    """

    tier: str
    n: int
    expected: float
    observed: int
    low: float
    high: float


@dataclass(frozen=True)
class TimeFound:
    """What became of one as-of time.

    Attributes:
        as_of: The as-of time.
        n: Scores.
        expected: Conversions by the probabilities.
        observed: Conversions.
    """

    as_of: datetime
    n: int
    expected: float
    observed: int


@dataclass(frozen=True)
class Quality:
    """Realized quality of one version at one horizon.

    Attributes:
        version: Of the bundle.
        horizon_days: Of the probability.
        first: First as-of time that is over.
        last: Its last.
        n: Scores judged: of leads that could still convert.
        n_leads: Different leads.
        n_accounts: Different accounts.
        n_converted_before: Scores left out: the lead had converted, which was recorded later.
        log_loss: Of the probabilities.
        log_loss_base: Of one probability for all, the share that converted.
        brier: Likewise.
        brier_skill: Against one probability for all.
        skill_low: Its 95 % interval by account.
        skill_high: Upper end.
        auc: Of the ranking.
        limits: Slope and level, with the conversions not recorded yet allowed for; None without
            both outcomes.
        unrecorded: Expected share of conversions not recorded yet.
        precision: Share of converters among leads handed over at capacity; NaN without any.
        lift: Precision over the share of all.
        lift_low: 95 % interval by account.
        lift_high: Upper end.
        handoffs: How many were handed over.
        tiers: Per tier; the primary horizon only.
        times: Per as-of time.
        reliability: Bins of similar probability.
    """

    version: str
    horizon_days: int
    first: datetime
    last: datetime
    n: int
    n_leads: int
    n_accounts: int
    n_converted_before: int
    log_loss: float
    log_loss_base: float
    brier: float
    brier_skill: float
    skill_low: float
    skill_high: float
    auc: float
    limits: CalibrationLimits | None
    unrecorded: float
    precision: float
    lift: float
    lift_low: float
    lift_high: float
    handoffs: float
    tiers: tuple[TierFound, ...]
    times: tuple[TimeFound, ...]
    reliability: tuple[CalibrationBin, ...]


def judged_rows(rows: pl.DataFrame, dataset: Dataset, *, as_of: datetime) -> list[Judged]:
    """Return the scores whose horizon is over, with their outcome, per version and horizon.

    Args:
        rows: Of `scored.Told`.
        dataset: Cut at `as_of`.
        as_of: The instant of monitoring.
    """
    found = []
    for (version, days), part in sorted(
        rows.partition_by("model_version", "horizon_days", as_dict=True).items()
    ):
        label = label_snapshots(part, dataset, horizon_days=days, known_by=as_of)
        part = part.with_columns(label, was_at_risk(part, dataset, known_by=as_of)).filter(
            pl.col("converted").is_not_null()
        )
        if len(part):
            found.append(Judged(part, str(version), int(days)))
    return found


def realized_quality(
    judged: Judged, delays: Delays, *, as_of: datetime, per_week: float, is_primary: bool
) -> Quality | None:
    """Return the quality of one version at one horizon; None where nobody was at risk.

    Args:
        judged: Its scores with outcomes.
        delays: Of recording.
        as_of: The instant of monitoring.
        per_week: Hand-offs that sales can take on in a week.
        is_primary: Whether tiers are about this horizon.
    """
    rows = judged.rows.filter("at_risk")
    if len(rows) < _FEWEST_ROWS:
        return None
    p, y = rows["probability"].to_numpy(), rows["converted"].cast(pl.Float64).to_numpy()
    accounts, times = account_numbers(rows["account_id"]), rows["as_of"].dt.timestamp("us")
    leads = lead_numbers(rows["lead_id"])
    elapsed = (as_of - rows["as_of"]).dt.total_microseconds().to_numpy() / 86_400_000_000
    unrecorded = delays.missing_share(elapsed, judged.horizon_days)
    base = np.full(len(y), y.mean())
    skill_low, skill_high = _skill_interval(p, y, base, accounts)
    has_both = 0 < y.sum() < len(y)
    per_time = per_week * _spacing_days(rows["as_of"]) / 7
    at = precision_at_capacity(p, y, leads, times.to_numpy(), per_time=per_time)
    [share] = handed_over([p], y, leads, times.to_numpy(), per_time=per_time)
    lift_low, lift_high = _lift_interval(share, y, accounts)
    return Quality(
        version=judged.version,
        horizon_days=judged.horizon_days,
        first=_moment(rows["as_of"].min()),
        last=_moment(rows["as_of"].max()),
        n=len(rows),
        n_leads=rows["lead_id"].n_unique(),
        n_accounts=rows["account_id"].n_unique(),
        n_converted_before=len(judged.rows) - len(rows),
        log_loss=log_loss(y, p),
        log_loss_base=log_loss(y, base),
        brier=brier(y, p),
        brier_skill=brier_skill(y, p, reference=base),
        skill_low=skill_low,
        skill_high=skill_high,
        auc=auc(y, p),
        # What is not recorded yet cannot have been observed: so much less is expected.
        limits=calibration_limits(p * (1 - unrecorded), y, accounts) if has_both else None,
        unrecorded=unrecorded,
        precision=at.expected,
        lift=at.lift,
        lift_low=lift_low,
        lift_high=lift_high,
        handoffs=at.n_handoffs,
        tiers=_tiers(rows, p, y, accounts) if is_primary else (),
        times=_times(rows),
        reliability=tuple(reliability(y, p)),
    )


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no instant.")
    return value


def _spacing_days(times: pl.Series) -> float:
    """Return the usual days between as-of times; 7 where there is one only."""
    gaps = times.unique().sort().diff().drop_nulls()
    usual = gaps.median()
    return usual / timedelta(days=1) if isinstance(usual, timedelta) else 7.0


def _skill_interval(
    p: Floats, y: Floats, base: Floats, accounts: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the 95 % interval of the Brier skill, the reference's score taken as given."""
    worse, error = clustered_mean((base - y) ** 2 - (p - y) ** 2, accounts)
    of_base = float(((base - y) ** 2).mean())
    if of_base == 0:
        return float("nan"), float("nan")
    return (worse - _Z95 * error) / of_base, (worse + _Z95 * error) / of_base


def _lift_interval(share: Floats, y: Floats, accounts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 95 % interval of precision over the base rate, on the log scale, by account.

    log L = log(Σ w·y / Σ w) − log(Σ y / n), linearised per row:
    (w·(y − π_w)) / Σ(w·y) − (y − π) / Σ y, whose sums per account give the variance.
    """
    handed, won, all_won = share.sum(), (share * y).sum(), y.sum()
    if won == 0 or all_won == 0:
        return float("nan"), float("nan")
    parts = share * (y - won / handed) / won - (y - y.mean()) / all_won
    _, error = clustered_mean(parts * len(y), accounts)
    lift = won / handed / y.mean()
    return float(lift * np.exp(-_Z95 * error)), float(lift * np.exp(_Z95 * error))


def _times(rows: pl.DataFrame) -> tuple[TimeFound, ...]:
    times, place = np.unique(rows["as_of"].dt.timestamp("us").to_numpy(), return_inverse=True)
    # Sums in the order of rows: a grouping on many threads adds up in any order.
    expected, observed = (
        np.bincount(place, weights=rows[column].cast(pl.Float64).to_numpy())
        for column in ("probability", "converted")
    )
    n, moments = np.bincount(place), rows["as_of"].unique().sort()
    return tuple(
        TimeFound(_moment(moments[i]), int(n[i]), float(expected[i]), int(observed[i]))
        for i in range(len(times))
    )


def _tiers(
    rows: pl.DataFrame, p: Floats, y: Floats, accounts: NDArray[np.int64]
) -> tuple[TierFound, ...]:
    found = []
    for tier in reversed(TIERS):
        mine = (rows["tier"] == tier).to_numpy()
        if not mine.any():
            continue
        mean, error = clustered_mean(y[mine], accounts[mine])
        low, high = max(0.0, mean - _Z95 * error), min(1.0, mean + _Z95 * error)
        found.append(
            TierFound(tier, int(mine.sum()), float(p[mine].sum()), int(y[mine].sum()), low, high)
        )
    return tuple(found)
