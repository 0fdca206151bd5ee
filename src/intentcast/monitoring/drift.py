"""Does a feature still look as it did in training?

The population stability index of bins b, PSI = Σ_b (q_b − p_b) · log(q_b / p_b), with p the shares
in training and q those now; what is unknown is a bin of its own. Its usual bands, below 0.1 stable
and from 0.25 on a shift, are conventions of credit scoring (Siddiqi, Credit Risk Scorecards, 2006)
that say nothing of the sample's size. Where nothing drifts, PSI is about
(n_bins − 1) · (1/n + 1/m) · χ² (Yurdakul and Naranjo, J. Risk Model Validation 2020), so its
expectation, (n_bins − 1) · (1/n + 1/m), is taken off here: `psi` is the excess, and may not be
negative. n and m are numbers of accounts, not of snapshots: leads of an account, and a lead's
snapshots, tell nearly the same. The same law gives the test, whose p-values are adjusted over all
features (Benjamini and Hochberg 1995).

Some features drift because time goes by: leads grow older than they were when the record began, and
autumn is not spring. So a shift must also be unusual: the step from the last window that the
bundle's data had to the newest must exceed 1.5 times the largest step between windows as far apart
within those data. A trend goes on in equal steps; a broken tracker does not.

Values that were missing or doubled after the fact look the same in all windows. So the past windows
are held against the reference too: where they no longer look as training saw them, the past has
been rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from intentcast.features import FeatureMatrix
from intentcast.monitoring.windows import Windows
from intentcast.packaging import decile_bins
from intentcast.propensity.margins import Floats

Status = Literal["stable", "moved", "shifted", "rewritten"]
MOVED, SHIFTED = 0.1, 0.25
_FALSE_DISCOVERIES = 0.01
_UNUSUAL = 1.5
_FEWEST_ACCOUNTS = 50
_MOST_PAIRS = 13
_AGES = "lifecycle."


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift.

    Attributes:
        name: Of the feature.
        psi: Newest window against training, its expectation without drift taken off.
        q: Adjusted p-value of the test that nothing drifts.
        step: PSI from the last known window to the newest; None without one.
        usual: The largest such step in the known past; None where the past is too short.
        past_psi: Past windows, as the data are now, against training; None without them.
        unknown: Share unknown in the newest window.
        unknown_in_training: Likewise.
        influence: Share of what moves the model's answers.
        status: What to make of it.
    """

    name: str
    psi: float
    q: float
    step: float | None
    usual: float | None
    past_psi: float | None
    unknown: float
    unknown_in_training: float
    influence: float
    status: Status


def psi(p: Floats, q: Floats, *, n: float, m: float) -> float:
    """Return the population stability index less its expectation without drift, at least 0.

    Args:
        p: Shares of bins, shape (n_bins,).
        q: Shares of the same bins.
        n: How many independent units p is of.
        m: Likewise of q.
    """
    is_there = (p > 0) | (q > 0)
    k = int(is_there.sum())
    if k < 2:
        return 0.0
    # An empty bin has half a unit, or the logarithm would be infinite.
    p, q = ((share[is_there] * size + 0.5) / (size + 0.5 * k) for share, size in ((p, n), (q, m)))
    raw = float(((q - p) * np.log(q / p)).sum())
    return max(0.0, raw - float((k - 1) * (1 / n + 1 / m)))


def shift_p_value(p: Floats, q: Floats, *, n: float, m: float) -> float:
    """Return the p-value of Pearson's test that two sets of shares are of one distribution.

    χ² = Σ (q_b − p_b)² / r_b / (1/n + 1/m), r the pooled shares, with one degree of freedom less
    than bins. Takes accounts as the independent units, the coarsest choice.
    """
    from scipy.special import chdtrc

    pooled = (n * p + m * q) / (n + m)
    is_there = pooled > 0
    k = int(is_there.sum())
    if k < 2:
        return 1.0
    gap = ((q - p)[is_there] ** 2 / pooled[is_there]).sum() / (1 / n + 1 / m)
    return float(chdtrc(k - 1, gap))


def adjusted(p_values: Floats) -> Floats:
    """Return Benjamini and Hochberg's adjusted p-values, in the order of the raw ones."""
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * n / np.arange(1, n + 1)
    rising = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    out = np.empty(n)
    out[order] = rising
    return out


def feature_drift(
    features: FeatureMatrix, windows: Windows, reference: Mapping[str, Any], influence: Floats
) -> list[FeatureDrift]:
    """Return every feature's drift, the most shifted first.

    Args:
        features: Of the windows' snapshots.
        windows: Newest and past.
        reference: `reference.json` of the bundle.
        influence: Per feature, of sum 1, shape (n_features,).
    """
    newest, accounts = windows.n_accounts[0], windows.n_accounts
    rows = []
    for name, column in zip(features.names, features.values.T, strict=True):
        seen = reference["features"][name]
        known_share = 1 - seen["unknown"]
        p = np.array([*(known_share * share for share in seen["shares"] or [1.0]), seen["unknown"]])
        shares = _window_shares(column.astype(np.float64), seen["deciles"], windows, len(p))
        m = float(reference["n_accounts"])
        step, usual = _steps(shares, accounts, windows)
        past = None
        if windows.first_known < windows.n:
            weights = np.bincount(windows.number, minlength=windows.n)[windows.first_known :]
            of_past = np.average(shares[windows.first_known :], axis=0, weights=weights)
            past = psi(p, of_past, n=m, m=m)
        rows.append(
            (
                psi(p, shares[0], n=m, m=newest),
                shift_p_value(p, shares[0], n=m, m=newest),
                step,
                usual,
                past,
                float(shares[0][-1]),
                float(seen["unknown"]),
            )
        )
    q = adjusted(np.array([row[1] for row in rows]))
    found = []
    for i, (name, row) in enumerate(zip(features.names, rows, strict=True)):
        index, _, step, usual, past, unknown, unknown_then = row
        status = _status(name, index, float(q[i]), step, usual, past)
        found.append(
            FeatureDrift(
                name, index, float(q[i]), step, usual, past, unknown, unknown_then,
                float(influence[i]), status,
            )
        )  # fmt: skip
    rank = {"rewritten": 0, "shifted": 0, "moved": 1, "stable": 2}
    return sorted(found, key=lambda f: (rank[f.status], -f.psi, f.name))


def _window_shares(column: Floats, deciles: list[float], windows: Windows, n_bins: int) -> Floats:
    """Return the shares of the bins per window, shape (n_windows, n_bins), unknown last."""
    is_known = ~np.isnan(column)
    bins = np.full(len(column), n_bins - 1)
    # Where nothing was known in training, what is known now is in a bin of its own.
    bins[is_known] = decile_bins(column[is_known], deciles)
    counts = np.bincount(windows.number * n_bins + bins, minlength=windows.n * n_bins)
    table = counts.reshape(windows.n, n_bins).astype(np.float64)
    totals = table.sum(axis=1, keepdims=True)
    out: Floats = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)
    return out


def _steps(shares: Floats, accounts: Floats, windows: Windows) -> tuple[float | None, float | None]:
    """Return the step to the newest window, and the largest usual one as far apart."""
    base = windows.first_known
    is_full = accounts >= _FEWEST_ACCOUNTS
    if base >= windows.n or not (is_full[0] and is_full[base]):
        return None, None
    step = psi(shares[base], shares[0], n=accounts[base], m=accounts[0])
    # A bundle older than half of its record has no pairs so far apart: the widest there are.
    lag = min(base, max(1, (windows.n - 1 - base) // 2))
    pairs = [
        (late, late + lag)
        for late in range(base, windows.n - lag)
        if is_full[late] and is_full[late + lag]
    ][:_MOST_PAIRS]
    if not pairs:
        return step, None
    usual = max(
        psi(shares[early], shares[late], n=accounts[early], m=accounts[late])
        for late, early in pairs
    )
    return step, usual


def _status(
    name: str, index: float, q: float, step: float | None, usual: float | None, past: float | None
) -> Status:
    if past is not None and past >= SHIFTED:
        return "rewritten"
    if index < MOVED or q >= _FALSE_DISCOVERIES:
        return "stable"
    if step is None or usual is None:
        # Without a past to compare with, ageing cannot be told from a shift.
        if name.startswith(_AGES):
            return "stable"
        return "shifted" if index >= SHIFTED else "moved"
    size = min(index, step)
    if step < _UNUSUAL * usual or size < MOVED:
        return "stable"
    return "shifted" if size >= SHIFTED else "moved"
