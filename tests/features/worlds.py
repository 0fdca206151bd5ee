"""Settings, snapshots and featurizers over the small worlds of `tests.conftest`."""

import polars as pl

from intentcast.config import FeatureSettings
from intentcast.features import fit_featurizer
from tests.conftest import DAY, START, at

SMALL = FeatureSettings(half_lives_days=(3.0, 45.0), windows_days=(7, 30), clustered_themes=2)
POOLED = FeatureSettings(
    half_lives_days=(2.0, 10.0, 45.0),
    windows_days=(7, 14, 90),
    clustered_themes=1,
    max_event_types=1,
    max_channels=1,
    max_levels=2,
)
ONE = FeatureSettings(half_lives_days=(14.0,), windows_days=(30,), clustered_themes=0)
AS_OF = at("2024-03-04")
TIMES = [START + d * DAY for d in (40, 47, 61, 80, 110)]
INSTANTS = pl.Datetime("us", "UTC")


def fit(dataset, *, known_by=AS_OF, settings=SMALL, **changes):
    settings = settings.model_copy(update=changes)
    return fit_featurizer(dataset, known_by=known_by, settings=settings, seed=7)


def look(lead_id="L1", as_of=AS_OF, account_id="A1"):
    """One snapshot."""
    return pl.DataFrame(
        {"lead_id": [lead_id], "as_of": [as_of], "account_id": [account_id]},
        schema_overrides={"as_of": INSTANTS},
    )


def looks(dataset, times):
    """Every lead at every time, whether or not it would be in a cohort."""
    grid = pl.DataFrame({"as_of": times}, schema={"as_of": INSTANTS})
    return dataset.leads.select("lead_id", "account_id").join(grid, how="cross")


def features(featurizer, dataset, snapshots):
    """Return the one row of features by name."""
    matrix = featurizer.transform(dataset, snapshots)
    (row,) = matrix.values
    return dict(zip(matrix.names, row.tolist(), strict=True))
