"""How far points may leave the present table: decided on other leads than those fitted to.

The later three tenths of the as-of times judge fits that used only what was known before the
first of them. Where too little was over by then, five folds of accounts judge instead, and the
answer says so. Judged is the order of leads, not the level of the base rate: each candidate's
intercept is refitted on the leads that judge it, and its mean log loss compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np

from intentcast.scorecards.evidence import Evidence
from intentcast.scorecards.hits import Floats
from intentcast.scorecards.multipliers import fit_multipliers, log_loss

PENALTIES = (np.inf, 3000.0, 300.0, 30.0, 3.0, 0.3)
_FEWEST = 20
_LATER = 0.3
_FOLDS = 5

Judge = Literal["later leads", "other accounts"]


class Parts(Protocol):
    """Gives the columns to fit."""

    def __call__(self, rows: Evidence, *, saturates: bool) -> Floats:
        """Return what each rule adds to the present score, shape (n, n_rules)."""


@dataclass(frozen=True)
class Candidate:
    """One way to fit.

    Attributes:
        penalty: λ; infinite keeps the present table.
        saturates: Whether what a lead has above the hot threshold is ignored.
        loss: Mean log loss on the leads that judge, in nats.
        judge: Who they were.
    """

    penalty: float
    saturates: bool
    loss: float
    judge: Judge


def choose(
    evidence: Evidence, known_at: Callable[[datetime], Evidence], parts: Parts
) -> tuple[Candidate, tuple[Candidate, ...]]:
    """Return the candidate with the least loss, and all of them.

    Of equals, the one nearest to the present table.

    Args:
        evidence: All rows.
        known_at: Gives the rows whose target was known at an instant, as it was known then.
        parts: Gives the columns to fit, with or without saturation.
    """
    judge, splits = _splits(evidence, known_at)
    tried = []
    for saturates in (False, True):
        columns = [
            (parts(a, saturates=saturates), a.target, parts(b, saturates=saturates), b.target)
            for a, b in splits
        ]
        for penalty in PENALTIES:
            n = sum(len(judged) for *_, judged in columns)
            loss = sum(_loss(*each, penalty=penalty) for each in columns) / n
            tried.append(Candidate(penalty, saturates, loss, judge))
    best = min(tried, key=lambda each: (round(each.loss, 9), -each.penalty, each.saturates))
    return best, tuple(tried)


def _splits(
    evidence: Evidence, known_at: Callable[[datetime], Evidence]
) -> tuple[Judge, list[tuple[Evidence, Evidence]]]:
    """Return pairs of rows to fit to and rows to judge by."""
    distinct = np.unique(evidence.times)
    cut = int(distinct[int(len(distinct) * (1 - _LATER))])
    later = evidence.at(evidence.times >= cut)
    before = known_at(datetime.fromtimestamp(cut / 1e6, tz=UTC))
    if min(before.n_converted, later.n_converted) >= _FEWEST:
        return "later leads", [(before, later)]
    fold = evidence.accounts % _FOLDS
    held = [(evidence.at(fold != k), evidence.at(fold == k)) for k in range(_FOLDS)]
    return "other accounts", [(a, b) for a, b in held if len(a.target) and len(b.target)]


def _loss(then: Floats, target: Floats, now: Floats, judged: Floats, *, penalty: float) -> float:
    fit = fit_multipliers(then, target, penalty=penalty)
    slopes = np.einsum("ij,j->i", now, fit.theta)
    return log_loss(slopes + _level(slopes, judged), judged) * len(judged)


def _level(margins: Floats, target: Floats) -> float:
    """Return the intercept at which the mean probability is the base rate."""
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        mean = float((0.5 * (1.0 + np.tanh(0.5 * (margins + middle)))).mean())
        low, high = (middle, high) if mean < target.mean() else (low, middle)
    return 0.5 * (low + high)
