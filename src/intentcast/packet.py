"""What sales is told of a lead that is handed over: who, what it did, its problem, why now.

Every word comes from what was given of the lead and its account, and was known strictly before the
as-of time.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple

import polars as pl

from intentcast.explain import Reason
from intentcast.features import FeatureSpec
from intentcast.features.columns import SHARED_DAYS
from intentcast.features.spec import OTHER
from intentcast.handoff import Focus, Handoff, HandoffSettings, PacketSettings, attention_by_theme
from intentcast.histories import Attribute, text_of
from intentcast.instants import Ints, instant
from intentcast.kinds import of_types
from intentcast.seen import DAY, SeenHistory, shortened
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset
from intentcast.stages import StageSignal, matching

WIDTH: Final = 80
LONGEST_TEXT: Final = 160
# A rise: so many events in a week, and so many times the weekly average of the weeks before.
_RISE_EVENTS: Final = 3
_RISE_TIMES: Final = 2
_WEEK: Final = 7
_WEEKS_BEFORE: Final = 4


@dataclass(frozen=True)
class PacketRequest:
    """What a packet is made of.

    Attributes:
        settings: From `models/handoff.toml`.
        seen: The lead's history.
        handoff: That it is ready, and which way.
        features: The lead's features by name.
        spec: Says what the features are called.
        reasons: Of its probability, strongest first.
        more: Attributes that the history does not carry, such as a company's name.
    """

    settings: HandoffSettings
    seen: SeenHistory
    handoff: Handoff
    features: Mapping[str, float]
    spec: FeatureSpec
    reasons: Sequence[Reason] = ()
    more: Mapping[str, Attribute] = field(default_factory=dict)


class _KeyEvent(NamedTuple):
    """One kind of event of one person: the latest, and how often."""

    occurred: int
    lead_id: str
    event_type: str
    content: str
    times: int


def make_packet(request: PacketRequest) -> dict[str, Any]:
    """Return the packet as JSON values; texts are on one line and bounded."""
    settings, seen = request.settings.packet, request.seen
    history = seen.history
    attributes = {**request.more, **history.account_attributes, **history.attributes}
    passive = request.settings.passive_event_types
    alone = f"lead:{history.lead_id}"  # how tables name the account of a lead that has none
    events = _key_events(settings, seen, request.settings.signals, passive)
    own = [event for event in events if event.lead_id == history.lead_id]
    actions = [event for event in own if event.event_type in settings.key_event_types]
    last_action = next(iter(actions or own), None)
    is_request = request.handoff.route == "at once"
    hours = settings.at_once_hours if is_request else settings.criteria_hours
    by = history.as_of + timedelta(hours=hours)
    return {
        "company": _first(settings.company, attributes),
        "account_id": None if history.account_id == alone else history.account_id,
        "about": {name: text for name in settings.about if (text := _text(attributes.get(name)))},
        "role": _first(settings.role, attributes),
        "source": _first(settings.source, attributes),
        "problem": _problem(settings, request.settings.criteria.focus, request),
        "last_key_action": last_action and _told(last_action, history.lead_id),
        "why_now": _why_now(settings, request, passive),
        "history": [
            _told(event, history.lead_id)
            for event in _bounded(events, settings.most_events, history.lead_id)
        ],
        "contact_within_hours": hours,
        "contact_by": by.isoformat().replace("+00:00", "Z"),
    }


def told_attributes(
    settings: PacketSettings, dataset: Dataset, snapshot: pl.DataFrame
) -> dict[str, Attribute]:
    """Return what a packet tells of one lead and its account, as known then.

    Args:
        settings: Which columns of leads or accounts; those that neither has are left out.
        dataset: Holds the lead.
        snapshot: One row of `lead_id`, `account_id`, `as_of`.
    """
    there = {*dataset.leads.columns, *dataset.accounts.columns}
    names = (*settings.company, *settings.role, *settings.source, *settings.about)
    wanted = [name for name in dict.fromkeys(names) if name in there]
    return attributes_as_of(dataset, snapshot, wanted).row(0, named=True) if wanted else {}


def _text(value: Attribute) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = text_of(value)
    return shortened(text, LONGEST_TEXT) or None if text else None


def _first(names: Iterable[str], attributes: Mapping[str, Attribute]) -> str | None:
    return next((text for name in names if (text := _text(attributes.get(name)))), None)


def _key_events(
    settings: PacketSettings,
    seen: SeenHistory,
    signals: tuple[StageSignal, ...],
    passive: tuple[str, ...],
) -> list[_KeyEvent]:
    """Return the account's key events, each kind of each person once, the latest first."""
    events, occurred = seen.told.events, seen.told.occurred
    is_key = matching(signals, seen) | events.by_kind(of_types(settings.key_event_types))
    rows = seen.rows[(is_key & ~events.by_kind(of_types(passive)))[seen.rows]]
    latest: dict[tuple[str, str, str], tuple[int, int]] = {}
    for row, when in zip(rows.tolist(), occurred[rows].tolist(), strict=True):
        key = (events.lead_id[row], events.event_type[row], events.content[row] or "")
        last, times = latest.get(key, (when, 0))
        latest[key] = (max(last, when), times + 1)
    ranked = sorted(latest.items(), key=lambda item: (-item[1][0], item[0]))
    return [_KeyEvent(last, *key, times) for key, (last, times) in ranked]


def _told(event: _KeyEvent, lead_id: str) -> dict[str, Any]:
    """Return a key event as JSON values."""
    return {
        "occurred_at": instant(event.occurred).isoformat().replace("+00:00", "Z"),
        "by": "lead" if event.lead_id == lead_id else "colleague",
        "lead_id": event.lead_id,
        "event_type": event.event_type,
        "content": shortened(event.content, LONGEST_TEXT) or None,
        "times": event.times,
    }


def _bounded(events: list[_KeyEvent], most: int, lead_id: str) -> list[_KeyEvent]:
    """Return so many of the events, in order; colleagues leave at least half to the lead."""
    places: dict[str, list[int]] = {"lead": [], "colleague": []}
    for place, event in enumerate(events):
        places["lead" if event.lead_id == lead_id else "colleague"].append(place)
    own, others = places["lead"], places["colleague"]
    n_own = min(len(own), max(most - len(others), most - most // 2))
    kept = sorted([*own[:n_own], *others[: most - n_own]])
    return [events[place] for place in kept]


def _problem(settings: PacketSettings, focus: Focus, request: PacketRequest) -> dict[str, Any]:
    """Return the themes with most of the recent attention, and the same in words."""
    attention = attention_by_theme(focus, request.features, request.spec)
    total = sum(attention.values())
    labels = dict(zip(request.spec.theme_names, request.spec.themes, strict=False))
    shares = sorted(
        ((value / total, name) for name, value in attention.items() if total and name != OTHER),
        key=lambda pair: (-pair[0], pair[1]),
    )
    themes = [
        {"theme": labels.get(name, name).replace("_", " "), "share": share}
        for share, name in shares[: settings.most_themes]
        if share >= settings.theme_share
    ]
    if not themes:
        return {"text": "not clear from what was read", "themes": []}
    told = [f"{theme['theme']} ({theme['share']:.0%})" for theme in themes]
    return {"text": f"recent attention on {', '.join(told)}", "themes": themes}


def _why_now(
    settings: PacketSettings, request: PacketRequest, passive: tuple[str, ...]
) -> list[str]:
    """Return what is new about the lead, then what else raises its probability."""
    seen, features = request.seen, request.features
    found = [
        f"asked for sales: {result.detail}"
        for result in request.handoff.criteria
        if result.name == "at once" and result.met
    ]
    silence = features["dormancy.silence_broken.any.gap"]
    since = features["dormancy.since_restart.any.days"]
    if silence and since < settings.recent_days:  # NaN, where there was none, is not less
        since = int(since)
        ago = {0: "today", 1: "yesterday"}.get(since, f"{since} days ago")
        found.append(f"came back {ago} after {silence:.0f} silent days")
    events, occurred = seen.told.events, seen.told.occurred
    is_active = ~events.by_kind(of_types(passive))
    own = seen.own_rows[is_active[seen.own_rows]]
    found += _rise(occurred[own], seen.as_of)
    is_recent = is_active & (occurred >= seen.as_of - SHARED_DAYS * DAY)
    people = set(events.person[seen.rows[is_recent[seen.rows]]].tolist())
    if len(people) > 1:
        found.append(f"{len(people)} people of the account active in the last {SHARED_DAYS} days")
    found += [reason.text for reason in request.reasons if reason.direction == "raises"]
    return list(dict.fromkeys(found))[: settings.most_reasons]


def _rise(active: Ints, as_of: int) -> list[str]:
    week = as_of - _WEEK * DAY
    start = week - _WEEKS_BEFORE * _WEEK * DAY
    now = int((active >= week).sum())
    before = int(((start <= active) & (active < week)).sum()) / _WEEKS_BEFORE
    if now < _RISE_EVENTS or now < _RISE_TIMES * before:
        return []
    usual = f"{before:.1f} a week" if before else "none"
    return [f"{now} events in the last {_WEEK} days, {usual} in the four weeks before"]


def packet_lines(packet: Mapping[str, Any]) -> list[str]:
    """Return a packet as lines of at most 80 columns."""
    about = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in packet["about"].items())
    company = packet["company"] or packet["account_id"] or "unknown"
    within = packet["contact_within_hours"]
    rows = [
        ("Contact", f"within {within} h, by {_minute(packet['contact_by'])} UTC"),
        ("Company", f"{company}{f' ({about})' if about else ''}"),
        ("Role", packet["role"] or "unknown"),
        ("Source", packet["source"] or "unknown"),
        ("Problem", packet["problem"]["text"]),
    ]
    if action := packet["last_key_action"]:
        rows.append(("Last key action", _did(action)))
    rows += [("Why now", text) for text in packet["why_now"]]
    for event in packet["history"]:
        who = "" if event["by"] == "lead" else f" (colleague {event['lead_id']})"
        rows.append(("History", _did(event) + who))
    lines, before = [], ""
    for name, text in rows:
        first = f"  {name if name != before else '':<16}"
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first)
        )
        before = name
    return lines


def _did(event: Mapping[str, Any]) -> str:
    what = event["event_type"].replace("_", " ")
    content = f", {event['content']}" if event["content"] else ""
    times = f", {event['times']} times" if event["times"] > 1 else ""
    return f"{event['occurred_at'][:10]} {what}{content}{times}"


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")
