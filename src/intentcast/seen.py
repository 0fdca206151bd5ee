"""What of one lead's history was known strictly before its as-of time: the one cut for one lead.

Stage, hand-off, returns, packet and warnings all look through here, so nothing that became known
at or after the as-of time reaches any of them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from intentcast.config import DatasetConfig
from intentcast.features.requests import micros, micros_of_hours, once_each, times_of
from intentcast.histories import EngagementEvent, KnownOutcome, LeadHistory

DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SeenEvent(NamedTuple):
    """An event with its times in microseconds since 1970."""

    occurred: int
    known: int
    event: EngagementEvent


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
        own: The lead's own human events, each event once, in no particular order.
        colleagues: Those of the others of its account.
        machine: The lead's own events of machines.
        outcomes: The lead's own.
        n_late: Events of the account that became known too late.
    """

    history: LeadHistory
    as_of: int
    own: tuple[SeenEvent, ...]
    colleagues: tuple[SeenEvent, ...]
    machine: tuple[SeenEvent, ...]
    outcomes: tuple[SeenOutcome, ...]
    n_late: int

    def since(self, start: int) -> list[SeenEvent]:
        """Return the own human events that occurred at or after an instant."""
        return [seen for seen in self.own if seen.occurred >= start]


def see(history: LeadHistory, config: DatasetConfig) -> SeenHistory:
    """Return what was known of a lead and its account strictly before the as-of time.

    Args:
        history: Events, repeated or not, and outcomes, in any order.
        config: How late sources tell, where rows do not say.
    """
    late = config.source_delay_hours
    delay = micros_of_hours(late.events)
    as_of, lead = micros(history.as_of), history.lead_id
    own: list[SeenEvent] = []
    colleagues: list[SeenEvent] = []
    machine: list[SeenEvent] = []
    n_late = 0
    for event in once_each(history.events, delay):
        occurred, known = times_of(event, delay)
        if known >= as_of:
            n_late += 1
        elif event.lead_id != lead:
            if not event.is_machine:
                colleagues.append(SeenEvent(occurred, known, event))
        elif event.is_machine:
            machine.append(SeenEvent(occurred, known, event))
        else:
            own.append(SeenEvent(occurred, known, event))
    return SeenHistory(
        history=history,
        as_of=as_of,
        own=tuple(own),
        colleagues=tuple(colleagues),
        machine=tuple(machine),
        outcomes=_outcomes(history, micros_of_hours(late.outcomes), as_of),
        n_late=n_late,
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


def n_days(events: list[SeenEvent]) -> int:
    """Return on how many UTC days events occurred."""
    return len({seen.occurred // DAY for seen in events})


def shortened(text: str, most: int) -> str:
    """Return text on one line, printable, of at most so many characters."""
    plain = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
