"""Of each table alone: what became known at or after an as-of time changes no bit of a feature."""

import functools
from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import FeatureSettings
from intentcast.features import fit_featurizer
from intentcast.histories import (
    EngagementEvent,
    KnownOutcome,
    history_from_dataset,
)
from intentcast.sources import load_dataset
from tests.conftest import DAY, START, WORLD_SETTINGS, world, write_dataset
from tests.features.worlds import looks
from tests.fixtures_world import place

INSTANT = timedelta(microseconds=1)
AS_OF = START + 70 * DAY
# The first long before anything is known, so that a future must not even be felt.
TIMES = [START - 400 * DAY, START + 20 * DAY, START + 55 * DAY, AS_OF]
# The shortest half-life makes a year 36,500 halvings: enough to overflow what is not seen yet.
SETTINGS = FeatureSettings(half_lives_days=(0.01, 3.0, 45.0), windows_days=(7, 30))


@functools.cache
def lively():
    """A data set, what was learnt from it by the as-of time, its snapshots and their features."""
    folder = write_dataset(place() / "leaks", **world(21, n_leads=24), settings=WORLD_SETTINGS)
    dataset = load_dataset(folder)
    featurizer = fit_featurizer(dataset, known_by=AS_OF, settings=SETTINGS, seed=7)
    snapshots = looks(dataset, TIMES)
    return dataset, featurizer, snapshots, featurizer.transform(dataset, snapshots)


def bits(dataset):
    _, featurizer, snapshots, _ = lively()
    return featurizer.transform(dataset, snapshots).values.tobytes()


def some(rng, values, n):
    """n values, each drawn anew."""
    return [values[int(i)] for i in rng.integers(0, len(values), n)]


def moments(rng, n, *, first, last):
    span = (last - first) // INSTANT
    return [first + int(i) * INSTANT for i in rng.integers(0, span + 1, n)]


def later(rng, n):
    """When rows become known: a third at the as-of time itself, the rest within 60 days."""
    found = moments(rng, n, first=AS_OF, last=AS_OF + 60 * DAY)
    return [AS_OF if i % 3 == 0 else moment for i, moment in enumerate(found)]


def new_events(dataset, rng, n):
    known = later(rng, n)
    occurred = [moments(rng, 1, first=START, last=moment)[0] for moment in known]
    return {
        "lead_id": some(rng, dataset.leads["lead_id"].to_list(), n),
        "occurred_at": occurred,
        "known_at": known,
        "recorded_at": known,
        "event_type": some(rng, ["page_view", "email_open", "hologram"], n),
        "content": some(rng, [None, "/pricing", "/docs/rollout", "/aaa"], n),
        "channel": some(rng, [None, "web", "ether"], n),
        "value": some(rng, [None, 7.5, -1e9], n),
        "duration_seconds": some(rng, [None, 0.0, 1e9], n),
        "is_machine": some(rng, [None, False, True], n),
        "event_id": [None] * n,
    }


def new_outcomes(dataset, rng, n):
    known = later(rng, n)
    return {
        "lead_id": some(rng, dataset.leads["lead_id"].to_list(), n),
        "occurred_at": [moments(rng, 1, first=START, last=moment)[0] for moment in known],
        "known_at": known,
        "recorded_at": known,
        "outcome": some(rng, ["won", "lost", "returned", "unheard of"], n),
    }


def new_changes(dataset, rng, n):
    leads = [("lead", name, "job_title") for name in dataset.leads["lead_id"]]
    accounts = [
        ("account", name, attribute)
        for name in dataset.accounts["account_id"]
        for attribute in ("industry", "employee_count")
    ]
    entity, name, attribute = zip(*some(rng, leads + accounts, n), strict=True)
    return {
        "entity": entity,
        "entity_id": name,
        "attribute": attribute,
        "value": some(rng, [None, "CEO", "steel", "77"], n),
        "recorded_at": later(rng, n),
    }


TABLES = {
    "events": ("known_at", new_events),
    "outcomes": ("known_at", new_outcomes),
    "attribute_changes": ("recorded_at", new_changes),
}


def another_future(dataset, table, rng):
    """Return the data set with rows of one table that become known later lost, changed and new."""
    known, make = TABLES[table]
    frame: pl.DataFrame = getattr(dataset, table)
    past, future = frame.filter(pl.col(known) < AS_OF), frame.filter(pl.col(known) >= AS_OF)
    assert len(past)
    assert len(future)
    n = len(future)
    schema = {name: frame.schema[name] for name in make(dataset, rng, 1)}
    other = pl.DataFrame(make(dataset, rng, n), schema=schema, strict=False)
    # A change replaces what the row says but not whose it is.
    own = [name for name in ("lead_id", "entity", "entity_id", "attribute") if name in schema]
    changed = future.with_columns(other.drop(own))
    fate = pl.Series(rng.integers(0, 3, n))
    new = pl.DataFrame(make(dataset, rng, 12), schema=schema, strict=False)
    parts = [past, future.filter(fate == 0), changed.filter(fate == 1), new]
    grown = pl.concat(parts, how="diagonal")
    return replace(dataset, **{table: grown.sample(fraction=1.0, shuffle=True, seed=1)})


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_rows_of_a_table_known_at_or_after_the_as_of_time_change_nothing(table, seed):
    dataset, _, _, matrix = lively()
    other = another_future(dataset, table, np.random.default_rng(seed))
    assert bits(other) == matrix.values.tobytes()


@pytest.mark.parametrize("table", TABLES)
def test_without_a_future_a_table_tells_the_same(table):
    dataset, _, _, matrix = lively()
    known, _ = TABLES[table]
    past = getattr(dataset, table).filter(pl.col(known) < AS_OF)
    assert bits(replace(dataset, **{table: past})) == matrix.values.tobytes()


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_a_table_known_just_before_the_as_of_time_do_count(table):
    dataset, featurizer, snapshots, matrix = lively()
    _, make = TABLES[table]
    frame = getattr(dataset, table)
    rows = make(dataset, np.random.default_rng(3), 40)
    if "is_machine" in rows:
        rows["is_machine"] = [False] * 40
    schema = {name: frame.schema[name] for name in rows}
    times = {name for name in ("known_at", "recorded_at", "occurred_at") if name in rows}
    new = pl.DataFrame(rows | {name: [AS_OF - INSTANT] * 40 for name in times}, schema=schema)
    if table == "attribute_changes":
        # Sorted, as data sets are.
        new = new.unique(["entity_id", "attribute"], keep="first", maintain_order=True)
    grown = replace(dataset, **{table: pl.concat([frame, new], how="diagonal")})
    found = featurizer.transform(grown, snapshots)
    same = (found.values == matrix.values) | (np.isnan(found.values) & np.isnan(matrix.values))
    is_last = (snapshots["as_of"] == AS_OF).to_numpy()
    assert same[~is_last].all()
    assert not same[is_last].all()


# Of a request


@functools.cache
def known_histories():
    """Every lead as a service sends it at the as-of time."""
    dataset, *_ = lively()
    last = looks(dataset, [AS_OF])
    return [history_from_dataset(dataset, last[row]) for row in range(len(last))]


def rows_of(kind, columns):
    """Rows of a table as what a request has of them."""
    names = [field.name for field in fields(kind) if field.name in columns]
    return tuple(
        kind(**dict(zip(names, row, strict=True)))
        for row in zip(*(columns[name] for name in names), strict=True)
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_what_a_request_tells_of_the_future_changes_nothing(seed):
    dataset, featurizer, *_ = lively()
    rng = np.random.default_rng(seed)
    known = known_histories()
    grown = []
    for history in known:
        # Of the lead, of colleagues, and of people of whom nothing else is told.
        who = some(rng, [history.lead_id, *history.people, "somebody new"], 8)
        events = new_events(dataset, rng, 8) | {"lead_id": who}
        outcomes = new_outcomes(dataset, rng, 8) | {"lead_id": who}
        grown.append(
            replace(
                history,
                events=(*rows_of(EngagementEvent, events), *history.events),
                outcomes=(*rows_of(KnownOutcome, outcomes), *history.outcomes),
            )
        )
    before = featurizer.transform_histories(known, dataset.config)
    after = featurizer.transform_histories(grown, dataset.config)
    assert after.values.tobytes() == before.values.tobytes()
