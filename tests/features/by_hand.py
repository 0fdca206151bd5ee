"""One lead's history written out, and its features by name, told in both ways that there are."""

from datetime import datetime

from intentcast.config import DatasetConfig
from intentcast.features import FeatureSpec, Featurizer, fit_themes
from intentcast.histories import (
    EngagementEvent,
    KnownOutcome,
    LeadHistory,
    dataset_of,
    snapshot_of,
)
from tests.conftest import at

SPEC = FeatureSpec(
    half_lives_days=(1.0, 14.0, 28.0),
    windows_days=(7, 30),
    event_types=("email_click", "email_open", "page_view"),
    channels=("email", "web"),
    themes=("pricing", "rollout"),
    core_themes=("pricing",),
    has_accounts=True,
    has_values=True,
    has_durations=True,
    numeric=("employee_count",),
    levels=(("industry", ("software", "steel")),),
    seniority="job_title",
)
THEMES = fit_themes(
    {"/pricing": 3, "/pricing/plans": 1, "/rollout": 2},
    seeds={"pricing": "pricing", "rollout": "rollout"},
    n_clusters=0,
    seed=7,
)
FEATURIZER = Featurizer(SPEC, THEMES)
CONFIG = DatasetConfig.model_validate(
    {
        "conversion": {"outcomes": ["won"], "closing": ["lost"], "horizons_days": [30]},
        "attributes": {
            "numeric": ["employee_count"],
            "categorical": ["industry"],
            "seniority": "job_title",
        },
    }
)
# A Monday.
AS_OF = at("2024-03-04")
CREATED = at("2024-01-01")


def moment(value):
    return value if isinstance(value, datetime) else at(value)


def seen(occurred, content=None, *, known=None, who="L1", kind="page_view", **more):
    """An event; known when it occurred unless said otherwise."""
    return EngagementEvent(
        who,
        moment(occurred),
        kind,
        content=content,
        recorded_at=None if known is None else moment(known),
        **more,
    )


def ended(occurred, outcome="won", *, known=None, who="L1"):
    """An earlier outcome."""
    recorded = None if known is None else moment(known)
    return KnownOutcome(who, moment(occurred), outcome, recorded)


def matrix(*histories, featurizer=FEATURIZER, config=CONFIG):
    """Features of histories, the same bits by way of the request and by way of tables."""
    told = featurizer.transform_histories(histories, config)
    for row, history in enumerate(histories):
        alone = featurizer.transform(dataset_of(history, config), snapshot_of(history))
        assert alone.names == told.names
        assert alone.values.tobytes() == told.values[row].tobytes()
    return told


def history(*events, as_of=AS_OF, **more):
    """The history of L1 of account A1."""
    given = {"created_at": CREATED, "account_id": "A1"} | more
    return LeadHistory("L1", as_of=moment(as_of), events=events, **given)


def told(*events, featurizer=FEATURIZER, **more):
    """The features of `history`, by name."""
    found = matrix(history(*events, **more), featurizer=featurizer)
    return dict(zip(found.names, found.values[0].tolist(), strict=True))


def nonzero(features, measure, unit):
    """What is not zero of one measure, by area and subject."""
    parts = {tuple(name.split(".")): value for name, value in features.items()}
    return {
        f"{area}.{subject}": value
        for (area, of, subject, ending), value in parts.items()
        if (of, ending) == (measure, unit) and value != 0
    }
