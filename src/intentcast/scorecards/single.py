"""Leads' histories, as a service sends them, through the same walk without a table in between."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from intentcast.config import DatasetConfig
from intentcast.engagement import Engagement
from intentcast.features.requests import micros_of_hours, told_events
from intentcast.histories import (
    Attribute,
    LeadHistory,
    dataset_of,
    snapshot_of,
    text_of,
)
from intentcast.instants import micros
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.fit import Fit, FitPoints, banded, fit_points
from intentcast.scorecards.history import shared
from intentcast.scorecards.kernel import Events, Ints, Moments, Signatures, walk
from intentcast.scorecards.ledgers import Ledger, ledger_of
from intentcast.scorecards.ordering import in_order
from intentcast.scorecards.rulebook import Rulebook, rulebook
from intentcast.scorecards.standing import Standings, stand, stuck_to
from intentcast.scorecards.sticky import hot_since, looked_at
from intentcast.scorecards.totals import total_up

# Columns of leads that a request states beside its attributes.
_KEYS = frozenset({"lead_id", "account_id", "created_at"})
# Fields of events that are columns as they are.
_TEXTS = frozenset({"lead_id", "event_type", "content", "channel", "is_machine", "event_id"})


def ledger_of_history(card: Scorecard, history: LeadHistory, config: DatasetConfig) -> Ledger:
    """Return the ledger of one lead at its history's as-of time, class and score included.

    The same to the last line as `ledger` gives for the same lead in a data set, but for the class
    of a table that sticks where an attribute has changed: see `unknown_past`.

    Args:
        card: The points table.
        history: The lead, its account and their events.
        config: Of the data that it is like: how late sources tell.
    """
    return ledgers_of_histories(card, [history], config)[0]


def ledgers_of_histories(
    card: Scorecard,
    histories: Sequence[LeadHistory],
    config: DatasetConfig,
    *,
    with_lines: Sequence[bool] | None = None,
) -> list[Ledger]:
    """Return the ledgers of several leads, each the same as alone: see `ledger_of_history`.

    Args:
        card: The points table.
        histories: Leads, their accounts and their events.
        config: Of the data that they are like.
        with_lines: Of each, whether its lines are wanted too; of all, without it.
    """
    book = rulebook(card)
    if card.classes.sticky or not _KEYS.isdisjoint(book.attribute_columns):
        # What these ask of a lead's past is asked of one lead at a time.
        standings = [(stand_history(card, history, config), 0) for history in histories]
    else:
        whole = _stand(book, histories, config)
        standings = [(whole, row) for row in range(len(histories))]
    return [
        ledger_of(standing, row, lead_id=history.lead_id, as_of=history.as_of, with_lines=wanted)
        for (standing, row), history, wanted in zip(
            standings, histories, with_lines or [True] * len(histories), strict=True
        )
    ]


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
    standing = _stand(book, [history], config)
    if not card.classes.sticky:
        return standing
    told = _read(book, [history], config)
    moments = Moments(told.lead, standing.now, standing.now, told.fit.switch, told.fit.is_on)
    was_hot = _was_hot(book, told.signatures, told.events, moments, told.fit)
    return replace(standing, totals=stuck_to(standing.totals, was_hot))


class _Read(NamedTuple):
    """Histories as the walk reads them; row i is of history i."""

    events: Events
    signatures: Signatures
    lead: Ints
    now: Ints
    fit: Fit
    points: FitPoints


def _stand(book: Rulebook, histories: Sequence[LeadHistory], config: DatasetConfig) -> Standings:
    """Compute where leads stand whose classes do not stick."""
    told = _read(book, histories, config)
    moments = Moments(told.lead, told.now, told.now, told.fit.switch, told.fit.is_on)
    walked = walk(book.rules, told.signatures, told.events, moments, by_rule=True)
    totals = total_up(book, told.points, walked, told.now)
    return Standings(book.card, told.now, told.fit, told.points, walked, totals)


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


def _read(book: Rulebook, histories: Sequence[LeadHistory], config: DatasetConfig) -> _Read:
    delay = micros_of_hours(config.source_delay_hours.events)
    now = np.array([micros(history.as_of) for history in histories], dtype=np.int64)
    leads, account, n_leads = [], [], 0
    parts: list[list[Any]] = [[], [], [], [], [], []]
    daily = {name: i for i, name in enumerate(book.daily_types)}
    for row, (history, before) in enumerate(zip(histories, now, strict=True)):
        told = told_events(history, delay)
        people = history.people if book.people else [history.lead_id]
        number = {person: n_leads + i for i, person in enumerate(people)}
        leads.append(number[history.lead_id])
        account += [row] * len(people)
        n_leads += len(people)
        of_whom = np.where(told.is_human & (told.known < before), told.numbered(number), -1)
        of_kind = book.signatures.of_kind
        if of_kind is None:
            keys = _keys(book.signatures.columns, told.events)
            signature = np.array(book.signatures.of_keys(keys), dtype=np.int32)
        else:
            signature = told.events.by_kind(of_kind)
        of_day = [daily.get(kind, -1) for kind in told.events.event_type] if daily else []
        columns: list[Any] = [of_whom, told.known, told.occurred, told.content, signature]
        for part, column in zip(parts, [*columns, np.array(of_day, dtype=np.int32)], strict=True):
            part.append(column)
    lead, known, occurred, content, signature, of_day = (_joined(part) for part in parts)
    signatures, rank = book.signatures.tables
    at, order = in_order(lead, known, occurred, signature, signatures.opts_out, rank, n_leads)
    none = np.zeros((0, 0), dtype=np.int64)
    events = Events(
        bounds=at,
        known=known[order],
        occurred=occurred[order],
        signature=signature[order],
        content=content[order].astype(np.int32),
        daily_type=of_day[order] if daily else of_day,
        daily_cap=np.array(list(book.daily_types.values()), dtype=np.int64),
        shared_known=none,
        shared_occurred=none,
    )
    if book.people:
        events = shared(book, events, signatures, np.array(account))
    fit, points = _fit_of(book, histories, config)
    return _Read(events, signatures, np.array(leads, dtype=np.int64), now, fit, points)


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _keys(columns: Sequence[str], events: Engagement) -> list[tuple[Any, ...]]:
    """Return what the rules look at of events; what events do not have is unknown."""
    told: list[list[Any]] = []
    for name in columns:
        if name in _TEXTS:
            told.append(getattr(events, name))
        else:
            told.append([getattr(row, name, None) for row in events])
    return list(zip(*told, strict=True))


def _fit(book: Rulebook, history: LeadHistory, config: DatasetConfig) -> tuple[Fit, FitPoints]:
    """Return what attributes say and their points, remembered by their values."""
    texts = tuple(text_of(_attribute(history, config, c)) for c in book.attribute_columns)

    def make() -> tuple[Fit, FitPoints]:
        met = {c: book.met(c, text) for c, text in zip(book.attribute_columns, texts, strict=True)}
        fit = banded(book, met, 1)
        return fit, fit_points(book.card, fit.bands)

    return book.once(texts, make)


def _fit_of(
    book: Rulebook, histories: Sequence[LeadHistory], config: DatasetConfig
) -> tuple[Fit, FitPoints]:
    """Return what attributes say of each history."""
    found = [_fit(book, history, config) for history in histories]
    if len(found) == 1:
        return found[0]
    fits, points = zip(*found, strict=True)
    fit = Fit(
        np.concatenate([each.bands for each in fits]),
        np.arange(len(fits)),
        np.concatenate([each.is_on for each in fits]),
    )
    return fit, FitPoints(*(np.concatenate(column) for column in zip(*points, strict=True)))


def _attribute(history: LeadHistory, config: DatasetConfig, column: str) -> Attribute:
    """Return a value as `histories.dataset_of` has it: the lead's, else the account's."""
    if column == config.attributes.rank_column:
        return history.attributes.get(column)
    return history.attribute(column)
