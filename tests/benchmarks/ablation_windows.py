"""Training and test matrices of a data set's backtest, kept as files for many fits."""

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.evaluation.backtest import _splits
from intentcast.features import fit_featurizer
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity import TrainingRows
from intentcast.snapshots import account_numbers, as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import _thinned, _where

FULL, BEFORE, AND = "all families", "the first version's", "+"
# What the first version of the feature engine computed, by the names that its columns still have.
_FIRST = re.compile(
    r"(engagement|activity|theme|channel)\.(recency_weighted|count|days_since_last)\."
    r"|value\.(recency_weighted|days_since_last)\."
    r"|engagement\.(active_days|distinct_content)\."
    r"|account\.(people_engaged|colleagues_recency_weighted)\."
    r"|lifecycle\.age\.|fit\."
)


@dataclass(frozen=True)
class Window:
    """What one fold learns from and is tested on, for the primary horizon.

    Attributes:
        features: Of training snapshots, shape (n, n_features); `converted`, `times` and `clusters`
            as in `TrainingRows`.
        names: Shape (n_features,).
        families: Of each column.
        horizon_days: The primary horizon.
        test_features: Shape (n_test, n_features).
        test_converted: 0 or 1, shape (n_test,); snapshots whose horizon is not over are left out.
        test_clusters: Account numbers, shape (n_test,).
    """

    features: NDArray[np.float32]
    names: NDArray[np.str_]
    families: NDArray[np.str_]
    converted: NDArray[np.float64]
    times: NDArray[np.int64]
    clusters: NDArray[np.int64]
    horizon_days: int
    test_features: NDArray[np.float32]
    test_converted: NDArray[np.float64]
    test_clusters: NDArray[np.int64]

    def columns(self, variant: str) -> NDArray[np.bool_]:
        """Return which columns a variant has: `FULL`, `BEFORE`, or all but the families it names.

        Several families are joined by `AND`.
        """
        if variant == BEFORE:
            return np.array([bool(_FIRST.match(name)) for name in self.names])
        return ~np.isin(self.families, variant.split(AND))

    def rows(self, columns: NDArray[np.bool_]) -> TrainingRows:
        """Return what the ladder is fitted on."""
        return TrainingRows(
            features=np.ascontiguousarray(self.features[:, columns], dtype=np.float64),
            names=self.names[columns].tolist(),
            converted=self.converted,
            times=self.times,
            clusters=self.clusters,
            horizon_days=self.horizon_days,
        )

    def test_rows(self, columns: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the test snapshots' features."""
        return np.ascontiguousarray(self.test_features[:, columns], dtype=np.float64)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as found:
            arrays = {field.name: found[field.name] for field in fields(cls)}
        return cls(**{**arrays, "horizon_days": int(arrays["horizon_days"])})


def windows_of(dataset: Dataset, config: LearnerConfig, *, last_folds: int) -> dict[int, Window]:
    """Return the last folds' windows by number, cut as `run_backtest` and `fit_model` cut them."""
    conversion = dataset.config.conversion
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    first_test = dataset.config.backtest.first_test
    assert first_test is not None, "every data set here sets backtest.first_test"
    shortest = timedelta(days=conversion.horizons_days[0])
    days = conversion.primary_horizon_days
    out = {}
    for split in _splits(times, first_test, dataset)[-last_folds:]:
        known_by = split.known_by
        mature = [t for t in times if t + shortest <= known_by]
        train = build_snapshots(dataset, mature)
        train = _thinned(train, every=-(-len(train) // config.max_rows))
        featurizer = fit_featurizer(
            dataset, known_by=known_by, settings=config.features, seed=config.seed
        )
        label = _where(
            was_at_risk(train, dataset, known_by=known_by),
            label_snapshots(train, dataset, horizon_days=days, known_by=known_by),
        )
        test = build_snapshots(dataset, list(split.test))
        outcome = label_snapshots(test, dataset, horizon_days=days, known_by=dataset.data_cutoff)
        known, judged = (part.is_not_null().to_numpy() for part in (label, outcome))
        out[split.fold] = Window(
            features=featurizer.transform(dataset, train).values[known],
            names=np.array(featurizer.spec.names),
            families=np.array([column.family for column in featurizer.spec.columns]),
            converted=label.drop_nulls().cast(pl.Float64).to_numpy(),
            times=train["as_of"].dt.timestamp("us").to_numpy()[known],
            clusters=account_numbers(train["account_id"])[known],
            horizon_days=days,
            test_features=featurizer.transform(dataset, test).values[judged],
            test_converted=outcome.drop_nulls().cast(pl.Float64).to_numpy(),
            test_clusters=account_numbers(test["account_id"])[judged],
        )
    return out


def write_windows(
    folder: Path, target: Path, config: LearnerConfig, *, last_folds: int
) -> list[Path]:
    """Write `target/<fold>.npz` for the last folds, if they are not there; return their paths."""
    done = target / "done"
    if not done.exists():
        found = windows_of(load_dataset(folder), config, last_folds=last_folds)
        for fold, window in found.items():
            window.save(target / f"{fold}.npz")
        done.touch()
    return sorted(target.glob("*.npz"))
