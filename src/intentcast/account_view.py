"""The probability that any lead of an account converts, given each lead's.

Leads of one account do not convert independently: where the company buys, its people close
together. So 1 − ∏(1 − p) counts one deal several times, and the largest p leaves out that others
may buy for themselves. With λᵢ = −log(1 − pᵢ), lead i's cumulative hazard at the horizon,

    P = 1 − exp(−Λ),  Λ = max λ + w · (Σ λ − max λ),  0 <= w <= 1.

This is the common-shock copula of Cuadras and Augé (1981) for several leads: a share 1 − w of each
hazard is the account's and strikes all its leads at once, a share w is the lead's own. w = 0 gives
the largest p, w = 1 independence, and nothing outside these two: the bounds that hold wherever one
lead's conversion never makes a colleague's less likely. For one lead P = p; P rises with the
horizon and with every p.

`accounts.json` in a bundle: `own_share` (w), `n_accounts`, `n_snapshots`, `n_converted`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity import Fitted, TrainingRows
from intentcast.propensity.margins import SMALLEST, Floats

ACCOUNT_VIEW = "accounts.json"
_STEPS = 60
# Of a log-likelihood: at one standard error from its summit.
_ONE_ERROR = 0.5


@dataclass(frozen=True)
class AccountView:
    """How far leads of an account convert on their own.

    Attributes:
        own_share: w of the formula.
        n_accounts: With two or more leads at a time, in what it was fitted on.
        n_snapshots: Of such accounts, at the primary horizon.
        n_converted: Of these, any of whose leads converted.
    """

    own_share: float
    n_accounts: int
    n_snapshots: int
    n_converted: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "AccountView":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If `own_share` is not between 0 and 1.
        """
        found = cls(
            float(raw["own_share"]),
            *(int(raw[key]) for key in ("n_accounts", "n_snapshots", "n_converted")),
        )
        if not 0.0 <= found.own_share <= 1.0:
            raise ValueError(f"an own_share of {found.own_share}")
        return found


@dataclass(frozen=True)
class Hazards:
    """What the leads of each account have accumulated by one horizon; arrays of shape (n,).

    Attributes:
        top: max p, the likeliest lead's probability.
        others: Σ λ − max λ.
        n_leads: How many they are.
    """

    top: Floats
    others: Floats
    n_leads: NDArray[np.int64]

    def probabilities(self, own_share: float) -> Floats:
        """Return P of the module's formula, below 1."""
        # Written so that without others it is the one lead's own, to the bit.
        p = self.top - np.expm1(-own_share * self.others) * (1.0 - self.top)
        return np.maximum(np.minimum(p, 1.0 - SMALLEST), self.top)


def hazards(p: Floats, accounts: NDArray[np.int64]) -> Hazards:
    """Return the hazards per account; the order of the leads changes no bit.

    Args:
        p: Probabilities of leads, each below 1, shape (n_leads,).
        accounts: Numbers from 0 without gaps, shape (n_leads,).
    """
    n_leads = np.bincount(accounts)
    order = np.lexsort((p, accounts))
    last = np.cumsum(n_leads) - 1
    accumulated = -np.log1p(-p[order])
    accumulated[last] = 0.0
    # One after another, from the smallest: the same bits whoever else is in the batch.
    others: Floats = np.bincount(accounts[order], weights=accumulated).astype(np.float64)
    return Hazards(p[order][last], others, n_leads)


def account_probabilities(p: Floats, accounts: NDArray[np.int64], view: AccountView) -> Floats:
    """Return P(any of its leads converts) per account and horizon, shape (n_accounts, n_horizons).

    Args:
        p: Of leads, rising over the horizons, each below 1, shape (n_leads, n_horizons).
        accounts: Numbers from 0 without gaps, shape (n_leads,).
        view: How the leads depend on one another.
    """
    columns = [hazards(column, accounts).probabilities(view.own_share) for column in p.T]
    # Λ rises with the horizon; the last bit of its rounding need not.
    out: Floats = np.maximum.accumulate(np.column_stack(columns), axis=1)
    return out


@dataclass(frozen=True)
class AccountEvidence:
    """Accounts of two or more leads at an as-of time, and what came; arrays of shape (n,).

    Attributes:
        seen: Their hazards by out-of-sample probabilities.
        converted: 0 or 1: whether any of those leads converted.
        n_accounts: How many different accounts.
    """

    seen: Hazards
    converted: Floats
    n_accounts: int


def account_evidence(
    p: Floats, converted: Floats, accounts: NDArray[np.int64], times: NDArray[np.int64]
) -> AccountEvidence:
    """Gather leads by account and as-of time.

    Args:
        p: Probabilities of leads by learners that had not seen them, shape (n,).
        converted: 0 or 1, shape (n,).
        accounts: Any numbers, shape (n,).
        times: As-of times, shape (n,).
    """
    different, account = np.unique(accounts, return_inverse=True)
    # Ranks of the times: microseconds times thousands of accounts are beyond 64 bits.
    _, time = np.unique(times, return_inverse=True)
    cells, group = np.unique(time * len(different) + account, return_inverse=True)
    seen = hazards(p, group)
    any_converted = (np.bincount(group, weights=converted) > 0).astype(np.float64)
    several = seen.n_leads > 1
    return AccountEvidence(
        Hazards(seen.top[several], seen.others[several], seen.n_leads[several]),
        any_converted[several],
        len(np.unique(cells[several] % max(len(different), 1))),
    )


def fit_account_view(evidence: Mapping[int, AccountEvidence], *, primary: int) -> AccountView:
    """Return the smallest own share w that is not clearly worse than the likeliest; one for all.

    The log-likelihood Σ y log(1 − exp(−Λ)) − (1 − y) Λ is concave in w, since Λ is linear in it.
    Each horizon's is scaled to one snapshot per account, because an account seen every week says
    the same many times, and the horizons are averaged, because they end in the same deals. Clearly
    worse is more than one standard error off: a log-likelihood lower by more than 1/2. So w is 0
    where nothing speaks for more, as if a company buys as one.

    Args:
        evidence: Per horizon in days.
        primary: The horizon whose counts are kept.
    """
    told = [part for part in evidence.values() if part.n_accounts]

    def rises(share: float) -> bool:
        return bool(np.mean([_slope(part, share) for part in told]) > 0.0)

    def likelihood(share: float) -> float:
        return float(np.mean([_likelihood(part, share) for part in told]))

    share = 0.0
    if told and rises(0.0):
        likeliest = _first(lambda w: not rises(w), upto=1.0)
        enough = likelihood(likeliest) - _ONE_ERROR
        share = _first(lambda w: likelihood(w) >= enough, upto=likeliest)
    part = evidence[primary]
    return AccountView(share, part.n_accounts, len(part.converted), int(part.converted.sum()))


def _first(holds: Callable[[float], bool], *, upto: float) -> float:
    """Return from where on something holds, by bisection; `upto` where it holds nowhere before."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, upto
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _likelihood(part: AccountEvidence, share: float) -> float:
    """Return one horizon's log-likelihood, scaled to one row per account."""
    total = share * part.seen.others - np.log1p(-part.seen.top)
    of_each = part.converted * np.log(-np.expm1(-total)) - (1.0 - part.converted) * total
    return float(of_each.mean()) * part.n_accounts


def _slope(part: AccountEvidence, share: float) -> float:
    """Return its derivative by the share."""
    total = share * part.seen.others - np.log1p(-part.seen.top)
    # d log(1 − exp(−Λ)) / dΛ = 1 / (exp(Λ) − 1)
    of_each = part.seen.others * (part.converted / np.expm1(total) - (1.0 - part.converted))
    return float(of_each.mean()) * part.n_accounts


def account_view_of(
    fitted: Mapping[int, Fitted], rows: Mapping[int, TrainingRows], *, primary: int
) -> AccountView:
    """Fit on the champion's out-of-sample probabilities, of the slice that calibrates it.

    Args:
        fitted: Per horizon in days.
        rows: What each was fitted on.
        primary: The horizon whose counts are kept.
    """
    evidence = {}
    for days, fit in fitted.items():
        part, where = rows[days], fit.out_of_sample.rows
        evidence[days] = account_evidence(
            fit.out_of_sample_probabilities,
            part.converted[where],
            part.clusters[where],
            part.times[where],
        )
    return fit_account_view(evidence, primary=primary)
