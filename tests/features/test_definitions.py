"""Every feature equals its definition: in lively worlds, and in dense ones full of coincidences."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import DatasetConfig
from intentcast.histories import dataset_of
from tests.conftest import DAY, START, WORLD_SETTINGS, world
from tests.features.by_hand import AS_OF, CONFIG, FEATURIZER, ended, history, matrix, seen
from tests.features.reference import World, reference
from tests.features.worlds import ONE, POOLED, SMALL, TIMES, fit, looks

INSTANT = timedelta(microseconds=1)


def compare(dataset, featurizer, snapshots):
    """Assert that every feature of every snapshot is what its definition says."""
    matrix = featurizer.transform(dataset, snapshots)
    rows = World(dataset, featurizer)
    for snapshot, row in zip(snapshots.iter_rows(named=True), matrix.values, strict=True):
        expected = reference(rows, snapshot["lead_id"], snapshot["as_of"])
        got = dict(zip(matrix.names, row.tolist(), strict=True))
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)
    return matrix


@pytest.mark.parametrize(("seed", "settings"), [(3, SMALL), (4, POOLED), (5, ONE)])
def test_every_feature_equals_its_definition(make_dataset, seed, settings):
    dataset = make_dataset(**world(seed, n_leads=24), settings=WORLD_SETTINGS)
    times = [START + d * DAY for d in (0, 33, 61, 118)] + [START + 95.37 * DAY]
    snapshots = looks(dataset, times)
    featurizer = fit(dataset, known_by=times[2], settings=settings)
    matrix = compare(dataset, featurizer, snapshots)
    # So that the agreement is not one of zeros: nearly every feature differs between leads.
    varied = [
        column
        for column, values in zip(featurizer.spec.columns, matrix.values.T, strict=True)
        if len(np.unique(values)) > 1
    ]
    assert len(varied) > 0.85 * len(matrix.names)
    assert {c.family for c in varied} == {c.family for c in featurizer.spec.columns}


def test_features_equal_their_definition_at_the_instants_at_which_they_change(make_dataset):
    dataset = make_dataset(**world(6, n_leads=12), settings=WORLD_SETTINGS)
    events = dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
    known, occurred = pl.col("known_at"), pl.col("occurred_at")
    changes = [known, known + INSTANT, *(occurred + w * DAY for w in (7, 14, 30))]
    changes += [occurred + 7 * DAY + INSTANT, occurred.dt.truncate("1d") + DAY]
    instants = pl.concat([events.select("lead_id", as_of=change) for change in changes])
    # Of colleagues too: an account's people are looked at whenever one of them changes.
    accounts = dataset.leads.select("lead_id", "account_id")
    of_account = instants.join(accounts, on="lead_id").select("account_id", "as_of")
    snapshots = accounts.join(of_account, on="account_id").unique().sort("lead_id", "as_of")
    compare(dataset, fit(dataset, known_by=TIMES[2]), snapshots[::7])


# Coincidences: everything happens on a grid of six hours, is told in steps of days, and repeats.

grid = st.integers(-4 * 40, 0).map(lambda n: AS_OF + n * DAY / 4)
# Days from an occurrence to its record: none where rows do not say, less than none where they err.
lags = st.sampled_from([None, None, 0, 0, -1, 0.25, 1, 3, 8, 20])


def recorded(occurred, lag):
    return None if lag is None else occurred + lag * DAY


people = st.sampled_from(["L1", "L1", "L1", "L2", "L3"])
dense_events = st.builds(
    lambda occurred, minutes, lag, **more: seen(
        occurred + minutes * timedelta(minutes=1),
        known=recorded(occurred + minutes * timedelta(minutes=1), lag),
        **more,
    ),
    grid,
    st.sampled_from([0, 0, 0, 30, 31]),
    lags,
    who=people,
    content=st.sampled_from([None, "/pricing", "/pricing", "/rollout", "/careers"]),
    kind=st.sampled_from(["page_view", "page_view", "email_click", "fax"]),
    channel=st.sampled_from([None, "web", "pigeon"]),
    value=st.sampled_from([None, 0.0, 2.5, -1.0]),
    duration_seconds=st.sampled_from([None, 0.0, 60.0]),
    is_machine=st.sampled_from([None, False, False, True]),
    event_id=st.sampled_from([None, None, None, "E1", "E2"]),
)
dense_outcomes = st.builds(
    lambda occurred, lag, **more: ended(occurred, known=recorded(occurred, lag), **more),
    grid,
    lags,
    who=people,
    outcome=st.sampled_from(["won", "lost", "rejected"]),
)
titles = st.dictionaries(
    st.sampled_from(["L2", "L3", "L4"]),
    st.fixed_dictionaries({"job_title": st.sampled_from([None, "CTO", "Head of IT", "Buyer"])}),
)


@settings(max_examples=150)
@given(
    events=st.lists(dense_events, max_size=30),
    outcomes=st.lists(dense_outcomes, max_size=4),
    colleagues=titles,
    as_of=grid,
    delays=st.fixed_dictionaries(
        {"events": st.sampled_from([0, 0, 6, 100.5]), "outcomes": st.sampled_from([0, 24])}
    ),
    attributes=st.fixed_dictionaries(
        {
            "job_title": st.sampled_from([None, "VP Sales"]),
            "employee_count": st.sampled_from([None, 12.0]),
            "industry": st.sampled_from([None, "steel", "music"]),
        }
    ),
)
def test_features_of_a_dense_history_equal_their_definition(
    events, outcomes, as_of, delays, **more
):
    config = DatasetConfig.model_validate(CONFIG.model_dump() | {"source_delay_hours": delays})
    one = history(*events, as_of=as_of, outcomes=tuple(outcomes), **more)
    found = matrix(one, config=config)
    expected = reference(World(dataset_of(one, config), FEATURIZER), "L1", as_of)
    got = dict(zip(found.names, found.values[0].tolist(), strict=True))
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)


def test_an_event_and_an_outcome_without_a_record_are_known_after_the_sources_delay():
    delays = {"source_delay_hours": {"events": 6, "outcomes": 24}}
    config = DatasetConfig.model_validate(CONFIG.model_dump() | delays)
    event, outcome = seen("2024-03-03T12:00"), ended("2024-03-02")
    name = "engagement.count.any.7d"
    for hours, n_events, n_outcomes in ((-6, 0, 1), (-5, 1, 1), (-24, 0, 0)):
        one = history(event, outcomes=(outcome,), as_of=AS_OF + timedelta(hours=hours))
        found = matrix(one, config=config)
        got = dict(zip(found.names, found.values[0].tolist(), strict=True))
        assert got[name] == n_events
        assert got["lifecycle.earlier_conversions.lead.count"] == n_outcomes


def test_of_two_copies_without_a_record_the_one_that_occurred_first_counts():
    delays = {"source_delay_hours": {"events": 48}}
    config = DatasetConfig.model_validate(CONFIG.model_dump() | delays)
    # Known on the 1st and the 2nd; the copy that says when it was recorded is known on the 2nd.
    copies = [
        seen("2024-02-28", "/pricing", event_id="E1"),
        seen("2024-02-29", "/rollout", event_id="E1"),
        seen("2024-02-27", "/rollout", known="2024-03-02", event_id="E1"),
    ]
    found = matrix(history(*copies), history(*copies[::-1]), config=config)
    for row in found.values.tolist():
        got = dict(zip(found.names, row, strict=True))
        assert got["theme.count.pricing.7d"] == 1.0
        assert got["theme.count.rollout.7d"] == 0.0
