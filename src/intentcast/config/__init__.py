"""Settings as frozen models: `dataset.toml` (what the data is) and `conversion.toml` (the learner).

An unknown key is an error that names it; nothing is guessed from a misspelling.
"""

from intentcast.config.dataset import (
    Attributes,
    Backtest,
    Capacity,
    Cohort,
    Columns,
    Conversion,
    DatasetConfig,
    Quarantine,
    Sales,
    SourceDelay,
    Themes,
)
from intentcast.config.learner import (
    BoosterSettings,
    CalibrationSettings,
    FeatureFamily,
    FeatureSettings,
    HazardSettings,
    LearnerConfig,
    LogisticSettings,
    SearchSettings,
)
from intentcast.config.reading import parse_settings, read_settings

__all__ = [
    "Attributes",
    "Backtest",
    "BoosterSettings",
    "CalibrationSettings",
    "Capacity",
    "Cohort",
    "Columns",
    "Conversion",
    "DatasetConfig",
    "FeatureFamily",
    "FeatureSettings",
    "HazardSettings",
    "LearnerConfig",
    "LogisticSettings",
    "Quarantine",
    "Sales",
    "SearchSettings",
    "SourceDelay",
    "Themes",
    "parse_settings",
    "read_settings",
]
