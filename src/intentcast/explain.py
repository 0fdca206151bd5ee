"""Why a lead has its probability: contributions to the log-odds, grouped, in words."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.features import FeatureSpec
from intentcast.features.columns import DORMANT_DAYS, SENIOR_WINDOWS, SHARED_DAYS
from intentcast.features.spec import OTHER
from intentcast.propensity.margins import Floats

SMALLEST_SHOWN = 0.05
MOST_SHOWN = 6
NEVER = "never"
Group = tuple[str, str]


@dataclass(frozen=True)
class Reason:
    """One group of features.

    Attributes:
        text: What the lead did or is, in words.
        direction: Whether that raises or lowers the probability, for this model.
        contribution: To the log-odds, against the average lead.
    """

    text: str
    direction: Literal["raises", "lowers"]
    contribution: float


def reasons(
    spec: FeatureSpec, named: Mapping[str, float], names: Sequence[str], contributions: Floats
) -> tuple[Reason, ...]:
    """Return the strongest groups of features, largest first; small ones are left out.

    All measures of one subject (say, pricing content at every half-life and window) speak with one
    voice: their contributions are summed before anything is said.

    Args:
        spec: With every family on; says what there is to tell.
        named: The lead's features of that specification, by name.
        names: The model's features, shape (n_features,).
        contributions: To the log-odds, shape (n_features + 1,), the average lead's last.
    """
    groups, number = _groups(spec, tuple(names))
    totals = np.bincount(number, weights=contributions[:-1], minlength=len(groups)).tolist()
    ranked = sorted(zip(groups, totals, strict=True), key=lambda item: (-abs(item[1]), item[0]))
    return tuple(
        Reason(_text(group, named, spec), "raises" if total > 0 else "lowers", total)
        for group, total in ranked[:MOST_SHOWN]
        if abs(total) >= SMALLEST_SHOWN
    )


@functools.lru_cache(maxsize=8)
def _groups(spec: FeatureSpec, names: tuple[str, ...]) -> tuple[list[Group], NDArray[np.int64]]:
    """Return the groups, and the number of each feature's."""
    place: dict[Group, int] = {}
    numbers = [place.setdefault(_group(name, spec), len(place)) for name in names]
    return list(place), np.array(numbers, dtype=np.int64)


def _group(name: str, spec: FeatureSpec) -> Group:
    area, measure, subject, _ = name.split(".")
    if area == "fit" and measure == "is":
        return "fit_is", _flags(spec)[name][0]
    if area in ("acceleration", "escalation") and measure.startswith(_FOCUSED):
        return measure.split("_")[0], subject
    if (area, measure) == ("coherence", "share"):
        return "theme", subject
    if area in ("account", "lifecycle"):
        return _GROUPS.get(measure, measure), subject
    return _AREAS.get(area, area), subject


# Areas, and measures of account and lifecycle, that speak with another's voice.
_AREAS = {"consistency": "engagement", "acceleration": "engagement"}
_FOCUSED = ("activity_", "theme_", "engagement_")
_GROUPS = {
    "top_rank": "senior_people",
    "colleagues_won": "colleagues_outcomes",
    "colleagues_lost": "colleagues_outcomes",
    "since_colleague_won": "colleagues_outcomes",
    "hour_regularity": "regularity",
    "weekday_regularity": "regularity",
    "since_conversion": "earlier_conversions",
    "since_return": "earlier_returns",
}


@functools.lru_cache(maxsize=8)
def _flags(spec: FeatureSpec) -> dict[str, Group]:
    """Return each flag's attribute and level; by place, since names run into one another."""
    pairs = [(name, level) for name, levels in spec.levels for level in (*levels, OTHER)]
    return dict(zip(spec.names[len(spec.names) - len(pairs) :], pairs, strict=True))


def _text(group: Group, named: Mapping[str, float], spec: FeatureSpec) -> str:
    kind, subject = group
    return _WORDS[kind](subject.replace("_", " "), subject, named, spec)


def _nearest(wanted: int, spec: FeatureSpec) -> int:
    return min(spec.windows_days, key=lambda days: abs(days - wanted))


def _ago(days: float) -> str:
    if math.isnan(days):
        return NEVER
    return "today" if days < 1 else "yesterday" if days < 2 else f"{days:.0f} days ago"


def _times(n: float) -> str:
    return "once" if n == 1 else f"{n:.0f} times"


def _engaged(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    window = _nearest(30, spec)
    active = named[f"engagement.active_days.any.{window}d"]
    last = _ago(named["engagement.days_since_last.any.days"])
    if last == NEVER:
        return "never active"
    return f"active on {active:.0f} of the last {window} days, last {last}"


def _did(family: str, verb: str) -> Callable[[str, str, Mapping[str, float], FeatureSpec], str]:
    def say(words: str, subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
        window = _nearest(30, spec)
        n = named[f"{family}.count.{subject}.{window}d"]
        last = named[f"{family}.days_since_last.{subject}.days"]
        what = verb.format("other" if subject == OTHER else words)
        if math.isnan(last):
            return f"{what}: never"
        return f"{what}: {_times(n) if n else 'not'} in the last {window} days, last {_ago(last)}"

    return say


def _people(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    window = _nearest(14, spec)
    n = named[f"account.people_engaged.any.{window}d"]
    people = "1 person" if n == 1 else f"{n:.0f} people"
    return f"{people} of the account active in the last {window} days"


def _colleagues(words: str, subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    units = [f"{h:g}".replace(".", "_") + "d_halflife" for h in spec.half_lives_days]
    recent = any(
        named[f"account.colleagues_recency_weighted.{subject}.{unit}"] > 0.5 for unit in units
    )
    about = "" if subject == "any" else f" with {words} content"
    return f"colleagues {'recently engaged' if recent else 'not engaged'}{about}"


def _coherent(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    window = _nearest(30, spec)
    breadth = named[f"coherence.breadth.any.{window}d"]
    what = f"{breadth:.0f} themes" if breadth > 1 else "1 theme" if breadth else "no known theme"
    text = f"{what} in the last {window} days"
    unit = spec.shape.ladder[spec.shape.middle]
    core = named.get(f"coherence.core_share.any.{unit}", math.nan)
    return text if math.isnan(core) else f"{text}, {core:.0%} of recent attention on core themes"


def _repeated(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    window = _nearest(30, spec)
    most = named[f"escalation.most_repeated.any.{window}d"]
    revisits = named[f"escalation.revisits.any.{window}d"]
    if most <= 1:
        seen = "no content seen twice" if most else "no content"
        return f"{seen} in the last {window} days"
    again = "1 revisit" if revisits == 1 else f"{revisits:.0f} revisits"
    return f"the same content up to {_times(most)} in the last {window} days, {again} within a week"


def _woke(_words: str, _subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    silence = named["dormancy.silence_broken.any.gap"]
    if not silence:
        return f"no comeback after a silence of {DORMANT_DAYS} days or more"
    since = _ago(named["dormancy.since_restart.any.days"])
    return f"came back {since} after {silence:.0f} silent days"


def _shared(_words: str, subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    n = named[f"account.shared_content.{subject}.{SHARED_DAYS}d"]
    what = "1 content" if n == 1 else f"{n:.0f} contents" if n else "no content"
    who = "several people of the account" if subject == "any" else "both the lead and colleagues"
    return f"{what} seen by {who} in the last {SHARED_DAYS} days"


def _seniors(_words: str, _subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    window = SENIOR_WINDOWS[0]
    n = named[f"account.senior_people.any.{window}d"]
    people = f"{n:.0f} senior people" if n > 1 else "1 senior person" if n else "no senior person"
    return f"{people} of the account active in the last {window} days"


def _history(_words: str, _subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    won = named["account.colleagues_won.any.count"]
    lost = named["account.colleagues_lost.any.count"]
    if not won and not lost:
        return "no earlier outcomes of colleagues"
    return f"colleagues' earlier outcomes: {won:.0f} won, {lost:.0f} lost"


def _regular(_words: str, _subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    hours = named["lifecycle.hour_regularity.any.ratio"]
    weekdays = named["lifecycle.weekday_regularity.any.ratio"]
    if math.isnan(hours):
        return "too few events to tell usual hours"
    say = ["changing", "fairly regular", "regular"]
    hour, day = (say[int(r > 0.5) + int(r > 0.8)] for r in (hours, weekdays))
    return f"active at {hour} hours, on {day} days of the week"


def _earlier(what: str, kind: str) -> Callable[[str, str, Mapping[str, float], FeatureSpec], str]:
    def say(_words: str, _subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
        n = named[f"lifecycle.earlier_{kind}s.lead.count"]
        if not n:
            return f"never {what} before"
        return f"{what} {_times(n)} before, last {_ago(named[f'lifecycle.since_{kind}.lead.days'])}"

    return say


def _lasted(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    window = _nearest(30, spec)
    minutes = named[f"duration.sum.any.{window}d"] / 60
    spent = "1 minute" if round(minutes) == 1 else f"{minutes:,.0f} minutes"
    return f"{spent} of activity in the last {window} days"


def _worth(_words: str, _subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    unit = f"{spec.half_lives_days[-1]:g}".replace(".", "_") + "d_halflife"
    worth = named[f"value.recency_weighted.any.{unit}"]
    return f"value of recent events, recency-weighted: {worth:,.0f}"


def _age(words: str, subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    ago = _ago(named[f"lifecycle.age.{subject}.days"])
    if words == "lead":
        return f"became a lead {ago}"
    return "never engaged" if ago == NEVER else f"first engaged {ago}"


def _number(words: str, subject: str, named: Mapping[str, float], _spec: FeatureSpec) -> str:
    value = named[f"fit.value.{subject}.number"]
    return f"{words}: {'unknown' if math.isnan(value) else f'{value:,.0f}'}"


def _level(words: str, subject: str, named: Mapping[str, float], spec: FeatureSpec) -> str:
    level = next(
        (
            level
            for name, (attribute, level) in _flags(spec).items()
            if attribute == subject and named[name] == 1.0
        ),
        "unknown",
    )
    return f"{words}: {level.replace('_', ' ')}"


_WORDS: dict[str, Callable[[str, str, Mapping[str, float], FeatureSpec], str]] = {
    "engagement": _engaged,
    "theme": _did("theme", "{} content"),
    "activity": _did("activity", "{}"),
    "channel": _did("channel", "activity by {}"),
    "value": _worth,
    "duration": _lasted,
    "coherence": _coherent,
    "escalation": _repeated,
    "dormancy": _woke,
    "shared_content": _shared,
    "senior_people": _seniors,
    "colleagues_outcomes": _history,
    "regularity": _regular,
    "earlier_conversions": _earlier("converted", "conversion"),
    "earlier_returns": _earlier("handed back", "return"),
    "people_engaged": _people,
    "colleagues_recency_weighted": _colleagues,
    "age": _age,
    "fit": _number,
    "fit_is": _level,
}
