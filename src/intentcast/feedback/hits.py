"""What marked a lead when sales decided: the rules it had met, and the theme it read most of."""

import numpy as np
import polars as pl

from intentcast.features import FeatureSpec
from intentcast.propensity.margins import Floats
from intentcast.scorecards import Scorecard
from intentcast.scorecards.standing import stand
from intentcast.sources import Dataset

NO_THEME = "no theme"


def rule_hits(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return which rules each lead had met by what was known strictly before its as-of time.

    They are the lines that a rule gives in its ledger, whatever caps and decay leave of the points.

    Args:
        card: The points table.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.

    Returns:
        `row` (position in `snapshots`) and `item`, sorted by both.
    """
    standing = stand(card, dataset, snapshots.select("lead_id", "as_of", "account_id"))
    met = [
        *((standing.counts[:, i] > 0, rule.item) for i, rule in enumerate(card.behaviours)),
        *(
            (standing.fit.bands[:, axis] == i, rule.item)
            for i, rule in enumerate(card.attributes)
            for axis in [card.axes.index(rule.axis)]
        ),
    ]
    parts = [
        pl.DataFrame({"row": np.flatnonzero(has)}, schema={"row": pl.UInt32}).with_columns(
            item=pl.lit(item)
        )
        for has, item in met
    ]
    return pl.concat(parts).sort("row", "item")


def dominating_themes(
    spec: FeatureSpec, features: Floats, *, half_life_days: float = 14
) -> list[str]:
    """Return the theme with the most recency-weighted attention of each lead.

    Args:
        spec: Of the complete featurizer, which computes every family.
        features: Its features, shape (n, n_features).
        half_life_days: The nearest half-life that the model has is used.

    Returns:
        Names of themes, shape (n,); `no theme` where nothing was read. Ties go to the theme that
        the model lists first.
    """
    if not spec.theme_names:
        return [NO_THEME] * len(features)
    half_life = min(spec.half_lives_days, key=lambda days: abs(days - half_life_days))
    unit = f"{half_life:g}".replace(".", "_") + "d_halflife"
    place = {name: column for column, name in enumerate(spec.names)}
    columns = [place[f"theme.recency_weighted.{name}.{unit}"] for name in spec.theme_names]
    names = [*spec.themes, *spec.theme_names[len(spec.themes) :]]
    attention = features[:, columns]
    most = np.argmax(attention, axis=1)
    seen = attention.max(axis=1) > 0
    return [names[i] if any_ else NO_THEME for i, any_ in zip(most, seen, strict=True)]
