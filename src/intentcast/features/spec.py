"""What is computed: the vocabulary learnt on training time, and the columns that follow from it."""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.features.columns import ANY, FAMILIES, Column, Family, Shape, blocks

OTHER = "other"
_NOT_WORD = re.compile(r"[\W_]+")
NAME_PATTERN = re.compile(r"^[a-z]+\.[a-z_]+\.[^\W A-Z]+\.[a-z0-9_]+$")


def slug(text: str) -> str:
    """Return a name's lower-case form for use inside a feature name; letters of any script stay."""
    return _NOT_WORD.sub("_", text.lower()).strip("_") or "blank"


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Slugs in order; a repeated one gets a number, so that no two features share a name."""
    out: list[str] = []
    for name in map(slug, names):
        candidate, number = name, 1
        while candidate in out:
            number += 1
            candidate = f"{name}_{number}"
        out.append(candidate)
    return tuple(out)


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides the feature matrix's columns; stored in the bundle.

    Attributes:
        half_lives_days: Ladder of half-lives of the recency-weighted sums.
        windows_days: Windows of counts.
        event_types: Learnt; an event of any other type counts as `other`.
        channels: Learnt likewise.
        themes: Names of themes, by theme number.
        core_themes: The themes of the team's core proposition.
        has_accounts: Whether any account had two leads in training.
        has_values: Whether events carried values in training.
        has_durations: Whether they carried durations.
        numeric: Numeric attributes.
        levels: Categorical attribute and its learnt levels.
        seniority: The lead's attribute that tells rank, or "" for none.
        families: Which families of features are on.
    """

    half_lives_days: tuple[float, ...]
    windows_days: tuple[int, ...]
    event_types: tuple[str, ...]
    channels: tuple[str, ...]
    themes: tuple[str, ...]
    core_themes: tuple[str, ...]
    has_accounts: bool
    has_values: bool
    has_durations: bool
    numeric: tuple[str, ...]
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    seniority: str = ""
    families: tuple[Family, ...] = FAMILIES

    @functools.cached_property
    def shape(self) -> Shape:
        """Names of groups, ladders and tables that the columns follow from."""
        attributes = _distinct(name for name, _ in self.levels)
        pairs = [
            (f"{attribute} {level}", text)
            for (_, levels), attribute in zip(self.levels, attributes, strict=True)
            for level, text in zip(
                _distinct([*levels, OTHER]), [*levels, "a level not learnt"], strict=True
            )
        ]
        flags = zip(_distinct(flag for flag, _ in pairs), (text for _, text in pairs), strict=True)
        return Shape(
            half_lives_days=self.half_lives_days,
            windows_days=self.windows_days,
            types=_distinct([*self.event_types, OTHER]),
            themes=_distinct([ANY, *self.themes, OTHER])[1:],
            channels=_distinct([*self.channels, OTHER]),
            has_core=any(name in self.themes for name in self.core_themes),
            has_values=self.has_values,
            has_durations=self.has_durations,
            has_accounts=self.has_accounts,
            has_seniority=bool(self.seniority),
            numeric=_distinct(self.numeric),
            flags=tuple(flags),
        )

    @property
    def type_names(self) -> tuple[str, ...]:
        """Event-type groups, `other` last."""
        return self.shape.types

    @property
    def theme_names(self) -> tuple[str, ...]:
        """Theme groups, `other` last."""
        return self.shape.themes

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channel groups, `other` last."""
        return self.shape.channels

    @functools.cached_property
    def core_names(self) -> frozenset[str]:
        """Those of the theme groups that are of the core."""
        both = zip(self.themes, self.theme_names, strict=False)
        return frozenset(name for theme, name in both if theme in self.core_themes)

    @functools.cached_property
    def theme_attention(self) -> dict[float, dict[str, str]]:
        """Per half-life the feature of each theme group's recency-weighted attention."""
        units = {h: f"{h:g}".replace(".", "_") + "d_halflife" for h in self.half_lives_days}
        return {
            half_life: {n: f"theme.recency_weighted.{n}.{unit}" for n in self.theme_names}
            for half_life, unit in units.items()
        }

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every feature that is on, in the matrix's order."""
        found = blocks(self.shape)
        return tuple(c for family in FAMILIES if family in self.families for c in found[family])

    @functools.cached_property
    def first_column(self) -> dict[Family, int]:
        """Where each family's columns begin; −1 for a family that is off."""
        found, first = {}, 0
        for family, columns in blocks(self.shape).items():
            is_on = family in self.families
            found[family] = first if is_on else -1
            first += len(columns) if is_on else 0
        return found

    @functools.cached_property
    def flag_places(self) -> NDArray[np.int64]:
        """Where each categorical attribute's flags begin among all flags; one more is `other`."""
        sizes = [0, *(len(levels) + 1 for _, levels in self.levels)]
        return np.cumsum(sizes)[:-1].astype(np.int64)

    @functools.cached_property
    def names(self) -> list[str]:
        """Feature names in the matrix's column order: area.measure.subject.unit."""
        return [column.name for column in self.columns]

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON values, with the names it gives."""
        return {**asdict(self), "names": self.names, "hash": self.hash}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "FeatureSpec":
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in raw.items()
            if key not in ("names", "hash", "levels")
        }
        levels = tuple((name, tuple(values)) for name, values in raw["levels"])
        return cls(**fields, levels=levels)

    @property
    def hash(self) -> str:
        """Return the first 16 hex digits of the SHA-256 of vocabulary, ladders and formulas."""
        told = json.dumps(
            [asdict(self), [asdict(column) for column in self.columns]], sort_keys=True
        )
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def frequent(
    counts: Sequence[tuple[str, int]],
    *,
    most: int,
    min_share: float,
    always: re.Pattern[str] | None,
) -> tuple[str, ...]:
    """Return the most frequent values above a share, ties by name; in order of name.

    Args:
        counts: Value and how often it occurs, in any order.
        most: At most this many.
        min_share: Of all occurrences.
        always: Values that match keep a place of their own however rare, so that they are never
            pooled with others.
    """
    total = sum(count for _, count in counts)
    ranked = sorted(counts, key=lambda row: (-row[1], row[0]))
    kept = {value for value, count in ranked[:most] if count >= min_share * total}
    if always:
        kept |= {value for value, _ in ranked[: 4 * most] if always.search(value)}
    return tuple(sorted(kept))
