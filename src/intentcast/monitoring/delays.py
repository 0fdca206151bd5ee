"""How long outcomes take to be recorded, and how many are still to come.

Outcomes recorded so far are the quick ones of the recent past: of those that occurred a week ago,
only delays of less than a week can have been seen. The distribution of delays is therefore
estimated in reverse time (Lagakos, Barraj and De Gruttola, Biometrika 1988):
F(x) = Π_{y > x} (1 − d_y / n_y), with d_y the delays equal to y and n_y those of at most y that
could have been seen had they been y long. It says nothing of delays longer than the record allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset

_LOOK_BACK = timedelta(days=730)
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Delays:
    """The distribution of `recorded_at - occurred_at` of conversions.

    Attributes:
        n: Conversions that it rests on.
        is_measured: False where no conversion has a `recorded_at` of its own.
        days: Distinct delays, rising, in days of 24 hours.
        cumulative: Share recorded within each of them.
    """

    n: int
    is_measured: bool
    days: Floats
    cumulative: Floats

    def recorded(self, age_days: Floats) -> Floats:
        """Return the share of conversions of an age that are recorded by now, of its shape."""
        if not len(self.days):
            return np.ones_like(age_days)
        place = np.searchsorted(self.days, age_days, side="right")
        out: Floats = np.concatenate([[0.0], self.cumulative])[place]
        return out

    def quantile(self, share: float) -> float | None:
        """Return the delay in days within which a share is recorded; None without any."""
        if not len(self.days):
            return None
        place = int(np.searchsorted(self.cumulative, share))
        return float(self.days[min(place, len(self.days) - 1)])

    def missing_share(self, elapsed_days: Floats, horizon_days: int) -> float:
        """Return the expected share of a window's conversions not recorded yet.

        Takes conversions as spread evenly over the window.

        Args:
            elapsed_days: Since each snapshot's as-of time, shape (n,).
            horizon_days: Length of the windows.
        """
        if not len(elapsed_days):
            return 0.0
        at = (np.arange(horizon_days) + 0.5)[None, :]
        different, n = np.unique(elapsed_days, return_counts=True)
        share = self.recorded(np.maximum(different[:, None] - at, 0.0)).mean(axis=1)
        return float(1 - np.average(share, weights=n))


def measure_delays(dataset: Dataset, *, as_of: datetime) -> Delays:
    """Return how long conversions of the last two years took to be recorded.

    Args:
        dataset: Cut at `as_of`.
        as_of: The instant of monitoring.
    """
    conversions = dataset.outcomes.filter(
        pl.col("outcome").is_in(dataset.config.conversion.outcomes)
        & (pl.col("occurred_at") >= as_of - _LOOK_BACK)
    )
    if conversions["recorded_at"].null_count() == len(conversions):
        return Delays(len(conversions), is_measured=False, days=np.empty(0), cumulative=np.empty(0))
    recorded = conversions.filter(pl.col("recorded_at").is_not_null())
    delay, room = (
        (recorded.select((end - pl.col("occurred_at")).dt.total_microseconds()).to_series())
        for end in (pl.col("known_at"), pl.lit(as_of))
    )
    days, cumulative = reverse_time(
        delay.to_numpy().astype(np.float64) / _DAY_US, room.to_numpy().astype(np.float64) / _DAY_US
    )
    return Delays(len(recorded), is_measured=True, days=days, cumulative=cumulative)


def reverse_time(delays: Floats, room: Floats) -> tuple[Floats, Floats]:
    """Return the distinct delays and the share within each, of delays seen only up to a limit.

    Args:
        delays: Shape (n,), each below its room.
        room: The longest delay that could have been seen, shape (n,).
    """
    if not len(delays):
        return np.empty(0), np.empty(0)
    days, d = np.unique(delays, return_counts=True)
    # At y: as many delays are at most y, less those that could not have been as long as y.
    n_short = np.cumsum(d)
    n_no_room = np.searchsorted(np.sort(room), days, side="left")
    factor = 1 - d / np.maximum(n_short - n_no_room, d)
    above = np.concatenate([np.cumprod(factor[::-1])[::-1][1:], [1.0]])
    return days, above


def delay_figures(delays: Delays, shares: Sequence[float] = (0.5, 0.9, 0.99)) -> dict[str, object]:
    """Return the distribution as JSON values."""
    return {
        "n": delays.n,
        "measured": delays.is_measured,
        "days": {f"{share:.0%}": delays.quantile(share) for share in shares},
    }
