"""Accounts whose conversions remember a group's events with a known half-life."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from intentcast.propensity.half_lives import HALF_LIVES_DAYS

HELD_DAYS = (3.0, 14.0, 45.0, 120.0)
_DAYS = 300
_RATES = (0.05, 0.1, 0.03, 0.08)


@dataclass(frozen=True)
class RememberingAccounts:
    """Weekly snapshots of accounts, with four groups of events of which the first is asked about.

    The probability of each snapshot is exactly logistic in log(1 + S) at the true half-life; the
    outcomes of one account are drawn from a normal copula, so that they go together.
    """

    counts: np.ndarray
    n_weeks: int
    converted: np.ndarray

    @classmethod
    def drawn(
        cls, seed, *, n_accounts=600, n_weeks=12, level=-3.0, weight=1.0, half_life=14.0,
        others_weight=0.0, others_half_life=60.0, shared=0.4, memory=0.9,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        rate = rng.gamma(1.0, 1.0, (n_accounts, 1, 1)) * np.array(_RATES)[None, :, None]
        # Bursts that all groups of an account share: they go together, as themes do.
        busy = np.empty((n_accounts, _DAYS), dtype=bool)
        busy[:, 0] = rng.random(n_accounts) < 0.3
        for day in range(1, _DAYS):
            luck = rng.random(n_accounts)
            busy[:, day] = np.where(busy[:, day - 1], luck > 1 / 20, luck < 1 / 40)
        counts = rng.poisson(rate * np.where(busy, 2.5, 0.3)[:, None, :]).astype(float)
        silent = cls(counts, n_weeks, np.empty(0))
        margin = level + weight * np.log1p(silent.sums(0, [half_life])[:, 0])
        for group in range(1, len(_RATES)):
            others = np.log1p(silent.sums(group, [others_half_life])[:, 0])
            margin = margin + others_weight * others
        luck = np.empty((n_accounts, n_weeks))
        luck[:, 0] = rng.standard_normal(n_accounts)
        for week in range(1, n_weeks):
            fresh = np.sqrt(1 - memory**2) * rng.standard_normal(n_accounts)
            luck[:, week] = memory * luck[:, week - 1] + fresh
        own = np.sqrt(shared) * rng.standard_normal((n_accounts, 1)) + np.sqrt(1 - shared) * luck
        converted = (ndtr(own.ravel()) < 1 / (1 + np.exp(-margin))).astype(float)
        return cls(counts, n_weeks, converted)

    @property
    def accounts(self):
        """Account of each snapshot."""
        return np.repeat(np.arange(len(self.counts)), self.n_weeks)

    def sums(self, group, half_lives=HALF_LIVES_DAYS):
        """S_h of each snapshot, events at noon, snapshots at the end of each week."""
        columns = []
        for half_life in half_lives:
            state = np.zeros(len(self.counts))
            weekly = np.empty((len(self.counts), self.n_weeks))
            for day in range(_DAYS):
                state = state * 2 ** (-1 / half_life)
                state = state + self.counts[:, group, day] * 2 ** (-0.5 / half_life)
                week, rest = divmod(_DAYS - 1 - day, 7)
                if rest == 0 and week < self.n_weeks:
                    weekly[:, self.n_weeks - 1 - week] = state
            columns.append(weekly.ravel())
        return np.column_stack(columns)

    def held(self, half_lives=HELD_DAYS):
        """The other groups at several half-lives."""
        groups = range(1, self.counts.shape[1])
        return np.hstack([np.log1p(self.sums(group, half_lives)) for group in groups])
