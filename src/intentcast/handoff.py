"""Is a lead ready for sales: consistent, focused on the core, intent above the threshold, fitting.

Two ways lead to sales. By criteria: consistency, focus, intent and fit are all met. At once: the
lead asked for sales, say with a demo request. Whoever opted out, or was sent back and has done
nothing new, goes neither way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from intentcast.config import Sales
from intentcast.features import FeatureSpec
from intentcast.kinds import of_types
from intentcast.returns import Renurture, return_state
from intentcast.seen import DAY, SeenEvent, SeenHistory, day_of
from intentcast.stages import MOST_SIGNALS, StageSignal
from intentcast.tiers import TierPolicy

Route = Literal["at once", "criteria"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Criterion(_Settings):
    on: bool = True


class Consistency(_Criterion):
    """Active on at least so many UTC days of the last so many days."""

    active_days: int = Field(default=3, ge=1)
    within_days: int = Field(default=14, ge=1)


class Focus(_Criterion):
    """Share of recency-weighted attention on the core themes."""

    core_share: float = Field(default=0.5, ge=0, le=1)
    half_life_days: float = Field(default=14, gt=0)


class Intent(_Criterion):
    """The calibrated probability; without `at_least`, where the tier hot begins."""

    at_least: float | None = Field(default=None, ge=0, le=1)


class Fit(_Criterion):
    """Attribute points of the scorecard."""

    attribute_points: float = Field(default=20, ge=0)


class OptOut(_Criterion):
    """Event types by which a lead declines, and those by which it takes that back."""

    event_types: tuple[str, ...] = ("unsubscribe", "decline")
    revoked_by: tuple[str, ...] = ()


class AtOnce(_Criterion):
    """Event types by which a lead asks for sales itself."""

    event_types: tuple[str, ...] = ("demo_request",)
    within_days: int = Field(default=14, ge=1)
    needs_fit: bool = False


class Criteria(_Settings):
    """Each criterion: on or off, its threshold, its window; see `models/handoff.toml`."""

    opt_out: OptOut = OptOut()
    renurture: Renurture = Renurture()
    at_once: AtOnce = AtOnce()
    consistency: Consistency = Consistency()
    focus: Focus = Focus()
    intent: Intent = Intent()
    fit: Fit = Fit()


class PacketSettings(_Settings):
    """What sales is told of a lead; see `models/handoff.toml`."""

    company: tuple[str, ...] = ("company", "company_name", "account_name")
    role: tuple[str, ...] = ("job_title", "role")
    source: tuple[str, ...] = ("source",)
    about: tuple[str, ...] = ("industry", "employee_count", "country")
    key_event_types: tuple[str, ...] = ("demo_request", "form_submit")
    most_events: int = Field(default=8, ge=1, le=100)
    most_themes: int = Field(default=3, ge=1, le=20)
    theme_share: float = Field(default=0.15, ge=0, le=1)
    most_reasons: int = Field(default=4, ge=1, le=20)
    recent_days: int = Field(default=30, ge=1)
    at_once_hours: int = Field(default=24, ge=1)
    criteria_hours: int = Field(default=48, ge=1)


class HandoffSettings(_Settings):
    """`models/handoff.toml`: criteria, packet, and the signals of each buying stage."""

    passive_event_types: tuple[str, ...] = ("email_open", "unsubscribe", "decline")
    criteria: Criteria = Criteria()
    packet: PacketSettings = PacketSettings()
    signals: tuple[StageSignal, ...] = Field(default=(), max_length=MOST_SIGNALS)


class CriterionResult(NamedTuple):
    """One criterion, met or not, with its evidence in words.

    `needed` is false where the lead's route does not ask for it.
    """

    name: str
    met: bool
    needed: bool
    detail: str


@dataclass(frozen=True)
class Handoff:
    """Ready if every criterion that is needed is met; `route` says which way, if so."""

    ready: bool
    route: Route | None
    criteria: tuple[CriterionResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the hand-off as JSON values."""
        return {
            "ready": self.ready,
            "route": self.route,
            "criteria": [
                {"name": name, "met": met, "needed": needed, "detail": detail}
                for name, met, needed, detail in self.criteria
            ],
        }


def judge_handoff(
    settings: HandoffSettings,
    seen: SeenHistory,
    features: Mapping[str, float],
    spec: FeatureSpec,
    *,
    probability: float,
    tiers: TierPolicy,
    sales: Sales,
    attribute_points: float | None,
) -> Handoff:
    """Judge one lead by what was known strictly before its as-of time.

    A team without core themes has no focus criterion; without a points table, no fit criterion. A
    half-life that the model does not have is replaced by the nearest that it has.

    Args:
        settings: From `models/handoff.toml`.
        seen: The lead's history.
        features: The lead's features by name.
        spec: Which half-lives and core themes there are.
        probability: Calibrated, of the tiers' horizon.
        tiers: `probability >= tiers.hot` is the intent criterion, unless the file sets its own.
        sales: From `dataset.toml`: what sends a lead back, and for how long.
        attribute_points: From the points table, or None.
    """
    criteria, passive = settings.criteria, settings.passive_event_types
    returned = return_state(criteria.renurture, sales, seen, passive=passive)
    request = _request(criteria.at_once, seen, answered=returned.known)
    at_once = request is not None
    found: list[tuple[str, bool, bool, str]] = []
    if criteria.opt_out.on:
        found.append(("opt-out", *_contactable(criteria.opt_out, seen)))
    if criteria.renurture.on:
        found.append(("re-nurture", not returned.is_waiting, True, returned.detail))
    if criteria.at_once.on:
        found.append(("at once", at_once, at_once, _asked(criteria.at_once, request)))
    if criteria.consistency.on:
        met, detail = _consistency(criteria.consistency, seen, passive)
        found.append(("consistency", met, not at_once, detail))
    if criteria.focus.on and spec.core_themes:
        met, detail = _focus(criteria.focus, features, spec)
        found.append(("focus", met, not at_once, detail))
    if criteria.intent.on:
        met, detail = _intent(criteria.intent, probability, tiers)
        found.append(("intent", met, not at_once, detail))
    if criteria.fit.on and attribute_points is not None:
        least = criteria.fit.attribute_points
        detail = f"{attribute_points:g} attribute points, {least:g} needed"
        needed = not at_once or criteria.at_once.needs_fit
        found.append(("fit", attribute_points >= least, needed, detail))
    results = tuple(CriterionResult(*result) for result in found)
    # With every criterion switched off nothing speaks for the lead.
    ready = any(r.needed and r.name not in _GATES for r in results)
    ready = ready and all(result.met for result in results if result.needed)
    route: Route | None = ("at once" if at_once else "criteria") if ready else None
    return Handoff(ready, route, results)


_GATES = frozenset({"opt-out", "re-nurture"})


def _contactable(settings: OptOut, seen: SeenHistory) -> tuple[bool, bool, str]:
    """Whether no opt-out stands. One that a machine clicked is honoured all the same."""
    events, occurred = seen.told.events, seen.told.occurred
    if not events.by_kind(of_types((*settings.revoked_by, *settings.event_types))).any():
        return True, True, "no opt-out known"
    kinds = {**dict.fromkeys(settings.revoked_by, 0), **dict.fromkeys(settings.event_types, 1)}
    types = events.event_type
    told = [
        (int(occurred[row]), kinds[types[row]])
        for row in (*seen.own_rows.tolist(), *seen.machine_rows.tolist())
        if types[row] in kinds
    ]
    if not told:
        return True, True, "no opt-out known"
    # Of two at the same instant, the opt-out stands.
    when, is_out = max(told)
    if is_out:
        return False, True, f"opted out on {day_of(when)}"
    return True, True, f"opt-out taken back on {day_of(when)}"


def _request(settings: AtOnce, seen: SeenHistory, *, answered: int | None) -> SeenEvent | None:
    """Return the latest request for sales that sales has not answered by sending it back."""
    if not settings.on:
        return None
    start = seen.as_of - settings.within_days * DAY
    if answered is not None:
        start = max(start, answered + 1)
    asked = seen.since(start, settings.event_types)
    return max(asked, key=lambda s: (s.occurred, s.known, s.event_type), default=None)


def _asked(settings: AtOnce, request: SeenEvent | None) -> str:
    if request is None:
        names = " or ".join(name.replace("_", " ") for name in settings.event_types)
        return f"no {names} in the last {settings.within_days} days"
    return f"{request.event_type.replace('_', ' ')} on {day_of(request.occurred)}"


def _consistency(
    settings: Consistency, seen: SeenHistory, passive: tuple[str, ...]
) -> tuple[bool, str]:
    active = seen.active_days(seen.as_of - settings.within_days * DAY, passive)
    return active >= settings.active_days, (
        f"active on {active} of the last {settings.within_days} days, {settings.active_days} needed"
    )


def _focus(settings: Focus, features: Mapping[str, float], spec: FeatureSpec) -> tuple[bool, str]:
    attention = attention_by_theme(settings, features, spec)
    total = sum(attention.values())
    on_core = sum(value for name, value in attention.items() if name in spec.core_names)
    share = on_core / total if total > 0 else 0.0
    return share >= settings.core_share, (
        f"{share:.0%} of recent attention on the core themes, {settings.core_share:.0%} needed"
    )


def attention_by_theme(
    settings: Focus, features: Mapping[str, float], spec: FeatureSpec
) -> dict[str, float]:
    """Return the recency-weighted attention to each theme, by its name in features."""
    half_life = min(spec.half_lives_days, key=lambda days: abs(days - settings.half_life_days))
    columns = spec.theme_attention[half_life]
    return {name: features[column] for name, column in columns.items()}


def _intent(settings: Intent, probability: float, tiers: TierPolicy) -> tuple[bool, str]:
    told = f"{probability:.1%} within {tiers.horizon_days} days"
    if settings.at_least is None:
        return probability >= tiers.hot, f"{told}, hot from {tiers.hot:.1%}"
    return probability >= settings.at_least, f"{told}, {settings.at_least:.1%} needed"
