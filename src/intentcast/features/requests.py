"""Histories as services send them, as the arrays that the kernel walks over."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from intentcast.config import DatasetConfig
from intentcast.engagement import Engagement
from intentcast.features.encode import kind_of
from intentcast.features.fit import as_numbers
from intentcast.features.kernel.arrays import ALWAYS, Codes, Floats, Histories, Ints
from intentcast.features.kernel.order import bounds_of, event_order
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
    def content(self) -> Ints:
        """The number of each event's content, −1 for none, shape (n,)."""
        found: Ints = self.events.by_kind(self.events.kinds[0].content)
        return found

    def numbered(self, number: Mapping[str, int]) -> Ints:
        """Return the number of who did it, by another numbering; −1 for who is not in it."""
        people, person = self.events.people, self.events.person
        of_people = np.array([number.get(name, NONE) for name in people], dtype=np.int64)
        return of_people[person] if len(of_people) else person


class _Part(NamedTuple):
    """Events of one history or of several, those of machines of no lead; see `Histories`."""

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
            whose = number.get(outcome.lead_id)
            if whose is not None:
                ended_at, told_at = times_of(outcome, delays.outcomes)
                kind = kind_of(outcome.outcome, won=won, lost=lost)
                outcomes.append((whose, told_at, ended_at, kind))
    n_leads = account_leads[-1]
    lead, known, occurred, codes, content, value, duration = _together(parts)
    lead_events = bounds_of(lead, n_leads)
    order = event_order(lead, known, occurred, value, duration, lead_events)
    ended = np.array(sorted(outcomes), dtype=np.int64).reshape(len(outcomes), 4)
    of_outcomes = np.ascontiguousarray(ended.T)
    arrays = Histories(
        account_leads=np.array(account_leads, dtype=np.int64),
        lead_events=lead_events,
        lead_outcomes=bounds_of(of_outcomes[0], n_leads),
        lead_ranks=np.arange(n_leads + 1),
        lead_rows=np.array(lead_rows, dtype=np.int64),
        created=np.array(created, dtype=np.int64),
        known=known[order],
        occurred=occurred[order],
        codes=codes.take(order, axis=0),
        content=content[order],
        value=value[order],
        duration=duration[order],
        outcome_known=of_outcomes[1],
        outcome_occurred=of_outcomes[2],
        outcome_kind=of_outcomes[3],
        rank_known=np.full(n_leads, ALWAYS, dtype=np.int64),
        rank=np.array(ranks, dtype=np.int64),
        as_of=np.array(as_of, dtype=np.int64),
        place=np.arange(len(as_of)),
    )
    return EncodedHistories(arrays, *_fit(histories, vocabulary))


def _part(told: ToldEvents, number: Mapping[str, int], vocabulary: Vocabulary) -> _Part:
    """Return one history's events as numbers.

    Args:
        told: Its events.
        number: Of each of its people.
        vocabulary: What training learnt.
    """
    events = told.events
    return _Part(
        lead=np.where(told.is_human, told.numbered(number), NONE),
        known=told.known,
        occurred=told.occurred,
        codes=events.by_kind(vocabulary.codes),
        content=told.content,
        value=events.value,
        duration=events.duration,
    )


def _together(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    if parts:
        columns: list[Any] = [np.concatenate(told) for told in zip(*parts, strict=True)]
        return _Part(*columns)
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    return _Part(whole, whole, whole, np.zeros((0, 3), dtype=np.int32), whole, real, real)


@functools.lru_cache(maxsize=64)
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
    known = _known(events.occurred, events.recorded, delay)
    is_human = np.ones(len(events), dtype=np.bool_)
    if True in events.is_machine:
        is_human = np.array([not machine for machine in events.is_machine], dtype=np.bool_)
    return ToldEvents(events, events.occurred, known, is_human)


@njit(cache=True, nogil=True)
def _known(occurred: Ints, recorded: Ints, delay: int) -> Ints:
    """Return when events became known, from when they occurred and were recorded, if they say."""
    out = np.empty(len(occurred), dtype=np.int64)
    for i in range(len(occurred)):
        is_said = recorded[i] != UNSAID
        out[i] = max(recorded[i], occurred[i]) if is_said else occurred[i] + delay
    return out


def _once_each(events: Engagement, told: ToldEvents) -> list[int] | None:
    """Return one row per lead and `event_id`, what became known first; None to keep them all."""
    if events.event_id.count(None) == len(events):
        return None
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
            levels[i, j] = vocabulary.level_of(j, history.text(name))
    return numbers, levels


def _number(value: Attribute) -> float:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else math.nan
    text = text_of(value)
    return math.nan if text is None else _parsed(text)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> float:
    return float(as_numbers(pl.Series([text]))[0])
