"""Old points against new: the same later leads, the same number of hand-offs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from intentcast.errors import RefusedError
from intentcast.evaluation.compare import PairedComparison, compare_paired
from intentcast.labels import label_snapshots, matured, was_at_risk
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.scorecards.hits import Floats
from intentcast.scorecards.repricing import Repricing, reprice
from intentcast.snapshots import account_numbers, build_snapshots, lead_numbers
from intentcast.sources import Dataset


@dataclass(frozen=True)
class LaterLeads:
    """Leads to judge by, with their outcomes.

    Attributes:
        snapshots: `lead_id`, `as_of`, `account_id`.
        converted: 0 or 1 within the primary horizon, shape (n,).
        per_time: Seats of sales at each as-of time.
    """

    snapshots: pl.DataFrame
    converted: Floats
    per_time: float

    def compare(self, a: str, score_a: Floats, b: str, score_b: Floats) -> PairedComparison:
        """Hand over the same number of leads by each score; see `compare_paired`."""
        return compare_paired(
            a,
            score_a,
            b,
            score_b,
            converted=self.converted,
            leads=lead_numbers(self.snapshots["lead_id"]),
            accounts=account_numbers(self.snapshots["account_id"]),
            times=self.snapshots["as_of"].dt.timestamp("us").to_numpy(),
            per_time=self.per_time,
        )


def later_leads(
    dataset: Dataset, *, times: Sequence[datetime], known_by: datetime
) -> LaterLeads | None:
    """Return the leads at as-of times whose primary horizon is over by `known_by`, if any are.

    Leads that had converted already, as is known by then, are left out: see `was_at_risk`.
    """
    over = matured(times, dataset, known_by=known_by)
    if not over:
        return None
    snapshots = build_snapshots(dataset, over)
    snapshots = snapshots.filter(was_at_risk(snapshots, dataset, known_by=known_by))
    if snapshots.is_empty():
        return None
    config = dataset.config
    labels = label_snapshots(
        snapshots,
        dataset,
        horizon_days=config.conversion.primary_horizon_days,
        known_by=known_by,
    )
    return LaterLeads(
        snapshots=snapshots,
        converted=labels.cast(pl.Float64).to_numpy(),
        per_time=config.handoffs_per_time,
    )


def points_of(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> Floats:
    """Return the score of each snapshot, shape (n,)."""
    out: Floats = score_snapshots(card, dataset, snapshots)["score"].to_numpy()
    return out


def first_test_of(dataset: Dataset, times: Sequence[datetime], known_by: datetime) -> datetime:
    """Return where the test begins: `backtest.first_test`, or the last two fifths of the times.

    Raises:
        RefusedError: If no as-of time after it is over.
    """
    over = matured(times, dataset, known_by=known_by)
    first = dataset.config.backtest.first_test
    if first is None and over:
        first = over[len(over) * 3 // 5]
    if first is None or not any(t >= first for t in over):
        raise RefusedError(
            f"no as-of time from {first:%Y-%m-%d} on whose horizon is over by {known_by:%Y-%m-%d}"
            if first
            else f"no as-of time whose horizon is over by {known_by:%Y-%m-%d}",
            expected="later leads to compare old and new points on",
            next_step="set backtest.first_test earlier, or wait until a horizon is over",
        )
    return first


@dataclass(frozen=True)
class OutOfTime:
    """Old points against points fitted before the test.

    Attributes:
        repricing: The refit that was tested.
        paired: a is the new points, b the old.
        test_from: First as-of time of the test.
        test_to: Last.
    """

    repricing: Repricing
    paired: PairedComparison
    test_from: datetime
    test_to: datetime

    @property
    def verdict(self) -> str:
        """Which points found more conversions: new points win, old points win, no difference."""
        return old_or_new(self.paired)


def old_or_new(paired: PairedComparison) -> str:
    """Return which points found more conversions, where a is the new points and b the old."""
    low, high = paired.ci95
    return "new points win" if low > 0 else "old points win" if high < 0 else "no difference"


def compare_out_of_time(
    card: Scorecard,
    dataset: Dataset,
    *,
    times: Sequence[datetime],
    known_by: datetime,
    on_progress: Callable[[str], None] | None = None,
) -> OutOfTime:
    """Refit points on what was known at the start of the test, compare them on the test.

    Raises:
        RefusedError: With too little to fit to before the test, or nothing to test on.
    """
    first = first_test_of(dataset, times, known_by)
    fitted = reprice(card, dataset, times=times, known_by=first, on_progress=on_progress)
    later = later_leads(dataset, times=[t for t in times if t >= first], known_by=known_by)
    if later is None:
        raise RefusedError(
            f"nobody in the cohort from {first:%Y-%m-%d} on",
            expected="later leads to compare old and new points on",
            next_step="set backtest.first_test earlier, or widen the cohort",
        )
    paired = later.compare(
        fitted.new.name,
        points_of(fitted.new, dataset, later.snapshots),
        card.name,
        points_of(card, dataset, later.snapshots),
    )
    as_of = later.snapshots["as_of"]
    return OutOfTime(fitted, paired, as_of.min(), as_of.max())  # type: ignore[arg-type]
