"""Ranking and calibration metrics: pure functions of arrays, no I/O, no models.

`converted` is 0 or 1, shape (n,); scores and probabilities have the same shape. A metric that the
data do not define (one class only) is NaN, never a default.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.margins import logit, losses

Floats = NDArray[np.float64]
SMALLEST = 1e-15


class CalibrationBin(NamedTuple):
    """One bar of a reliability diagram: leads of similar probability."""

    mean_probability: float
    share_converted: float
    n_leads: int
    n_converted: int
    low: float
    high: float


class CalibrationLine(NamedTuple):
    """Slope and intercept of the outcome's log-odds on the predicted log-odds; ideal (1, 0)."""

    slope: float
    intercept: float


def _pair(converted: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    y = np.asarray(converted, dtype=np.float64)
    s = np.asarray(score, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"converted and score must be 1-D and equal, got {y.shape} and {s.shape}.")
    return y, s


def auc(converted: ArrayLike, score: ArrayLike) -> float:
    """Return P(score of a converter > of a non-converter) + half P(equal): Mann and Whitney 1947.

    Assumes nothing about calibration; it weighs all thresholds alike, also those that sales would
    never use.
    """
    y, s = _pair(converted, score)
    n_positive = float(y.sum())
    n_negative = len(y) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    _, place, size = np.unique(s, return_inverse=True, return_counts=True)
    last = np.cumsum(size)
    mid_rank = last - (size - 1) / 2.0
    rank_sum = float(mid_rank[place][y == 1.0].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def average_precision(converted: ArrayLike, score: ArrayLike) -> float:
    """Return Σ_k (recall_k − recall_{k−1}) · precision_k over distinct thresholds.

    Leads with equal scores enter together, so the order of rows cannot matter. The value of a
    random order is the base rate: compare it only on the same leads.
    """
    y, s = _pair(converted, score)
    if y.sum() == 0:
        return float("nan")
    order = np.argsort(-s, kind="stable")
    hits = np.cumsum(y[order])
    is_last = np.append(np.diff(s[order]) != 0, True)
    taken = np.flatnonzero(is_last) + 1
    hits = hits[is_last]
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / taken) / y.sum())


def brier(converted: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean of (p − y)²: a proper score, least in expectation at the true p (Brier)."""
    y, p = _pair(converted, probability)
    return float(np.mean((p - y) ** 2)) if len(y) else float("nan")


def brier_skill(converted: ArrayLike, probability: ArrayLike, *, reference: ArrayLike) -> float:
    """Return 1 − Brier(p) / Brier(reference): above 0 is better than the reference."""
    of_reference = brier(converted, reference)
    if of_reference == 0.0:
        return float("nan")
    return 1.0 - brier(converted, probability) / of_reference


def log_loss(converted: ArrayLike, probability: ArrayLike) -> float:
    """Return −mean(y·log p + (1−y)·log(1−p)), in nats: a proper score; p is kept off 0 and 1."""
    y, p = _pair(converted, probability)
    return float(losses(p, y, smallest=SMALLEST).mean()) if len(y) else float("nan")


def calibration_line(converted: ArrayLike, probability: ArrayLike) -> CalibrationLine:
    """Return the logistic regression of the outcome on logit(p): slope below 1 is overconfident.

    Cox 1958. Assumes the distortion is linear on the log-odds scale.
    """
    y, p = _pair(converted, probability)
    if not 0 < y.sum() < len(y):
        return CalibrationLine(float("nan"), float("nan"))
    intercept, slope = fit_platt(logit(p), y)
    return CalibrationLine(slope, intercept)


def reliability(
    converted: ArrayLike, probability: ArrayLike, *, n_bins: int = 10
) -> list[CalibrationBin]:
    """Return bins of about equally many leads by rising probability, with a 95 % Wilson interval.

    Equal probabilities stay in one bin, so there may be fewer bins than asked for. The interval
    takes leads as independent; snapshots of one lead are not, so it is too narrow where the same
    leads recur.
    """
    y, p = _pair(converted, probability)
    order = np.argsort(p, kind="stable")
    rising = p[order]
    # To split a tie, one would have to look at the outcomes, or at the order of rows.
    cuts = [len(p) * i // n_bins for i in range(1, n_bins)]
    cuts = [int(np.searchsorted(rising, rising[cut])) for cut in cuts if cut < len(p)]
    bins = []
    for part in np.split(order, sorted(set(cuts))):
        if len(part) == 0:
            continue
        n, k = len(part), int(y[part].sum())
        low, high = wilson(k, n)
        bins.append(CalibrationBin(float(p[part].mean()), k / n, n, k, low, high))
    return bins


def expected_calibration_error(
    converted: ArrayLike, probability: ArrayLike, *, n_bins: int = 10
) -> float:
    """Return Σ_b n_b/n · |mean p − share converted| over the bins of `reliability`.

    Biased upwards: see `calibration_error_by_chance`.
    """
    bins = reliability(converted, probability, n_bins=n_bins)
    n = sum(b.n_leads for b in bins)
    if n == 0:
        return float("nan")
    return sum(b.n_leads * abs(b.mean_probability - b.share_converted) for b in bins) / n


def calibration_error_by_chance(
    converted: ArrayLike, probability: ArrayLike, *, n_bins: int = 10
) -> float:
    """Return about what `expected_calibration_error` is where every probability is true.

    The mean absolute value of a normal variable is σ·sqrt(2/π), so it is Σ_b n_b/n · sqrt(2 p(1−p)
    / (π n_b)), p the mean probability of a bin. Rows are taken as independent; where leads recur,
    chance does more.
    """
    bins = reliability(converted, probability, n_bins=n_bins)
    n = sum(b.n_leads for b in bins)
    if n == 0:
        return float("nan")
    spread = [b.n_leads * b.mean_probability * (1.0 - b.mean_probability) for b in bins]
    return float(np.sqrt(2.0 * np.array(spread) / np.pi).sum() / n)


def wilson(n_converted: float, n_leads: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a share (Wilson 1927); NaN for a share of nothing."""
    if n_leads == 0:
        return float("nan"), float("nan")
    z2 = 1.959963984540054**2
    share = n_converted / n_leads
    centre = (share + z2 / (2 * n_leads)) / (1 + z2 / n_leads)
    half = np.sqrt(z2 * (share * (1 - share) / n_leads + z2 / (4 * n_leads**2))) / (
        1 + z2 / n_leads
    )
    # The share is inside; what rounding takes off at 0 and 1 is given back.
    return (
        min(max(0.0, float(centre - half)), share),
        max(min(1.0, float(centre + half)), share),
    )
