"""Features from engagement histories: recency, themes, consistency, account, fit."""

from intentcast.features.build import (
    FeatureMatrix,
    Featurizer,
    build_features,
    fit_featurizer,
)
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel, fit_themes

__all__ = [
    "FeatureMatrix",
    "FeatureSpec",
    "Featurizer",
    "ThemeModel",
    "build_features",
    "fit_featurizer",
    "fit_themes",
]
