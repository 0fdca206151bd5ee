"""Training snapshots with labels, and the inner windows on which learners are judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from intentcast.config import CalibrationSettings
from intentcast.propensity.intervals import level_drift
from intentcast.propensity.margins import Floats

DAY_US = 86_400_000_000
N_GROUPS = 5
_FOREVER = 2**62
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingRows:
    """Features and labels of training snapshots whose horizon is over.

    Attributes:
        features: Shape (n, n_features).
        names: Shape (n_features,).
        converted: 0 or 1, shape (n,).
        times: As-of times in microseconds, shape (n,).
        clusters: Account numbers, shape (n,): the same whatever else is in the data.
        horizon_days: Of the label.
        delay_us: How long after a day the source has told of its outcomes, in microseconds.
    """

    features: Floats
    names: list[str]
    converted: Floats
    times: NDArray[np.int64]
    clusters: NDArray[np.int64]
    horizon_days: int
    delay_us: int = 0

    def __len__(self) -> int:
        return len(self.converted)

    def where(self, mask: Mask) -> "TrainingRows":
        """Return the rows where `mask` is true."""
        return replace(
            self,
            features=self.features[mask],
            converted=self.converted[mask],
            times=self.times[mask],
            clusters=self.clusters[mask],
        )

    def over_by(self, instant: int) -> Mask:
        """Return the mask of rows whose label was known at an instant, in microseconds.

        A horizon counts as over where its end plus the delay is not after the instant, the rule
        that labels have.
        """
        found: Mask = self.times + self.horizon_days * DAY_US + self.delay_us <= instant
        return found

    def drift_since(self, positions: NDArray[np.int64], settings: CalibrationSettings) -> float:
        """Return `intervals.level_drift` for a map that is fitted on some of the rows.

        Training ends when the youngest row's label was known.
        """
        ended = int(self.times.max()) + self.horizon_days * DAY_US + self.delay_us
        days = (ended - float(self.times[positions].mean())) / DAY_US
        return level_drift(settings.level_moves, days_since_slice=days)

    def scarcer(self, mask: Mask) -> int:
        """Return how many of some rows converted, or how many did not, whichever is less."""
        n_converted = int(self.converted[mask].sum())
        return min(n_converted, int(mask.sum()) - n_converted)


@dataclass(frozen=True)
class Window:
    """As-of times from `start` on and before `stop`, in microseconds.

    What is judged here was fitted on what was known at `start`.
    """

    start: int
    stop: int = _FOREVER

    def of(self, rows: TrainingRows) -> Mask:
        """Return the mask of the window's rows."""
        found: Mask = (rows.times >= self.start) & (rows.times < self.stop)
        return found

    def has_enough(self, rows: TrainingRows, settings: CalibrationSettings) -> bool:
        """Return whether there are enough conversions, and others, in it and before it."""
        parts = (self.of(rows), rows.over_by(self.start))
        return all(rows.scarcer(part) >= settings.min_converted for part in parts)


def inner_windows(rows: TrainingRows, settings: CalibrationSettings) -> list[Window]:
    """Return up to `folds` windows that follow one another, the most recent last.

    Each holds `share` of the as-of times. None where the most recent has too little in it or
    before it; an earlier one is left out where it has.
    """
    times = np.unique(rows.times)
    size = max(1, round(settings.share * len(times)))
    windows: list[Window] = []
    stop = _FOREVER
    for fold in range(1, settings.folds + 1):
        if fold * size >= len(times):
            break
        window = Window(int(times[len(times) - fold * size]), stop)
        if not window.has_enough(rows, settings):
            break
        windows.insert(0, window)
        stop = window.start
    return windows


def account_groups(clusters: NDArray[np.int64]) -> Sequence[Mask]:
    """Return the masks of five groups of accounts, decided by their numbers alone."""
    groups = clusters % N_GROUPS
    return [groups == group for group in range(N_GROUPS)]


@dataclass(frozen=True)
class OutOfSample:
    """Predictions for rows that the predicting model had not seen.

    Attributes:
        rows: Positions in the training rows, of the most recent window or of all account groups.
        margins: Log-odds there.
        scheme: `later slice` or `account folds`.
    """

    rows: NDArray[np.int64]
    margins: Floats
    scheme: str
