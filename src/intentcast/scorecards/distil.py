"""A model as a points table: points fitted to its probabilities, for tools that only add points.

The same fit as a repricing, with the probabilities in place of outcomes: the cross-entropy of the
table's log-odds against them is least where the table comes nearest to the model.
"""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from intentcast.errors import RefusedError
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.evidence import Evidence
from intentcast.scorecards.hits import Floats, rule_hits
from intentcast.scorecards.repricing import Repricing, refit
from intentcast.sources import Dataset

FEWEST_LEADS = 100


def distil(
    card: Scorecard,
    dataset: Dataset,
    *,
    snapshots: pl.DataFrame,
    probabilities: Floats,
    hot: float,
    warm: float,
    known_by: datetime,
    source: str,
    on_progress: Callable[[str], None] | None = None,
) -> Repricing:
    """Fit the points of a table to a model's probabilities.

    Args:
        card: The table whose rules, caps and decay stay.
        dataset: Holds the leads.
        snapshots: `lead_id`, `as_of`, `account_id`; those to learn from.
        probabilities: The model's, of the primary horizon, shape (n,).
        hot: Probability from which the model calls a lead hot: the table's `hot` moves to where as
            many leads reach it.
        warm: Likewise.
        known_by: When the model was trained.
        source: Which model it is, in words.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: With fewer than 100 leads, or without a rule that any of them met.
    """
    say = on_progress or (lambda _: None)
    order = pl.arg_sort_by("lead_id", "as_of")
    place = snapshots.select(order).to_series()
    snapshots, probabilities = snapshots[place], probabilities[place.to_numpy()]
    if snapshots["lead_id"].n_unique() < FEWEST_LEADS:
        raise RefusedError(
            f"{snapshots['lead_id'].n_unique()} leads in the cohort before {known_by:%Y-%m-%d}",
            expected=f"at least {FEWEST_LEADS} to learn a model's order from",
            next_step="widen the cohort, or start it earlier",
        )
    say("rule hits")
    evidence = Evidence(snapshots, rule_hits(card, dataset, snapshots), probabilities, known_by)

    def known_at(cut: datetime) -> Evidence:
        return evidence.at((snapshots["as_of"] < cut).to_numpy())

    return refit(
        card,
        dataset,
        evidence,
        known_at,
        source=source,
        fitted_to="probabilities",
        volumes={
            name: snapshots.filter(probabilities >= edge)["lead_id"].n_unique()
            for name, edge in (("hot", hot), ("warm", warm))
        },
        on_progress=say,
    )
