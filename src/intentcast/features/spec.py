"""What is computed: the vocabulary learnt on training time, and the feature names in order."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OTHER = "other"
ANY = "any"
_NOT_WORD = re.compile(r"[^a-z0-9]+")
NAME_PATTERN = re.compile(r"^[a-z]+\.[a-z_]+\.[a-z0-9_]+\.[a-z0-9_]+$")


def slug(text: str) -> str:
    """Return a name's lower-case form for use inside a feature name."""
    return _NOT_WORD.sub("_", text.lower()).strip("_") or "blank"


def _distinct(names: Sequence[str]) -> list[str]:
    """Slugs in order; a repeated one gets a number, so that no two features share a name."""
    out: list[str] = []
    for name in map(slug, names):
        candidate, number = name, 1
        while candidate in out:
            number += 1
            candidate = f"{name}_{number}"
        out.append(candidate)
    return out


def _days(value: float) -> str:
    return f"{value:g}".replace(".", "_")


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
        numeric: Numeric attributes.
        levels: Categorical attribute and its learnt levels.
    """

    half_lives_days: tuple[float, ...]
    windows_days: tuple[int, ...]
    event_types: tuple[str, ...]
    channels: tuple[str, ...]
    themes: tuple[str, ...]
    core_themes: tuple[str, ...]
    has_accounts: bool
    has_values: bool
    numeric: tuple[str, ...]
    levels: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def type_names(self) -> list[str]:
        """Event-type groups, `other` last."""
        return _distinct([*self.event_types, OTHER])

    @property
    def theme_names(self) -> list[str]:
        """Theme groups, `other` last."""
        return _distinct([ANY, *self.themes, OTHER])[1:]

    @property
    def channel_names(self) -> list[str]:
        """Channel groups, `other` last."""
        return _distinct([*self.channels, OTHER])

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(Family, subject) of each group of events, in the kernel's order."""
        groups = [("engagement", ANY)]
        groups += [("activity", name) for name in self.type_names]
        groups += [("theme", name) for name in self.theme_names]
        groups += [("channel", name) for name in self.channel_names]
        if self.has_values:
            groups.append(("value", ANY))
        return groups

    @property
    def names(self) -> list[str]:
        """Feature names in the matrix's column order: family.measure.subject.unit."""
        ladder = [f"{_days(h)}d_halflife" for h in self.half_lives_days]
        windows = [f"{w}d" for w in self.windows_days]
        names = [
            f"{family}.recency_weighted.{subject}.{unit}"
            for family, subject in self.groups
            for unit in ladder
        ]
        names += [f"{family}.days_since_last.{subject}.days" for family, subject in self.groups]
        names += [
            f"{family}.count.{subject}.{unit}"
            for family, subject in self.counted_groups
            for unit in windows
        ]
        names += [f"engagement.active_days.{ANY}.{unit}" for unit in windows]
        names += [f"engagement.distinct_content.{ANY}.{unit}" for unit in windows]
        if self.has_accounts:
            names += [f"account.people_engaged.{ANY}.{unit}" for unit in windows]
            names += [
                f"account.colleagues_recency_weighted.{subject}.{unit}"
                for subject in [ANY, *self.theme_names]
                for unit in ladder
            ]
        names += ["lifecycle.age.lead.days", "lifecycle.age.first_event.days"]
        names += [f"fit.value.{name}.number" for name in _distinct(self.numeric)]
        flags = [
            f"{attribute} {level}"
            for (_, levels), attribute in zip(
                self.levels, _distinct([name for name, _ in self.levels]), strict=True
            )
            for level in _distinct([*levels, OTHER])
        ]
        names += [f"fit.is.{flag}.flag" for flag in _distinct(flags)]
        return names

    @property
    def counted_groups(self) -> list[tuple[str, str]]:
        """Groups that windowed counts are made of: all but values."""
        return [group for group in self.groups if group[0] != "value"]

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
        """Return the first 16 hex digits of the SHA-256 of the names in order."""
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()[:16]
