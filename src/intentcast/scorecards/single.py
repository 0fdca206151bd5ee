"""One lead's history, as a service sends it, through the same walk without a table in between."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from intentcast.config import DatasetConfig
from intentcast.features.requests import micros, micros_of_hours, once_each, times_of
from intentcast.histories import (
    Attribute,
    EngagementEvent,
    LeadHistory,
    dataset_of,
    snapshot_of,
    text_of,
)
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.fit import Fit, banded, fit_points
from intentcast.scorecards.history import shared
from intentcast.scorecards.kernel import Events, Ints, Moments, Signatures, walk
from intentcast.scorecards.ledgers import Ledger, ledger_of
from intentcast.scorecards.rulebook import Rulebook, rulebook
from intentcast.scorecards.standing import Standings, stand, stuck_to
from intentcast.scorecards.sticky import hot_since, looked_at
from intentcast.scorecards.totals import total_up

# Columns of leads that a request states beside its attributes.
_KEYS = frozenset({"lead_id", "account_id", "created_at"})
_TOLD = frozenset(EngagementEvent.__dataclass_fields__)


def ledger_of_history(card: Scorecard, history: LeadHistory, config: DatasetConfig) -> Ledger:
    """Return the ledger of one lead at its history's as-of time, class and score included.

    The same to the last line as `ledger` gives for the same lead in a data set, but for the class
    of a table that sticks where an attribute has changed: see `unknown_past`.

    Args:
        card: The points table.
        history: The lead, its account and their events.
        config: Of the data that it is like: how late sources tell.
    """
    standing = stand_history(card, history, config)
    return ledger_of(standing, 0, lead_id=history.lead_id, as_of=history.as_of)


def unknown_past(card: Scorecard) -> list[str]:
    """Return a warning where a lead's class hangs on attributes that it had earlier.

    A history tells the present attributes only. Whether a lead was hot before is therefore asked as
    if it had always had them, where a data set, which has the changes, asks by those of the time.
    """
    if not card.classes.sticky or not rulebook(card).attribute_columns:
        return []
    return ["class of the points table: whether it was hot before is by present attributes"]


def stand_history(card: Scorecard, history: LeadHistory, config: DatasetConfig) -> Standings:
    """Compute where one lead stands, rule by rule."""
    book = rulebook(card)
    if not _KEYS.isdisjoint(book.attribute_columns):
        return stand(card, dataset_of(history, config), snapshot_of(history))
    now = np.array([micros(history.as_of)], dtype=np.int64)
    events, signatures, lead = _events(book, history, config, before=int(now[0]))
    fit = _fit(book, history, config)
    moments = Moments(lead, now, now, fit.switch, fit.is_on)
    walked = walk(book.rules, signatures, events, moments, by_rule=True)
    points = fit_points(card, fit.bands)
    totals = total_up(card, points, walked, now)
    if card.classes.sticky:
        totals = stuck_to(totals, _was_hot(book, signatures, events, moments, fit))
    return Standings(card, now, fit, points, walked, totals)


def _was_hot(
    book: Rulebook, signatures: Signatures, events: Events, moments: Moments, fit: Fit
) -> Any:
    """Whether the lead was hot at any time, as if it had always had its present attributes."""
    lead, instant = looked_at(events, moments)
    early = instant <= moments.known_before[0]
    lead, instant = lead[early], instant[early]
    always = fit._replace(
        bands=np.repeat(fit.bands, len(lead), axis=0), switch=np.repeat(fit.switch, len(lead))
    )
    at = Moments(lead, instant, instant, always.switch, always.is_on)
    since = hot_since(book, signatures, events, at, always)
    return since[moments.lead] <= moments.known_before


def _events(
    book: Rulebook, history: LeadHistory, config: DatasetConfig, *, before: int
) -> tuple[Events, Signatures, Ints]:
    delay = micros_of_hours(config.source_delay_hours.events)
    people = history.people if book.people else [history.lead_id]
    number = {person: i for i, person in enumerate(people)}
    columns = book.signatures.columns
    told = [name for name in columns if name in _TOLD]
    get = attrgetter("event_type", *told)
    times: list[tuple[int, int, int]] = []
    keys: list[tuple[Any, ...]] = []
    kept: list[EngagementEvent] = []
    for event in once_each(history.events, delay):
        lead = number.get(event.lead_id)
        if event.is_machine or lead is None:
            continue
        occurred, known = times_of(event, delay)
        if known < before:
            times.append((lead, known, occurred))
            keys.append(get(event)[1:])
            kept.append(event)
    if len(told) < len(columns):
        keys = [
            tuple(dict(zip(told, key, strict=True)).get(name) for name in columns) for key in keys
        ]
    signature = np.array(book.signatures.of_keys(keys), dtype=np.int32)
    signatures, rank = book.signatures.tables
    when = np.array(times, dtype=np.int64).reshape(len(times), 3)
    step = 2 * when[:, 1] + signatures.opts_out[signature]
    order = np.lexsort((rank[signature, 1], rank[signature, 0], when[:, 2], step, when[:, 0]))
    content = np.full(len(order), -1, dtype=np.int32)
    if book.counts_contents:
        content[:] = _numbers([event.content for event in kept])
    daily = np.zeros(0, dtype=np.int32)
    if book.daily_types:
        place = {name: i for i, name in enumerate(book.daily_types)}
        daily = np.array([place.get(e.event_type, -1) for e in kept], dtype=np.int32)[order]
    none = np.zeros((0, 0), dtype=np.int64)
    events = Events(
        bounds=np.searchsorted(when[order, 0], np.arange(len(people) + 1)),
        known=np.ascontiguousarray(when[order, 1]),
        occurred=np.ascontiguousarray(when[order, 2]),
        signature=signature[order],
        content=content[order],
        daily_type=daily,
        daily_cap=np.array(list(book.daily_types.values()), dtype=np.int64),
        shared_known=none,
        shared_occurred=none,
    )
    if book.people:
        events = shared(book, events, signatures, np.zeros(len(people), dtype=np.int64))
    return events, signatures, np.array([number[history.lead_id]], dtype=np.int64)


def _numbers(contents: Sequence[str | None]) -> list[int]:
    number: dict[str, int] = {}
    return [-1 if c is None else number.setdefault(c, len(number)) for c in contents]


def _fit(book: Rulebook, history: LeadHistory, config: DatasetConfig) -> Fit:
    met = {
        column: book.met(column, text_of(_attribute(history, config, column)))
        for column in book.attribute_columns
    }
    return banded(book, met, 1)


def _attribute(history: LeadHistory, config: DatasetConfig, column: str) -> Attribute:
    """Return a value as `histories.dataset_of` has it: the lead's, else the account's."""
    if column == config.attributes.rank_column:
        return history.attributes.get(column)
    return history.attribute(column)
