"""Which marks go with a rejection: lift against accepted leads, with multiplicity controlled."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FEWEST_MARKED = 5


@dataclass(frozen=True)
class Association:
    """How often one mark occurs among leads rejected for one reason, and among accepted ones.

    Attributes:
        mark: A rule's item or a theme.
        kind: `rule` or `theme`.
        reason: Of the rejection, or `any reason`.
        n_marked: Rejected for the reason, with the mark.
        n_rejected: Rejected for the reason.
        n_accepted_marked: Accepted, with the mark.
        n_accepted: Accepted.
        lift: Share marked among the rejected over that among the accepted; None where that is 0.
        p: Two-sided; None where fewer than five leads have the mark, or fewer than five lack it.
        p_adjusted: For everything that was tested together.
    """

    mark: str
    kind: str
    reason: str
    n_marked: int
    n_rejected: int
    n_accepted_marked: int
    n_accepted: int
    lift: float | None
    p: float | None
    p_adjusted: float | None

    @property
    def share(self) -> float:
        """Share marked among the rejected."""
        return self.n_marked / self.n_rejected if self.n_rejected else 0.0


def associate(
    marks: Mapping[tuple[str, str], Bools],
    reasons: Mapping[str, Bools],
    is_accepted: Bools,
    accounts: Ints,
    *,
    n_permutations: int = 1999,
    seed: int = 7,
) -> list[Association]:
    """Compare each mark's share among the rejected of each reason with that among the accepted.

    Tested by permutation: what was decided on an account as a whole is given to another account
    with as many decisions, so that leads of one account, on which sales decides alike, do not
    count as independent. The difference of the shares is compared with what it then is, in units
    of its standard deviation; the adjusted p-value compares it with the greatest of all tests in
    each permutation (Westfall and Young 1993, single-step maxT), which keeps the chance of any
    false finding at its level however tests depend on one another. An account whose number of
    decisions no other has stays as it is, which makes findings rarer.

    Args:
        marks: (Kind, mark) → whether each decided lead has it, shape (n,).
        reasons: Reason → whether each was rejected for it, shape (n,).
        is_accepted: Shape (n,).
        accounts: A number per account, shape (n,).
        n_permutations: The least possible p-value is 1 / (this + 1).
        seed: Of the permutations; they depend on the order of an account's rows too.

    Returns:
        One entry per mark and reason, most certain first.
    """
    n = len(accounts)
    has = np.column_stack([*marks.values()]).astype(np.float64) if marks else np.zeros((n, 0))
    groups = np.column_stack([is_accepted, *reasons.values()]).astype(np.float64)
    counts, sizes = groups.T @ has, groups.sum(axis=0)
    n_marked = counts[0] + counts[1:]
    n_both = (sizes[0] + sizes[1:])[:, None]
    enough = np.minimum(n_marked, n_both - n_marked) >= FEWEST_MARKED
    tested = enough & (sizes[0] > 0) & (sizes[1:] > 0)[:, None]
    p, p_adjusted = _permuted(has, groups, accounts, tested, n_permutations, seed)
    found = []
    for column, (kind, mark) in enumerate(marks):
        for row, reason in enumerate(reasons):
            a, n_r = int(counts[row + 1, column]), int(sizes[row + 1])
            b, n_a = int(counts[0, column]), int(sizes[0])
            is_tested = bool(tested[row, column])
            found.append(
                Association(
                    mark=mark,
                    kind=kind,
                    reason=reason,
                    n_marked=a,
                    n_rejected=n_r,
                    n_accepted_marked=b,
                    n_accepted=n_a,
                    lift=(a / n_r) / (b / n_a) if n_r and b else None,
                    p=float(p[row, column]) if is_tested else None,
                    p_adjusted=float(p_adjusted[row, column]) if is_tested else None,
                )
            )
    return sorted(found, key=_certainty)


def _certainty(row: Association) -> tuple[float, float, float, str, str, str]:
    """Order by p-values; of equal ones, the greater difference of shares first."""
    adjusted = 2.0 if row.p_adjusted is None else row.p_adjusted
    taken = row.n_accepted_marked / row.n_accepted if row.n_accepted else 0.0
    p = 2.0 if row.p is None else row.p
    return (adjusted, p, -abs(row.share - taken), row.kind, row.mark, row.reason)


def _permuted(
    has: Floats, groups: Floats, accounts: Ints, tested: Bools, n_permutations: int, seed: int
) -> tuple[Floats, Floats]:
    """Return p-values, and those adjusted for all tests, shape (n_reasons, n_marks)."""
    if not tested.any():
        return np.ones(tested.shape), np.ones(tested.shape)
    rng = np.random.default_rng(seed)
    of_size = _accounts_by_size(accounts)
    differences = np.empty((n_permutations + 1, int(tested.sum())))
    source = np.arange(len(accounts))
    for i in range(n_permutations + 1):
        # The first is as decided; the counts are whole numbers, so no sum depends on its order.
        if i:
            for rows in of_size:
                source[rows] = rows[rng.permutation(len(rows))]
        decided = groups[source]
        shares = (decided.T @ has) / np.maximum(decided.sum(axis=0), 1)[:, None]
        differences[i] = (shares[1:] - shares[0])[tested]
    spread = differences.std(axis=0)
    off = np.abs(differences - differences.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf)
    # Equal differences may differ by rounding.
    observed = off[0] - 1e-9
    p, p_adjusted = np.ones(tested.shape), np.ones(tested.shape)
    p[tested] = (off >= observed).mean(axis=0)
    p_adjusted[tested] = (off.max(axis=1)[:, None] >= observed).mean(axis=0)
    return p, p_adjusted


def _accounts_by_size(accounts: Ints) -> list[Ints]:
    """Return, for each number of decisions, its accounts' rows, shape (n_accounts, n_decisions)."""
    order = np.argsort(accounts, kind="stable")
    _, first, sizes = np.unique(accounts[order], return_index=True, return_counts=True)
    return [order[first[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
