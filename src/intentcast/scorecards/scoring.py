"""A points table over snapshots: one score and one class each."""

import polars as pl

from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.points import as_points
from intentcast.scorecards.standing import stand
from intentcast.sources import Dataset


def score_snapshots(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Score each lead by what was known strictly before its as-of time.

    Args:
        card: The points table.
        dataset: Events count if `known_at < as_of`, attribute changes if `recorded_at < as_of`.
        snapshots: `lead_id`, `as_of`, `account_id`; one row per lead and as-of time.

    Returns:
        The same rows in the same order: `lead_id`, `as_of`; `attribute_points` (after caps),
        `behaviour_points` (after cap and decay) and `score`, Float64 of exact thousandths; `tier`
        (cold, warm, hot or out).
    """
    rows = stand(card, dataset, snapshots).rows
    return rows.select(
        "lead_id",
        "as_of",
        attribute_points=as_points(rows["attributes"]),
        behaviour_points=as_points(rows["behaviours"]),
        score=as_points(rows["total"]),
        tier="tier",
    )
