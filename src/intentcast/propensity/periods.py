"""Person-periods: each training snapshot followed interval by interval, as far as is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats

Integers = NDArray[np.int64]
_DAY_US = 86_400_000_000


def interval_edges(horizons_days: Sequence[int]) -> tuple[int, ...]:
    """Return the intervals' edges: 0, a quarter and half of the shortest horizon, all horizons.

    A finer grid told nothing more (decision 12); a coarser one makes a young snapshot wait longer
    before it teaches.
    """
    shortest = horizons_days[0]
    return tuple(sorted({0, shortest // 4, shortest // 2, *horizons_days}))


@dataclass(frozen=True)
class Followed:
    """Training snapshots, each followed from its as-of time on.

    Attributes:
        features: Shape (n, n_features).
        names: Shape (n_features,).
        n_over: How many intervals are wholly over, and their outcomes known, shape (n,).
        converted_in: The interval of the first conversion, from 0; the number of intervals where
            there is none in an interval that is over; shape (n,).
        times: As-of times in microseconds, shape (n,).
        leads: Lead numbers, shape (n,): the same whatever else is in the data.
        clusters: Account numbers, likewise.
        edges_days: From 0 to the longest horizon, rising, shape (n_intervals + 1,).
        delay_us: How long after a day the source has told of its outcomes, in microseconds.
    """

    features: NDArray[np.floating]
    names: list[str]
    n_over: Integers
    converted_in: Integers
    times: Integers
    leads: Integers
    clusters: Integers
    edges_days: tuple[int, ...]
    delay_us: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def n_intervals(self) -> int:
        """How many intervals there are."""
        return len(self.edges_days) - 1

    @property
    def n_converted(self) -> int:
        """How many snapshots convert in an interval that is over."""
        return int((self.converted_in < self.n_intervals).sum())

    def where(self, mask: NDArray[np.bool_]) -> "Followed":
        """Return the snapshots where `mask` is true."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: Integers) -> "Followed":
        """Return the snapshots at some positions, in that order."""
        return replace(
            self,
            features=self.features[rows],
            n_over=self.n_over[rows],
            converted_in=self.converted_in[rows],
            times=self.times[rows],
            leads=self.leads[rows],
            clusters=self.clusters[rows],
        )

    def censored_at(self, instant: int) -> "Followed":
        """Return what was known at an instant in microseconds: fewer snapshots, followed for less.

        An interval counts as over where its end plus the delay is not after the instant, the rule
        that labels have.
        """
        ends = np.array(self.edges_days[1:], dtype=np.int64) * _DAY_US + self.delay_us
        n_over = np.searchsorted(ends, instant - self.times, side="right").astype(np.int64)
        n_over = np.minimum(n_over, self.n_over)
        converted_in = np.where(self.converted_in < n_over, self.converted_in, self.n_intervals)
        return replace(self, n_over=n_over, converted_in=converted_in).where(n_over > 0)


@dataclass(frozen=True)
class Periods:
    """One row per snapshot and interval in which it was at risk, and whose outcome is known.

    Attributes:
        row: Which snapshot, shape (n_periods,).
        interval: Which interval, from 0.
        converted: 1 where the snapshot's first conversion fell into it, else 0.
        weight: How much it counts.
        kept: Share of the interval's rows without conversion that are here, shape (n_intervals,).
    """

    row: Integers
    interval: Integers
    converted: Floats
    weight: Floats
    kept: Floats

    def __len__(self) -> int:
        return len(self.row)


def expand(followed: Followed, *, lead_weight: float = 0.0) -> Periods:
    """Return every interval that is over and that the snapshot entered unconverted.

    A partial interval teaches nothing, whether or not a conversion is known in it already: to take
    the conversion and leave out the silence would be to learn too high a hazard. A lead that was
    closed without conversion stays, as one that did not convert, until its follow-up ends: so
    1 − Π(1 − hazard) is the share that converts (the cumulative incidence; Fine and Gray 1999, in
    discrete time), not the share that would if nobody were ever lost.

    Args:
        followed: The snapshots.
        lead_weight: A row counts n^(−lead_weight), n the lead's snapshots among those followed;
            0: as any other, 1: each lead as much as any other. The mean weight is 1.
    """
    entered = np.minimum(followed.converted_in + 1, followed.n_over)
    row = np.repeat(np.arange(len(followed), dtype=np.int64), entered)
    starts = np.cumsum(entered) - entered
    interval = np.arange(len(row), dtype=np.int64) - np.repeat(starts, entered)
    converted = (followed.converted_in[row] == interval).astype(np.float64)
    weight = np.ones(len(row))
    if lead_weight and len(row):
        _, lead, count = np.unique(followed.leads, return_inverse=True, return_counts=True)
        weight = count[lead][row].astype(np.float64) ** -lead_weight
        weight *= len(weight) / weight.sum()
    return Periods(row, interval, converted, weight, np.ones(followed.n_intervals))


def sampled(periods: Periods, followed: Followed, *, max_rows: int, seed: int) -> Periods:
    """Leave out rows without conversion, by lot, so that about `max_rows` remain.

    Which rows stay depends on lead, as-of time, interval and seed alone, not on their order. The
    kept share is one for all intervals and written down per interval: odds among the rows kept are
    the true odds divided by it (Prentice and Pyke 1979), so `HazardModel` adds its logarithm back.
    """
    is_silent = periods.converted == 0.0
    n_silent = int(is_silent.sum())
    n_wanted = max_rows - (len(periods) - n_silent)
    # Below a twentieth, the lot would decide more than the data.
    share = max(n_wanted / n_silent, 0.05) if n_silent else 1.0
    if share >= 1.0:
        return periods
    keys = (
        followed.leads[periods.row].astype(np.uint64),
        followed.times[periods.row].astype(np.uint64),
        periods.interval.astype(np.uint64),
    )
    stays = ~is_silent | (_lots(keys, seed) < share)
    n_intervals = len(periods.kept)
    before = np.bincount(periods.interval[is_silent], minlength=n_intervals)
    after = np.bincount(periods.interval[is_silent & stays], minlength=n_intervals)
    return Periods(
        periods.row[stays],
        periods.interval[stays],
        periods.converted[stays],
        periods.weight[stays],
        # What was drawn, not what was meant to be.
        np.where((before > 0) & (after > 0), after / np.maximum(before, 1), 1.0),
    )


def _lots(keys: Sequence[NDArray[np.uint64]], seed: int) -> Floats:
    """Return numbers spread evenly over [0, 1), the same for the same keys (splitmix64)."""
    state = np.full(len(keys[0]), seed & 0xFFFF_FFFF_FFFF_FFFF, dtype=np.uint64)
    for key in keys:
        state = (state ^ key) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53
