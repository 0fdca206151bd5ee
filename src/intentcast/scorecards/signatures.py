"""Which events mean the same to a card's rules: texts are looked at once each, not once per event.

An event's signature is the set of rules that it matches or answers, and whether it opts out or
makes hot at once. Data sets have millions of events and a handful of signatures.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.features.vocabulary import coded
from intentcast.kinds import Kind, KindTable
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.conditions import Condition, fulfilled
from intentcast.scorecards.kernel import Codes, Flags, Signatures
from intentcast.sources import as_text

# Patterns of this many rules are told apart by one exact double when events are put in order.
_BITS = 52
_MOST_COMBINATIONS = 4096
# Combinations of single events that are remembered; beyond, the memory starts anew.
_REMEMBERED = 10_000
_OF_KIND = ("event_type", "content", "channel")

Check = Callable[[pl.Series], Flags]


class SignatureBook:
    """The signatures of one card, numbered as they are met; several threads may ask at once."""

    def __init__(self, card: Scorecard) -> None:
        self._n_rules = len(card.behaviours)
        self._answered = [i for i, rule in enumerate(card.behaviours) if rule.until is not None]
        self._width = self._n_rules + len(self._answered) + 2
        self._checks = self._checks_of(card)
        self.columns = tuple(self._checks)
        self._numbers: dict[bytes, int] = {}
        self._patterns: list[Flags] = []
        self._remembered: dict[tuple[Any, ...], int] = {}
        self._lock = threading.Lock()
        self._tables = self._tabled()

    def _checks_of(self, card: Scorecard) -> dict[str, list[tuple[int, Check]]]:
        """Return, per column of events, which place of a pattern depends on which check."""
        checks: dict[str, list[tuple[int, Check]]] = {"event_type": []}

        def add(column: str, place: int, check: Check) -> None:
            checks.setdefault(column, []).append((place, check))

        for place, rule in enumerate(card.behaviours):
            add("event_type", place, _is_in(rule.event_type))
            if rule.content is not None:
                add("content", place, _contains(rule.content))
            if rule.channel is not None:
                add("channel", place, _is_in(rule.channel))
            for column, condition in rule.where.items():
                add(column, place, _meets(condition))
        for i, rule_number in enumerate(self._answered):
            add("event_type", self._n_rules + i, _is_in(card.behaviours[rule_number].until or ()))
        add("event_type", self._width - 2, _is_in(card.opt_out))
        add("event_type", self._width - 1, _is_in(card.immediate))
        return checks

    @property
    def tables(self) -> tuple[Signatures, NDArray[np.float64]]:
        """What each signature means, and its place in the order of events, shape (n, 2)."""
        return self._tables

    def of_events(self, events: pl.DataFrame) -> tuple[Codes, dict[str, Codes]]:
        """Return the signature of each event, and the numbers of the texts of columns looked at.

        A column that is not there is unknown for every event.
        """
        numbers = np.zeros(len(events), dtype=np.int64)
        patterns = np.ones((1, self._width), dtype=np.bool_)
        codes: dict[str, Codes] = {}
        for column, checks in self._checks.items():
            if column in events.columns:
                codes[column], texts = text_codes(events[column])
            else:
                codes[column], texts = np.full(len(events), -1, dtype=np.int32), _no_texts()
            met, of_text = _distinct_rows(self._met(checks, texts))
            numbers = numbers * len(met) + of_text[codes[column]]
            patterns = (patterns[:, None, :] & met[None, :, :]).reshape(-1, self._width)
            if len(patterns) > _MOST_COMBINATIONS:
                used, numbers = np.unique(numbers, return_inverse=True)
                patterns = patterns[used]
        there = np.flatnonzero(np.bincount(numbers, minlength=len(patterns)))
        found = np.full(len(patterns), -1, dtype=np.int32)
        found[there] = self._numbered(patterns[there])
        return found[numbers], codes

    def of_keys(self, keys: Sequence[tuple[Any, ...]]) -> list[int]:
        """Return the signature of each combination of values of `columns`."""
        known = self._remembered
        try:
            return [known[key] for key in keys]
        except KeyError:
            pass
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        frame = pl.DataFrame(
            {name: [key[i] for key in missing] for i, name in enumerate(self.columns)},
            schema_overrides=dict.fromkeys(("event_type", "content", "channel"), pl.String),
        )
        numbers, _ = self.of_events(frame)
        with self._lock:
            if len(self._remembered) > _REMEMBERED:
                self._remembered = {}
            # A new one, not a changed one: another thread may be reading.
            known = {**self._remembered, **dict(zip(missing, numbers.tolist(), strict=True))}
            self._remembered = known
        return self.of_keys(keys)

    @functools.cached_property
    def of_kind(self) -> KindTable | None:
        """The signature of each kind of event; None where rules look at more than a kind tells."""
        if not set(self.columns) <= set(_OF_KIND):
            return None
        places = [_OF_KIND.index(name) for name in self.columns]

        def make(kinds: Sequence[Kind]) -> Codes:
            keys = [tuple(kind[place] for place in places) for kind in kinds]
            return np.array(self.of_keys(keys), dtype=np.int32)

        return KindTable(make)

    def _met(self, checks: list[tuple[int, Check]], texts: pl.Series) -> Flags:
        """Return which places each text leaves met, and, in the last row, no text at all."""
        met = np.ones((len(texts) + 1, self._width), dtype=np.bool_)
        for place, check in checks:
            met[:-1, place] &= check(texts)
            met[-1, place] = False
        return met

    def _numbered(self, patterns: Flags) -> Codes:
        keys = [pattern.tobytes() for pattern in patterns]
        if any(key not in self._numbers for key in keys):
            with self._lock:
                numbers = dict(self._numbers)
                for key, pattern in zip(keys, patterns, strict=True):
                    if key not in numbers:
                        self._patterns.append(pattern)
                        numbers[key] = len(self._patterns) - 1
                # Meanings before numbers: another thread may use a number as soon as it is there.
                self._tables = self._tabled()
                self._numbers = numbers
        return np.array([self._numbers[key] for key in keys], dtype=np.int32)

    def _tabled(self) -> tuple[Signatures, NDArray[np.float64]]:
        patterns = np.array(self._patterns, dtype=np.bool_).reshape(-1, self._width)
        n = self._n_rules
        first_rule, rules = _lists(patterns[:, :n])
        first_answer, answers = _lists(patterns[:, n:-2])
        answered = np.array(self._answered, dtype=np.int64)
        order = np.zeros((len(patterns), 2))
        for half in range(2):
            some = patterns[:, half * _BITS : min((half + 1) * _BITS, n)]
            order[:, half] = some @ (2.0 ** -np.arange(1, some.shape[1] + 1))
        return Signatures(
            first_rule=first_rule,
            rules=rules,
            first_answer=first_answer,
            answers=answered[answers],
            opts_out=np.ascontiguousarray(patterns[:, -2]),
            is_immediate=np.ascontiguousarray(patterns[:, -1]),
        ), order


def _is_in(names: Sequence[str]) -> Check:
    wanted = list(names)
    return lambda texts: texts.is_in(wanted).to_numpy()


def _meets(test: Condition) -> Check:
    return lambda texts: fulfilled([test], texts)[:, 0]


def _contains(pattern: str) -> Check:
    return lambda texts: texts.str.contains(f"(?i){pattern}").to_numpy()


def _no_texts() -> pl.Series:
    return pl.Series([], dtype=pl.String)


def _lists(flags: Flags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each row's columns that are true begin, and those columns."""
    bounds = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags.sum(axis=1), out=bounds[1:])
    return bounds, np.nonzero(flags)[1].astype(np.int64)


def _distinct_rows(flags: Flags) -> tuple[Flags, NDArray[np.int64]]:
    """Return the distinct rows, and which of them each row is."""
    packed = np.ascontiguousarray(np.packbits(flags, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return flags[first], inverse.astype(np.int64)


def text_codes(column: pl.Series) -> tuple[Codes, pl.Series]:
    """Return the number of each row's value, −1 for null, and the distinct values as text."""
    if column.dtype.is_numeric():
        values = column.unique().drop_nulls().sort()
        codes = np.searchsorted(values.to_numpy(), column.fill_null(0).to_numpy())
        found: Codes = np.where(column.is_null().to_numpy(), -1, codes).astype(np.int32)
        return found, _as_text(values)
    if isinstance(column.dtype, pl.Enum):
        distinct = column.unique().drop_nulls().cast(pl.String)
        return coded(column, range(len(distinct)), distinct), distinct
    texts = _as_text(column) if column.dtype != pl.String else column
    distinct = texts.unique().drop_nulls()
    return coded(texts, range(len(distinct)), distinct), distinct


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype.base_type() in (pl.Categorical, pl.Enum, pl.Null):
        return column.cast(pl.String)
    return column.to_frame("value").select(as_text("value", column.dtype)).to_series()
