"""Events of one lead and its account as columns: read once, looked at by everything that counts.

A service sends events row by row. Features, stage, hand-off and ledger each want a few columns of
all rows, so the rows are turned once; a row is made again where one event is spoken of.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from intentcast.instants import UNSAID, Ints, instant, micros, plain_instants
from intentcast.kinds import Kinds, KindTable, kinds_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EngagementEvent:
    """One thing that the lead or a colleague did; times are UTC instants."""

    lead_id: str
    occurred_at: datetime
    event_type: str
    content: str | None = None
    channel: str | None = None
    value: float | None = None
    duration_seconds: float | None = None
    is_machine: bool | None = None
    event_id: str | None = None
    recorded_at: datetime | None = None


_FIELDS = tuple(field.name for field in fields(EngagementEvent))
_REQUIRED = frozenset({"lead_id", "occurred_at", "event_type"})


@dataclass(frozen=True, eq=False)
class Engagement(Sequence[EngagementEvent]):
    """Events as columns of one length, in the order in which they were given.

    Attributes:
        lead_id: Who did it.
        event_type: What.
        content: Title or URL, or None.
        channel: Or None.
        is_machine: Or None.
        event_id: Or None.
        occurred: Microseconds since 1970, shape (n,).
        recorded: When it became known, likewise; `UNSAID` where it does not say.
        value: NaN for none, shape (n,).
        duration: Seconds, NaN for none, shape (n,).
    """

    lead_id: list[str]
    event_type: list[str]
    content: list[str | None]
    channel: list[str | None]
    is_machine: list[bool | None]
    event_id: list[str | None]
    occurred: Ints
    recorded: Ints
    value: Floats
    duration: Floats

    def __len__(self) -> int:
        return len(self.lead_id)

    @overload
    def __getitem__(self, place: int) -> EngagementEvent: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[EngagementEvent, ...]: ...
    def __getitem__(self, place: int | slice) -> EngagementEvent | tuple[EngagementEvent, ...]:
        if isinstance(place, slice):
            return tuple(self._row(i) for i in range(*place.indices(len(self))))
        return self._row(range(len(self))[place])

    def __iter__(self) -> Iterator[EngagementEvent]:
        return map(self._row, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _row(self, i: int) -> EngagementEvent:
        value, duration = float(self.value[i]), float(self.duration[i])
        recorded = int(self.recorded[i])
        return EngagementEvent(
            lead_id=self.lead_id[i],
            occurred_at=instant(int(self.occurred[i])),
            event_type=self.event_type[i],
            content=self.content[i],
            channel=self.channel[i],
            value=None if np.isnan(value) else value,
            duration_seconds=None if np.isnan(duration) else duration,
            is_machine=self.is_machine[i],
            event_id=self.event_id[i],
            recorded_at=None if recorded == UNSAID else instant(recorded),
        )

    def take(self, rows: Sequence[int]) -> "Engagement":
        """Return some of the events, in the order of the places given."""
        places = np.array(rows, dtype=np.int64)
        lists: list[Any] = [[column[i] for i in rows] for column in self._lists]
        arrays: list[Any] = [
            array[places] for array in (self.occurred, self.recorded, self.value, self.duration)
        ]
        return Engagement(*lists, *arrays)

    @cached_property
    def people(self) -> dict[str, int]:
        """Everyone who did something, numbered as they come."""
        return {person: i for i, person in enumerate(dict.fromkeys(self.lead_id))}

    @cached_property
    def person(self) -> Ints:
        """The number of who did it, shape (n,)."""
        return np.array(list(map(self.people.__getitem__, self.lead_id)), dtype=np.int64)

    @cached_property
    def kinds(self) -> tuple[Kinds, Ints]:
        """The number of each event's kind, and what the numbers are of."""
        return kinds_of(self.event_type, self.content, self.channel)

    def by_kind(self, table: KindTable) -> NDArray[Any]:
        """Return what a table says of each event's kind, one row each."""
        return table.of(*self.kinds)

    @property
    def _lists(self) -> tuple[list[Any], ...]:
        return (
            self.lead_id,
            self.event_type,
            self.content,
            self.channel,
            self.is_machine,
            self.event_id,
        )


def engagement_of(events: Sequence[EngagementEvent]) -> Engagement:
    """Return events as columns."""
    if isinstance(events, Engagement):
        return events
    return Engagement(
        lead_id=[e.lead_id for e in events],
        event_type=[e.event_type for e in events],
        content=[e.content for e in events],
        channel=[e.channel for e in events],
        is_machine=[e.is_machine for e in events],
        event_id=[e.event_id for e in events],
        occurred=np.array([micros(e.occurred_at) for e in events], dtype=np.int64),
        recorded=np.array(
            [UNSAID if e.recorded_at is None else micros(e.recorded_at) for e in events],
            dtype=np.int64,
        ),
        value=_floats([e.value for e in events]),
        duration=_floats([e.duration_seconds for e in events]),
    )


def engagement_from_rows(rows: Sequence[Mapping[str, Any]]) -> Engagement:
    """Return rows of JSON that have been checked already, as columns.

    Raises:
        ValueError: For a text that is no time.
    """
    columns = _columns(rows)
    return Engagement(
        lead_id=columns["lead_id"],
        event_type=columns["event_type"],
        content=columns["content"],
        channel=columns["channel"],
        is_machine=columns["is_machine"],
        event_id=columns["event_id"],
        occurred=_instants(columns["occurred_at"]),
        recorded=_instants(columns["recorded_at"]),
        value=_floats(columns["value"]),
        duration=_floats(columns["duration_seconds"]),
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return each field's values; None where a row does not have it.

    Raises:
        KeyError: If a row lacks one that it must have.
    """
    names = tuple(rows[0]) if rows else ()
    # Rows of one shape, as most senders make them, are turned at once.
    if len(names) > 1 and sum(map(len, rows)) == len(names) * len(rows):
        try:
            turned = list(map(list, zip(*map(itemgetter(*names), rows), strict=True)))
        except KeyError:
            turned = []
        if turned and set(names) >= _REQUIRED:
            nothing: list[Any] = [None] * len(rows)
            return dict.fromkeys(_FIELDS, nothing) | dict(zip(names, turned, strict=True))
    return {
        name: [row[name] if name in _REQUIRED else row.get(name) for row in rows]
        for name in _FIELDS
    }


def _floats(values: list[float | None]) -> Floats:
    if values.count(None) == len(values):
        return np.full(len(values), np.nan)
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _instants(times: list[str | datetime | None]) -> Ints:
    """Return times as microseconds since 1970; `UNSAID` for none."""
    if times.count(None) == len(times):
        return np.full(len(times), UNSAID)
    said = [time for time in times if time]
    found = plain_instants(said) if said else np.zeros(0, dtype=np.int64)
    for i in np.flatnonzero(found == UNSAID).tolist():
        found[i] = micros(_moment(said[i]))
    if len(said) == len(times):
        return found
    out = np.full(len(times), UNSAID)
    out[[bool(time) for time in times]] = found
    return out


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)
