"""From words to the numbers of groups: one lookup for tables, requests and notebooks."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.features.kernel.arrays import Codes
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel
from intentcast.kinds import Kind, KindTable

NONE = -1
# Contents whose theme is remembered; beyond, the memory starts anew.
_REMEMBERED = 200_000


@dataclass(frozen=True)
class Vocabulary:
    """Numbers of event types, channels, themes and levels, as training learnt them.

    What training did not learn has the number after the last learnt one: `other`.
    """

    spec: FeatureSpec
    themes: ThemeModel
    types: dict[str, int] = field(init=False)
    channels: dict[str, int] = field(init=False)
    levels: tuple[dict[str, int], ...] = field(init=False)
    _theme_of: dict[str, int] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", _numbers(self.spec.event_types))
        object.__setattr__(self, "channels", _numbers(self.spec.channels))
        levels = tuple(_numbers(levels) for _, levels in self.spec.levels)
        object.__setattr__(self, "levels", levels)

    def type_of(self, text: str) -> int:
        """Return the number of an event type."""
        return self.types.get(text, len(self.types))

    def channel_of(self, text: str) -> int:
        """Return the number of a channel."""
        return self.channels.get(text, len(self.channels))

    def theme_of(self, text: str) -> int:
        """Return the number of a content's theme."""
        found = self._theme_of.get(text)
        if found is None:
            [found] = self.themes.assign([text])
            if len(self._theme_of) >= _REMEMBERED:
                self._theme_of.clear()
            self._theme_of[text] = found
        return found

    @functools.cached_property
    def codes(self) -> KindTable:
        """Type, theme and channel of each kind of event, rows of three; −1 for none."""
        return KindTable(self._codes_of)

    def _codes_of(self, kinds: Sequence[Kind]) -> Codes:
        rows = [
            (
                self.type_of(kind),
                NONE if content is None else self.theme_of(content),
                NONE if channel is None else self.channel_of(channel),
            )
            for kind, content, channel in kinds
        ]
        return np.array(rows, dtype=np.int32).reshape(len(rows), 3)

    @functools.cached_property
    def unlearnt(self) -> KindTable:
        """Of each kind of event, rows of four: whether training did not learn its type or channel.

        Then whether its content is of no known theme, and whether it has any.
        """
        others = np.array([len(self.types), len(self.themes.names), len(self.channels)])

        def make(kinds: Sequence[Kind]) -> NDArray[np.int64]:
            codes = self._codes_of(kinds)
            is_type, is_theme, is_channel = (codes == others).T
            has_content = codes[:, 1] != NONE
            columns = (is_type, is_channel, is_theme, has_content)
            return np.column_stack(columns).astype(np.int64)

        return KindTable(make)

    def level_of(self, attribute: int, text: str | None) -> int:
        """Return the number of an attribute's level; −1 where it is unknown."""
        levels = self.levels[attribute]
        return NONE if text is None else levels.get(text, len(levels))


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def coded(column: pl.Series, numbers: Sequence[int], values: pl.Series) -> Codes:
    """Return the number of each row's value; −1 for null and for what is not among the values.

    Args:
        column: Text or categories, shape (n,).
        numbers: One per value.
        values: Distinct texts.
    """
    if not len(values):
        return np.full(len(column), NONE, dtype=np.int32)
    text = column if column.dtype == pl.String else column.cast(pl.String)
    places = text.cast(pl.Enum(values), strict=False).to_physical()
    table = np.array([*numbers, NONE], dtype=np.int32)
    out: Codes = table[places.cast(pl.UInt32).fill_null(len(values)).to_numpy()]
    return out


def distinct(column: pl.Series) -> pl.Series:
    """Return the texts of a column, each once."""
    return column.unique().drop_nulls().cast(pl.String)
