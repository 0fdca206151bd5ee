"""What training time teaches about features: which groups there are, and the themes of content."""

import re
from datetime import datetime

import polars as pl

from intentcast.config import DatasetConfig, FeatureSettings
from intentcast.contracts import INSTANT
from intentcast.errors import ConfigError
from intentcast.features.build import Featurizer
from intentcast.features.columns import FAMILIES
from intentcast.features.spec import FeatureSpec, frequent
from intentcast.features.themes import fit_themes
from intentcast.snapshots import attributes_as_of, known_as_of
from intentcast.sources import Dataset

# Opens are inflated by mail privacy; pooled with clicks, neither would mean anything.
_APART = re.compile(r"open|click", re.IGNORECASE)


def fit_featurizer(
    dataset: Dataset, *, known_by: datetime, settings: FeatureSettings, seed: int
) -> Featurizer:
    """Learn the vocabulary and the themes from what was known before `known_by`.

    Event types, channels and levels that are frequent get a group of their own; the rest is
    `other`. Types that tell of opens or clicks are never pooled.

    Raises:
        ConfigError: If a core theme is no theme, or a numeric attribute holds no number.
    """
    config: DatasetConfig = dataset.config
    events = known_as_of(dataset.events, known_by).filter(
        ~pl.col("is_machine").fill_null(value=False)
    )
    themes = fit_themes(
        dict(_counts(events["content"])),
        seeds=config.themes.seeds,
        n_clusters=settings.clustered_themes,
        seed=seed,
        renames=config.themes.rename,
        merges=config.themes.merge,
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
    has_accounts = bool(leads["account_id"].is_duplicated().any())
    rank_column = config.attributes.rank_column
    if config.attributes.seniority is not None and rank_column not in dataset.leads.columns:
        raise ConfigError(
            f"attributes.seniority = {rank_column!r} in dataset.toml is no column of leads",
            expected=f"one of {', '.join(dataset.leads.columns)}",
            next_step="name the column that holds job titles, or leave the key out",
        )
    has_ranks = has_accounts and rank_column in dataset.leads.columns
    share = settings.min_share
    spec = FeatureSpec(
        half_lives_days=settings.half_lives_days,
        windows_days=settings.windows_days,
        event_types=frequent(
            _counts(events["event_type"]),
            most=settings.max_event_types,
            min_share=share,
            always=_APART,
        ),
        channels=frequent(
            _counts(events["channel"]), most=settings.max_channels, min_share=share, always=None
        ),
        themes=themes.names,
        core_themes=config.themes.core,
        has_accounts=has_accounts,
        has_values=bool(events["value"].is_not_null().any()),
        has_durations=bool(events["duration_seconds"].is_not_null().any()),
        numeric=config.attributes.numeric,
        levels=tuple(
            (
                name,
                frequent(
                    _counts(values[name]), most=settings.max_levels, min_share=share, always=None
                ),
            )
            for name in config.attributes.categorical
        ),
        seniority=rank_column if has_ranks and rank_column else "",
        families=tuple(family for family in FAMILIES if family not in settings.without),
    )
    return Featurizer(spec, themes)


def _counts(values: pl.Series) -> list[tuple[str, int]]:
    counted: list[tuple[str, int]] = values.drop_nulls().value_counts().rows()
    return counted


def _refuse_if_none_parses(values: pl.Series) -> None:
    present = values.drop_nulls()
    if len(present) and present.cast(pl.Float64, strict=False).is_null().all():
        raise ConfigError(
            f"numeric attribute {values.name} holds no number ({present[0][:40]!r} …)",
            expected="numbers",
            next_step="list it under attributes.categorical, or convert the column",
        )
