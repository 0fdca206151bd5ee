"""A card made ready to run: its rules as arrays, its conditions by column."""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import polars as pl

from intentcast.scorecards.card import BehaviourRule, Scorecard
from intentcast.scorecards.conditions import Condition, fulfilled
from intentcast.scorecards.decay import DAY_US, KEPT, Fading
from intentcast.scorecards.kernel import (
    BANDS,
    EVERY,
    NO_LIMIT,
    NTH,
    NTH_OF_CONTENT,
    PEOPLE,
    UNTIL,
    Flags,
    Ints,
    Rules,
    Signatures,
)
from intentcast.scorecards.points import to_thousandths
from intentcast.scorecards.signatures import SignatureBook

# Values of attributes that are remembered; beyond, the memory starts anew.
_REMEMBERED = 10_000
Made = TypeVar("Made")


class Limits(NamedTuple):
    """What turns points into score and class; thousandths, `NO_LIMIT` for none.

    Attributes:
        behaviours: The most that behaviours give.
        total: The most that all give.
        warm: From which score on a lead is warm.
        hot: Hot.
        hot_needs_attributes: The attribute points that a hot lead has at least.
        falls: Of the decay by silence; see `decay.NoDecay.falls`.
    """

    behaviours: int
    total: int
    warm: int
    hot: int
    hot_needs_attributes: int
    falls: Ints


@dataclass(frozen=True)
class Rulebook:
    """What the engine computes from a card once.

    `counting` remembers, for the rules about people, which signatures count for them.
    """

    card: Scorecard
    signatures: SignatureBook
    _met: dict[tuple[str, str | None], Flags] = field(default_factory=dict, repr=False)
    counting: dict[tuple[int, ...], tuple[Signatures, Flags]] = field(
        default_factory=dict, repr=False
    )
    _made: dict[tuple[str | None, ...], object] = field(default_factory=dict, repr=False)

    @cached_property
    def rules(self) -> Rules:
        """Behaviour rules as the kernel reads them."""
        card, behaviours = self.card, self.card.behaviours
        n_bands = [len(rule.bands) for rule in behaviours]
        first_band = np.concatenate([[0], np.cumsum(n_bands)]).astype(np.int64)
        reset_days = card.decay.forgets_after_days
        groups = card.groups
        caps = [card.group_caps.get(group) for group in groups]
        companions = iter(range(len(behaviours)))
        return Rules(
            points=_ints(rule.thousandths for rule in behaviours),
            way=_ints(_way(rule) for rule in behaviours),
            nth=_ints(rule.nth for rule in behaviours),
            window=_ints(self._window(rule) for rule in behaviours),
            fading=np.array([self.fading(rule) for rule in behaviours], dtype=np.int64).reshape(
                -1, 3
            ),
            group=_ints(groups.index(r.group) if r.group else -1 for r in behaviours),
            companion=_ints(next(companions) if r.distinct_people else -1 for r in behaviours),
            first_band=first_band,
            bands=np.array(
                [
                    (band.within_days * DAY_US, band.at_least, rule.weighted(band.points))
                    for rule in behaviours
                    for band in rule.bands
                ],
                dtype=np.int64,
            ).reshape(-1, 3),
            group_cap=_ints(NO_LIMIT if cap is None else to_thousandths(cap) for cap in caps),
            reset=NO_LIMIT if reset_days is None else reset_days * DAY_US,
        )

    def fading(self, rule: BehaviourRule) -> Fading:
        """Return how a rule's matches fade: its own decay, or the card's."""
        return KEPT if rule.bands else (rule.decay or self.card.decay).fading

    def _window(self, rule: BehaviourRule) -> int:
        days = rule.window_days or self.card.window_days
        return days * DAY_US if days else NO_LIMIT

    @cached_property
    def people(self) -> tuple[int, ...]:
        """Positions of the rules about several people of an account."""
        return tuple(i for i, r in enumerate(self.card.behaviours) if r.distinct_people)

    @cached_property
    def enough(self) -> Ints:
        """How many people are enough for each of them."""
        behaviours = self.card.behaviours
        found: Ints = _ints(behaviours[position].distinct_people for position in self.people)
        return found

    @cached_property
    def limits(self) -> Limits:
        """Caps, thresholds and the decay by silence as totals read them."""
        card, classes = self.card, self.card.classes
        behaviours, total, warm = (
            NO_LIMIT if points is None else to_thousandths(points)
            for points in (card.behaviours_cap, card.total_cap, classes.warm)
        )
        return Limits(
            behaviours=behaviours,
            total=total,
            warm=warm,
            hot=to_thousandths(classes.hot),
            hot_needs_attributes=to_thousandths(classes.hot_needs_attributes),
            falls=card.decay.falls,
        )

    @cached_property
    def counts_contents(self) -> bool:
        """Whether it matters which events share their content."""
        return bool(np.isin(self.rules.way, (NTH_OF_CONTENT, PEOPLE, UNTIL)).any())

    @cached_property
    def attribute_columns(self) -> tuple[str, ...]:
        """Columns of leads or accounts that a rule looks at."""
        named = [rule.column for rule in self.card.attributes]
        named += [column for rule in self.card.behaviours for column in rule.lead]
        return tuple(dict.fromkeys(named))

    def tests(self, column: str) -> list[Condition]:
        """Return the conditions on a column of attributes: attribute rules' first."""
        tests: list[Condition] = [rule for rule in self.card.attributes if rule.column == column]
        return tests + [r.lead[column] for r in self.card.behaviours if column in r.lead]

    def met(self, column: str, text: str | None) -> Flags:
        """Return which of `tests` one value meets, remembered by value, shape (1, n_tests)."""
        found = self._met.get((column, text))
        if found is None:
            found = fulfilled(self.tests(column), pl.Series([text], dtype=pl.String))
            if len(self._met) > _REMEMBERED:
                self._met.clear()
            self._met[column, text] = found
        return found

    def once(self, key: tuple[str | None, ...], make: Callable[[], Made]) -> Made:
        """Return what was made of these values of attributes, made once."""
        found = self._made.get(key)
        if found is None:
            found = make()
            if len(self._made) > _REMEMBERED:
                self._made.clear()
            self._made[key] = found
        return cast(Made, found)

    @cached_property
    def daily_types(self) -> dict[str, int]:
        """Thousandths a day of each event type that has a cap."""
        card = self.card
        caps = dict.fromkeys(card.event_types, card.daily_cap) | dict(card.daily_caps)
        return {name: to_thousandths(cap) for name, cap in caps.items() if cap is not None}


def _ints(values: Any) -> Any:
    return np.array(list(values), dtype=np.int64)


def _way(rule: BehaviourRule) -> int:
    if rule.bands:
        return BANDS
    if rule.distinct_people is not None:
        return PEOPLE
    if rule.until is not None:
        return UNTIL
    return {"event": EVERY, "lead": NTH, "content": NTH_OF_CONTENT}[rule.per]


_MADE: dict[int, tuple["weakref.ref[Scorecard]", Rulebook]] = {}
_LOCK = threading.Lock()


def rulebook(card: Scorecard) -> Rulebook:
    """Return the card made ready, made once for each card object while it lives."""
    made = _MADE.get(id(card))
    if made is not None and made[0]() is card:
        return made[1]
    # Of a copy: the book must not keep the card alive.
    book = Rulebook(card.model_copy(), SignatureBook(card))
    key = id(card)
    with _LOCK:
        _MADE[key] = (weakref.ref(card, lambda _: _forget(key)), book)
    return book


def _forget(key: int) -> None:
    made = _MADE.get(key)
    # The number may be another card's by now.
    if made is not None and made[0]() is None:
        _MADE.pop(key, None)
