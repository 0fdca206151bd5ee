"""What one column alone tells of conversion: pure functions of bins and labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FOLDS = 5
# A bin's rate is drawn towards the base rate as by so many snapshots, so that an id with a level
# for each lead does not seem to tell something.
_PRIOR = 20.0
_Z = 1.959963984540054


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class BinRates(NamedTuple):
    """Conversion rate by bin.

    Attributes:
        of_row: Of each snapshot's bin, from accounts of the other folds, shape (n,).
        of_bin: From all accounts, shape (n_bins,).
    """

    of_row: Floats
    of_bin: Floats

    def at(self, bins: Ints) -> Floats:
        """Return the rate of each bin; of one that was not there, the mean over bins."""
        padded = np.append(self.of_bin, self.of_bin.mean())
        out: Floats = padded[np.minimum(bins, len(self.of_bin))]
        return out


def bin_rates(bins: Ints, converted: Floats, clusters: Ints) -> BinRates:
    """Return conversion rates by bin, (k + 20·base) / (n + 20), cross-fitted over 5 account folds.

    Args:
        bins: From 0, shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
    """
    n_bins = int(bins.max(initial=0)) + 1
    fold = clusters % _FOLDS
    cell = fold * n_bins + bins
    n = np.bincount(cell, minlength=_FOLDS * n_bins).reshape(_FOLDS, n_bins).astype(np.float64)
    k = np.bincount(cell, weights=converted, minlength=_FOLDS * n_bins).reshape(_FOLDS, n_bins)
    base = k.sum() / max(n.sum(), 1.0)
    other_n, other_k = n.sum(axis=0) - n, k.sum(axis=0) - k
    # Of each fold its own base rate: else a fold that converts more would rank below the rest.
    other_base = other_k.sum(axis=1, keepdims=True) / np.maximum(
        other_n.sum(axis=1, keepdims=True), 1.0
    )
    rates = (other_k + _PRIOR * other_base) / (other_n + _PRIOR)
    relative = rates / np.maximum(other_base, 1e-12) * base
    of_bin = (k.sum(axis=0) + _PRIOR * base) / (n.sum(axis=0) + _PRIOR)
    return BinRates(relative[fold, bins], of_bin)


def clustered_auc(converted: Floats, score: Floats, clusters: Ints) -> Interval:
    """Return the AUC with a 95 % interval that takes accounts, not snapshots, as independent.

    The variance is that of the sum over accounts of placement values (Obuchowski 1997, the
    clustered form of DeLong 1988): ψ_i = y_i/p · (V_i − A) + (1 − y_i)/(1 − p) · (W_i − A), with V
    the share of non-converters below a converter, W the share of converters above a
    non-converter, ties counted half. Too narrow below about 30 converting accounts.

    Args:
        converted: 0 or 1, shape (n,).
        score: Shape (n,).
        clusters: Account numbers, shape (n,).
    """
    n = len(converted)
    n_positive = float(converted.sum())
    n_negative = n - n_positive
    if n_positive == 0 or n_negative == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    _, place = np.unique(score, return_inverse=True)
    positives = np.bincount(place, weights=converted)
    negatives = np.bincount(place, weights=1.0 - converted)
    below = (np.cumsum(negatives) - 0.5 * negatives) / n_negative
    above = (n_positive - np.cumsum(positives) + 0.5 * positives) / n_positive
    area = float((positives * below).sum() / n_positive)
    influence = np.where(
        converted > 0,
        (below[place] - area) * n / n_positive,
        (above[place] - area) * n / n_negative,
    )
    half = _Z * clustered_sd(influence, clusters) / n
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def clustered_sd(values: Floats, clusters: Ints) -> float:
    """Return sqrt(Σ_account (Σ_rows value)²): the deviation of the sum of values of mean 0."""
    _, place = np.unique(clusters, return_inverse=True)
    return float(np.sqrt((np.bincount(place, weights=values) ** 2).sum()))


def clustered_mean(
    values: Floats, weights: Floats, clusters: Ints, *, least_sd: float = 0.0
) -> Interval:
    """Return the weighted mean with its 95 % interval, accounts taken as independent.

    Args:
        values: Shape (n,).
        weights: At least 0, shape (n,); rows of weight 0 do not count.
        clusters: Account numbers, shape (n,).
        least_sd: The standard deviation of one account is taken as no less: where nobody of a small
            sample has a rare thing, its spread seems to be zero.
    """
    total = float(weights.sum())
    if not total > 0:
        return Interval(float("nan"), float("-inf"), float("inf"))
    mean = float((weights * values).sum()) / total
    n_accounts = len(np.unique(clusters[weights > 0]))
    error = clustered_sd(weights * (values - mean), clusters) / total
    half = _Z * max(error, least_sd / float(np.sqrt(n_accounts)))
    return Interval(mean, mean - half, mean + half)


def still_there(past: Interval, never: Interval, present: Interval) -> Interval:
    """Return how much of a column's signal the present cohort shows: honest about 1, hindsight 0.

    `(m_present − m_never) / (m_past − m_never)`, where m is the mean conversion rate that the
    column's values stand for: among past snapshots, among those of them whose leads never
    converted, and among leads that are open now. What was written only after the win cannot be
    there before it, so that open leads look like those that never convert. Assumes that leads of
    an age are about the same mix then and now. The interval (delta method, the three taken as
    independent) is infinite where past and never do not differ.
    """
    span = past.value - never.value
    spread = [(i.high - i.low) / 2 for i in (past, never, present)]
    if not span > 0:
        return Interval(float("nan"), float("-inf"), float("inf"))
    share = (present.value - never.value) / span
    half = (
        np.sqrt(spread[2] ** 2 + (share * spread[0]) ** 2 + ((1.0 - share) * spread[1]) ** 2) / span
    )
    return Interval(share, share - float(half), share + float(half))
