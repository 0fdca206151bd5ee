"""What of one lead's history was known strictly before its as-of time: the one cut for one lead.

Stage, hand-off, returns, packet and warnings all look through here, so nothing that became known
at or after the as-of time reaches any of them.
"""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from intentcast.config import DatasetConfig
from intentcast.features.requests import ToldEvents, micros_of_hours, times_of, told_events
from intentcast.histories import KnownOutcome, LeadHistory
from intentcast.instants import micros

DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Rows = NDArray[np.intp]


class SeenEvent(NamedTuple):
    """What is looked at of an event; times in microseconds since 1970."""

    occurred: int
    known: int
    lead_id: str
    event_type: str
    content: str | None


class SeenOutcome(NamedTuple):
    """An outcome with its times in microseconds since 1970."""

    occurred: int
    known: int
    outcome: KnownOutcome


@dataclass(frozen=True)
class SeenHistory:
    """A history up to its as-of time; nothing here depends on the order of its rows.

    Attributes:
        history: As it was sent.
        as_of: Microseconds since 1970.
        told: Its events, each once, those that are not seen among them.
        own_rows: Which of them are the lead's own human events that are seen, shape (n_own,).
        colleague_rows: Those of the others of its account.
        machine_rows: The lead's own events of machines.
        outcomes: The lead's own.
        n_late: Events of the account that became known too late.
    """

    history: LeadHistory
    as_of: int
    told: ToldEvents
    own_rows: Rows
    colleague_rows: Rows
    machine_rows: Rows
    outcomes: tuple[SeenOutcome, ...]
    n_late: int

    @functools.cached_property
    def own(self) -> list[SeenEvent]:
        """The lead's own human events, each once, in no particular order."""
        return self._events(self.own_rows)

    @functools.cached_property
    def colleagues(self) -> list[SeenEvent]:
        """Those of the others of its account."""
        return self._events(self.colleague_rows)

    @functools.cached_property
    def machine(self) -> list[SeenEvent]:
        """The lead's own events of machines."""
        return self._events(self.machine_rows)

    def since(self, start: int, kinds: Collection[str] | None = None) -> list[SeenEvent]:
        """Return the own human events that occurred at or after an instant, of some types."""
        return self._events(self.rows_since(start, kinds))

    def rows_since(self, start: int, kinds: Collection[str] | None = None) -> Rows:
        """Return which events those are."""
        rows = self.own_rows[self.told.occurred[self.own_rows] >= start]
        if kinds is None:
            return rows
        types = self.told.events.event_type
        return np.array([row for row in rows.tolist() if types[row] in kinds], dtype=np.intp)

    def active_days(self, start: int, passive: Collection[str]) -> int:
        """Return on how many UTC days an own event occurred from an instant on, passive ones not.

        Args:
            start: Microseconds since 1970.
            passive: Event types that are no engagement.
        """
        types, rows = self.told.events.event_type, self.rows_since(start)
        days = (self.told.occurred[rows] // DAY).tolist()
        both = zip(rows.tolist(), days, strict=True)
        return len({day for row, day in both if types[row] not in passive})

    def _events(self, rows: Rows) -> list[SeenEvent]:
        told, places = self.told, rows.tolist()
        events = told.events
        return [
            SeenEvent(occurred, known, events.lead_id[i], events.event_type[i], events.content[i])
            for i, occurred, known in zip(
                places, told.occurred[rows].tolist(), told.known[rows].tolist(), strict=True
            )
        ]


def see(history: LeadHistory, config: DatasetConfig) -> SeenHistory:
    """Return what was known of a lead and its account strictly before the as-of time.

    Args:
        history: Events, repeated or not, and outcomes, in any order.
        config: How late sources tell, where rows do not say.
    """
    late = config.source_delay_hours
    as_of, lead = micros(history.as_of), history.lead_id
    told = told_events(history, micros_of_hours(late.events))
    is_own = told.person == told.people.get(lead, -1)
    is_seen = told.known < as_of
    is_human = is_seen & told.is_human
    return SeenHistory(
        history=history,
        as_of=as_of,
        told=told,
        own_rows=np.flatnonzero(is_human & is_own),
        colleague_rows=np.flatnonzero(is_human & ~is_own),
        machine_rows=np.flatnonzero(is_seen & is_own & ~told.is_human),
        outcomes=_outcomes(history, micros_of_hours(late.outcomes), as_of),
        n_late=len(is_seen) - int(is_seen.sum()),
    )


def _outcomes(history: LeadHistory, delay: int, as_of: int) -> tuple[SeenOutcome, ...]:
    found = []
    for outcome in history.outcomes:
        if outcome.lead_id != history.lead_id:
            continue
        occurred, known = times_of(outcome, delay)
        if known < as_of:
            found.append(SeenOutcome(occurred, known, outcome))
    return tuple(found)


def day_of(instant: int) -> str:
    """Return the UTC day of an instant in microseconds, as 2026-01-31."""
    return f"{_EPOCH + instant * _MICROSECOND:%Y-%m-%d}"


def n_days(events: Sequence[SeenEvent]) -> int:
    """Return on how many UTC days events occurred."""
    return len({seen.occurred // DAY for seen in events})


def shortened(text: str, most: int) -> str:
    """Return text on one line, printable, of at most so many characters."""
    plain = " ".join(text.split())
    if not plain.isprintable():
        plain = "".join(letter for letter in plain if letter.isprintable())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
