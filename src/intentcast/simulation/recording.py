"""How events reach the tables: some late, some twice, none after the extract is taken."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.clock import DAY, END_SECOND
from intentcast.simulation.events import Events

_P_LATE: Final = 0.03
_P_TWICE: Final = 0.002
_MEAN_DELAY_SECONDS: Final = 150.0


@dataclass(frozen=True)
class Recorded:
    """Events in order of occurrence, when each was recorded, and which rows appear twice.

    ``row`` repeats the positions of duplicated events; ``recorded_at`` is in seconds since the
    start of the world, one entry per event.
    """

    events: Events
    recorded_at: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


def record_events(events: Events, rng: np.random.Generator) -> Recorded:
    """Put events in order and record each: within minutes, or days late, or twice.

    What would be recorded after the end of the world is not in the extract.
    """
    events = events.where(np.lexsort((events.content, events.type, events.lead, events.at)))
    size = len(events.at)
    delay = 1 + rng.exponential(_MEAN_DELAY_SECONDS, size).astype(np.int64)
    late = rng.random(size) < _P_LATE
    delay = np.where(late, rng.integers(DAY, 10 * DAY, size), delay)
    recorded_at = events.at + delay
    is_twice = rng.random(size) < _P_TWICE

    known = recorded_at < END_SECOND
    row = np.repeat(np.arange(int(known.sum())), np.where(is_twice[known], 2, 1))
    return Recorded(events=events.where(known), recorded_at=recorded_at[known], row=row)
