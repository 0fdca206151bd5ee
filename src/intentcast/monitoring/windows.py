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

from intentcast.snapshots import Span, as_of_times, build_snapshots, cohort_span
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
        first_known: The first window that was over when the bundle's data ended: it and all higher
            ones are from the time that the bundle learnt from.
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


def scoring_times(dataset: Dataset, *, until: datetime) -> list[datetime]:
    """Return the cohort's as-of times up to and including `until`, also after `cohort.end`.

    `cohort.end` says where to stop learning; who is scored every week goes on after it.
    """
    span = cohort_span(dataset)
    return as_of_times(Span(span.start, until, is_stated=False), dataset.config.cohort.every_days)


def cut_windows(
    dataset: Dataset, times: Sequence[datetime], *, learnt_until: datetime
) -> Windows | None:
    """Return the newest window and those from before `learnt_until`; None without as-of times.

    Args:
        dataset: Cut at the instant of monitoring.
        times: As-of times, rising.
        learnt_until: The bundle's data cut-off.
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
