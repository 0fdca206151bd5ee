"""How well lead and account match: attributes as numbers and flags, rare levels pooled."""

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from intentcast.features.kernel.arrays import Codes, Floats, Singles
from intentcast.features.spec import FeatureSpec
from intentcast.features.vocabulary import Vocabulary, coded, distinct
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset


def read_fit(
    dataset: Dataset, snapshots: pl.DataFrame, vocabulary: Vocabulary
) -> tuple[Floats, Codes]:
    """Return attributes as known at each as-of time: numbers, and numbers of levels.

    Returns:
        Numeric attributes, NaN where unknown, shape (n_snapshots, n_numeric); levels, −1 where
        unknown, shape (n_snapshots, n_categorical). None of either where fit is off.
    """
    spec, n = vocabulary.spec, len(snapshots)
    if spec.first_column["fit"] < 0:
        return np.empty((n, 0)), np.empty((n, 0), dtype=np.int32)
    numbers = np.empty((n, len(spec.numeric)))
    levels = np.empty((n, len(spec.levels)), dtype=np.int32)
    columns = [*spec.numeric, *(name for name, _ in spec.levels)]
    if not columns or not n:
        return numbers, levels
    table = attributes_as_of(dataset, snapshots, columns)
    for j, name in enumerate(columns):
        values = table[name]
        if j < len(spec.numeric):
            numbers[:, j] = as_numbers(values)
        else:
            attribute = j - len(spec.numeric)
            texts = distinct(values)
            codes = [vocabulary.level_of(attribute, text) for text in texts]
            levels[:, attribute] = coded(values, codes, texts)
    return numbers, levels


def as_numbers(values: pl.Series) -> Floats:
    """Return texts as finite numbers; NaN for what is none."""
    number = values.cast(pl.Float64, strict=False)
    out = number.fill_null(float("nan")).to_numpy().copy()
    out[~np.isfinite(out)] = np.nan
    return out


def write_fit(spec: FeatureSpec, numbers: Floats, levels: Codes, out: Singles) -> None:
    """Write numeric attributes, then one flag per level; see `read_fit`.

    A level that training did not see, or saw rarely, sets the flag `other`; an unknown value sets
    none.
    """
    first = spec.first_column["fit"]
    if first >= 0:
        _write(numbers, levels, spec.flag_places, first, out)


@njit(cache=True, nogil=True)
def _write(
    numbers: Floats, levels: Codes, places: NDArray[np.int64], first: int, out: Singles
) -> None:
    for attribute in range(numbers.shape[1]):
        for row in range(numbers.shape[0]):
            out[first + attribute, row] = numbers[row, attribute]
    first += numbers.shape[1]
    out[first:] = 0.0
    for attribute in range(levels.shape[1]):
        for row in range(levels.shape[0]):
            if levels[row, attribute] >= 0:
                out[first + places[attribute] + levels[row, attribute], row] = 1.0
