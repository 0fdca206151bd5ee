"""From figures to lights: green, amber, red, or grey where there is too little to say.

A light is amber where something is off beyond chance, and red where it is off by more than a team
should tolerate. Its next step is one of: recalibrate, retrain, look at the tracking, look at the
server, wait.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from intentcast.gate import GateSettings
from intentcast.monitoring.delays import Delays
from intentcast.monitoring.drift import FeatureDrift
from intentcast.monitoring.early import Early
from intentcast.monitoring.inputs import Unseen, Volume
from intentcast.monitoring.newcomers import Filling
from intentcast.monitoring.realized import Quality
from intentcast.monitoring.served import Served

Light = Literal["green", "grey", "amber", "red"]
_ORDER: tuple[Light, ...] = ("grey", "green", "amber", "red")
_FEWEST_CONVERSIONS = 20
_RED_INFLUENCE, _AMBER_INFLUENCE = 0.2, 0.05
_AMBER_UNSEEN, _RED_UNSEEN = 0.05, 0.25
_EARLY_RED = 1.5
_MUCH_UNRECORDED = 0.1
_LARGE_SHARE = 1 / 3
_AMBER_UNKNOWN, _RED_UNKNOWN = 0.2, 0.5
_TRACKING = "look at the tracking"
_RECALIBRATE = "recalibrate"
_RETRAIN = "retrain"
_SERVER = "look at the server"


@dataclass(frozen=True)
class Signal:
    """One check and its light.

    Attributes:
        name: Of the check.
        light: Its light.
        sentence: What was found, for anyone.
        next_step: What to do, in two or three words; empty where nothing is to be done.
    """

    name: str
    light: Light
    sentence: str
    next_step: str = ""


def worst(signals: Sequence[Signal]) -> Light:
    """Return the worst light; grey only where nothing could be judged."""
    return max((s.light for s in signals), key=_ORDER.index, default="grey")


def drift_signal(drift: Sequence[FeatureDrift] | None, why_not: str = "") -> Signal:
    """Return the light of the features."""
    name = "Features"
    if drift is None:
        return Signal(name, "grey", why_not)
    shifted = [f for f in drift if f.status in ("shifted", "rewritten")]
    moved = [f for f in drift if f.status == "moved"]
    of_shifted = sum(f.influence for f in shifted)
    of_both = of_shifted + sum(f.influence for f in moved)
    if not shifted and not moved:
        return Signal(name, "green", f"All {len(drift)} features look as they did in training.")
    n = len(shifted) + len(moved)
    start = f"{n} of {len(drift)} features" if n > 1 else f"1 of {len(drift)} features"
    verb = "look" if n > 1 else "looks"
    sentence = (
        f"{start} {verb} unlike in training ({_percent(of_both)} of what moves the model's "
        f"answers), most of all {groups_in_words([*shifted, *moved])}."
    )
    if any(f.status == "rewritten" for f in shifted):
        sentence += " Past values, too, are no longer what training saw."
    if of_shifted >= _RED_INFLUENCE:
        return Signal(name, "red", sentence, _TRACKING)
    if of_both >= _AMBER_INFLUENCE or shifted:
        return Signal(name, "amber", sentence, _TRACKING)
    return Signal(name, "green", sentence)


def groups_in_words(drift: Sequence[FeatureDrift], most: int = 3) -> str:
    """Return what the drifting features are about, the most frequent first."""
    counts: dict[str, list[float]] = {}
    for feature in drift:
        parts = feature.name.split(".")
        key = f"{parts[0]} {parts[2] if len(parts) > 2 else parts[-1]}".replace("_", " ")
        counts.setdefault(key, []).append(feature.psi)
    ranked = sorted(counts.items(), key=lambda item: (-len(item[1]), -max(item[1]), item[0]))
    return ", ".join(key for key, _ in ranked[:most])


def inputs_signal(volumes: Sequence[Volume], news: Sequence[Unseen]) -> Signal:
    """Return the light of what comes in."""
    name = "Incoming events"
    said, light = [], "green"
    words = {
        "silent": "has all but stopped",
        "quiet": "brings less than half of what it did",
        "loud": "brings far more than it ever did",
    }
    for volume in volumes:
        if volume.flow == "usual":
            continue
        # A campaign may double a small channel; most of what comes in does not double.
        is_grave = volume.flow == "silent" or volume.share >= _LARGE_SHARE
        light = "red" if is_grave or light == "red" else "amber"
        said.append(
            f"{volume.kind} {volume.name} {words[volume.flow]} ({volume.per_lead:.2f} events a "
            f"lead in 28 days; {volume.low:.2f} to {volume.high:.2f} before)"
        )
    for new in news:
        excess = new.share - (new.usual or 0.0)
        if excess < _AMBER_UNSEEN:
            continue
        light = "red" if excess >= _RED_UNSEEN or light == "red" else "amber"
        said.append(
            f"{_percent(new.share)} of events are of an {new.kind} that training did not know"
            if new.kind == "event type"
            else f"{_percent(new.share)} of events are of a {new.kind} that training did not know"
        )
    if not said:
        if not volumes:
            return Signal(name, "grey", "Too little of the past is there to compare volumes with.")
        return Signal(name, "green", "Every event type and channel brings what it used to.")
    text = "; ".join(said)
    chosen: Light = "red" if light == "red" else "amber"
    return Signal(name, chosen, f"{text[:1].upper()}{text[1:]}.", _TRACKING)


def newcomers_signal(fillings: Sequence[Filling]) -> Signal:
    """Return the light of the attributes of new leads."""
    name = "New leads"
    if not fillings:
        return Signal(name, "grey", "Too few new leads, or no attributes, to compare.")
    off = [f for f in fillings if f.unknown - f.usual >= _AMBER_UNKNOWN]
    if not off:
        return Signal(name, "green", "Attributes of new leads are filled in as they used to be.")
    said = "; ".join(
        f"{f.name.replace('_', ' ')} is unknown of {_percent(f.unknown)} (at most "
        f"{_percent(f.usual)} before)"
        for f in off
    )
    light: Light = "red" if any(f.unknown - f.usual >= _RED_UNKNOWN for f in off) else "amber"
    return Signal(name, light, f"Of the {off[0].n:,} leads of the last 28 days, {said}.", _TRACKING)


def quality_signals(quality: Quality, margins: GateSettings) -> list[Signal]:
    """Return the lights of level, spread and ranking of one version and horizon."""
    whose = f"{quality.horizon_days} days"
    limits = quality.limits
    if limits is None or limits.observed < _FEWEST_CONVERSIONS:
        n = 0 if limits is None else limits.observed
        return [
            Signal(
                f"Probabilities, {whose}",
                "grey",
                f"{n:.0f} conversions of {quality.n:,} scores that are over: at least "
                f"{_FEWEST_CONVERSIONS} are needed to judge.",
                "wait",
            )
        ]
    return [
        _level(f"Level, {whose}", quality, margins),
        _slope(f"Spread, {whose}", quality, margins),
        _ranking(f"Ranking, {whose}", quality),
    ]


def _level(name: str, quality: Quality, margins: GateSettings) -> Signal:
    limits = quality.limits
    if limits is None:
        raise ValueError("A level needs both outcomes.")
    low, high = limits.ratio_low, limits.ratio_high
    said = (
        f"{limits.expected:.0f} conversions were predicted and {limits.observed:.0f} came "
        f"(ratio {limits.expected / limits.observed:.2f}, 95 % interval {low:.2f} to {high:.2f})"
    )
    if high < 1 - margins.level_margin or low > 1 + margins.level_margin:
        way = "high" if low > 1 else "low"
        return Signal(name, "red", f"Probabilities are too {way}: {said}.", _RECALIBRATE)
    if high < 1 or low > 1:
        way = "high" if low > 1 else "low"
        return Signal(name, "amber", f"Probabilities are somewhat too {way}: {said}.", _RECALIBRATE)
    return Signal(name, "green", f"{said}.")


def _slope(name: str, quality: Quality, margins: GateSettings) -> Signal:
    limits = quality.limits
    if limits is None:
        raise ValueError("A slope needs both outcomes.")
    low, high = limits.slope_low, limits.slope_high
    said = f"slope {limits.slope:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    way = "far apart" if high < 1 else "close together"
    if high < margins.slope_low or low > margins.slope_high:
        return Signal(name, "red", f"High and low probabilities are too {way}: {said}.", _RETRAIN)
    if high < 1 or low > 1:
        sentence = f"High and low probabilities are somewhat too {way}: {said}."
        return Signal(name, "amber", sentence, _RECALIBRATE)
    return Signal(
        name, "green", f"High and low probabilities are as far apart as they should be: {said}."
    )


def _ranking(name: str, quality: Quality) -> Signal:
    if math.isnan(quality.lift_low):
        return Signal(name, "red", "None of the leads handed over converted.", _RETRAIN)
    said = (
        f"Leads handed over at capacity converted {quality.lift:.1f} times as often as all "
        f"(95 % interval {quality.lift_low:.1f} to {quality.lift_high:.1f})"
    )
    if quality.lift_high < 1 or quality.skill_high < 0:
        return Signal(name, "red", f"{said}: no better than chance.", _RETRAIN)
    if quality.lift_low <= 1 and quality.skill_low <= 0:
        return Signal(name, "amber", f"{said}: chance could explain it.", _RETRAIN)
    return Signal(name, "green", f"{said}.")


def early_signal(early: Early | None) -> Signal:
    """Return the light of conversions so far."""
    name = "Conversions so far"
    if early is None:
        return Signal(name, "grey", "No score whose horizon is open is a day old.", "wait")
    low, high = early.ratio_low, early.ratio_high
    end = "above" if high == float("inf") else f"to {high:.2f}"
    said = (
        f"Of scores whose horizon is still open, {early.expected:.0f} conversions should have been "
        f"recorded by now and {early.observed:.0f} were (expected over recorded {low:.2f} "
        f"{'and' if end == 'above' else ''} {end})"
    ).replace("  ", " ")
    if max(early.expected, early.observed) < _FEWEST_CONVERSIONS:
        return Signal(name, "grey", f"{said}: too few to judge.", "wait")
    if low > _EARLY_RED or high < 1 / _EARLY_RED:
        return Signal(name, "red", f"{said}.", _RECALIBRATE)
    if low > 1 or high < 1:
        return Signal(name, "amber", f"{said}.", _RECALIBRATE)
    return Signal(name, "green", f"{said}.")


def delay_signal(delays: Delays, qualities: Sequence[Quality]) -> Signal:
    """Return the light of how late outcomes are recorded."""
    name = "Recording of outcomes"
    if not delays.is_measured:
        return Signal(
            name, "grey", "Outcomes have no recorded_at, so how late they come cannot be measured."
        )
    half, most = delays.quantile(0.5), delays.quantile(0.9)
    said = (
        f"Half of the conversions are recorded within {half:.1f} days and nine in ten within "
        f"{most:.1f} ({delays.n:,} seen)"
    )
    missing = max((q.unrecorded for q in qualities), default=0.0)
    if missing >= _MUCH_UNRECORDED:
        return Signal(
            name,
            "amber",
            f"{said}; {_percent(missing)} of those of scores that are over are still to come.",
            "wait",
        )
    return Signal(name, "green", f"{said}; {_percent(missing)} are still to come.")


def served_signal(found: Served) -> Signal:
    """Return the light of a server's sampled answers: any that comes out otherwise is red."""
    name = "Served answers"
    if not found.n_replayed:
        said = f"None of {found.n_answers:,} sampled answers is of this bundle."
        return Signal(name, "grey", said, "wait")
    if not found.n_different:
        return Signal(
            name,
            "green",
            f"{found.n_replayed:,} sampled answers come out the same to the bit, by the server's "
            "path and by the batch's.",
        )
    first = found.differences[0]
    return Signal(
        name,
        "red",
        f"{found.n_different:,} of {found.n_replayed:,} sampled answers come out otherwise now, "
        f"first {first.field} of request {first.request_id}.",
        _SERVER,
    )


def next_steps(signals: Sequence[Signal]) -> list[str]:
    """Return what to do, the tracking first: on wrong inputs neither training nor fitting helps."""
    why: Mapping[str, str] = {
        _TRACKING: "Look at the tracking: something comes in otherwise than in training.",
        _RECALIBRATE: "Recalibrate: the order of leads holds, the size of the probabilities "
        "does not (`intentcast recalibrate`).",
        _RETRAIN: "Retrain: the order of leads, or how far apart they are, no longer holds "
        "(`intentcast retrain`).",
        _SERVER: "Look at the server: its answers are not those of the bundle "
        "(`intentcast replay` names each field).",
    }
    asked = {s.next_step for s in signals if s.light in ("amber", "red")}
    steps = [text for step, text in why.items() if step in asked]
    if _TRACKING not in asked:
        return steps
    # What was computed from wrong inputs may be all that is wrong with the probabilities.
    later = [f"Once that is explained, {text[:1].lower()}{text[1:]}" for text in steps[1:]]
    return [steps[0], *later]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
