"""Attribute points: which band of each axis a lead is in, from what was known at the as-of time."""

import polars as pl

from intentcast.scorecards.card import AttributeRule, Scorecard
from intentcast.scorecards.points import to_thousandths
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset


def band_column(axis: str) -> str:
    """Name of the column with the position, among `card.attributes`, of an axis's winning rule."""
    return f"band:{axis}"


def axis_column(axis: str) -> str:
    """Name of the column with an axis's thousandths of points, before caps."""
    return f"axis:{axis}"


def attribute_points(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return the winning band of each axis, its points, and their sum.

    A column that neither leads nor accounts have is unknown for everyone, so that one card runs on
    data sets that know less.

    Returns:
        The snapshots and, for each axis, its `band_column` (null where no band matches) and its
        `axis_column` (0 there); `attributes_raw`, the sum of axes after their own caps; and
        `attributes`, that sum after `attributes_cap`. Points are Int64 thousandths.
    """
    columns = list(dict.fromkeys(rule.column for rule in card.attributes))
    there = [c for c in columns if c in dataset.leads.columns or c in dataset.accounts.columns]
    known = attributes_as_of(dataset, snapshots, there) if there else pl.DataFrame()
    named = {column: f"attribute:{column}" for column in columns}
    values = snapshots.hstack(known.rename({c: named[c] for c in there})).with_columns(
        pl.lit(None, dtype=pl.String).alias(named[c]) for c in columns if c not in there
    )
    if columns:
        # Many snapshots share few combinations of values: match each combination once.
        keys = list(named.values())
        combinations = values.select(keys).unique()
        bands = combinations.with_columns(_band(card, axis, named) for axis in card.axes)
        values = values.join(bands, on=keys, how="left", nulls_equal=True, maintain_order="left")
    points = [to_thousandths(rule.points) for rule in card.attributes]
    per_axis = [
        pl.col(band_column(axis))
        .replace_strict(dict(enumerate(points)), default=0, return_dtype=pl.Int64)
        .fill_null(0)
        .alias(axis_column(axis))
        for axis in card.axes
    ]
    raw = pl.sum_horizontal(pl.lit(0, dtype=pl.Int64), *(_capped(card, a) for a in card.axes))
    cap = card.attributes_cap
    total = raw if cap is None else raw.clip(upper_bound=to_thousandths(cap))
    return (
        values.drop(named.values())
        .with_columns(per_axis)
        .with_columns(attributes_raw=raw, attributes=total)
    )


def _capped(card: Scorecard, axis: str) -> pl.Expr:
    points = pl.col(axis_column(axis))
    cap = card.axis_caps.get(axis)
    return points if cap is None else points.clip(upper_bound=to_thousandths(cap))


def _band(card: Scorecard, axis: str, named: dict[str, str]) -> pl.Expr:
    """Position of the first rule of the axis that matches, null where none does."""
    bands = [
        pl.when(_condition(rule, pl.col(named[rule.column]))).then(pl.lit(i, dtype=pl.Int64))
        for i, rule in enumerate(card.attributes)
        if rule.axis == axis
    ]
    return pl.coalesce(bands).alias(band_column(axis))


def _condition(rule: AttributeRule, column: pl.Expr) -> pl.Expr:
    """Whether a value, as text, fulfils the rule; a null or empty value fulfils none."""
    text = column.str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    if rule.equals is not None:
        words = [v.strip().lower() for v in rule.equals if isinstance(v, str)]
        numbers = [float(v) for v in rule.equals if not isinstance(v, str)]
        met = text.str.to_lowercase().is_in(words) | number.is_in(numbers)
    elif rule.between is not None:
        met = number.is_between(*rule.between, closed="both")
    elif rule.at_least is not None:
        met = number >= rule.at_least
    elif rule.at_most is not None:
        met = number <= rule.at_most
    elif rule.matches is not None:
        met = text.str.contains(f"(?i){rule.matches}")
    else:
        met = pl.lit(value=True)
    return met.fill_null(value=False) & (text.str.len_chars() > 0).fill_null(value=False)
