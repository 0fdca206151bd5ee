"""Is a lead ready for sales: consistent, focused on the core, intent above the threshold, fitting.

The three combined criteria and the fit gate; the lead is handed over only when all are met.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from intentcast.features import FeatureSpec
from intentcast.stages import StageSignal
from intentcast.tiers import TierPolicy


class Criteria(BaseModel):
    """Thresholds of the criteria; see `models/handoff.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    active_days: int = Field(default=3, ge=1)
    within_days: int = Field(default=14, ge=1)
    core_share: float = Field(default=0.5, ge=0, le=1)
    core_half_life_days: float = Field(default=14, gt=0)
    attribute_points: float = Field(default=20, ge=0)


class HandoffSettings(BaseModel):
    """`models/handoff.toml`: the criteria, and the signals of each buying stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    criteria: Criteria = Criteria()
    signals: tuple[StageSignal, ...] = ()


@dataclass(frozen=True)
class CriterionResult:
    """One criterion, met or not, with its evidence in words."""

    name: str
    met: bool
    detail: str


@dataclass(frozen=True)
class Handoff:
    """Whether every criterion that applies is met."""

    ready: bool
    criteria: tuple[CriterionResult, ...]


def judge_handoff(
    criteria: Criteria,
    features: Mapping[str, float],
    spec: FeatureSpec,
    *,
    probability: float,
    tiers: TierPolicy,
    attribute_points: float | None,
) -> Handoff:
    """Judge one lead.

    A window or half-life that the model does not have is replaced by the nearest that it has. A
    team without core themes has no focus criterion; without a points table, no fit criterion.

    Args:
        criteria: Thresholds.
        features: The lead's features by name.
        spec: Which windows, half-lives and core themes there are.
        probability: Calibrated, of the tiers' horizon.
        tiers: `probability >= tiers.hot` is the intent criterion.
        attribute_points: From the points table, or None.
    """
    results = [_consistency(criteria, features, spec)]
    if spec.core_themes:
        results.append(_focus(criteria, features, spec))
    results.append(
        CriterionResult(
            "intent",
            probability >= tiers.hot,
            f"{probability:.1%} within {tiers.horizon_days} days, hot from {tiers.hot:.1%}",
        )
    )
    if attribute_points is not None:
        results.append(
            CriterionResult(
                "fit",
                attribute_points >= criteria.attribute_points,
                f"{attribute_points:g} attribute points, {criteria.attribute_points:g} needed",
            )
        )
    return Handoff(all(result.met for result in results), tuple(results))


def _consistency(
    criteria: Criteria, features: Mapping[str, float], spec: FeatureSpec
) -> CriterionResult:
    window = min(spec.windows_days, key=lambda days: abs(days - criteria.within_days))
    active = features[f"engagement.active_days.any.{window}d"]
    return CriterionResult(
        "consistency",
        active >= criteria.active_days,
        f"active on {active:.0f} of the last {window} days, {criteria.active_days} needed",
    )


def _focus(criteria: Criteria, features: Mapping[str, float], spec: FeatureSpec) -> CriterionResult:
    half_life = min(spec.half_lives_days, key=lambda days: abs(days - criteria.core_half_life_days))
    unit = f"{half_life:g}".replace(".", "_") + "d_halflife"
    core = {
        name
        for theme, name in zip(spec.themes, spec.theme_names, strict=False)
        if theme in spec.core_themes
    }
    attention = {
        name: features[f"theme.recency_weighted.{name}.{unit}"] for name in spec.theme_names
    }
    total = sum(attention.values())
    share = sum(value for name, value in attention.items() if name in core) / total if total else 0
    return CriterionResult(
        "focus",
        share >= criteria.core_share,
        f"{share:.0%} of recent attention on the core themes, {criteria.core_share:.0%} needed",
    )
