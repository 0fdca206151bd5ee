"""From a model and what is known of leads to their probabilities, for tables and requests alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from intentcast.config import DatasetConfig
from intentcast.features import Featurizer
from intentcast.histories import LeadHistory, dataset_of, snapshot_of
from intentcast.propensity import HorizonModel
from intentcast.propensity.horizons import HorizonProbabilities, predict_horizons
from intentcast.propensity.margins import Floats
from intentcast.propensity.points import PointsModel, learner_inputs, points_of
from intentcast.sources import Dataset


@dataclass(frozen=True)
class Unpackaged:
    """A model that can predict without a bundle."""

    featurizer: Featurizer
    models: Mapping[int, HorizonModel]
    config: DatasetConfig


class Predictor(Protocol):
    """What a prediction needs of a bundle."""

    @property
    def featurizer(self) -> Featurizer:
        """Vocabulary and themes."""

    @property
    def models(self) -> Mapping[int, HorizonModel]:
        """Per horizon in days."""

    @property
    def config(self) -> DatasetConfig:
        """The data set's settings."""


def predict(
    bundle: Predictor,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    *,
    horizons: Sequence[int] | None = None,
) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of snapshots, in their order.

    Args:
        bundle: Or a model that is none yet.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.
        horizons: Days; without them those that were learnt.
    """
    features = bundle.featurizer.transform(dataset, snapshots).doubles
    learner = next(iter(bundle.models.values())).learner
    inputs = learner_inputs(learner, features, lambda: (dataset, snapshots))
    return features, predict_horizons(bundle.models, inputs, horizons)


def predict_history(bundle: Predictor, history: LeadHistory) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of one lead's history."""
    return predict_histories(bundle, [history])


def predict_histories(
    bundle: Predictor, histories: Sequence[LeadHistory], *, horizons: Sequence[int] | None = None
) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of histories: each the same alone, to the bit.

    Args:
        bundle: Or a model that is none yet.
        histories: At least one.
        horizons: Days; without them those that were learnt.
    """
    features = bundle.featurizer.transform_histories(histories, bundle.config).doubles
    learner = next(iter(bundle.models.values())).learner
    # Points, where they are the learner, are of each history's own table.
    if isinstance(learner, PointsModel):
        tables = ((dataset_of(h, bundle.config), snapshot_of(h)) for h in histories)
        inputs = np.vstack([points_of(learner.card, *table) for table in tables])
    else:
        inputs = features
    return features, predict_horizons(bundle.models, inputs, horizons)
