"""Histories as services send them, as the arrays that the kernel walks over."""

import functools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from intentcast.config import DatasetConfig
from intentcast.features.encode import kind_of
from intentcast.features.fit import as_numbers
from intentcast.features.kernel.arrays import ALWAYS, Codes, Floats, Histories, Ints
from intentcast.features.kernel.order import event_order
from intentcast.features.seniority import rank
from intentcast.features.vocabulary import NONE, Vocabulary
from intentcast.histories import Attribute, EngagementEvent, KnownOutcome, LeadHistory, text_of
from intentcast.sources.dataset import EVENT_ORDER

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    event_lead: list[int] = []
    times: list[tuple[int, int]] = []
    codes: list[tuple[int, int, int]] = []
    contents: list[int] = []
    amounts: list[tuple[float, float]] = []
    outcomes: list[tuple[int, int, int, int]] = []
    ranks: list[int] = []
    content_number: dict[str, int] = {}
    types, channels = vocabulary.types, vocabulary.channels
    other_type, other_channel = len(types), len(channels)
    for history in histories:
        has_accounts = vocabulary.spec.has_accounts
        people = history.people if has_accounts else [history.lead_id]
        first = account_leads[-1]
        number = {person: first + i for i, person in enumerate(people)}
        account_leads.append(first + len(people))
        made = micros(history.created_at)
        for person in people:
            created.append(made)
            lead_rows.append(lead_rows[-1] + (person == history.lead_id))
            ranks.append(rank(_title(history, person, vocabulary.spec.seniority)))
        as_of.append(micros(history.as_of))
        for event in once_each(history.events, delays.events):
            lead = number.get(event.lead_id)
            if event.is_machine or lead is None:
                continue
            event_lead.append(lead)
            occurred, known = times_of(event, delays.events)
            times.append((known, occurred))
            content, channel = event.content, event.channel
            theme = NONE
            if content is None:
                contents.append(NONE)
            else:
                theme = vocabulary.theme_of(content)
                contents.append(content_number.setdefault(content, len(content_number)))
            codes.append(
                (
                    types.get(event.event_type, other_type),
                    theme,
                    NONE if channel is None else channels.get(channel, other_channel),
                )
            )
            value, duration = event.value, event.duration_seconds
            amounts.append(
                (
                    math.nan if value is None else value,
                    math.nan if duration is None else duration,
                )
            )
        for outcome in history.outcomes:
            lead = number.get(outcome.lead_id)
            if lead is not None:
                occurred, known = times_of(outcome, delays.outcomes)
                kind = kind_of(outcome.outcome, won=won, lost=lost)
                outcomes.append((lead, known, occurred, kind))
    n_leads = account_leads[-1]
    lead_events, order, known_occurred, amount = _sorted_events(event_lead, times, amounts, n_leads)
    told = np.array(sorted(outcomes), dtype=np.int64).reshape(len(outcomes), 4)
    arrays = Histories(
        account_leads=np.array(account_leads, dtype=np.int64),
        lead_events=lead_events,
        lead_outcomes=_bounds(told[:, 0], n_leads),
        lead_ranks=np.arange(n_leads + 1),
        lead_rows=np.array(lead_rows, dtype=np.int64),
        created=np.array(created, dtype=np.int64),
        known=np.ascontiguousarray(known_occurred[:, 0]),
        occurred=np.ascontiguousarray(known_occurred[:, 1]),
        codes=np.array(codes, dtype=np.int32).reshape(len(codes), 3)[order],
        content=np.array(contents, dtype=np.int64)[order],
        value=np.ascontiguousarray(amount[:, 0]),
        duration=np.ascontiguousarray(amount[:, 1]),
        outcome_known=np.ascontiguousarray(told[:, 1]),
        outcome_occurred=np.ascontiguousarray(told[:, 2]),
        outcome_kind=np.ascontiguousarray(told[:, 3]),
        rank_known=np.full(n_leads, ALWAYS, dtype=np.int64),
        rank=np.array(ranks, dtype=np.int64),
        as_of=np.array(as_of, dtype=np.int64),
        place=np.arange(len(as_of)),
    )
    return EncodedHistories(arrays, *_fit(histories, vocabulary))


def micros_of_hours(hours: float) -> int:
    """Return hours as whole microseconds."""
    return timedelta(hours=hours) // timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    since = moment - _EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


def times_of(row: EngagementEvent | KnownOutcome, delay: int) -> tuple[int, int]:
    """Return when a row's matter occurred and when it became known, in microseconds since 1970.

    Args:
        row: An event or outcome.
        delay: How long after its occurrence it is known where the row does not say.
    """
    occurred, recorded = micros(row.occurred_at), row.recorded_at
    if recorded is None:
        return occurred, occurred + delay
    known = micros(recorded)
    # Not max(), a fifth of the time here: every event of every answer comes through.
    return (occurred, known) if known > occurred else (occurred, occurred)


def _bounds(owner: Ints, n_owners: int) -> Ints:
    return np.searchsorted(owner, np.arange(n_owners + 1)).astype(np.int64)


def _sorted_events(
    lead: list[int], times: list[tuple[int, int]], amounts: list[tuple[float, float]], n_leads: int
) -> tuple[Ints, Ints, Ints, Floats]:
    """Return bounds per lead, the kernel's order, times (n, 2) and amounts (n, 2) in that order."""
    n = len(lead)
    leads = np.array(lead, dtype=np.int64)
    when = np.array(times, dtype=np.int64).reshape(n, 2)
    amount = np.array(amounts, dtype=np.float64).reshape(n, 2)
    bounds = np.zeros(n_leads + 1, dtype=np.int64)
    np.cumsum(np.bincount(leads, minlength=n_leads), out=bounds[1:])
    columns = (
        *(np.ascontiguousarray(c) for c in when.T),
        *(np.ascontiguousarray(c) for c in amount.T),
    )
    order = event_order(leads, *columns, bounds)
    return bounds, order, when[order], amount[order]


def once_each(events: tuple[EngagementEvent, ...], delay: int) -> Sequence[EngagementEvent]:
    """Keep one event per lead and `event_id`: what became known first; else the events as given."""
    named = [(event.lead_id, event.event_id) for event in events if event.event_id is not None]
    if len(set(named)) == len(named):
        return events
    first: dict[tuple[str, str], EngagementEvent] = {}
    kept = []
    for event in events:
        if event.event_id is None:
            kept.append(event)
            continue
        key = (event.lead_id, event.event_id)
        there = first.get(key)
        if there is None or _rank_of(event, delay) < _rank_of(there, delay):
            first[key] = event
    return [*kept, *first.values()]


def _rank_of(event: EngagementEvent, delay: int) -> tuple[tuple[bool, object], ...]:
    """Sort key of `first_of_each_event`: by knowledge, then every column, the absent first."""
    occurred, known = times_of(event, delay)
    values = {**vars(event), "known_at": known, "occurred_at": occurred}
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
