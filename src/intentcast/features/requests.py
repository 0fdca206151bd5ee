"""Histories as services send them, as the arrays that the kernel walks over."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import DatasetConfig
from intentcast.engagement import Engagement
from intentcast.features.encode import kind_of
from intentcast.features.fit import as_numbers
from intentcast.features.kernel.arrays import ALWAYS, Codes, Floats, Histories, Ints
from intentcast.features.kernel.order import arranged
from intentcast.features.seniority import rank
from intentcast.features.vocabulary import NONE, Vocabulary
from intentcast.histories import Attribute, KnownOutcome, LeadHistory, text_of
from intentcast.instants import UNSAID, micros
from intentcast.sources.dataset import EVENT_ORDER


class EncodedHistories(NamedTuple):
    """Arrays for the kernel, and each history's attributes.

    Attributes:
        histories: One account per history.
        numbers: Numeric attributes, shape (n_histories, n_numeric), NaN where unknown.
        levels: Numbers of levels, shape (n_histories, n_categorical), −1 where unknown.
    """

    histories: Histories
    numbers: Floats
    levels: Codes


@dataclass(frozen=True, eq=False)
class ToldEvents:
    """A history's events, each once.

    Attributes:
        events: As columns.
        occurred: Microseconds since 1970, shape (n,).
        known: When each became known, never before it occurred, likewise.
        is_human: Whether no machine did it.
    """

    events: Engagement
    occurred: Ints
    known: Ints
    is_human: NDArray[np.bool_]

    @functools.cached_property
    def people(self) -> dict[str, int]:
        """Everyone who did something, numbered as they come."""
        return {person: i for i, person in enumerate(dict.fromkeys(self.events.lead_id))}

    @functools.cached_property
    def person(self) -> Ints:
        """The number of who did it, shape (n,)."""
        number = self.people
        return np.array([number[person] for person in self.events.lead_id], dtype=np.int64)

    @functools.cached_property
    def content(self) -> Ints:
        """The number of each event's content, −1 for none, shape (n,)."""
        found: Ints = self.events.by_kind(self.events.kinds[0].content)
        return found

    def numbered(self, number: Mapping[str, int]) -> Ints:
        """Return the number of who did it, by another numbering; −1 for who is not in it."""
        of_people = np.array([number.get(person, NONE) for person in self.people], dtype=np.int64)
        return of_people[self.person] if len(of_people) else self.person


class _Part(NamedTuple):
    """Human events of one history or of several; see `Histories`."""

    lead: Ints
    known: Ints
    occurred: Ints
    codes: Codes
    content: Ints
    value: Floats
    duration: Floats


class _Delays(NamedTuple):
    """Microseconds from an occurrence to its being known, where rows do not say."""

    events: int
    outcomes: int


def encode_histories(
    histories: Sequence[LeadHistory], vocabulary: Vocabulary, config: DatasetConfig
) -> EncodedHistories:
    """Return what `encode_dataset` and `read_fit` return for the same leads.

    Args:
        histories: Each of one lead and its account.
        vocabulary: What training learnt.
        config: Says what converts, what closes, and how late sources tell.
    """
    late = config.source_delay_hours
    delays = _Delays(micros_of_hours(late.events), micros_of_hours(late.outcomes))
    won, lost = config.conversion.outcomes, config.conversion.closing
    account_leads, lead_rows, created, as_of = [0], [0], [], []
    parts: list[_Part] = []
    outcomes: list[tuple[int, int, int, int]] = []
    ranks: list[int] = []
    has_accounts, seniority = vocabulary.spec.has_accounts, vocabulary.spec.seniority
    for history in histories:
        people = history.people if has_accounts else [history.lead_id]
        first = account_leads[-1]
        number = {person: first + i for i, person in enumerate(people)}
        account_leads.append(first + len(people))
        created += [micros(history.created_at)] * len(people)
        for person in people:
            lead_rows.append(lead_rows[-1] + (person == history.lead_id))
            ranks.append(rank(_title(history, person, seniority)))
        as_of.append(micros(history.as_of))
        told = told_events(history, delays.events)
        parts.append(_part(told, number, vocabulary))
        for outcome in history.outcomes:
            lead = number.get(outcome.lead_id)
            if lead is not None:
                ended_at, told_at = times_of(outcome, delays.outcomes)
                kind = kind_of(outcome.outcome, won=won, lost=lost)
                outcomes.append((lead, told_at, ended_at, kind))
    n_leads = account_leads[-1]
    events = _together(parts)
    lead_events, known, occurred, codes, content, value, duration = arranged(*events, n_leads)
    ended = np.array(sorted(outcomes), dtype=np.int64).reshape(len(outcomes), 4)
    arrays = Histories(
        account_leads=np.array(account_leads, dtype=np.int64),
        lead_events=lead_events,
        lead_outcomes=_bounds(ended[:, 0], n_leads),
        lead_ranks=np.arange(n_leads + 1),
        lead_rows=np.array(lead_rows, dtype=np.int64),
        created=np.array(created, dtype=np.int64),
        known=known,
        occurred=occurred,
        codes=codes,
        content=content,
        value=value,
        duration=duration,
        outcome_known=np.ascontiguousarray(ended[:, 1]),
        outcome_occurred=np.ascontiguousarray(ended[:, 2]),
        outcome_kind=np.ascontiguousarray(ended[:, 3]),
        rank_known=np.full(n_leads, ALWAYS, dtype=np.int64),
        rank=np.array(ranks, dtype=np.int64),
        as_of=np.array(as_of, dtype=np.int64),
        place=np.arange(len(as_of)),
    )
    return EncodedHistories(arrays, *_fit(histories, vocabulary))


def _part(told: ToldEvents, number: Mapping[str, int], vocabulary: Vocabulary) -> _Part:
    """Return one history's human events as numbers.

    Args:
        told: Its events.
        number: Of each of its people.
        vocabulary: What training learnt.
    """
    events = told.events
    codes = events.by_kind(vocabulary.codes)
    lead = told.numbered(number)
    part = _Part(
        lead, told.known, told.occurred, codes, told.content, events.value, events.duration
    )
    kept = told.is_human & (lead >= 0)
    if bool(kept.all()):
        return part
    columns: list[Any] = [column[kept] for column in part]
    return _Part(*columns)


def _together(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    if parts:
        columns: list[Any] = [np.concatenate(told) for told in zip(*parts, strict=True)]
        return _Part(*columns)
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    return _Part(whole, whole, whole, np.zeros((0, 3), dtype=np.int32), whole, real, real)


def micros_of_hours(hours: float) -> int:
    """Return hours as whole microseconds."""
    return timedelta(hours=hours) // timedelta(microseconds=1)


def times_of(row: KnownOutcome, delay: int) -> tuple[int, int]:
    """Return when a row's matter occurred and when it became known, in microseconds since 1970.

    Args:
        row: An outcome.
        delay: How long after its occurrence it is known where the row does not say.
    """
    occurred, recorded = micros(row.occurred_at), row.recorded_at
    if recorded is None:
        return occurred, occurred + delay
    known = micros(recorded)
    return occurred, max(known, occurred)


def _bounds(owner: Ints, n_owners: int) -> Ints:
    return np.searchsorted(owner, np.arange(n_owners + 1)).astype(np.int64)


def told_events(history: LeadHistory, delay: int) -> ToldEvents:
    """Return a history's events, each once; remembered with the history.

    Args:
        history: Its events, repeated or not, in any order.
        delay: Microseconds after its occurrence that an event is known, where it does not say.
    """
    remembered: dict[int, ToldEvents] = vars(history).setdefault("_told", {})
    found = remembered.get(delay)
    if found is None:
        events = history.engagement
        found = _told(events, delay)
        once = _once_each(events, found)
        if once is not None:
            found = _told(events.take(once), delay)
        remembered[delay] = found
    return found


def _told(events: Engagement, delay: int) -> ToldEvents:
    occurred, recorded = events.occurred, events.recorded
    known = np.where(recorded == UNSAID, occurred + delay, np.maximum(recorded, occurred))
    is_human = np.array([not machine for machine in events.is_machine], dtype=np.bool_)
    return ToldEvents(events, occurred, known, is_human)


def _once_each(events: Engagement, told: ToldEvents) -> list[int] | None:
    """Return one row per lead and `event_id`, what became known first; None to keep them all."""
    named = [i for i, name in enumerate(events.event_id) if name is not None]
    if len({(events.lead_id[i], events.event_id[i]) for i in named}) == len(named):
        return None
    first: dict[tuple[str, str | None], int] = {}
    kept = []
    for row in range(len(events)):
        if events.event_id[row] is None:
            kept.append(row)
            continue
        key = (events.lead_id[row], events.event_id[row])
        there = first.get(key)
        if there is None or _rank_of(told, row) < _rank_of(told, there):
            first[key] = row
    return [*kept, *first.values()]


def _rank_of(told: ToldEvents, row: int) -> tuple[tuple[bool, object], ...]:
    """Sort key of `first_of_each_event`: by knowledge, then every column, the absent first."""
    known = int(told.known[row])
    values = {
        **vars(told.events[row]),
        "known_at": known,
        "occurred_at": int(told.occurred[row]),
    }
    keyed = [known, *(values[name] for name in EVENT_ORDER)]
    return tuple((value is not None, value) for value in keyed)


def _title(history: LeadHistory, person: str, column: str) -> str | None:
    if not column:
        return None
    of = history.attributes if person == history.lead_id else history.colleagues.get(person, {})
    return text_of(of.get(column))


def _fit(histories: Sequence[LeadHistory], vocabulary: Vocabulary) -> tuple[Floats, Codes]:
    spec = vocabulary.spec
    numbers = np.empty((len(histories), len(spec.numeric)))
    levels = np.empty((len(histories), len(spec.levels)), dtype=np.int32)
    for i, history in enumerate(histories):
        for j, name in enumerate(spec.numeric):
            numbers[i, j] = _number(history.attribute(name))
        for j, (name, _) in enumerate(spec.levels):
            levels[i, j] = vocabulary.level_of(j, text_of(history.attribute(name)))
    return numbers, levels


def _number(value: Attribute) -> float:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else math.nan
    text = text_of(value)
    return math.nan if text is None else _parsed(text)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> float:
    return float(as_numbers(pl.Series([text]))[0])
