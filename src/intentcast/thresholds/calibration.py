"""From evidence and a wish to thresholds with their bands, or a refusal that says why."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from intentcast.errors import RefusedError
from intentcast.propensity.margins import Floats
from intentcast.thresholds.bands import Forecast, forecast, inflow
from intentcast.thresholds.choose import Ask, choose, curve_thresholds, refuse_too_little
from intentcast.thresholds.evidence import Evidence
from intentcast.thresholds.hysteresis import Noise, leave_below
from intentcast.thresholds.rates import Lost, TierRate, largest_list, tier_rate
from intentcast.tiers import TierPolicy

_CURVE_RESAMPLES = 400


@dataclass(frozen=True)
class CurvePoint:
    """What a threshold would bring."""

    threshold: float
    forecast: Forecast

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON values, per week."""
        told = self.forecast.to_json()
        return {"threshold": self.threshold} | {key: told[key] for key in ("per_week", "precision")}


@dataclass(frozen=True)
class Calibration:
    """Thresholds, and all that is known of them.

    Attributes:
        tiers: The thresholds.
        ask: What was wanted.
        hot: What hot brings in the coming weeks.
        warm: What warm brings: leads that newly reach it, hot ones among them.
        rates: How often each tier's leads convert, highest tier first.
        lost: What the deprioritised list loses; None if there is no list.
        noise: Hysteresis of hot and of warm; None where it was set by hand or there is none.
        curve: From the highest threshold to the lowest.
        evidence: In figures.
    """

    tiers: TierPolicy
    ask: Ask
    hot: Forecast
    warm: Forecast
    rates: tuple[TierRate, ...]
    lost: Lost | None
    noise: dict[str, Noise]
    curve: tuple[CurvePoint, ...]
    evidence: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the thresholds as JSON values."""
        return {
            "ask": {"method": self.ask.method, **_given(asdict(self.ask))},
            "bands": {"hot": self.hot.to_json(), "warm": self.warm.to_json()},
            "rates": [asdict(rate) for rate in self.rates],
            "lost": asdict(self.lost) if self.lost else None,
            "noise": {tier: asdict(noise) for tier, noise in self.noise.items()},
            "curve": [point.to_json() for point in self.curve],
            "evidence": self.evidence,
        }


def calibrate(
    evidence: Evidence,
    ask: Ask,
    *,
    weeks: int,
    most_lost: float,
    noise_at: Callable[[float], Noise] | None = None,
    fall: float | None = None,
) -> Calibration:
    """Set thresholds for what is asked, and say what they bring.

    Args:
        evidence: Matured out-of-time predictions.
        ask: What sales wants.
        weeks: Length of the coming period that the bands are for.
        most_lost: Largest upper bound on the share of conversions that the list may lose; 0: no
            list.
        noise_at: Measures how far probabilities near a threshold fall by themselves.
        fall: How far below its threshold a tier is left, in log-odds, instead of measuring it;
            without either, at the threshold.

    Raises:
        RefusedError: If there is too little evidence, nothing does what is asked, or the tiers
            cannot be told apart.
    """
    refuse_too_little(evidence)
    hot, warm = choose(evidence, ask)
    lost = largest_list(evidence, most_lost=most_lost, below=warm) if most_lost > 0 else None
    lowest = lost.threshold if lost else None
    trend = inflow(evidence, weeks=weeks)
    bring = forecast(evidence, hot, weeks=weeks, trend=trend)
    noise = {
        tier: noise_at(threshold)
        for tier, threshold in (("hot", hot), ("warm", warm))
        if noise_at is not None and fall is None
    }
    falls = {tier: found.fall for tier, found in noise.items()}
    if fall is not None:
        falls = {"hot": fall, "warm": fall}
    tiers = TierPolicy(
        horizon_days=evidence.horizon_days,
        hot=hot,
        warm=warm,
        handoffs_per_week=max(1, round(ask.per_week or bring.per_week()["volume"].estimate)),
        n_leads=evidence.n_leads,
        n_weeks=evidence.n_weeks,
        deprioritise=lowest,
        policy=ask.method,
        **_leaves(hot, warm, lowest, falls),
    )
    # The list is part of cold here: it promises a bound on what it loses, not a rate of its own.
    refuse_overlap(_rates(evidence, replace(tiers, deprioritise=None)))
    return Calibration(
        tiers=tiers,
        ask=ask,
        hot=bring,
        warm=forecast(evidence, warm, weeks=weeks, trend=trend),
        rates=_rates(evidence, tiers),
        lost=lost,
        noise=noise,
        curve=_curve(evidence, weeks),
        evidence={
            "n_predictions": len(evidence.probability),
            "n_leads": evidence.n_leads,
            "n_weeks": evidence.n_weeks,
            "n_as_of_times": evidence.n_steps,
            "every_days": evidence.every_days,
            "rest_days": evidence.rest_days,
            "n_converted_leads": evidence.n_converted_leads,
            "n_converted_accounts": evidence.n_converted_accounts,
        },
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _leaves(
    hot: float, warm: float, lowest: float | None, falls: dict[str, float]
) -> dict[str, float | None]:
    """Return where tiers are left: below their entry, not below that of the next lower tier."""
    found: dict[str, float | None] = {}
    if falls.get("hot"):
        found["hot_leave"] = max(leave_below(hot, falls["hot"]), warm)
    if falls.get("warm"):
        left = leave_below(warm, falls["warm"])
        found["warm_leave"] = max(left, lowest) if lowest is not None else left
        if lowest is not None:
            found["deprioritise_leave"] = leave_below(lowest, falls["warm"])
    return found


def _rates(evidence: Evidence, tiers: TierPolicy) -> tuple[TierRate, ...]:
    lowest, warm, hot = tiers.enter
    spans = [("hot", hot, np.inf), ("warm", warm, hot), ("cold", lowest, warm)]
    if tiers.deprioritise is not None:
        spans.append(("deprioritised", -np.inf, lowest))
    return tuple(tier_rate(evidence, *span) for span in spans if span[1] < span[2])


def refuse_overlap(rates: tuple[TierRate, ...]) -> None:
    """Refuse where two neighbouring tiers convert at rates that may be the same.

    Raises:
        RefusedError: With both rates, their intervals, and what to do.
    """
    for upper, lower in pairwise(rates):
        if lower.n_rows and upper.low <= lower.high:
            raise RefusedError(
                f"{upper.tier} leads convert at {upper.rate:.1%} ({upper.low:.1%} to "
                f"{upper.high:.1%}) and {lower.tier} ones at {lower.rate:.1%} ({lower.low:.1%} to "
                f"{lower.high:.1%}): the bands overlap",
                expected="tiers whose conversion rates can be told apart at 95 %",
                next_step=f"hand over fewer per week so that {upper.tier} is stricter, or wait "
                "for more outcomes",
            )


def _curve(evidence: Evidence, weeks: int) -> tuple[CurvePoint, ...]:
    at: Floats = curve_thresholds(evidence)
    trend = inflow(evidence, weeks=weeks, n_resamples=_CURVE_RESAMPLES)

    def brings(threshold: float) -> Forecast:
        return forecast(evidence, threshold, weeks=weeks, n_resamples=_CURVE_RESAMPLES, trend=trend)

    return tuple(CurvePoint(float(t), brings(float(t))) for t in at)
