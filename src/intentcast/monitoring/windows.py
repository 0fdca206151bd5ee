"""Which as-of times are new, and which stretches of the past they are compared with.

All windows are `WINDOW_DAYS` long and are counted back from the newest as-of time, so that the
newest window and those of the past hold about as many as-of times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.snapshots import build_snapshots
from intentcast.sources import Dataset

WINDOW_DAYS = 28
PAST_WINDOWS = 6
_MOST_ROWS = 60_000


@dataclass(frozen=True)
class Windows:
    """Snapshots in windows, 0 the newest.

    Attributes:
        snapshots: `lead_id`, `as_of`, `account_id`.
        number: Each snapshot's window, shape (n,).
        first_known: The first window that was over when the learner's data ended: it and all higher
            ones are from the time that the learner learnt from.
        n: How many windows there are.
        n_accounts: Per window, shape (n_windows,).
        newest: First and last as-of time of the newest window.
    """

    snapshots: pl.DataFrame
    number: NDArray[np.int64]
    first_known: int
    n: int
    n_accounts: NDArray[np.float64]
    newest: tuple[datetime, datetime]

    @property
    def judged(self) -> list[int]:
        """The newest window and the latest known ones: who else cannot be counted per lead."""
        base = self.first_known
        return [0, *range(base, min(base + PAST_WINDOWS, self.n))]

    def place(self, rows: pl.DataFrame, instant: str) -> pl.DataFrame:
        """Return the rows of judged windows, by when they happened.

        Args:
            rows: Such as events or leads.
            instant: Their column that says when.

        Returns:
            Them with `number`, the window, and `window_end`: its latest as-of time, or where that
            would be, which the instant precedes.
        """
        newest = pl.lit(self.newest[1])
        back = (newest - pl.col(instant)).dt.total_microseconds()
        number = (back - 1) // (WINDOW_DAYS * 86_400_000_000)
        return (
            rows.filter(pl.col(instant) < self.newest[1])
            .with_columns(number=number)
            .filter(pl.col("number").is_in(self.judged))
            .with_columns(window_end=newest - pl.col("number") * timedelta(days=WINDOW_DAYS))
        )


def cut_windows(
    dataset: Dataset, times: Sequence[datetime], *, learnt_until: datetime
) -> Windows | None:
    """Return the newest window and those from before `learnt_until`; None without as-of times.

    Args:
        dataset: Cut at the instant of monitoring.
        times: As-of times, rising.
        learnt_until: Until when the bundle's learner has learnt.
    """
    if not times:
        return None
    newest = times[-1]
    width = timedelta(days=WINDOW_DAYS)
    place = {t: (newest - t) // width for t in times}
    ends = {number: max(t for t in times if place[t] == number) for number in set(place.values())}
    known = sorted(number for number, end in ends.items() if end <= learnt_until)
    first_known = next((number for number in known if number > 0), max(ends) + 1)
    kept = [t for t in times if place[t] == 0 or place[t] >= first_known]
    snapshots = build_snapshots(dataset, kept)
    # Neighbouring as-of times tell nearly the same, so where there are too many some are left out.
    every = -(-len(snapshots) // _MOST_ROWS)
    if every > 1:
        chosen = {t for number in set(place.values()) for t in _every(times, place, number, every)}
        snapshots = snapshots.filter(pl.col("as_of").is_in(list(chosen)))
    number = snapshots["as_of"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    if not (number == 0).any():
        return None
    n = int(number.max()) + 1
    accounts = (
        snapshots.with_columns(number=pl.Series(number))
        .group_by("number")
        .agg(pl.col("account_id").n_unique())
    )
    n_accounts = np.zeros(n)
    n_accounts[accounts["number"].to_numpy()] = accounts["account_id"].to_numpy()
    newest_times = [t for t in times if place[t] == 0]
    return Windows(snapshots, number, first_known, n, n_accounts, (newest_times[0], newest))


def _every(
    times: Sequence[datetime], place: dict[datetime, int], number: int, every: int
) -> list[datetime]:
    return [t for t in reversed(times) if place[t] == number][::every]
