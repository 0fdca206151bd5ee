"""What of one lead's history was known strictly before its as-of time: the one cut for one lead.

Stage, hand-off, returns, packet and warnings all look through here, so nothing that became known
at or after the as-of time reaches any of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from intentcast.config import DatasetConfig
from intentcast.features.requests import ToldEvents, micros_of_hours, times_of, told_events
from intentcast.histories import KnownOutcome, LeadHistory
from intentcast.instants import Ints, micros
from intentcast.kinds import of_types

DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Rows = NDArray[np.int64]


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
        rows: Which of them are human events that are seen: the lead's own, then those of the
            others of its account.
        n_own: How many of them are its own.
        machine_rows: The lead's own events of machines.
        outcomes: The lead's own.
        n_late: Events of the account that became known too late.
    """

    history: LeadHistory
    as_of: int
    told: ToldEvents
    rows: Rows
    n_own: int
    machine_rows: Rows
    outcomes: tuple[SeenOutcome, ...]
    n_late: int

    @property
    def own_rows(self) -> Rows:
        """Which events are the lead's own human ones, shape (n_own,)."""
        return self.rows[: self.n_own]

    @property
    def colleague_rows(self) -> Rows:
        """Which are those of the others of its account."""
        return self.rows[self.n_own :]

    def since(
        self, start: int, types: tuple[str, ...], *, are_left_out: bool = False
    ) -> list[SeenEvent]:
        """Return the own human events that occurred at or after an instant, of some types.

        Args:
            start: Microseconds since 1970.
            types: Of events.
            are_left_out: Whether the events of all other types are meant.
        """
        return self._events(self._rows_since(start, types, are_left_out=are_left_out))

    def _rows_since(self, start: int, types: tuple[str, ...], *, are_left_out: bool) -> Rows:
        is_of = self.told.events.by_kind(of_types(types))
        rows: Rows = _since(self.own_rows, self.told.occurred, start, is_of, int(not are_left_out))
        return rows

    def active_days(self, start: int, passive: tuple[str, ...]) -> int:
        """Return on how many UTC days an own event occurred from an instant on, passive ones not.

        Args:
            start: Microseconds since 1970.
            passive: Event types that are no engagement.
        """
        rows = self._rows_since(start, passive, are_left_out=True)
        return len(set((self.told.occurred[rows] // DAY).tolist()))

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
    rows, n_own, machine_rows, n_late = _parted(
        told.events.person, told.events.people.get(lead, -1), told.is_human, told.known, as_of
    )
    return SeenHistory(
        history=history,
        as_of=as_of,
        told=told,
        rows=rows,
        n_own=n_own,
        machine_rows=machine_rows,
        outcomes=_outcomes(history, micros_of_hours(late.outcomes), as_of),
        n_late=n_late,
    )


@njit(cache=True, nogil=True)
def _parted(
    person: Ints, lead: int, is_human: NDArray[np.bool_], known: Ints, as_of: int
) -> tuple[Rows, int, Rows, int]:
    """Return `rows`, `n_own`, `machine_rows` and `n_late` of a `SeenHistory`."""
    own, others = np.empty(len(person), np.int64), np.empty(len(person), np.int64)
    machine = np.empty(len(person), np.int64)
    n_own, n_others, n_machine, n_late = 0, 0, 0, 0
    for row in range(len(person)):
        if known[row] >= as_of:
            n_late += 1
        elif person[row] != lead:
            if is_human[row]:
                others[n_others] = row
                n_others += 1
        elif is_human[row]:
            own[n_own] = row
            n_own += 1
        else:
            machine[n_machine] = row
            n_machine += 1
    rows = np.concatenate((own[:n_own], others[:n_others]))
    return rows, n_own, machine[:n_machine], n_late


@njit(cache=True, nogil=True)
def _since(rows: Rows, occurred: Ints, start: int, is_of: NDArray[np.bool_], wanted: int) -> Rows:
    """Return the rows that occurred from an instant on and are of some types, or are not."""
    out, n = np.empty(len(rows), np.int64), 0
    for row in rows:
        if occurred[row] >= start and is_of[row] == wanted:
            out[n] = row
            n += 1
    return out[:n]


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
    return (_EPOCH + instant * _MICROSECOND).date().isoformat()


def n_days(events: Sequence[SeenEvent]) -> int:
    """Return on how many UTC days events occurred."""
    return len({seen.occurred // DAY for seen in events})


def shortened(text: str, most: int) -> str:
    """Return text on one line, printable, of at most so many characters."""
    plain = " ".join(text.split())
    if not plain.isprintable():
        plain = "".join(letter for letter in plain if letter.isprintable())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
