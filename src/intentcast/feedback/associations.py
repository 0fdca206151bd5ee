"""Which marks go with a rejection: lift against accepted leads, with multiplicity controlled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FEWEST_MARKED = 5
FEWEST_EXPECTED = 1.0


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
        p: Two-sided; None where too few to test, see `associate`.
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

    @property
    def share_accepted(self) -> float:
        """Share marked among the accepted."""
        return self.n_accepted_marked / self.n_accepted if self.n_accepted else 0.0


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

    Tested is only what could be told: five leads rejected for the reason, five with the mark, five
    without, and one at least to be expected with and one without it among the rejected and the
    accepted. A reason given once would have a greatest difference, in standard deviations, beyond
    anything that other tests reach, and hide them all. No permutation changes any of these
    numbers, so leaving tests out by them does not favour findings.

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
    rarer = np.minimum(has.sum(axis=0), n - has.sum(axis=0))
    expected = np.minimum(sizes[0], sizes[1:])[:, None] * rarer / max(n, 1)
    tested = (rarer >= FEWEST_MARKED) & (sizes[1:] >= FEWEST_MARKED)[:, None]
    tested &= expected >= FEWEST_EXPECTED
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
    p = 2.0 if row.p is None else row.p
    return (adjusted, p, -abs(row.share - row.share_accepted), row.kind, row.mark, row.reason)


def _permuted(
    has: Floats, groups: Floats, accounts: Ints, tested: Bools, n_permutations: int, seed: int
) -> tuple[Floats, Floats]:
    """Return p-values, and those adjusted for all tests, shape (n_reasons, n_marks)."""
    p, p_adjusted = np.ones(tested.shape), np.ones(tested.shape)
    if not tested.any():
        return p, p_adjusted
    some_reasons, some_marks = np.flatnonzero(tested.any(axis=1)), tested.any(axis=0)
    decided = groups[:, np.append(0, some_reasons + 1)]
    asked = np.ascontiguousarray(has[:, some_marks])
    among = tested[some_reasons][:, some_marks]
    observed = _shares_apart(decided, asked)[among]

    def apart() -> Iterator[Floats]:
        """How far each permutation's differences are from the observed, the same every time."""
        for source in _sources(accounts, n_permutations, seed):
            yield _shares_apart(decided[source], asked)[among] - observed

    # Twice the same permutations, for what they are like and then how many are as far off, so that
    # no more than one is ever kept. The observed one, 0 apart from itself, is among them.
    total, squares = np.zeros(len(observed)), np.zeros(len(observed))
    for off in apart():
        total += off
        squares += off**2
    n = n_permutations + 1
    mean = total / n
    spread = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    spread = np.where(spread > 1e-12, spread, np.inf)
    # Equal differences may differ by rounding.
    limit = np.abs(mean) / spread - 1e-9
    n_as_far, n_any_as_far = np.ones(len(limit)), np.ones(len(limit))
    for off in apart():
        far = np.abs(off - mean) / spread
        n_as_far += far >= limit
        n_any_as_far += far.max() >= limit
    p[tested], p_adjusted[tested] = n_as_far / n, n_any_as_far / n
    return p, p_adjusted


def _shares_apart(decided: Floats, has: Floats) -> Floats:
    """Return each reason's share marked minus that of the accepted, shape (n_reasons, n_marks)."""
    # Whole numbers: no sum depends on its order.
    shares = (decided.T @ has) / np.maximum(decided.sum(axis=0), 1)[:, None]
    apart: Floats = shares[1:] - shares[0]
    return apart


def _sources(accounts: Ints, n_permutations: int, seed: int) -> Iterator[Ints]:
    """Yield, for each permutation, which row's decision each row gets; the array is reused."""
    rng = np.random.default_rng(seed)
    of_size = _accounts_by_size(accounts)
    source = np.arange(len(accounts))
    for _ in range(n_permutations):
        for rows in of_size:
            source[rows] = rows[rng.permutation(len(rows))]
        yield source


def _accounts_by_size(accounts: Ints) -> list[Ints]:
    """Return, for each number of decisions, its accounts' rows, shape (n_accounts, n_decisions)."""
    order = np.argsort(accounts, kind="stable")
    _, first, sizes = np.unique(accounts[order], return_index=True, return_counts=True)
    return [order[first[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
