"""How far a figure of a backtest could have come out otherwise: accounts drawn anew."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.capacity import Floats, Ints

_N_DRAWS = 200
_PERCENTILES = (2.5, 97.5)
_FEWEST_ACCOUNTS = 10


class AccountDraws:
    """The same rows again and again, whole accounts drawn with replacement.

    Percentile bootstrap clustered by account (Efron and Tibshirani 1993, ch. 13): accounts are
    taken as independent, rows of one account in any way dependent. With few converting accounts
    the percentiles are too narrow.

    Args:
        converted: 0 or 1, shape (n,).
        accounts: Numbers, shape (n,).
        seed: Of the draws.
    """

    def __init__(self, converted: Floats, accounts: Ints, *, seed: int = 0) -> None:
        self._y = converted
        distinct, self._account = np.unique(accounts, return_inverse=True)
        self._n_accounts = len(distinct)
        converting = np.unique(self._account[converted == 1.0])
        self._enough = len(converting) >= _FEWEST_ACCOUNTS
        self._seed = seed

    @cached_property
    def _times(self) -> NDArray[np.uint16]:
        """How often each account was drawn, shape (draws, accounts)."""
        rng = np.random.default_rng(self._seed)
        n = self._n_accounts
        out = np.empty((_N_DRAWS, n), dtype=np.uint16)
        for row in out:
            row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
        return out

    def mean(self, values: Floats) -> list[float] | None:
        """Return the 95 % interval of a mean over rows; None with under 10 converting accounts."""
        if not self._enough:
            return None
        sums = np.bincount(self._account, weights=values, minlength=self._n_accounts)
        sizes = np.bincount(self._account, minlength=self._n_accounts)
        return _interval(np.array([times @ sums / (times @ sizes) for times in self._times]))

    def ranking(self, score: Floats) -> tuple[list[float] | None, list[float] | None]:
        """Return the 95 % intervals of AUC and of average precision; see `metrics`."""
        if not self._enough:
            return None, None
        order = np.argsort(-score, kind="stable")
        y, account = self._y[order], self._account[order]
        last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        aucs, precisions = [], []
        for times in self._times:
            weights = times[account].astype(np.float64)
            taken = np.cumsum(weights)[last]
            hits = np.cumsum(weights * y)[last]
            n_hits = hits[-1]
            n_others = taken[-1] - n_hits
            if not n_hits or not n_others:
                continue
            gained = np.diff(hits, prepend=0.0)
            misses = np.diff(taken - hits, prepend=0.0)
            aucs.append(((hits - gained / 2.0) @ misses) / (n_hits * n_others))
            precisions.append((gained @ (hits / np.maximum(taken, 1.0))) / n_hits)
        return _interval(np.array(aucs)), _interval(np.array(precisions))


def _interval(values: Floats) -> list[float]:
    low, high = np.percentile(values, _PERCENTILES)
    return [float(low), float(high)]
