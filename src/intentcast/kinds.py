"""What events are of: each combination of type, content and channel, numbered when first met.

A service's events are of few kinds, met again and again. Whatever is said of an event by these
three texts alone (its theme, the rules and signals that it matches) is worked out once per kind and
then looked up by number, for all events of a history at once.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Kind = tuple[str, str | None, str | None]
Ints = NDArray[np.int64]
# Beyond, the numbers start anew: texts may be of endless variety, and long.
_MOST: Final = 200_000
_MOST_CHARACTERS: Final = 20_000_000


class Kinds:
    """Numbers of kinds, from 0; several threads may ask at once."""

    def __init__(self) -> None:
        self.rows: list[Kind] = []
        self.n_characters = 0
        self._numbers: dict[Kind, int] = {}
        self._contents: dict[str | None, int] = {None: -1}
        self._lock = threading.Lock()
        self.content = KindTable(self._content_numbers)

    def numbers_of(self, events: Sequence[Kind]) -> Ints:
        """Return the number of each event's kind, shape (n,)."""
        known = self._numbers
        try:
            return np.array(list(map(known.__getitem__, events)), dtype=np.int64)
        except KeyError:
            self._add(events)
        return np.array([known[kind] for kind in events], dtype=np.int64)

    def _add(self, events: Iterable[Kind]) -> None:
        with self._lock:
            for kind in events:
                if kind not in self._numbers:
                    self.n_characters += sum(len(text) for text in kind if text)
                    self._contents.setdefault(kind[1], len(self._contents) - 1)
                    # The row before its number: whoever sees the number finds the row.
                    self.rows.append(kind)
                    self._numbers[kind] = len(self.rows) - 1

    def _content_numbers(self, kinds: Sequence[Kind]) -> Ints:
        return np.array([self._contents[content] for _, content, _ in kinds], dtype=np.int64)


class KindTable:
    """What is said of each kind, worked out once.

    Args:
        make: Gives it for some kinds, one row each.
    """

    def __init__(self, make: Callable[[Sequence[Kind]], NDArray[Any]]) -> None:
        self._make = make
        self._held: tuple[Kinds, NDArray[Any], int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """What was worked out stays behind: another process meets other kinds."""
        return KindTable, (self._make,)

    def of(self, kinds: Kinds, numbers: Ints) -> NDArray[Any]:
        """Return what is said of each event, given the numbers of their kinds."""
        held = self._held
        if held is None or held[0] is not kinds or held[2] < len(kinds.rows):
            held = self._grown(kinds)
        found: NDArray[Any] = held[1].take(numbers, axis=0)
        return found

    def _grown(self, kinds: Kinds) -> tuple[Kinds, NDArray[Any], int]:
        # Two threads may do this at once: each makes the same, and either may stay.
        held, n = self._held, len(kinds.rows)
        is_same = held is not None and held[0] is kinds
        done = held[2] if held is not None and is_same else 0
        more = self._make(kinds.rows[done:n])
        if held is not None and is_same and len(held[1]) >= n:
            table = held[1]
        else:
            table = np.zeros((max(64, 2 * n), *more.shape[1:]), dtype=more.dtype)
            if held is not None and is_same:
                table[:done] = held[1][:done]
        table[done:n] = more
        self._held = (kinds, table, n)
        return self._held


@functools.lru_cache(maxsize=64)
def of_types(types: tuple[str, ...]) -> KindTable:
    """Return which kinds are of some event types."""
    return KindTable(lambda kinds: np.array([kind[0] in types for kind in kinds], dtype=np.bool_))


_current = Kinds()


def kinds_of(
    types: Sequence[str], contents: Sequence[str | None], channels: Sequence[str | None]
) -> tuple[Kinds, Ints]:
    """Return the kinds and the number of each event's, shape (n,)."""
    global _current
    kinds = _current
    if len(kinds.rows) > _MOST or kinds.n_characters > _MOST_CHARACTERS:
        kinds = _current = Kinds()
    return kinds, kinds.numbers_of(list(zip(types, contents, channels, strict=True)))
