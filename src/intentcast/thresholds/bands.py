"""Bands for what is still to come: hand-offs, conversions and precision of the next weeks.

A confidence band of the past mean would be too narrow: the next quarter has its own weeks and its
own accounts, and its level may go on rising or falling as the past did. So the estimate and the
quarter are both resampled, over accounts and over time, and the trend is estimated.

Formula. x_gs is what account g adds at as-of time s = 1 … S (its hand-offs, or conversions among
them), X its sum, r = X / S the estimate per as-of time; N further times are to come. One draw of
how far a sum Σ a_s x_s moves (a = 1 for the level) is

    δ = c · (Σ_g (m_g − 1) Σ_s a_s x_gs + w · Σ_s a_s e*_s),

m_g independent Poisson(1) weights (the account bootstrap), e* the residuals of x_·s about their
line, drawn in circular blocks of `_BLOCK_DAYS` (Politis and Romano 1992), w = t(B−1)/z · √(B/(B−1))
for B = S / block, as a few blocks vary less than what they come from. What is left when accounts
and times are taken out is in both sums, so c removes it once: c² = (V_a + V_t − V_gs) / (V_a + V_t)
with V_gs = Σ x_gs², never below the larger of the two (two-way clustering: Cameron, Gelbach and
Miller 2011, *Robust inference with multiway clustering*, J. Bus. Econ. Stat. 29).

Trend. b̂ = Σ (s − s̄) x_·s / (r Σ (s − s̄)²) is the relative change per as-of time, v its variance
over draws with a_s to match. It is shrunk with a normal prior of standard deviation τ, a doubling
or halving in a year being 2τ: k = τ² / (τ² + v), b = b₀ + k (b̂ − b₀), and what stays unknown of it
is normal with variance k v. b₀ is the trend of the inflow: of hand-offs at the threshold that most
leads newly reach, shrunk towards none likewise; few leads tell little of their own trend. Over Δ,
from the middle of the past to the middle of the quarter, the level is μ = r · exp(b Δ).

With one draw δ for the past and one δ' for the quarter, and one ε of the trend, the band is
N · q² at the 2.5 and 97.5 percentiles of

    q = √μ · exp(Δ ε / 2) + (δ' / √(S N) − δ / S) / 2√r,

the scale on which a count's variance does not depend on its mean (Anscombe 1948). Precision
p = C / X likewise, with x = converted − p, divided by r: its trend is added, not multiplied, with
the prior τ p; δ' is larger by √(r/μ); and the scale is the arcsine of the root.
A band is never narrower than that of independent events: given n in S times, N times more have a
negative binomial count (Jeffreys' prior of a Poisson rate), which for n = 0 still leaves room.

Assumption: the coming weeks are like those that were seen, up to the trend and to the variation
between blocks and accounts. A step change, such as a campaign ten times as large, is outside it.
"""

from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np

from intentcast.thresholds.evidence import Evidence
from intentcast.thresholds.resamples import Draws, Resampling, Span

_BLOCK_DAYS = 28
_ENDS = (2.5, 97.5)
_DAYS_PER_WEEK = 7
_DAYS_PER_YEAR = 365
# A doubling or halving in a year is two standard deviations of the trend.
_YEARLY = float(np.log(2)) / 2


@dataclass(frozen=True)
class Band:
    """What is expected in the coming weeks, with its 95 % band.

    Attributes:
        past: As measured, for as many weeks.
        estimate: Expected, trend and all.
        low: Lower end.
        high: Upper end.
    """

    past: float
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What a threshold brings in `weeks` weeks, and what it brought per week.

    Attributes:
        weeks: Of the coming period.
        n_handoffs: In the past.
        n_converted: Of them, converted within the horizon.
        volume: Hand-offs in the coming period, all weeks together.
        conversions: Of them, converted within the horizon of the hand-off.
        precision: Conversions over hand-offs.
    """

    weeks: int
    n_handoffs: int
    n_converted: int
    volume: Band
    conversions: Band
    precision: Band

    def per_week(self) -> dict[str, Band]:
        """Return volume and conversions of one week on the average of the period."""
        return {
            name: Band(*(end / self.weeks for end in astuple(band)))
            for name, band in (("volume", self.volume), ("conversions", self.conversions))
        }

    def to_json(self) -> dict[str, Any]:
        """Return the forecast as JSON values."""
        per_week = {name: asdict(band) for name, band in self.per_week().items()}
        return {**asdict(self), "per_week": per_week}


def forecast(
    evidence: Evidence,
    threshold: float,
    *,
    weeks: int,
    n_resamples: int = 1000,
    seed: int = 7,
    trend: float | None = None,
) -> Forecast:
    """Return what a threshold brings in the coming weeks; see the module for the formula.

    Args:
        evidence: The past.
        threshold: A lead is handed over where its probability reaches it.
        weeks: Length of the coming period.
        n_resamples: Draws.
        seed: Of the draws.
        trend: What `inflow` returns for the same weeks, draws and seed; None computes it here.
    """
    rows = evidence.handed_over(threshold)
    won = evidence.converted[rows].astype(np.float64)
    n_all, n_won = len(won), int(won.sum())
    share = n_won / n_all if n_all else 0.0
    span = _span(evidence, weeks)
    resampling = Resampling(evidence.account[rows], evidence.step[rows], span)
    volume, conversions, apart = (
        resampling.draw(x, n_resamples, np.random.default_rng([seed, i]))
        for i, x in enumerate((np.ones(n_all), won, won - share))
    )
    if trend is None:
        trend = inflow(evidence, weeks=weeks, n_resamples=n_resamples, seed=seed)
    handoffs = _count_band(volume, span, trend)
    return Forecast(
        weeks=weeks,
        n_handoffs=n_all,
        n_converted=n_won,
        volume=handoffs,
        conversions=_count_band(conversions, span, trend),
        precision=_share_band(n_won, n_all, apart, span, expected=handoffs.estimate),
    )


def inflow(evidence: Evidence, *, weeks: int, n_resamples: int = 1000, seed: int = 7) -> float:
    """Return b₀, the shrunk trend of the most leads that newly reach any threshold.

    It is the same for every threshold.

    Args:
        evidence: The past.
        weeks: Length of the coming period.
        n_resamples: Draws.
        seed: Of the draws.
    """
    span = _span(evidence, weeks)
    at = np.unique(evidence.probability)
    if len(at) == 0:
        return 0.0
    rows = evidence.handed_over(float(at[int(np.argmax(evidence.count_handed_over(at)))]))
    drawn = Resampling(evidence.account[rows], evidence.step[rows], span).draw(
        np.ones(int(rows.sum())), n_resamples, np.random.default_rng([seed, 3])
    )
    return _trend(drawn, span, 0.0)[0]


def _span(evidence: Evidence, weeks: int) -> Span:
    n_now = evidence.n_steps
    n_next = max(1, round(weeks * _DAYS_PER_WEEK / evidence.every_days))
    return Span(
        n_now=n_now,
        n_next=n_next,
        ahead=evidence.ahead_days / evidence.every_days + (n_now + n_next) / 2 - 0.5,
        prior=_YEARLY * evidence.every_days / _DAYS_PER_YEAR,
        block=max(1, min(round(_BLOCK_DAYS / evidence.every_days), n_now // 4)),
    )


def _trend(found: Draws, span: Span, towards: float) -> tuple[float, float]:
    """Return the relative change per as-of time, shrunk towards another, and its variance."""
    rate = found.total / span.n_now
    if rate <= 0:
        return towards, span.prior**2
    variance = float(found.slope_moves.var()) / rate**2
    kept = span.prior**2 / (span.prior**2 + variance)
    return towards + kept * (found.slope / rate - towards), kept * variance


def _count_band(found: Draws, span: Span, towards: float) -> Band:
    from scipy.stats import nbinom

    rate = found.total / span.n_now
    level, low, high = 0.0, 0.0, 0.0
    if rate > 0:
        change, variance = _trend(found, span, towards)
        level = rate * float(np.exp(change * span.ahead))
        wander = found.noise * np.sqrt(variance) * span.ahead
        root = np.sqrt(level) * np.exp(wander / 2)
        root += (found.coming - found.past) / (2 * np.sqrt(rate))
        low, high = (span.n_next * max(0.0, end) ** 2 for end in np.percentile(root, _ENDS))
    # Whatever the resamples say, the count cannot be surer than that of independent events.
    share = span.n_now / (span.n_now + span.n_next)
    least, most = nbinom.ppf([0.025, 0.975], level * span.n_now + 0.5, share)
    low, high = float(np.floor(min(low, least))), float(np.ceil(max(high, most)))
    return Band(rate * span.n_next, level * span.n_next, low, high)


def _share_band(n_won: int, n_all: int, found: Draws, span: Span, *, expected: float) -> Band:
    from scipy.special import betaincinv

    if n_all == 0:
        return Band(0.0, 0.0, 0.0, 1.0)
    p, rate = n_won / n_all, n_all / span.n_now
    # As many independent hand-offs as give the variance p(1 − p)(1/n + 1/n').
    size = 1.0 / (1.0 / n_all + 1.0 / expected)
    least = float(betaincinv(p * size + 0.5, (1 - p) * size + 0.5, 0.025)) if n_won else 0.0
    most = float(betaincinv(p * size + 0.5, (1 - p) * size + 0.5, 0.975)) if p < 1 else 1.0
    if not 0.0 < p < 1.0:
        return Band(p, p, least, most)
    variance = float(found.slope_moves.var()) / rate**2
    kept = (span.prior * p) ** 2 / ((span.prior * p) ** 2 + variance)
    level = float(np.clip(p + kept * found.slope / rate * span.ahead, p / 2, (1 + p) / 2))
    # The fewer hand-offs are expected, the further their precision strays.
    strayed = (found.coming * np.sqrt(rate * span.n_next / expected) - found.past) / rate
    strayed += found.noise * np.sqrt(kept * variance) * span.ahead
    angle = np.arcsin(np.sqrt(level)) + strayed / (2 * np.sqrt(p * (1 - p)))
    low, high = (
        float(np.sin(np.clip(end, 0.0, np.pi / 2)) ** 2) for end in np.percentile(angle, _ENDS)
    )
    return Band(p, level, min(low, least), max(high, most))
