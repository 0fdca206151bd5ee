"""The columns of the feature matrix, family by family: name, formula, unit.

Notation in formulas: t is the as-of time; an event is seen if it is human and became known before
t; o is when it occurred; h is a half-life, w a window. Sums and counts run over the lead's own seen
events of the group unless said otherwise. Days are UTC days, weeks begin on Monday.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from intentcast.config import FeatureFamily

Family = FeatureFamily
FAMILIES: tuple[Family, ...] = get_args(Family)

ANY = "any"
# Every figure below is part of a formula: a change gives another feature.
DORMANT_DAYS = 14
REVISIT_DAYS = 7
SHARED_DAYS = 14
VISIT_MINUTES = 30
WEEKS = 8
SENIOR_FROM = 3
SENIOR_WINDOWS = (30, 90)


@dataclass(frozen=True)
class Column:
    """One feature.

    Attributes:
        name: `subject area.measure.subject.unit`.
        family: What is switched on and off, and left out in ablations.
        formula: How it is computed.
        unit: Of its values.
        unknown: What NaN means, or "" where it cannot be NaN.
    """

    name: str
    family: Family
    formula: str
    unit: str
    unknown: str = ""


@dataclass(frozen=True)
class Shape:
    """What the columns depend on: names of groups, ladders, and which tables there are."""

    half_lives_days: tuple[float, ...]
    windows_days: tuple[int, ...]
    types: tuple[str, ...]
    themes: tuple[str, ...]
    channels: tuple[str, ...]
    has_core: bool
    has_values: bool
    has_durations: bool
    has_accounts: bool
    has_seniority: bool
    numeric: tuple[str, ...]
    flags: tuple[tuple[str, str], ...]

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(Area, subject) of every group of events, in the kernel's order."""
        return [
            ("engagement", ANY),
            *(("activity", name) for name in self.types),
            *(("theme", name) for name in self.themes),
            *(("channel", name) for name in self.channels),
        ]

    @property
    def focus_groups(self) -> list[tuple[str, str]]:
        """Any, event types and themes: what acceleration and escalation look at."""
        return [group for group in self.groups if group[0] != "channel"]

    @property
    def ladder(self) -> list[str]:
        """Half-lives as units in names."""
        return [f"{_days(h)}d_halflife" for h in self.half_lives_days]

    @property
    def windows(self) -> list[str]:
        """Windows as units in names."""
        return [f"{w}d" for w in self.windows_days]

    @property
    def middle(self) -> int:
        """Which half-life stands for the short memory where one is enough: nearest to 14 days."""
        distance = [abs(days - 14) for days in self.half_lives_days]
        return distance.index(min(distance))

    @property
    def coherent(self) -> list[int]:
        """Half-lives at which coherence is computed: the middle one and the longest."""
        return sorted({self.middle, len(self.half_lives_days) - 1})


def _days(value: float) -> str:
    return f"{value:g}".replace(".", "_")


def blocks(shape: Shape) -> Mapping[Family, list[Column]]:
    """Return each family's columns, in the order in which the kernel writes them."""
    makers = {
        "recency": _recency,
        "last": _last,
        "counts": _counts,
        "value": _value,
        "consistency": _consistency,
        "coherence": _coherence,
        "acceleration": _acceleration,
        "escalation": _escalation,
        "dormancy": _dormancy,
        "account": _account,
        "lifecycle": _lifecycle,
        "fit": _fit,
    }
    return {
        family: [
            Column(name, family, formula, unit, unknown)
            for name, formula, unit, unknown in makers[family](shape)
        ]
        for family in FAMILIES
    }


_Row = tuple[str, str, str, str]
_DECAY = "Σ 2^(−(t − o)/h)"
_WEIGHTED = "events, recency-weighted"
_NONE_YET = "no such event yet"


def _recency(s: Shape) -> Iterator[_Row]:
    for area, subject in s.groups:
        for unit in s.ladder:
            yield f"{area}.recency_weighted.{subject}.{unit}", _DECAY, _WEIGHTED, ""


def _last(s: Shape) -> Iterator[_Row]:
    for area, subject in s.groups:
        yield f"{area}.days_since_last.{subject}.days", "t − max o", "days", _NONE_YET


def _counts(s: Shape) -> Iterator[_Row]:
    for area, subject in s.groups:
        for unit in s.windows:
            yield f"{area}.count.{subject}.{unit}", "number of events with o ≥ t − w", "events", ""


def _value(s: Shape) -> Iterator[_Row]:
    kinds = [("value", "value", "in the events' unit of value")] if s.has_values else []
    kinds += [("duration", "duration_seconds", "seconds")] if s.has_durations else []
    for area, column, unit in kinds:
        for ladder in s.ladder:
            formula = f"Σ {column} · 2^(−(t − o)/h)"
            yield f"{area}.recency_weighted.any.{ladder}", formula, f"{unit}, recency-weighted", ""
        for window in s.windows:
            formula = f"Σ {column} over o ≥ t − w, each rounded to 1/1024"
            yield f"{area}.sum.any.{window}", formula, unit, ""
        formula = f"t − max o of events with a {column}"
        yield f"{area}.days_since_last.any.days", formula, "days", _NONE_YET


def _consistency(s: Shape) -> Iterator[_Row]:
    area = "consistency"
    for window in s.windows:
        formula = "number of days with an event, o ≥ t − w"
        yield f"engagement.active_days.any.{window}", formula, "active days", ""
    formula = f"number of weeks with an active day, of this one and the {WEEKS - 1} before"
    yield f"{area}.active_weeks.any.{WEEKS}w", formula, "weeks", ""
    formula = "length of the run of active days that reaches today or yesterday, else 0"
    yield f"{area}.streak_current.any.run", formula, "days in a row", ""
    formula = "length of the longest run of active days so far"
    yield f"{area}.streak_longest.any.run", formula, "days in a row", ""
    unknown = "fewer than two active days"
    formula = "μ = mean gap between successive active days"
    yield f"{area}.gap_mean.any.gap", formula, "days", unknown
    formula = "σ/μ of those gaps, σ the population standard deviation"
    yield f"{area}.gap_variation.any.ratio", formula, "ratio", "fewer than three active days"
    formula = "(σ − μ)/(σ + μ): −1 regular, 0 random, 1 bursty (Goh & Barabási 2008)"
    yield f"{area}.burstiness.any.ratio", formula, "ratio", "fewer than three active days"
    formula = "days since the last active day / μ: above 1, later than usual"
    yield f"{area}.overdue.any.ratio", formula, "ratio", unknown


def _coherence(s: Shape) -> Iterator[_Row]:
    area, unknown = "coherence", "no content yet"
    where = "p_k = theme k's share of the recency-weighted sum over all themes"
    for i in s.coherent:
        unit = s.ladder[i]
        formula = f"−Σ p_k ln p_k, {where}"
        yield f"{area}.entropy.any.{unit}", formula, "nats", unknown
        yield f"{area}.top_share.any.{unit}", "max p_k", "share", unknown
        if s.has_core:
            yield f"{area}.core_share.any.{unit}", "Σ p_k over core themes", "share", unknown
    for theme in s.themes:
        yield f"{area}.share.{theme}.{s.ladder[s.middle]}", "p_k", "share", unknown
    for window in s.windows:
        formula = "number of named themes with an event, o ≥ t − w"
        yield f"{area}.breadth.any.{window}", formula, "themes", ""


def _acceleration(s: Shape) -> Iterator[_Row]:
    area = "acceleration"
    formula = "S(h short)/S(h long), S the recency-weighted sum: 1 if all happened just now"
    pairs = [(i, i + 1) for i in range(len(s.ladder) - 1)]
    for i, j in pairs:
        unit = f"{_days(s.half_lives_days[i])}d_over_{_days(s.half_lives_days[j])}d"
        yield f"{area}.short_over_long.any.{unit}", formula, "ratio", _NONE_YET
    i, j = s.middle, len(s.ladder) - 1
    if i == j:
        return
    unit = f"{_days(s.half_lives_days[i])}d_over_{_days(s.half_lives_days[j])}d"
    for kind, subject in s.focus_groups[1:]:
        yield f"{area}.{kind}_short_over_long.{subject}.{unit}", formula, "ratio", _NONE_YET


def _escalation(s: Shape) -> Iterator[_Row]:
    area = "escalation"
    formula = f"n-th visit: a visit begins {VISIT_MINUTES} minutes after the group's last event"
    for kind, subject in s.focus_groups:
        yield f"{area}.{kind}_visits.{subject}.visits", formula, "visits", ""
    for window in s.windows:
        formula = "number of distinct contents with o ≥ t − w"
        yield f"engagement.distinct_content.any.{window}", formula, "contents", ""
    for window in s.windows:
        formula = (
            f"events, o ≥ t − w, on content whose event of the {REVISIT_DAYS} days before was "
            "known already"
        )
        yield f"{area}.revisits.any.{window}", formula, "events", ""
    for window in s.windows:
        formula = "largest number of events on one content, o ≥ t − w"
        yield f"{area}.most_repeated.any.{window}", formula, "events", ""


def _dormancy(_s: Shape) -> Iterator[_Row]:
    area = "dormancy"
    silence = f"a silence is a gap of {DORMANT_DAYS} days or more between successive events"
    formula = f"length of the silence broken last, 0 for none; {silence}"
    yield f"{area}.silence_broken.any.gap", formula, "days", ""
    formula = "t − o of the event that broke it"
    yield f"{area}.since_restart.any.days", formula, "days", "none broken"
    yield f"{area}.restarts.any.count", "number of silences broken so far", "silences", ""


def _account(s: Shape) -> Iterator[_Row]:
    if not s.has_accounts:
        return
    area = "account"
    for window in s.windows:
        formula = "number of people of the account, the lead included, with an event, o ≥ t − w"
        yield f"{area}.people_engaged.any.{window}", formula, "people", ""
    for subject in [ANY, *s.themes]:
        for unit in s.ladder:
            formula = f"{_DECAY} over colleagues' events"
            name = f"{area}.colleagues_recency_weighted.{subject}.{unit}"
            yield name, formula, _WEIGHTED, ""
    formula = f"contents with events of two or more people, o ≥ t − {SHARED_DAYS} days"
    yield f"{area}.shared_content.any.{SHARED_DAYS}d", formula, "contents", ""
    formula += ", the lead one of them"
    yield f"{area}.shared_content.own.{SHARED_DAYS}d", formula, "contents", ""
    if s.has_seniority:
        for days in SENIOR_WINDOWS:
            formula = f"people engaged, o ≥ t − w, of rank {SENIOR_FROM} or higher as known at t"
            yield f"{area}.senior_people.any.{days}d", formula, "people", ""
        formula = "highest rank among people engaged: 0 unknown, 1 other, 2 manager, 3 director or "
        formula += "head, 4 vice president, 5 chief"
        yield f"{area}.top_rank.any.{SENIOR_WINDOWS[-1]}d", formula, "rank", ""
    for subject in ("won", "lost"):
        kind = "conversions" if subject == "won" else "closing outcomes"
        formula = f"colleagues' {kind} known before t"
        yield f"{area}.colleagues_{subject}.any.count", formula, kind, ""
    formula = "t − the latest of colleagues' conversions known before t"
    yield f"{area}.since_colleague_won.any.days", formula, "days", "none"


def _lifecycle(_s: Shape) -> Iterator[_Row]:
    area = "lifecycle"
    yield f"{area}.age.lead.days", "t − created_at", "days", ""
    formula = "t − when the first event became known"
    yield f"{area}.age.first_event.days", formula, "days", _NONE_YET
    regular = "|mean of e^(2πi·x)| over events, x the {}: 1 always the same, 0 spread evenly"
    unknown = "fewer than two events"
    formula = regular.format("hour of the day/24")
    yield f"{area}.hour_regularity.any.ratio", formula, "ratio", unknown
    formula = regular.format("weekday/7")
    yield f"{area}.weekday_regularity.any.ratio", formula, "ratio", unknown
    formula = "the lead's earlier conversions known before t"
    yield f"{area}.earlier_conversions.lead.count", formula, "conversions", ""
    yield f"{area}.since_conversion.lead.days", "t − the latest of them", "days", "none"
    formula = "the lead's earlier outcomes known before t that neither convert nor close"
    yield f"{area}.earlier_returns.lead.count", formula, "outcomes", ""
    yield f"{area}.since_return.lead.days", "t − the latest of them", "days", "none"


def _fit(s: Shape) -> Iterator[_Row]:
    for name in s.numeric:
        yield f"fit.value.{name}.number", "the attribute as known at t", "its own", "unknown"
    for flag, level in s.flags:
        formula = f"1 if the attribute, as known at t, is {level}, else 0"
        yield f"fit.is.{flag}.flag", formula, "flag", ""


def names_of(columns: Sequence[Column]) -> list[str]:
    """Return the names in order."""
    return [column.name for column in columns]
