"""Shares of accepted leads with intervals that know that leads of one account are alike."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.evaluation.metrics import wilson

_FEWEST_ACCOUNTS = 2


@dataclass(frozen=True)
class Rate:
    """Accepted among the decided leads of one group.

    Attributes:
        group: Its name.
        n_decided: Decisions.
        n_accounts: Accounts that they are of.
        n_accepted: Of the decisions.
        n_rejected: Likewise.
        accepted: Share; None of nothing.
        low: 95 % interval.
        high: 95 % interval.
    """

    group: str
    n_decided: int
    n_accounts: int
    n_accepted: int
    n_rejected: int
    accepted: float | None
    low: float | None
    high: float | None


def accepted_rate(group: str, is_rejected: NDArray[np.bool_], accounts: NDArray[np.int64]) -> Rate:
    """Return the share accepted with a 95 % interval.

    Wilson's interval at the effective number of decisions n / deff (Korn and Graubard 1998); deff
    is the account-clustered variance of the share over the binomial one, at least 1. Where all
    were accepted, or none, the variance says nothing, and deff is Σ m² / n over accounts of m
    decisions: as if each account had decided once.

    Args:
        group: What it is called.
        is_rejected: Shape (n,).
        accounts: A number per account, shape (n,).
    """
    n, n_rejected = len(is_rejected), int(is_rejected.sum())
    _, number = np.unique(accounts, return_inverse=True)
    sizes = np.bincount(number).astype(np.float64)
    if n == 0:
        return Rate(group, 0, 0, 0, 0, None, None, None)
    share = 1 - n_rejected / n
    if 0 < n_rejected < n and len(sizes) >= _FEWEST_ACCOUNTS:
        off = np.bincount(number, weights=~is_rejected - share)
        clustered = float((off**2).sum()) * len(sizes) / (len(sizes) - 1)
        design = clustered / (n * share * (1 - share))
    else:
        design = float((sizes**2).sum()) / n
    effective = n / max(1.0, design)
    low, high = wilson(share * effective, effective)
    return Rate(group, n, len(sizes), n - n_rejected, n_rejected, share, low, high)


def rates_by(judged: pl.DataFrame, column: str, order: tuple[str, ...]) -> list[Rate]:
    """Return the rate of each value of a column, in the given order, then others by name.

    Args:
        judged: `is_rejected`, `account` (a number) and the column.
        column: Text.
        order: Values that come first; those without a decision are kept, with 0.
    """
    there = judged[column].unique().sort().to_list()
    rates = []
    for value in (*order, *(name for name in there if name not in order)):
        of_value = judged.filter(pl.col(column) == value)
        rates.append(
            accepted_rate(value, of_value["is_rejected"].to_numpy(), of_value["account"].to_numpy())
        )
    return rates
