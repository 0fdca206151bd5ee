"""How fast long work goes, and how long it still takes."""

import time


class Pace:
    """Counts events and says the rate and the time left, not more often than is pleasant.

    Args:
        n_all: Events to come; None if nobody knows.
        every_seconds: How long to keep still in between.
    """

    def __init__(self, n_all: int | None, *, every_seconds: float = 1.0) -> None:
        self._n_all, self._every = n_all, every_seconds
        self._n_done = 0
        self._started = self._said = time.monotonic()

    def add(self, n_events: int) -> bool:
        """Count events that are done; return whether it is time to say so."""
        self._n_done += n_events
        now = time.monotonic()
        is_last = self._n_all is not None and self._n_done >= self._n_all
        if not is_last and now - self._said < self._every:
            return False
        self._said = now
        return True

    def __str__(self) -> str:
        """Rate, and time left if that can be known."""
        seconds = max(time.monotonic() - self._started, 1e-3)
        rate = self._n_done / seconds
        told = f"{rate:,.0f} events/s"
        if self._n_all is None or not self._n_done:
            return told
        return f"{told}, {clock((self._n_all - self._n_done) / rate)} left"


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, with hours if there are any."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
