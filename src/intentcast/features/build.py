"""Features of snapshots: the one place where families come together, for batch and server alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from intentcast.config import DatasetConfig, FeatureSettings
from intentcast.contracts import INSTANT
from intentcast.errors import ConfigError
from intentcast.features.account import account_features
from intentcast.features.fit import fit_features
from intentcast.features.history import build_history, coded_events
from intentcast.features.kernel import (
    DAY_US,
    Floats,
    decayed_sums,
    distinct_counts,
    windowed_counts,
)
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel, fit_themes
from intentcast.snapshots import attributes_as_of, known_as_of
from intentcast.sources import Dataset


@dataclass(frozen=True)
class FeatureMatrix:
    """Features in the specification's order: `values` has shape (n_snapshots, n_features)."""

    names: list[str]
    values: Floats


@dataclass(frozen=True)
class Featurizer:
    """What training time taught about features: vocabulary and themes."""

    spec: FeatureSpec
    themes: ThemeModel

    def transform(self, dataset: Dataset, snapshots: pl.DataFrame) -> FeatureMatrix:
        """Return the features of each snapshot, from what was known strictly before its as-of time.

        Args:
            dataset: Any data set with the same meaning; unseen vocabulary counts as `other`.
            snapshots: `lead_id`, `account_id`, `as_of`; rows in any order.

        Returns:
            One row per snapshot, in their order; bit-identical for any other rows in the batch.
        """
        return build_features(self.spec, self.themes, dataset, snapshots)


def fit_featurizer(
    dataset: Dataset, *, known_by: datetime, settings: FeatureSettings, seed: int
) -> Featurizer:
    """Learn the vocabulary and the themes from what was known before `known_by`."""
    config: DatasetConfig = dataset.config
    events = known_as_of(dataset.events, known_by).filter(
        ~pl.col("is_machine").fill_null(value=False)
    )
    counts = events["content"].drop_nulls().value_counts().rows()
    themes = fit_themes(
        dict(counts), seeds=config.themes.seeds, n_clusters=settings.clustered_themes, seed=seed
    )
    leads = dataset.leads.filter(pl.col("created_at") < known_by)
    if unknown := [name for name in config.themes.core if name not in themes.names]:
        raise ConfigError(
            f"core theme {', '.join(unknown)} in dataset.toml",
            expected=f"names among {', '.join(themes.names) or 'none: there is no content'}",
            next_step="correct themes.core, or give the theme a phrase under [themes.seeds]",
        )
    # Values as of the end of training time: changes recorded later are not known yet.
    last = leads.select("lead_id", "account_id", pl.lit(known_by, dtype=INSTANT).alias("as_of"))
    attributes = (*config.attributes.numeric, *config.attributes.categorical)
    values = attributes_as_of(dataset, last, attributes)
    for name in config.attributes.numeric:
        _refuse_if_none_parses(values[name])
    spec = FeatureSpec(
        half_lives_days=settings.half_lives_days,
        windows_days=settings.windows_days,
        event_types=_frequent(events["event_type"], settings.max_event_types, settings.min_share),
        channels=_frequent(events["channel"], settings.max_channels, settings.min_share),
        themes=themes.names,
        core_themes=config.themes.core,
        has_accounts=bool(leads["account_id"].is_duplicated().any()),
        has_values=bool(events["value"].is_not_null().any()),
        numeric=config.attributes.numeric,
        levels=tuple(
            (name, _frequent(values[name], settings.max_levels, settings.min_share))
            for name in config.attributes.categorical
        ),
    )
    return Featurizer(spec, themes)


def _refuse_if_none_parses(values: pl.Series) -> None:
    present = values.drop_nulls()
    if len(present) and present.cast(pl.Float64, strict=False).is_null().all():
        raise ConfigError(
            f"numeric attribute {values.name} holds no number ({present[0][:40]!r} …)",
            expected="numbers",
            next_step="list it under attributes.categorical, or convert the column",
        )


def _frequent(values: pl.Series, most: int, min_share: float) -> tuple[str, ...]:
    """Return the most frequent values, ties by name, above a share; in order of name."""
    present = values.drop_nulls()
    counts = sorted(present.value_counts().rows(), key=lambda row: (-row[1], row[0]))
    kept: Sequence[str] = [
        value for value, count in counts[:most] if count >= min_share * len(present)
    ]
    return tuple(sorted(kept))


def build_features(
    spec: FeatureSpec, themes: ThemeModel, dataset: Dataset, snapshots: pl.DataFrame
) -> FeatureMatrix:
    """Compute every family of the specification; see `Featurizer.transform`."""
    events = coded_events(dataset, spec, themes)
    history = build_history(events, snapshots, entity="lead_id")
    n_groups = len(spec.groups)
    windows = np.array(spec.windows_days, dtype=np.int64) * DAY_US
    bounds = (history.event_bounds, history.snapshot_bounds)
    sums, days_since = decayed_sums(
        *bounds,
        history.known,
        history.occurred,
        history.codes,
        history.weights,
        history.as_of,
        np.array(spec.half_lives_days) * DAY_US,
        n_groups,
    )
    n_counted = len(spec.counted_groups)
    counted = np.ascontiguousarray(history.codes[:, :4])
    counts = windowed_counts(
        *bounds, history.known, history.occurred, counted, history.as_of, windows, n_counted
    )
    days = distinct_counts(*bounds, *history.ordered_by(history.day), history.as_of, windows)
    contents = distinct_counts(
        *bounds, *history.ordered_by(history.content), history.as_of, windows
    )
    # Back from the history's order (entity, as-of time) to the caller's.
    at = np.empty(len(snapshots), dtype=np.int64)
    at[history.snapshot] = np.arange(len(snapshots))
    own_sums = sums[at]
    n = len(snapshots)
    parts = [
        own_sums.reshape(n, n_groups * len(spec.half_lives_days)),
        days_since[at],
        counts[at].reshape(n, n_counted * len(windows)),
        days[at],
        contents[at],
    ]
    if spec.has_accounts:
        parts.append(account_features(events, snapshots, spec, own_sums))
    parts.append(_lifecycle(dataset, snapshots, events))
    parts.append(fit_features(dataset, snapshots, spec))
    values = np.hstack(parts)
    names = spec.names
    assert values.shape == (n, len(names)), f"{values.shape} for {len(names)} names"
    return FeatureMatrix(names, values)


def _lifecycle(dataset: Dataset, snapshots: pl.DataFrame, events: pl.DataFrame) -> Floats:
    """Return days since the lead was created and since its first seen event (NaN for none)."""
    born = dataset.leads.select("lead_id", "created_at")
    # The first event in order of knowledge: a later record of an earlier one would look ahead.
    first = events.group_by("lead_id").agg(pl.col("known_at").min().alias("first_known"))
    joined = (
        snapshots.select("lead_id", "as_of")
        .join(born, on="lead_id", how="left", maintain_order="left")
        .join(first, on="lead_id", how="left", maintain_order="left")
    )
    seen = pl.col("first_known") < pl.col("as_of")
    age = (pl.col("as_of") - pl.col("created_at")).dt.total_microseconds()
    since = (pl.col("as_of") - pl.col("first_known")).dt.total_microseconds()
    micros = joined.select(age.alias("age"), pl.when(seen).then(since).alias("since"))
    # NumPy divides each number by itself; polars multiplies a long column by the reciprocal, and
    # a lead would then differ in its last bit from the same lead alone.
    days: Floats = micros.cast(pl.Float64).fill_null(float("nan")).to_numpy() / DAY_US
    return days
