"""The calendar of the simulated world.

Day ``d`` covers ``[START + d days, START + d + 1 days)`` UTC. Inside the simulation a time is the
number of seconds since ``START``; only the tables carry calendar time.
"""

from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

START: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
END: Final = datetime(2026, 1, 1, tzinfo=UTC)  # exclusive
N_DAYS: Final = (END - START).days
DAY: Final = 86_400
END_SECOND: Final = N_DAYS * DAY
MONDAYS: Final = tuple(range(0, N_DAYS, 7))  # days on which an as-of time falls, at 00:00

TIME: Final = pl.Datetime("us", "UTC")

# Share of a working day's activity, Monday to Sunday.
WEEKDAY_ACTIVITY: Final = (1.1, 1.2, 1.2, 1.15, 0.95, 0.15, 0.2)


def weekday_activity() -> npt.NDArray[np.float64]:
    """Relative activity of each day of the world, shape (N_DAYS,)."""
    return np.resize(np.asarray(WEEKDAY_ACTIVITY), N_DAYS)


def office_second(rng: np.random.Generator, *, size: int) -> npt.NDArray[np.int64]:
    """Seconds after midnight, mostly in office hours, shape (size,); between 06:00 and 22:00."""
    hours = np.clip(rng.normal(13.0, 3.0, size), 6.0, 21.99)
    return (hours * 3600.0).astype(np.int64)


def to_series(name: str, seconds: npt.NDArray[np.int64]) -> pl.Series:
    """Calendar times (UTC) of seconds since ``START``."""
    start_us = int(START.timestamp()) * 1_000_000
    return pl.Series(name, seconds * 1_000_000 + start_us).cast(TIME)
