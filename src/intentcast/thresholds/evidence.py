"""What thresholds are set on: out-of-time predictions whose outcome is known, as hand-offs.

A lead is handed over at an as-of time where its probability reaches the threshold and did not at
any of its as-of times in the `rest_days` before. The first `rest_days` of the record are run-in:
they only tell who had reached it. So a row is a hand-off at exactly the thresholds in the
half-open span (`before`, `probability`], and one pass serves every threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats
from intentcast.tiers import at_least

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
DAY_US = 86_400_000_000
_DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class Evidence:
    """Rows after the run-in; every array has shape (n,), sorted by lead and time.

    Attributes:
        probability: Of the model that had not seen the row, nor anything after its as-of time.
        before: The lead's greatest probability in the `rest_days` before; −inf if it had none.
        converted: Whether it converted within the horizon.
        lead: Numbers from 0.
        account: Numbers from 0, over all accounts of the record.
        step: The number of the as-of time, from 0.
        n_steps: As-of times after the run-in.
        every_days: Days between them.
        horizon_days: Of probability and outcome.
        rest_days: After so long a lead that was hot is handed over again.
        ahead_days: From the last as-of time to the beginning of the time to come: outcomes must
            mature, so this is at least the horizon.
    """

    probability: Floats
    before: Floats
    converted: Mask
    lead: Ints
    account: Ints
    step: Ints
    n_steps: int
    every_days: int
    horizon_days: int
    rest_days: int
    ahead_days: float

    @property
    def n_weeks(self) -> float:
        """Weeks that hand-offs were counted for."""
        return self.n_steps * self.every_days / _DAYS_PER_WEEK

    @property
    def n_leads(self) -> int:
        """Different leads."""
        return len(np.unique(self.lead))

    @property
    def n_converted_leads(self) -> int:
        """Different leads that converted within the horizon of one of their rows."""
        return len(np.unique(self.lead[self.converted]))

    @property
    def n_converted_accounts(self) -> int:
        """Different accounts of them."""
        return len(np.unique(self.account[self.converted]))

    def handed_over(self, threshold: float) -> Mask:
        """Return which rows are hand-offs at a threshold."""
        return (self.probability >= threshold) & (self.before < threshold)

    def count_handed_over(self, thresholds: Floats) -> Ints:
        """Return how many rows are hand-offs at each threshold."""
        reached = at_least(self.probability, thresholds)
        already = at_least(np.minimum(self.before, self.probability), thresholds)
        counted: Ints = reached - already
        return counted


def gather(
    probability: Floats,
    converted: Mask,
    leads: NDArray[Any],
    accounts: NDArray[Any],
    times: Ints,
    *,
    every_days: int,
    horizon_days: int,
    now: int,
) -> Evidence:
    """Return the evidence; the order of rows does not matter.

    The rest is the horizon: until it is over, whether the hand-off was right is not known. Where
    that is more than a third of the record, it is a third.

    Args:
        probability: Shape (n,), likewise the others.
        converted: Whether each row's lead converted within the horizon.
        leads: Anything that sorts.
        accounts: Likewise.
        times: As-of times in microseconds.
        every_days: Days between as-of times.
        horizon_days: Of the probabilities.
        now: The instant at which the time to come begins, in microseconds.
    """
    _, lead = np.unique(leads, return_inverse=True)
    _, account = np.unique(accounts, return_inverse=True)
    grid, step = np.unique(times, return_inverse=True)
    order = np.lexsort((step, lead))
    lead, account, step = lead[order], account[order], step[order]
    p, when = probability[order].astype(np.float64), times[order]
    span = len(grid) * every_days
    rest_days = min(horizon_days, span // 3)
    before = _greatest_before(p, lead, when, rest_days * DAY_US)
    first = int(np.searchsorted(grid, grid[0] + rest_days * DAY_US)) if len(grid) else 0
    kept = step >= first
    return Evidence(
        probability=p[kept],
        before=before[kept],
        converted=converted[order].astype(bool)[kept],
        lead=lead[kept],
        account=account[kept],
        step=step[kept] - first,
        n_steps=len(grid) - first,
        every_days=every_days,
        horizon_days=horizon_days,
        rest_days=rest_days,
        ahead_days=(now - int(grid[-1])) / DAY_US if len(grid) else 0.0,
    )


def _greatest_before(p: Floats, lead: Ints, when: Ints, rest: int) -> Floats:
    """Return each row's greatest probability among its lead's rows of the `rest` before it."""
    before = np.full(len(p), -np.inf)
    for back in range(1, len(p)):
        near = (lead[back:] == lead[:-back]) & (when[back:] - when[:-back] <= rest)
        if not near.any():
            break
        np.maximum(before[back:], np.where(near, p[:-back], -np.inf), out=before[back:])
    return before
