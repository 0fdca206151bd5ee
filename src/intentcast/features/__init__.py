"""Features from engagement histories: recency, themes, consistency, account, fit."""

from intentcast.features.build import FeatureMatrix, Featurizer
from intentcast.features.columns import FAMILIES, Column
from intentcast.features.learn import fit_featurizer
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel, fit_themes

__all__ = [
    "FAMILIES",
    "Column",
    "FeatureMatrix",
    "FeatureSpec",
    "Featurizer",
    "ThemeModel",
    "fit_featurizer",
    "fit_themes",
]
