"""Features as phrases for the people who read a report: what each measures, without notation."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from intentcast.features.columns import ANY, REVISIT_DAYS
from intentcast.features.spec import OTHER, slug

Levels = Mapping[str, Mapping[str, str]]

_ACRONYMS = {"ai", "api", "b2b", "ceo", "cfo", "cio", "crm", "cto", "mql", "roi", "sql", "vp"}
_UNIT = re.compile(r"^(\d+(?:_\d+)?)[dw](?:_halflife|_over_(\d+(?:_\d+)?)d)?$")


class _Group(NamedTuple):
    """What the events of a group are called; `{}` stands for the subject."""

    one: str
    many: str


_GROUPS = {
    "engagement": _Group("event", "events"),
    "activity": _Group("“{}” event", "“{}” events"),
    "theme": _Group("event on theme “{}”", "events on theme “{}”"),
    "channel": _Group("event over “{}”", "events over “{}”"),
    "value": _Group("event with a value", "value of events"),
    "duration": _Group("event with a duration", "time spent"),
}
# By area and measure, where need be also by subject. `{n}` is the half-life, window or shorter
# half-life in days (weeks for active weeks), `{long}` the longer half-life, `{one}` and `{many}`
# the group's events, `{subject}` the subject in words.
PHRASES: Mapping[str, str] = {
    **{f"{area}.recency_weighted": "recent {many} ({n}-day half-life)" for area in _GROUPS},
    **{f"{area}.days_since_last": "days since the last {one}" for area in _GROUPS},
    **{
        f"{area}.count": "{many} in {n} days"
        for area in ("engagement", "activity", "theme", "channel")
    },
    **{f"{area}.sum": "{many} in {n} days" for area in ("value", "duration")},
    "engagement.active_days": "active days in {n} days",
    "engagement.distinct_content": "different content seen in {n} days",
    "consistency.active_weeks": "active weeks of the last {n}",
    "consistency.streak_current": "active days in a row until now",
    "consistency.streak_longest": "most active days in a row so far",
    "consistency.gap_mean": "average days from one active day to the next",
    "consistency.gap_variation": "how much the gaps between active days vary",
    "consistency.burstiness": "active days in bursts rather than evenly",
    "consistency.overdue": "silence now against the usual gap between active days",
    "coherence.entropy": "interest spread over many themes ({n}-day half-life)",
    "coherence.top_share": "share of the theme seen most ({n}-day half-life)",
    "coherence.core_share": "share of the core themes ({n}-day half-life)",
    "coherence.share": "share of theme “{subject}” ({n}-day half-life)",
    "coherence.breadth": "different themes seen in {n} days",
    "acceleration.short_over_long": "events picking up ({n}- v {long}-day half-life)",
    "acceleration.activity_short_over_long": (
        "“{subject}” events picking up ({n}- v {long}-day half-life)"
    ),
    "acceleration.theme_short_over_long": (
        "theme “{subject}” picking up ({n}- v {long}-day half-life)"
    ),
    "escalation.engagement_visits": "visits so far",
    "escalation.activity_visits": "visits with “{subject}” events so far",
    "escalation.theme_visits": "visits to theme “{subject}” so far",
    "escalation.revisits": (
        f"events on content seen up to {REVISIT_DAYS} days before, in {{n}} days"
    ),
    "escalation.most_repeated": "most events on one content in {n} days",
    "dormancy.silence_broken": "days of the silence broken last",
    "dormancy.since_restart": "days since the lead came back from a silence",
    "dormancy.restarts": "times the lead came back from a silence",
    "account.people_engaged": "people of the account active in {n} days",
    "account.colleagues_recency_weighted": "colleagues’ recent {many} ({n}-day half-life)",
    "account.shared_content.any": "content seen by two or more of the account in {n} days",
    "account.shared_content.own": "content seen by the lead and a colleague in {n} days",
    "account.senior_people": "senior people of the account active in {n} days",
    "account.top_rank": "highest rank of people active in {n} days",
    "account.colleagues_won": "colleagues’ earlier conversions",
    "account.colleagues_lost": "colleagues’ earlier cases closed without conversion",
    "account.since_colleague_won": "days since a colleague’s latest conversion",
    "lifecycle.age.lead": "days since the lead came in",
    "lifecycle.age.first_event": "days since the first event",
    "lifecycle.hour_regularity": "active at the same hours of the day",
    "lifecycle.weekday_regularity": "active on the same weekdays",
    "lifecycle.earlier_conversions": "the lead’s earlier conversions",
    "lifecycle.since_conversion": "days since the lead’s latest conversion",
    "lifecycle.earlier_returns": "the lead’s earlier returns",
    "lifecycle.since_return": "days since the lead’s latest return",
    "fit.value": "{subject}",
    "fit.is": "{level}",
}


def phrase_of(name: str) -> str | None:
    """Return the key in `PHRASES` of a feature's phrase, or None if none was written for it."""
    parts = name.split(".")
    if len(parts) != 4:
        return None
    keys = (".".join(parts[:3]), ".".join(parts[:2]))
    return next((key for key in keys if key in PHRASES), None)


def feature_in_words(name: str, levels: Levels | None = None) -> str:
    """Return a feature's name as a phrase; a name without one, with blanks for its separators.

    Args:
        name: `area.measure.subject.unit`.
        levels: Attribute → slug of a level → the level as the data write it.

    >>> feature_in_words("theme.count.roi.30d")
    'Events on theme “ROI” in 30 days'
    """
    key = phrase_of(name)
    if key is None:
        return _sentence(name_in_words(name.replace(".", " ")))
    area, _, subject, unit = name.split(".")
    days = _UNIT.match(unit)
    words = name_in_words(subject)
    group = _group(area, subject)
    phrase = PHRASES[key].format(
        n=_number(days, 1),
        long=_number(days, 2),
        one=group.one.format(words),
        many=group.many.format(words),
        subject=words,
        level=_level(subject, levels or {}) if key == "fit.is" else "",
    )
    return _sentence(phrase)


def _number(days: re.Match[str] | None, place: int) -> str:
    return (days[place] or "").replace("_", ".") if days else ""


def _group(area: str, subject: str) -> _Group:
    if area == "account":
        area = "engagement" if subject == ANY else "theme"
    return _GROUPS.get(area, _GROUPS["engagement"])


def _level(subject: str, levels: Levels) -> str:
    """Return the attribute and its level as the data write it: `Job title: Head of IT`."""
    for attribute in sorted(levels, key=len, reverse=True):
        if subject.startswith(f"{slug(attribute)}_"):
            level = subject.removeprefix(f"{slug(attribute)}_")
            if level == OTHER:
                return f"{name_in_words(attribute)}: none of the common ones"
            written = levels[attribute].get(level, name_in_words(level))
            return f"{name_in_words(attribute)}: {written}"
    return name_in_words(subject)


def _sentence(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]


def name_in_words(name: str) -> str:
    """Return an identifier as words, acronyms in capitals.

    >>> name_in_words("crm_linear")
    'CRM linear'
    """
    return " ".join(w.upper() if w in _ACRONYMS else w for w in name.replace("_", " ").split())
