"""Rolling-origin splits with an embargo of one horizon, and an independent check of them.

Worked example (its dates are a test): as-of times every 7 days, first test 2024-06-03, horizon
30 days. Training ends with the last as-of time whose horizon is over by 2024-06-03: in
production, later labels would not have been known on that day.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from intentcast.errors import LookAheadError, RefusedError


@dataclass(frozen=True)
class Split:
    """One fold: train on some as-of times, test on later ones.

    Attributes:
        fold: Counted from 1.
        train: As-of times whose horizon is over at `known_by`.
        test: As-of times of the test window.
        known_by: The first test as-of time: nothing recorded at or after it may train.
    """

    fold: int
    train: tuple[datetime, ...]
    test: tuple[datetime, ...]
    known_by: datetime


def rolling_origin(
    times: list[datetime], *, first_test: datetime, folds: int, horizon_days: int
) -> list[Split]:
    """Cut the as-of times from `first_test` on into `folds` test windows of equal length.

    Raises:
        RefusedError: If there is no test window, or no as-of time whose horizon is over before it.
    """
    horizon = timedelta(days=horizon_days)
    testable = [t for t in times if t >= first_test]
    if len(testable) < folds:
        raise RefusedError(
            f"{len(testable)} as-of times from {first_test:%Y-%m-%d} on for {folds} test windows",
            expected="at least one as-of time per test window",
            next_step="set backtest.first_test earlier, or fewer backtest.folds",
        )
    edges = [i * len(testable) // folds for i in range(folds + 1)]
    splits = []
    for fold, (start, end) in enumerate(pairwise(edges), start=1):
        test = testable[start:end]
        train = [t for t in times if t + horizon <= test[0]]
        if not train:
            raise RefusedError(
                f"no as-of time whose {horizon_days} days are over by {test[0]:%Y-%m-%d}",
                expected="at least one, to learn from",
                next_step="set backtest.first_test later, cohort.start earlier, "
                "or a shorter horizon",
            )
        splits.append(Split(fold, tuple(train), tuple(test), known_by=test[0]))
    assert_no_look_ahead(splits, horizon_days=horizon_days)
    return splits


def assert_no_look_ahead(splits: list[Split], *, horizon_days: int) -> None:
    """Recompute from the splits alone that no training label reaches into its test window.

    Raises:
        LookAheadError: Naming the fold and both dates.
    """
    for split in splits:
        last_label_ends = max(split.train) + timedelta(days=horizon_days)
        if last_label_ends > min(split.test) or split.known_by > min(split.test):
            raise LookAheadError(
                f"fold {split.fold} trains on labels up to {last_label_ends:%Y-%m-%d %H:%M}, "
                f"known by {split.known_by:%Y-%m-%d %H:%M}",
                expected=f"nothing after its first test at {min(split.test):%Y-%m-%d %H:%M}",
                next_step="report this as a defect",
            )
