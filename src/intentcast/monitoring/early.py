"""Conversions so far against what should have come by now, before any horizon is over.

Of a snapshot e days old the model expects Σ_j (P(d_j) − P(d_{j−1})) · F(e − (d_j + d_{j−1}) / 2)
conversions by now, with P its probability at any horizon, 0 = d_0 < d_1 < … = e, and F the share of
conversions recorded so long after they occurred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from intentcast.bundle import Bundle
from intentcast.gate.checks import clustered_mean
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.monitoring.delays import Delays
from intentcast.predicting import predict
from intentcast.propensity.horizons import HorizonProbabilities
from intentcast.propensity.margins import Floats
from intentcast.snapshots import account_numbers
from intentcast.sources import Dataset

_Z95 = 1.959963984540054
_MOST_STEPS = 13


@dataclass(frozen=True)
class EarlyTime:
    """One as-of time whose primary horizon is not over.

    Attributes:
        as_of: The as-of time.
        elapsed_days: Whole days since, outcomes of which are due.
        n: Leads scored and at risk.
        expected: Conversions that should be recorded by now.
        observed: Those that are.
    """

    as_of: datetime
    elapsed_days: int
    n: int
    expected: float
    observed: int


@dataclass(frozen=True)
class Early:
    """All of them together.

    Attributes:
        times: Each as-of time.
        n: Snapshots.
        expected: Conversions that should be recorded by now, over snapshots: who is in several
            counts in each.
        observed: Likewise.
        ratio_low: Lower end of the 95 % interval of expected over observed, by account.
        ratio_high: Its upper end; infinite where none may have come.
    """

    times: tuple[EarlyTime, ...]
    n: int
    expected: float
    observed: int
    ratio_low: float
    ratio_high: float


def expected_so_far(
    bundle: Bundle,
    dataset: Dataset,
    rows: pl.DataFrame,
    delays: Delays,
    *,
    as_of: datetime,
) -> Early | None:
    """Return what should have come and what came; None where no snapshot is a day old.

    Args:
        bundle: Whose scores they are.
        dataset: Cut at `as_of`.
        rows: `lead_id`, `account_id`, `as_of` of snapshots told by the bundle.
        delays: Of recording.
        as_of: The instant of monitoring.
    """
    delay = timedelta(hours=dataset.config.source_delay_hours.outcomes)
    longest = timedelta(days=bundle.primary_horizon_days)
    one = timedelta(days=1)
    due = as_of - delay
    rows = rows.select("lead_id", "account_id", "as_of").unique().sort("as_of", "lead_id")
    rows = rows.filter((pl.col("as_of") + longest > due) & (pl.col("as_of") + one <= due))
    rows = rows.filter(was_at_risk(rows, dataset, known_by=as_of))
    if rows.is_empty():
        return None
    expected, converted = np.zeros(len(rows)), np.zeros(len(rows))
    times = []
    for (moment,), part in rows.with_row_index("row").group_by("as_of", maintain_order=True):
        if not isinstance(moment, datetime):
            raise TypeError(f"{moment!r} is no instant.")
        mine = part["row"].to_numpy()
        elapsed = (due - moment) // one
        age = (as_of - moment) / one
        # One as-of time after the other: the features of all may be too many.
        predicted = predict(bundle, dataset, part, horizons=_grid(elapsed))[1]
        expected[mine] = _recorded_by_now(predicted, delays, age)
        label = label_snapshots(part, dataset, horizon_days=elapsed, known_by=as_of)
        converted[mine] = label.cast(pl.Float64).to_numpy()
        times.append(
            EarlyTime(
                moment, elapsed, len(mine), float(expected[mine].sum()), int(converted[mine].sum())
            )
        )
    return _together(times, expected, converted, rows)


def _recorded_by_now(predicted: HorizonProbabilities, delays: Delays, age: float) -> Floats:
    """Return each lead's probability to have converted, and to be recorded so, by now.

    Args:
        predicted: At the horizons of `_grid`.
        delays: Of recording.
        age: Days since the as-of time.
    """
    days = predicted.horizons_days
    steps = np.diff(predicted.probabilities, axis=1, prepend=0.0)
    middles = (np.array(days) + np.array([0, *days[:-1]])) / 2
    out: Floats = steps @ delays.recorded(age - middles)
    return out


def _grid(elapsed: int) -> Sequence[int]:
    """Return whole days from 1 to `elapsed`, at most 13, the latest ones close together."""
    back = np.unique(np.round(np.geomspace(1, elapsed, _MOST_STEPS)).astype(int))
    return sorted({elapsed, *(elapsed - int(b) for b in back if b < elapsed)})


def _together(
    times: list[EarlyTime], expected: Floats, converted: Floats, rows: pl.DataFrame
) -> Early:
    _, error = clustered_mean(converted - expected, account_numbers(rows["account_id"]))
    # Where next to none came, the residuals do not show how many might have.
    by_chance = float(np.sqrt((expected * (1 - expected)).sum()))
    reach = _Z95 * max(error * len(rows), by_chance)
    e, o = float(expected.sum()), float(converted.sum())
    low, high = e / (o + reach), e / (o - reach) if o > reach else float("inf")
    return Early(tuple(times), len(rows), e, int(o), low, high)
