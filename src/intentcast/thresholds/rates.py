"""What each tier's leads do: the share that converts, and the conversions that a list would lose.

Rows are lead and as-of time: the chance that a lead which stands in the tier today converts within
the horizon. A lead stands there for weeks and colleagues convert together, so intervals are by
account: the variance of the ratio Σy / Σn over accounts by linearisation,

    n_eff = p(1 − p) / v,    v = G/(G−1) · Σ_g (y_g − p n_g)² / (Σ n_g)²,

and Clopper and Pearson's interval at p · n_eff of n_eff (Korn and Graubard 1998, *Survey
Methodology* 24), n_eff no more than the accounts there are. With no conversion at all n_eff is the
accounts themselves, and the one-sided 95 % bound is 1 − 0.05^(1/n), the rule of three.
Assumption: accounts are independent.
"""

from dataclasses import dataclass

import numpy as np

from intentcast.propensity.margins import Floats
from intentcast.thresholds.evidence import Evidence, Ints, Mask


@dataclass(frozen=True)
class TierRate:
    """How often a tier's leads convert.

    Attributes:
        tier: Its name.
        n_rows: Lead and as-of times in it.
        n_converted: Of them, converted within the horizon.
        rate: The share.
        low: Of its 95 % interval.
        high: Likewise.
    """

    tier: str
    n_rows: int
    n_converted: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Lost:
    """What is lost if nobody works the leads below a threshold.

    Attributes:
        threshold: Leads below it are left alone.
        share_of_leads: Of the rows, below it.
        share: Of the conversions within the horizon, from below it.
        share_high: Its upper 95 % bound (one-sided).
        conversions: Per as-of time, conversions within the horizon from below it.
        conversions_high: Its upper bound: `share_high` of all conversions, these at their mean.
        n_accounts: Accounts with a conversion, which the bound rests on.
    """

    threshold: float
    share_of_leads: float
    share: float
    share_high: float
    conversions: float
    conversions_high: float
    n_accounts: int


def tier_rate(evidence: Evidence, tier: str, low: float, high: float) -> TierRate:
    """Return how often leads of `low <= p < high` convert, with its interval by account."""
    rows = (evidence.probability >= low) & (evidence.probability < high)
    converted = evidence.converted[rows]
    p, ends = _share(converted, evidence.account[rows], tail=0.025)
    return TierRate(tier, int(rows.sum()), int(converted.sum()), p, *ends)


def lost_below(evidence: Evidence, threshold: float) -> Lost:
    """Return what leaving the leads below a threshold alone loses, with its upper bound."""
    won = evidence.converted
    below = evidence.probability < threshold
    p, (_, high) = _share(below[won], evidence.account[won], tail=0.05)
    per_step = float(won.sum()) / max(evidence.n_steps, 1)
    return Lost(
        threshold=threshold,
        share_of_leads=float(below.mean()) if len(below) else 0.0,
        share=p,
        share_high=high,
        conversions=p * per_step,
        conversions_high=high * per_step,
        n_accounts=evidence.n_converted_accounts,
    )


def largest_list(evidence: Evidence, *, most_lost: float, below: float) -> Lost | None:
    """Return the largest list whose upper bound on the share lost is within `most_lost`.

    Thresholds are tried from the smallest list up, at every twentieth of the leads, and the first
    that fails ends the search: then the bound holds for the list that is chosen, although several
    were tried (fixed-sequence testing, Maurer et al. 1995).

    Args:
        evidence: The past.
        most_lost: Largest tolerated upper bound on the share of conversions lost.
        below: No list reaches this threshold (that of warm).
    """
    if not len(evidence.probability):
        return None
    found = None
    at = np.quantile(evidence.probability, np.arange(1, 20) / 20, method="higher")
    for threshold in np.unique(at):
        if threshold > below:
            break
        lost = lost_below(evidence, float(threshold))
        if lost.share_high > most_lost:
            break
        found = lost
    return found


def _share(hit: Mask, account: Ints, *, tail: float) -> tuple[float, tuple[float, float]]:
    """Return the share of rows that are hit, and its interval with `tail` outside at each end."""
    from scipy.special import betaincinv

    if len(hit) == 0:
        return 0.0, (0.0, 1.0)
    _, group = np.unique(account, return_inverse=True)
    n: Floats = np.bincount(group).astype(np.float64)
    y: Floats = np.bincount(group, weights=hit.astype(np.float64)).astype(np.float64)
    p = float(y.sum() / n.sum())
    size = _effective(y, n, p)
    x = p * size
    low = float(betaincinv(x, size - x + 1, tail)) if x > 0 else 0.0
    high = float(betaincinv(x + 1, size - x, 1 - tail)) if x < size else 1.0
    return p, (low, high)


def _effective(y: Floats, n: Floats, p: float) -> float:
    """Return how many independent rows would tell as much; at most one per account."""
    g = len(n)
    if g == 1:
        return 1.0
    variance = g / (g - 1) * float(((y - p * n) ** 2).sum()) / float(n.sum()) ** 2
    if variance == 0.0 or p in (0.0, 1.0):
        return float(g)
    return min(float(g), p * (1 - p) / variance)
