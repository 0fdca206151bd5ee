"""What sales' decisions suggest for the hot threshold and for points: said, never applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from intentcast.feedback.associations import Association, associate
from intentcast.feedback.decisions import count_reasons
from intentcast.feedback.rates import Rate, accepted_rate

ANY_REASON = "any reason"
LEVEL = 0.05
FEWEST_HOT = 40
_SHARES = (0.2, 0.4, 0.6, 0.8)
_STEP = 0.005  # thresholds to half a percent


@dataclass(frozen=True)
class Cut:
    """A higher hot threshold, and what it would have done to the hot leads that sales decided on.

    Attributes:
        hot: The threshold.
        below: Decisions from the present threshold up to this one: those it would drop.
        above: The others, which it would keep.
        per_week: Decisions dropped a week.
        main_reason: Of the rejections below, or None.
        n_main_reason: How many have it.
        n_matured: Dropped decisions whose horizon is over.
        n_converted: Of those, converted within it.
        p_adjusted: That rejections below and above differ, for all thresholds tried together; None
            where too few to test.
        suggested: Whether it is what the decisions suggest.
    """

    hot: float
    below: Rate
    above: Rate
    per_week: float
    main_reason: str | None
    n_main_reason: int
    n_matured: int
    n_converted: int
    p_adjusted: float | None
    suggested: bool = False


def is_certain(p_adjusted: float | None) -> bool:
    """Return whether a test that was made has an adjusted p-value below 5 %."""
    return p_adjusted is not None and p_adjusted < LEVEL


def threshold_cuts(judged: pl.DataFrame, *, hot: float, n_weeks: float) -> list[Cut]:
    """Try higher hot thresholds on the hot leads that sales decided on.

    Those tried leave a fifth to four fifths of them below, rounded to half a percent. Suggested is,
    of those where rejections below are certainly more frequent than above (adjusted p below 5 %),
    the one that parts rejected from accepted best: greatest share of rejections dropped minus
    share of acceptances dropped.

    Args:
        judged: `probability`, `is_rejected`, `reason`, `account`, `converted`.
        hot: The present threshold.
        n_weeks: Over which the decisions were made.

    Returns:
        Rising; none where sales decided on fewer than 40 hot leads.
    """
    rows = judged.filter(pl.col("probability") >= hot)
    if len(rows) < FEWEST_HOT:
        return []
    p, rejected = rows["probability"].to_numpy(), rows["is_rejected"].to_numpy()
    accounts = rows["account"].to_numpy()
    steps = {round(float(np.ceil(q / _STEP)) * _STEP, 4) for q in np.quantile(p, _SHARES)}
    tried = sorted(cut for cut in steps if hot < cut <= p.max())
    tested = associate(
        {("threshold", f"{cut:g}"): p < cut for cut in tried},
        {ANY_REASON: rejected},
        ~rejected,
        accounts,
    )
    by_cut = {row.mark: row for row in tested}
    cuts = []
    for cut in tried:
        below = rows.filter(pl.col("probability") < cut)
        under = p < cut
        reasons = count_reasons(below["reason"])
        matured = below["converted"].drop_nulls()
        cuts.append(
            Cut(
                hot=cut,
                below=accepted_rate("below", rejected[under], accounts[under]),
                above=accepted_rate("above", rejected[~under], accounts[~under]),
                per_week=len(below) / n_weeks,
                main_reason=reasons["reason"][0] if len(reasons) else None,
                n_main_reason=int(reasons["count"][0]) if len(reasons) else 0,
                n_matured=len(matured),
                n_converted=int(matured.sum()),
                p_adjusted=by_cut[f"{cut:g}"].p_adjusted,
            )
        )
    return _with_suggestion(cuts, by_cut)


def _with_suggestion(cuts: list[Cut], by_cut: Mapping[str, Association]) -> list[Cut]:
    def parting(cut: Cut) -> float:
        row = by_cut[f"{cut.hot:g}"]
        return row.share - row.share_accepted

    certain = [cut for cut in cuts if is_certain(cut.p_adjusted) and parting(cut) > 0]
    if not certain:
        return cuts
    best = max(certain, key=lambda cut: (parting(cut), -cut.hot))
    return [replace(cut, suggested=cut is best) for cut in cuts]


def telling_rules(associations: Sequence[Association]) -> list[Association]:
    """Return the rules that certainly go with rejection, or with acceptance, for whatever reason.

    A rule that is met more often by what sales sends back earns points that sales does not honour.
    """
    return [
        row
        for row in associations
        if row.kind == "rule" and row.reason == ANY_REASON and is_certain(row.p_adjusted)
    ]
