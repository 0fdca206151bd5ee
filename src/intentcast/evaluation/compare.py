"""Model against rules: the same leads, the same number of hand-offs, an interval, a verdict."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.capacity import Floats, Ints, handed_over

Verdict = Literal["model wins", "rules win", "no difference"]
# Of five fair coins, all fall alike more often than one time in twenty.
_FEWEST_ACCOUNTS = 6


@dataclass(frozen=True)
class PairedComparison:
    """Two contenders at equal hand-off volume.

    Attributes:
        a: The model.
        b: The rules.
        handoffs: Leads handed over by each.
        conversions_a: Of them, converted within the horizon, ties at the edge averaged.
        conversions_b: Likewise.
        difference: `conversions_a − conversions_b`.
        ci95: 95 % interval of the difference.
        verdict: By whether the interval excludes zero.
        n_accounts: Accounts that the interval rests on.
    """

    a: str
    b: str
    handoffs: float
    conversions_a: float
    conversions_b: float
    difference: float
    ci95: tuple[float, float]
    verdict: Verdict
    n_accounts: int

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {**asdict(self), "ci95": list(self.ci95)}


def compare_paired(
    a: str,
    score_a: Floats,
    b: str,
    score_b: Floats,
    *,
    converted: Floats,
    leads: Ints,
    accounts: NDArray[np.int64],
    times: Ints,
    per_time: float,
    n_resamples: int = 2000,
    seed: int = 7,
) -> PairedComparison:
    """Hand over the same number of leads by each score and compare the conversions.

    Accounts, not leads, are resampled with replacement: colleagues convert together, and one lead
    recurs at many as-of times. The interval is the bootstrap's 2.5 and 97.5 percentiles of
    Σ_account m_g · d_g, where d_g is the account's conversions by a less those by b and m_g how
    often it was drawn. It takes who was handed over as given, and accounts as independent; with
    fewer than about 30 accounts that differ it is too narrow. With fewer than 6 no verdict could
    have 95 % confidence: then it is the difference ± every conversion that one of the two has
    and the other has not, which holds zero.

    Args:
        a: Name of the model.
        score_a: Shape (n,).
        b: Name of the rules.
        score_b: Shape (n,).
        converted: 0 or 1, shape (n,).
        leads: Numbers from 0, shape (n,).
        accounts: Numbers, shape (n,).
        times: As-of times, shape (n,).
        per_time: Seats at each as-of time; a part of a seat is a part of a lead.
        n_resamples: Bootstrap resamples.
        seed: Of the resampling.
    """
    share_a, share_b = handed_over([score_a, score_b], converted, leads, times, per_time=per_time)
    _, group = np.unique(accounts, return_inverse=True)
    n_accounts = int(group.max()) + 1
    gained = (share_a - share_b) * converted
    gains: Floats = np.bincount(group, weights=gained, minlength=n_accounts).astype(np.float64)
    if 0 < np.count_nonzero(gains) < _FEWEST_ACCOUNTS:
        low, high = _widest(gained)
    else:
        low, high = _interval(gains, n_resamples, seed)
    verdict: Verdict = "no difference"
    if low > 0:
        verdict = "model wins"
    elif high < 0:
        verdict = "rules win"
    return PairedComparison(
        a=a,
        b=b,
        handoffs=float(share_a.sum()),
        conversions_a=float((share_a * converted).sum()),
        conversions_b=float((share_b * converted).sum()),
        difference=float(gains.sum()),
        ci95=(low, high),
        verdict=verdict,
        n_accounts=n_accounts,
    )


def _widest(gained: Floats) -> tuple[float, float]:
    """Return the interval that claims nothing: each conversion might have gone the other way."""
    # Apart by sign: no rounding can leave zero outside.
    more, fewer = float(gained[gained > 0].sum()), float(-gained[gained < 0].sum())
    return -2.0 * fewer, 2.0 * more


def _interval(gains: Floats, n_resamples: int, seed: int) -> tuple[float, float]:
    """Return the percentile interval of the resampled sum.

    Accounts without a gain or loss add nothing wherever they are drawn, so only how many draws
    fall on the others, and on which, is simulated.
    """
    rng = np.random.default_rng(seed)
    moving = gains[gains != 0.0]
    if len(moving) == 0:
        return 0.0, 0.0
    drawn = rng.binomial(len(gains), len(moving) / len(gains), size=n_resamples)
    sums = np.array([moving[rng.integers(0, len(moving), size=n)].sum() for n in drawn])
    low, high = np.percentile(sums, [2.5, 97.5])
    return float(low), float(high)
