"""The checks that a challenger must pass, each with its figures in words."""

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.capacity import handed_over
from intentcast.evaluation.compare import compare_paired
from intentcast.evaluation.metrics import SMALLEST, log_loss
from intentcast.gate.evidence import Evidence
from intentcast.gate.settings import GateSettings
from intentcast.propensity.calibration import fit_platt, platt_covariance
from intentcast.propensity.margins import Floats, logit, losses

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: `log loss`, `conversions`, `calibration` or `rules: NAME`.
        passed: Whether a loss beyond the margin can be ruled out.
        detail: The figures in words.
        figures: The same as numbers.
    """

    name: str
    passed: bool
    detail: str
    figures: dict[str, float]


@dataclass(frozen=True)
class GateVerdict:
    """All checks, and who waived which.

    Attributes:
        checks: In order.
        waived: Names of checks that the owner waived.
        window: First and last as-of time, ISO 8601.
        how: Who was judged, in words.
    """

    checks: tuple[Check, ...]
    waived: tuple[str, ...]
    window: tuple[str, str]
    how: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that neither passed nor were waived."""
        return tuple(c for c in self.checks if not c.passed and c.name not in self.waived)

    @property
    def passed(self) -> bool:
        """Whether the challenger may take the place."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "passed": self.passed,
            "window": list(self.window),
            "judged": list(self.how),
            "checks": [asdict(check) for check in self.checks],
            "waived": list(self.waived),
        }


def judge(
    evidence: Evidence, settings: GateSettings, *, waived: tuple[str, ...] = (), seed: int = 7
) -> GateVerdict:
    """Check the challenger against the champion, against the outcomes and against the rules.

    Args:
        evidence: Of one window.
        settings: Margins.
        waived: Names of checks that may fail.
        seed: Of the bootstrap.
    """
    checks = []
    if evidence.champion is not None:
        checks.append(_log_loss(evidence, evidence.champion, settings))
        checks.append(_conversions(evidence, evidence.champion, settings))
    checks.append(_calibration(evidence, settings))
    checks += [_rules(evidence, name, seed) for name in evidence.scorecards]
    window = (evidence.first.isoformat(), evidence.last.isoformat())
    return GateVerdict(tuple(checks), waived, window, evidence.how)


def _log_loss(evidence: Evidence, champion: Floats, settings: GateSettings) -> Check:
    """Non-inferiority of the mean log loss.

    d̄ + z · SE(d̄) ≤ margin · champion's, with d the difference per snapshot and SE from sums per
    account (a ratio estimator, so accounts may have any number of snapshots). Assumes accounts
    independent and enough of them for the normal bound.
    """
    y = evidence.converted
    difference = losses(evidence.challenger, y, smallest=SMALLEST) - losses(
        champion, y, smallest=SMALLEST
    )
    mean, error = clustered_mean(difference, evidence.accounts)
    z = NormalDist().inv_cdf(settings.confidence)
    theirs = log_loss(y, champion)
    bound, allowed = mean + z * error, settings.log_loss_margin * theirs
    return Check(
        "log loss",
        bool(bound <= allowed),
        f"{log_loss(y, evidence.challenger):.4f} v {theirs:.4f} of the champion, higher by at most "
        f"{bound:+.4f} ({settings.confidence:.0%} sure), {allowed:.4f} allowed",
        {
            "challenger": log_loss(y, evidence.challenger),
            "champion": theirs,
            "difference": mean,
            "upper_bound": bound,
            "allowed": allowed,
        },
    )


def _conversions(evidence: Evidence, champion: Floats, settings: GateSettings) -> Check:
    """Non-inferiority of the conversions found at equal volume.

    D − z · SE(D) ≥ −margin · champion's, with D = Σ_g d_g, d_g the account's conversions by one
    less those by the other, and SE² = G · Var(d_g). Takes hand-offs as given, accounts as
    independent.
    """
    ours, theirs = handed_over(
        [evidence.challenger, champion],
        evidence.converted,
        evidence.leads,
        evidence.times,
        per_time=evidence.per_time,
    )
    _, group = np.unique(evidence.accounts, return_inverse=True)
    gains = np.bincount(group, weights=(ours - theirs) * evidence.converted)
    error = float(np.sqrt(len(gains) * gains.var()))
    z = NormalDist().inv_cdf(settings.confidence)
    bound = float(gains.sum()) - z * error
    found, champions = float(ours @ evidence.converted), float(theirs @ evidence.converted)
    allowed = settings.conversions_margin * champions
    return Check(
        "conversions",
        bool(-bound <= allowed),
        f"{found:.0f} v {champions:.0f} of the champion in {ours.sum():.0f} hand-offs each, fewer "
        f"by at most {max(0.0, -bound):.1f} ({settings.confidence:.0%} sure), {allowed:.1f} "
        "allowed",
        {
            "challenger": found,
            "champion": champions,
            "handoffs": float(ours.sum()),
            "lower_bound": bound,
            "allowed": allowed,
        },
    )


@dataclass(frozen=True)
class CalibrationLimits:
    """How far slope and level may be from 1, by 95 % intervals that allow for accounts.

    Attributes:
        slope: Of the outcome on logit(p), and its interval.
        slope_low: Lower end.
        slope_high: Upper end.
        expected: Conversions predicted.
        observed: Conversions that came.
        ratio_low: Lower end of expected over observed.
        ratio_high: Its upper end; infinite where none may have come.
        mean_residual: Mean of outcome less probability.
    """

    slope: float
    slope_low: float
    slope_high: float
    expected: float
    observed: float
    ratio_low: float
    ratio_high: float
    mean_residual: float


def calibration_limits(p: Floats, y: Floats, accounts: NDArray[np.int64]) -> CalibrationLimits:
    """Return slope and level with their intervals.

    Slope: Cox's logistic regression of the outcome on logit(p), sandwich by account. Level: the
    ratio of predicted to observed conversions, its error from residual sums per account.

    Args:
        p: Probabilities, shape (n,).
        y: 0 or 1, of both some, shape (n,).
        accounts: Numbers, shape (n,).
    """
    margins = logit(p)
    intercept, slope = fit_platt(margins, y)
    covariance = platt_covariance(margins, y, accounts, a=intercept, b=slope)
    reach = _Z95 * float(np.sqrt(max(covariance[1, 1], 0.0)))
    mean, error = clustered_mean(y - p, accounts)
    expected, observed = float(p.sum()), float(y.sum())
    low, high = (expected / (observed + side * _Z95 * error * len(y)) for side in (1.0, -1.0))
    if high <= 0:
        high = float("inf")
    return CalibrationLimits(
        slope, slope - reach, slope + reach, expected, observed, low, high, mean
    )


def _calibration(evidence: Evidence, settings: GateSettings) -> Check:
    """Slope and level are refuted only if their 95 % intervals lie outside what is allowed."""
    found = calibration_limits(evidence.challenger, evidence.converted, evidence.accounts)
    margin = settings.level_margin
    is_level = found.ratio_low <= 1 + margin and found.ratio_high >= 1 - margin
    is_slope = found.slope_low <= settings.slope_high and found.slope_high >= settings.slope_low
    return Check(
        "calibration",
        bool(is_slope and is_level),
        f"slope {found.slope:.2f} ({found.slope_low:.2f} to {found.slope_high:.2f}; "
        f"{settings.slope_low:g} to {settings.slope_high:g} allowed), {found.expected:.0f} "
        f"conversions predicted, {found.observed:.0f} observed (ratio {found.ratio_low:.2f} to "
        f"{found.ratio_high:.2f})",
        {
            "slope": found.slope,
            "slope_low": found.slope_low,
            "slope_high": found.slope_high,
            "expected": found.expected,
            "observed": found.observed,
            "mean_residual": found.mean_residual,
        },
    )


def _rules(evidence: Evidence, name: str, seed: int) -> Check:
    paired = compare_paired(
        "challenger",
        evidence.challenger,
        name,
        evidence.scorecards[name],
        converted=evidence.converted,
        leads=evidence.leads,
        accounts=evidence.accounts,
        times=evidence.times,
        per_time=evidence.per_time,
        seed=seed,
    )
    low, high = paired.ci95
    return Check(
        f"rules: {name}",
        paired.verdict != "rules win",
        f"{paired.conversions_a:.0f} v {paired.conversions_b:.0f} conversions in "
        f"{paired.handoffs:.0f} hand-offs each ({low:+.0f} to {high:+.0f}): {paired.verdict}",
        {"challenger": paired.conversions_a, "rules": paired.conversions_b},
    )


def clustered_mean(values: Floats, clusters: NDArray[np.int64]) -> tuple[float, float]:
    """Return a mean and its standard error, rows of a cluster being dependent.

    SE² = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n²: the linearised variance of a ratio of sums per
    cluster (Cochran 1977, 6.3). Assumes clusters independent.
    """
    mean = float(values.mean())
    _, group = np.unique(clusters, return_inverse=True)
    sums = np.bincount(group, weights=values - mean)
    n_groups = len(sums)
    correction = n_groups / max(n_groups - 1, 1)
    return mean, float(np.sqrt(correction * (sums * sums).sum())) / len(values)
