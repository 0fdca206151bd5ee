"""One partition function, run on one machine or on many.

Work is a function of a partition's number that reads and writes files and returns little, so an
engine only decides where and how many at once. `LocalEngine` uses threads of this process.
"""

from intentcast.engines.feature_folder import FeaturePart
from intentcast.engines.feature_job import (
    FeatureJob,
    FeatureRequest,
    WrittenFeatures,
    write_features,
)
from intentcast.engines.local import Engine, LocalEngine

__all__ = [
    "Engine",
    "FeatureJob",
    "FeaturePart",
    "FeatureRequest",
    "LocalEngine",
    "WrittenFeatures",
    "write_features",
]
