"""How well lead and account match: attributes as numbers and flags, rare levels pooled."""

import numpy as np
import polars as pl

from intentcast.features.kernel import Floats
from intentcast.features.spec import FeatureSpec
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset


def fit_features(dataset: Dataset, snapshots: pl.DataFrame, spec: FeatureSpec) -> Floats:
    """Return numeric attributes (NaN where unknown), then one flag per level.

    A level that training did not see, or saw rarely, sets the flag `other`; an unknown value sets
    none.

    Returns:
        Shape (n_snapshots, n_numeric + n_flags).
    """
    columns = [*spec.numeric, *(name for name, _ in spec.levels)]
    if not columns:
        return np.empty((len(snapshots), 0))
    values = attributes_as_of(dataset, snapshots, columns)
    parts = (
        [values.select(_number(name) for name in spec.numeric).to_numpy()] if spec.numeric else []
    )
    for name, levels in spec.levels:
        is_level = [pl.col(name) == level for level in levels]
        is_other = pl.col(name).is_not_null() & ~pl.col(name).is_in(levels)
        flags = values.select(
            flag.fill_null(value=False).cast(pl.Float64).alias(str(i))
            for i, flag in enumerate([*is_level, is_other])
        )
        parts.append(flags.to_numpy())
    return np.hstack(parts)


def _number(name: str) -> pl.Expr:
    """The attribute as a finite number, else NaN."""
    number = pl.col(name).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number).otherwise(float("nan")).alias(name)
