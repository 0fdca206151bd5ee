"""A points table over snapshots: one score and one class each."""

import polars as pl

from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.points import as_points, to_thousandths
from intentcast.scorecards.standing import stand, tier_names
from intentcast.sources import Dataset


def score_snapshots(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Score each lead by what was known strictly before its as-of time.

    Args:
        card: The points table.
        dataset: Events count if `known_at < as_of`, attribute changes if `recorded_at < as_of`.
        snapshots: `lead_id`, `as_of`, `account_id`; one row per lead and as-of time.

    Returns:
        The same rows in the same order: `lead_id`, `as_of`; `attribute_points` (after caps),
        `behaviour_points` (after caps and decay) and `score`, Float64 of exact thousandths; `tier`
        (cold, warm, hot or out); and `grade` (null below the lowest) if the card has grades.
    """
    standing = stand(card, dataset, snapshots, by_rule=False)
    fit, totals = standing.fit_points, standing.totals
    scores = snapshots.select(
        "lead_id",
        "as_of",
        attribute_points=as_points(pl.Series(fit.capped)),
        behaviour_points=as_points(pl.Series(totals.behaviours)),
        score=as_points(pl.Series(totals.total)),
        tier=tier_names(totals),
    )
    return (
        scores.with_columns(grade=_grades(card, pl.Series(fit.capped))) if card.grades else scores
    )


def _grades(card: Scorecard, attributes: pl.Series) -> pl.Expr:
    grade = pl.lit(None, dtype=pl.String)
    for letter, needed in reversed(card.grades.items()):
        reached = pl.lit(attributes >= to_thousandths(needed))
        grade = pl.when(reached).then(pl.lit(letter)).otherwise(grade)
    return grade
