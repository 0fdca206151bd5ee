"""Where hot and warm begin: by capacity, by precision, or by value."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from intentcast.errors import InputError, RefusedError
from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset
from intentcast.thresholds.evidence import Evidence
from intentcast.tiers import WARM_MULTIPLE, highest_with

# A share of fewer conversions than this among hand-offs is not known to a half of itself:
# 1.96/√10 = 0.62, beside 0.36 at 30.
FEWEST_HANDED_OVER = 10
# Resampling accounts is too narrow with fewer than about 30 that differ.
FEWEST_ACCOUNTS = 30
_GRID = 40
_FEWEST_DRAWN = 5


@dataclass(frozen=True)
class Ask:
    """What sales wants; exactly one of the first three.

    Attributes:
        per_week: Hand-offs that sales can take on in a week.
        precision: Share of hand-offs that should convert within the horizon.
        value: What a conversion is worth, beside what a hand-off costs.
        cost: Of one hand-off; with `value`.
    """

    per_week: float | None = None
    precision: float | None = None
    value: float | None = None
    cost: float | None = None

    @property
    def method(self) -> str:
        """How the thresholds are set."""
        if self.per_week is not None:
            return "capacity"
        return "precision" if self.precision is not None else "value"


def number_of(told: str) -> float:
    """Return an amount that is told as a number.

    Raises:
        InputError: If it is no number above 0.
    """
    try:
        value = float(told)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise InputError(
            f"--deal-value {told[:40]!r}",
            expected="an amount above 0, or mean or median",
            next_step="correct it",
        )
    return value


def value_of_conversion(dataset: Dataset, told: str) -> float:
    """Return what a conversion is worth.

    Args:
        dataset: Its conversions' amounts, as far as they are known.
        told: A number, or `mean` or `median` of those amounts.

    Raises:
        InputError: If it is neither, or there are no amounts.
    """
    if told not in ("mean", "median"):
        return number_of(told)
    won = dataset.outcomes.filter(pl.col("outcome").is_in(dataset.config.conversion.outcomes))
    amounts = (
        won["amount"].drop_nulls() if "amount" in won.columns else pl.Series([], dtype=pl.Float64)
    )
    amounts = amounts.filter(amounts.is_finite() & (amounts > 0)).sort()
    if amounts.is_empty():
        raise InputError(
            "no amounts among the conversions in outcomes",
            expected="a column amount with numbers above 0",
            next_step="give --deal-value with a number",
        )
    found = amounts.mean() if told == "mean" else amounts.median()
    return float(found)  # type: ignore[arg-type]


def refuse_too_little(evidence: Evidence) -> None:
    """Refuse evidence on which no band would hold.

    Raises:
        RefusedError: Saying how many more accounts with a conversion, or as-of times, are needed.
    """
    found = evidence.n_converted_accounts
    if found < FEWEST_ACCOUNTS:
        raise RefusedError(
            f"{found} accounts with a conversion among {evidence.n_leads:,} leads of matured "
            f"out-of-time predictions ({evidence.n_weeks:.0f} weeks)",
            expected=f"at least {FEWEST_ACCOUNTS}, {FEWEST_ACCOUNTS - found} more: with fewer "
            "the bands would be too narrow",
            next_step="wait for more outcomes, set backtest.first_test earlier, or a shorter "
            "primary horizon",
        )
    if evidence.n_steps < 8:
        raise RefusedError(
            f"{evidence.n_steps} as-of times to count hand-offs at, after a run-in of "
            f"{evidence.rest_days} days",
            expected="at least 8, so that the weeks can be told to differ",
            next_step="set backtest.first_test earlier, or cohort.every_days shorter",
        )


def choose(evidence: Evidence, ask: Ask) -> tuple[float, float]:
    """Return the thresholds of hot and warm, hot first.

    Warm lets `WARM_MULTIPLE` times as many leads newly reach it as hot.

    Raises:
        RefusedError: If no threshold does what is asked.
    """
    thresholds = np.unique(evidence.probability)[::-1]
    counts = evidence.count_handed_over(thresholds)
    if ask.per_week is not None:
        wanted = ask.per_week * evidence.n_weeks
        _refuse_more_than_there_are(ask.per_week, float(counts.max(initial=0)), evidence.n_weeks)
        hot = highest_with(thresholds, counts, wanted)
    elif ask.precision is not None:
        hot = _for_precision(evidence, ask.precision)
        wanted = float(evidence.handed_over(hot).sum())
    else:
        hot = _for_value(evidence, ask)
        wanted = float(evidence.handed_over(hot).sum())
    _refuse_few_conversions(evidence, hot)
    warm = highest_with(thresholds, counts, wanted * WARM_MULTIPLE)
    if warm >= hot:
        raise RefusedError(
            f"hot from {hot:.2%}, and no lower threshold that more leads newly reach in a week",
            expected="room for a warm tier below hot",
            next_step="hand over fewer per week, or ask for a higher precision or cost",
        )
    return hot, warm


def _refuse_more_than_there_are(per_week: float, most: float, n_weeks: float) -> None:
    """Refuse a volume that no threshold brings."""
    if per_week * n_weeks > 1.05 * max(most, 1.0):
        raise RefusedError(
            f"{per_week:g} hand-offs a week, and at most {most / max(n_weeks, 1e-9):.1f} leads a "
            "week newly reach any threshold",
            expected="a volume that some threshold brings",
            next_step="ask for fewer, or widen the cohort",
        )


def curve_thresholds(evidence: Evidence) -> Floats:
    """Return thresholds from the highest to the lowest, spread evenly over log volume.

    From a few hand-offs on, and as long as a lower threshold hands over more: below that, leads
    stay above it for so long that fewer newly reach it.
    """
    falling = np.unique(evidence.probability)[::-1]
    counts = evidence.count_handed_over(falling)
    if len(counts) == 0 or counts.max() < _FEWEST_DRAWN:
        return np.empty(0)
    wanted = np.unique(np.geomspace(_FEWEST_DRAWN, counts.max(), _GRID).round().astype(int))
    most = np.maximum.accumulate(counts)
    out: Floats = np.unique(falling[np.searchsorted(most, wanted)])[::-1]
    return out


def _for_precision(evidence: Evidence, wanted: float) -> float:
    """Return the lowest threshold at which, and above which, the precision is as wanted.

    On the curve's few thresholds, so that the lowest is not the luckiest of thousands.
    """
    best, found = 0.0, None
    for threshold in curve_thresholds(evidence):
        rows = evidence.handed_over(float(threshold))
        n_won, n_all = int(evidence.converted[rows].sum()), int(rows.sum())
        if n_won < FEWEST_HANDED_OVER:
            continue
        best = max(best, n_won / n_all)
        if n_won / n_all < wanted:
            break
        found = float(threshold)
    if found is None:
        raise RefusedError(
            f"a precision of {wanted:.1%} at no threshold; where {FEWEST_HANDED_OVER} hand-offs "
            f"or more converted the best first one has {best:.1%}",
            expected="a precision that the model reached out of time",
            next_step=f"ask for less, such as --precision {max(best * 0.9, 0.001):.3f}, or set "
            "--per-week",
        )
    return found


def _for_value(evidence: Evidence, ask: Ask) -> float:
    """Return where p · value covers the cost of a hand-off."""
    even = (ask.cost or 0.0) / (ask.value or float("inf"))
    above = evidence.probability[evidence.probability >= even]
    if len(above) == 0:
        highest = float(evidence.probability.max(initial=0.0))
        raise RefusedError(
            f"a hand-off that costs {ask.cost:g} pays from a probability of {even:.2%} on, and "
            f"the highest is {highest:.2%}",
            expected="leads for which probability times value covers the cost",
            next_step="check --cost-per-handoff and --deal-value, or set --per-week",
        )
    return even


def _refuse_few_conversions(evidence: Evidence, hot: float) -> None:
    rows = evidence.handed_over(hot)
    n_won = int(evidence.converted[rows].sum())
    if n_won < FEWEST_HANDED_OVER:
        raise RefusedError(
            f"{n_won} conversions among the {int(rows.sum())} leads that reached {hot:.1%} in "
            f"{evidence.n_weeks:.0f} weeks",
            expected=f"at least {FEWEST_HANDED_OVER}, {FEWEST_HANDED_OVER - n_won} more, to say "
            "what the threshold brings",
            next_step="wait for more outcomes, or hand over more per week",
        )
