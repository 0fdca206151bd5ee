"""How many more conversions until the next step, and by when at the present rate.

Conversions are leads, each counted once per horizon. Leads of one account convert together, so
that `n` of them are worth `n / design effect` independent ones; every need below is multiplied
by it. The figures are plans, not gates: `train` decides by what it measures out of sample.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from intentcast.config import LearnerConfig
from intentcast.sources import Dataset

_EFFECTIVE_PARAMETERS: Final = 10
_NAGELKERKE: Final = 0.15
_SHRINKAGE: Final = 0.9
_BOOSTER_TIMES: Final = 10
_DIFFERENCE: Final = 0.10
_SHARED: Final = 0.5
_LIFT: Final = 2.0
_Z_95, _Z_POWER_80 = 1.959963984540054, 0.8416212335729143
_LATEST: Final = timedelta(days=3650)

ASSUMPTIONS: Final = (
    "Logistic regression: Riley 2019, shrinkage 0.9, 10 effective parameters, a fit of 0.15 "
    "(Nagelkerke). Booster: ten times that (van der Ploeg 2014). Isotonic: 500 conversions on the "
    "calibration slice. Verdict: 80 % power at 95 % for 10 % more or fewer conversions at equal "
    "hand-offs, half of them found by both, hand-offs converting at twice the base rate"
)


@dataclass(frozen=True)
class Need:
    """One step at one horizon.

    Attributes:
        step: Its name.
        conversions: Needed in all, whole leads.
        missing: Still, 0 if there are enough.
        by: When at the present rate; None if there are enough, or not within ten years.
    """

    step: str
    conversions: int
    missing: int
    by: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the need as JSON values."""
        return {**asdict(self), "by": self.by.date().isoformat() if self.by else None}


@dataclass(frozen=True)
class HorizonPlan:
    """What one horizon has and needs.

    Attributes:
        horizon_days: Which.
        conversions: Leads that converted within it.
        accounts: Of how many accounts.
        design_effect: See `design_effect`.
        per_year: Conversions at the present rate.
        needs: Per step, in rising order of demand on the data.
    """

    horizon_days: int
    conversions: int
    accounts: int
    design_effect: float
    per_year: float
    needs: tuple[Need, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {**asdict(self), "needs": [need.to_json() for need in self.needs]}


def plan_data(
    snapshots: pl.DataFrame,
    labels: Mapping[int, pl.Series],
    dataset: Dataset,
    config: LearnerConfig,
) -> tuple[HorizonPlan, ...]:
    """Return what each horizon has and needs; see the module and each formula's function.

    Args:
        snapshots: The cohort: `lead_id`, `account_id`, `as_of`.
        labels: Per horizon in days, converted or null (immature), in the order of `snapshots`.
        dataset: Its capacity and data cut-off.
        config: Its thresholds of conversions.
    """
    plans = []
    for days, label in labels.items():
        mature = snapshots.with_columns(label.alias("converted")).filter(label.is_not_null())
        if mature.is_empty():
            continue
        leads = mature.group_by("lead_id", "account_id", maintain_order=True).agg(
            pl.col("converted").any()
        )
        n = int(leads["converted"].sum())
        effect = design_effect(leads)
        base_rate = float(label.mean())  # type: ignore[arg-type]
        first, last = mature["as_of"].min(), mature["as_of"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        years = (last - first + timedelta(days=days)) / timedelta(days=365.25)
        weeks = max(years * 52.18, 1.0)
        reach = _LIFT * dataset.config.capacity.handoffs_per_week * weeks / len(leads)
        logistic = max(config.min_converted, logistic_conversions(base_rate))
        slice_share = config.calibration.share
        independent = {
            "rules only": 0.0,
            "logistic regression": logistic,
            "booster": _BOOSTER_TIMES * logistic,
            "isotonic calibration": config.calibration.isotonic_from / slice_share,
            "verdict on 10 %": verdict_conversions() / min(1.0, reach),
        }
        needs = tuple(
            _need(step, math.ceil(count * effect), n, n / years, dataset.data_cutoff)
            for step, count in independent.items()
        )
        accounts = leads.filter("converted")["account_id"].n_unique()
        plans.append(HorizonPlan(days, n, accounts, effect, n / years, needs))
    return tuple(plans)


def _need(step: str, needed: int, there: int, per_year: float, cutoff: datetime) -> Need:
    missing = max(0, needed - there)
    if not missing or not per_year > 0 or missing / per_year > _LATEST.days / 365.25:
        return Need(step, needed, missing, None)
    return Need(step, needed, missing, cutoff + timedelta(days=365.25 * missing / per_year))


def logistic_conversions(base_rate: float) -> float:
    """Return the conversions at which a logistic regression shrinks by a tenth only.

    n = p / ((S − 1)·ln(1 − R²/S)) snapshots, times the base rate φ; R² = 0.15·(1 − (φ^φ·
    (1−φ)^(1−φ))²) is Cox and Snell's, S = 0.9 (Riley et al. 2019, Statistics in Medicine 38:1276,
    criterion 1). Assumes 10 effective parameters: a ridge regression on many correlated features
    spends about so many. NaN-free: a base rate of 0 or 1 is taken as 0.1 % or 99.9 %.
    """
    rate = min(max(base_rate, 0.001), 0.999)
    most = 1.0 - math.exp(2.0 * (rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))
    r2 = _NAGELKERKE * most
    n = _EFFECTIVE_PARAMETERS / ((_SHRINKAGE - 1.0) * math.log(1.0 - r2 / _SHRINKAGE))
    return n * min(rate, 1.0 - rate)


def verdict_conversions() -> float:
    """Return the conversions among handed-over leads that tell a difference of 10 %.

    C = (z₀.₉₇₅ + z₀.₈)² · ψ / δ² for paired counts (McNemar; Connor 1987, Biometrics 43:207), where
    ψ·C conversions are found by one contender only, and δ·C more by the better one. Assumes
    δ = 0.1 and that both find the same half, so that ψ = 2·(1 − 0.5).
    """
    alone = 2.0 * (1.0 - _SHARED)
    return (_Z_95 + _Z_POWER_80) ** 2 * alone / _DIFFERENCE**2


def design_effect(leads: pl.DataFrame) -> float:
    """Return 1 + (m − 1)·ρ, at least 1: how many leads of an account are worth one (Kish 1965).

    m = Σn²/Σn is the account's size as a lead sees it, ρ the intraclass correlation of conversion
    by analysis of variance (Donner 1986). Assumes that all accounts correlate alike.

    Args:
        leads: `account_id`, `converted`, one row per lead.
    """
    sizes = leads.group_by("account_id").agg(n=pl.len(), k=pl.col("converted").sum())
    n = sizes["n"].to_numpy().astype(np.float64)
    k = sizes["k"].to_numpy().astype(np.float64)
    total, groups = float(n.sum()), len(n)
    if groups < 2 or total <= groups:
        return 1.0
    share = float(k.sum()) / total
    between = float((n * (k / n - share) ** 2).sum()) / (groups - 1)
    within = float((k * (n - k) / n).sum()) / (total - groups)
    size = (total - float((n * n).sum()) / total) / (groups - 1)
    spread = between + (size - 1.0) * within
    correlation = (between - within) / spread if spread > 0 else 0.0
    seen = float((n * n).sum()) / total
    return 1.0 + (seen - 1.0) * min(max(correlation, 0.0), 1.0)
