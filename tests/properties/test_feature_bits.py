"""Row order, partitioning, threads, batch or alone, calendar: none decides a bit of a feature."""

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.features import Featurizer
from intentcast.histories import history_from_dataset, history_from_json, history_to_json
from intentcast.sources import load_dataset
from tests.conftest import DAY, START, WORLD_SETTINGS, world, write_dataset
from tests.features.worlds import ONE, POOLED, SMALL, fit, looks
from tests.fixtures_world import place

TIMES = [START + d * DAY for d in (-30, 33.25, 61, 90.5, 118)]
TABLES = ("leads", "accounts", "events", "outcomes", "attribute_changes")
OWNER = {"leads": "lead_id", "events": "lead_id", "outcomes": "lead_id"}


@functools.cache
def lively():
    """A data set, a featurizer, every lead at several times, and its features."""
    folder = write_dataset(place() / "bits", **world(31, n_leads=36), settings=WORLD_SETTINGS)
    dataset = load_dataset(folder)
    featurizer = fit(dataset, known_by=TIMES[2])
    snapshots = looks(dataset, TIMES)
    return dataset, featurizer, snapshots, featurizer.transform(dataset, snapshots)


@functools.cache
def histories():
    """What a service would send of each snapshot."""
    dataset, _, snapshots, _ = lively()
    return [history_from_dataset(dataset, snapshots[row]) for row in range(len(snapshots))]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_the_order_of_any_tables_rows_decides_no_bit(seed):
    dataset, featurizer, snapshots, matrix = lively()
    shuffled = {
        name: getattr(dataset, name).sample(fraction=1.0, shuffle=True, seed=seed + i)
        for i, name in enumerate(TABLES)
    }
    rows = pl.Series(range(len(snapshots))).sample(fraction=1.0, shuffle=True, seed=seed)
    found = featurizer.transform(replace(dataset, **shuffled), snapshots[rows.to_list()])
    assert found.values.tobytes() == matrix.values[rows.to_numpy()].tobytes()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.1, 0.5, 0.9]))
def test_any_subset_of_accounts_has_the_bits_that_it_has_among_all(seed, share):
    dataset, featurizer, snapshots, matrix = lively()
    accounts = dataset.leads["account_id"].unique().sort()
    some = accounts.sample(fraction=share, seed=seed).implode()
    leads = dataset.leads.filter(pl.col("account_id").is_in(some))
    people = leads["lead_id"].implode()
    kept = {name: getattr(dataset, name) for name in ("events", "outcomes")}
    part = replace(
        dataset,
        leads=leads,
        **{name: frame.filter(pl.col("lead_id").is_in(people)) for name, frame in kept.items()},
    )
    is_wanted = snapshots["account_id"].is_in(some)
    found = featurizer.transform(part, snapshots.filter(is_wanted))
    assert found.values.tobytes() == matrix.values[is_wanted.to_numpy()].tobytes()


@settings(max_examples=25)
@given(st.data())
def test_any_snapshots_have_the_bits_that_they_have_among_all(data):
    dataset, featurizer, snapshots, matrix = lively()
    n = len(snapshots)
    rows = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=9, unique=True))
    found = featurizer.transform(dataset, snapshots[rows])
    assert found.values.tobytes() == matrix.values[rows].tobytes()
    told = featurizer.transform_histories([histories()[row] for row in rows], dataset.config)
    assert told.values.tobytes() == matrix.values[rows].tobytes()


# Batch and single


@pytest.mark.parametrize("settings_of", [SMALL, POOLED, ONE])
def test_every_lead_alone_has_the_bits_that_it_has_in_the_batch(settings_of):
    dataset, _, snapshots, _ = lively()
    featurizer = fit(dataset, known_by=TIMES[2], settings=settings_of)
    matrix = featurizer.transform(dataset, snapshots)
    told = featurizer.transform_histories(histories(), dataset.config)
    assert told.names == matrix.names
    assert told.values.tobytes() == matrix.values.tobytes()
    for row, history in enumerate(histories()):
        bits = matrix.values[row].tobytes()
        alone = featurizer.transform_histories([history], dataset.config)
        assert alone.values.tobytes() == bits
        sent = json.loads(json.dumps(history_to_json(history), allow_nan=False))
        read = featurizer.transform_histories([history_from_json(sent)], dataset.config)
        assert read.values.tobytes() == bits
        if row % 5 == 0:
            one = featurizer.transform(dataset, snapshots[row])
            assert one.values.tobytes() == bits


def test_the_histories_have_what_makes_agreement_hard():
    dataset, featurizer, _, matrix = lively()
    late = [e for h in histories() for e in h.events if e.recorded_at - e.occurred_at > DAY]
    assert len(late) > 200
    assert sum(e.lead_id != h.lead_id for h in histories() for e in h.events) > 200
    assert sum(o.lead_id != h.lead_id for h in histories() for o in h.outcomes) > 20
    assert sum(len(history.colleagues) for history in histories()) > 50
    assert dataset.attribute_changes.height > 10
    assert featurizer.spec.seniority == "job_title"
    assert len({row.tobytes() for row in matrix.values}) > 100


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_what_a_request_tells_decides_no_bit(rng):
    dataset, featurizer, _, matrix = lively()

    def shuffled(rows):
        return tuple(rng.sample(rows, len(rows)))

    rows = rng.sample(range(len(histories())), 20)
    found = featurizer.transform_histories(
        [
            replace(
                histories()[row],
                events=shuffled(histories()[row].events),
                outcomes=shuffled(histories()[row].outcomes),
            )
            for row in rows
        ],
        dataset.config,
    )
    assert found.values.tobytes() == matrix.values[rows].tobytes()


# Duplicates

LATER = {"content": "/copied", "value": 1e6, "is_machine": True, "channel": "ether"}


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), change=st.sets(st.sampled_from(sorted(LATER))))
def test_a_copy_of_an_event_that_becomes_known_later_changes_no_bit(new_folder, seed, change):
    _, featurizer, snapshots, matrix = lively()
    tables = world(31, n_leads=36)
    named = [row for row in tables["events"] if row["event_id"]]
    values = {name: LATER[name] for name in change}
    copies = [
        {**row, **values, "recorded_at": row["recorded_at"] + (seed + i) % 7 * DAY + DAY}
        for i, row in enumerate(named)
    ]
    tables["events"] = [*copies, *tables["events"], *named]
    dataset = load_dataset(write_dataset(new_folder(), **tables, settings=WORLD_SETTINGS))
    assert featurizer.transform(dataset, snapshots).values.tobytes() == matrix.values.tobytes()


def test_an_event_that_a_request_tells_twice_counts_once_as_it_was_first_known():
    dataset, featurizer, _, matrix = lively()
    doubled = []
    for history in histories():
        named = [event for event in history.events if event.event_id]
        copies = [replace(e, recorded_at=e.recorded_at + DAY / 2, **LATER) for e in named]
        doubled.append(replace(history, events=(*copies, *history.events, *named)))
    assert sum(len(h.events) for h in doubled) > 1.5 * sum(len(h.events) for h in histories())
    found = featurizer.transform_histories(doubled, dataset.config)
    assert found.values.tobytes() == matrix.values.tobytes()


# Threads


def test_threads_that_ask_at_once_get_the_same_bits():
    dataset, featurizer, snapshots, matrix = lively()
    # Nothing is computed yet that the threads could both make.
    fresh = Featurizer(featurizer.spec, featurizer.themes)

    def ask(turn):
        if turn % 2:
            return fresh.transform(dataset, snapshots).values.tobytes()
        return fresh.transform_histories(histories(), dataset.config).values.tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(ask, range(12))) == {matrix.values.tobytes()}


# The calendar


def moved(dataset, shift):
    """The data set with every time shifted."""
    frames = {
        name: getattr(dataset, name).with_columns(pl.col(pl.Datetime) + shift) for name in TABLES
    }
    return replace(dataset, data_cutoff=dataset.data_cutoff + shift, **frames)


def moved_history(history, shift):
    """The history with every time shifted."""

    def row_moved(row):
        recorded = row.recorded_at and row.recorded_at + shift
        return replace(row, occurred_at=row.occurred_at + shift, recorded_at=recorded)

    return replace(
        history,
        created_at=history.created_at + shift,
        as_of=history.as_of + shift,
        events=tuple(map(row_moved, history.events)),
        outcomes=tuple(map(row_moved, history.outcomes)),
    )


# A year without a leap day and one with, the epoch, and both sides of it.
@pytest.mark.parametrize("weeks", [-5218, -2817, -2816, -2815, -52, -1, 1, 52, 104, 3000])
def test_a_shift_by_whole_weeks_changes_no_bit(weeks):
    dataset, featurizer, snapshots, matrix = lively()
    shift = timedelta(weeks=weeks)
    found = featurizer.transform(
        moved(dataset, shift), snapshots.with_columns(pl.col("as_of") + shift)
    )
    assert found.values.tobytes() == matrix.values.tobytes()
    some = range(0, len(histories()), 11)
    told = featurizer.transform_histories(
        [moved_history(histories()[row], shift) for row in some], dataset.config
    )
    assert told.values.tobytes() == matrix.values[list(some)].tobytes()


@settings(max_examples=20)
@given(weeks=st.integers(-9000, 9000))
def test_a_shift_by_any_whole_weeks_changes_no_bit(weeks):
    dataset, featurizer, snapshots, matrix = lively()
    shift = timedelta(weeks=weeks)
    looks_then = snapshots.with_columns(pl.col("as_of") + shift)
    found = featurizer.transform(moved(dataset, shift), looks_then)
    assert found.values.tobytes() == matrix.values.tobytes()


def test_a_shift_by_part_of_a_week_moves_weeks_and_by_part_of_a_day_moves_days():
    dataset, featurizer, snapshots, matrix = lively()
    changed = {}
    for shift in (DAY, DAY / 2):
        then = snapshots.with_columns(pl.col("as_of") + shift)
        found = featurizer.transform(moved(dataset, shift), then).values
        changed[shift] = {
            name
            for name, one, other in zip(matrix.names, matrix.values.T, found.T, strict=True)
            if one.tobytes() != other.tobytes()
        }
    # How far weekdays agree may differ in its last bit, for the angles are others.
    regular = {"lifecycle.weekday_regularity.any.ratio"}
    assert changed[DAY] - regular == {"consistency.active_weeks.any.8w"}
    assert changed[DAY / 2] > {"engagement.active_days.any.30d", "consistency.gap_mean.any.gap"}


def test_what_training_learns_a_shift_by_whole_weeks_does_not_change():
    dataset, featurizer, *_ = lively()
    shift = timedelta(weeks=52)
    learnt = fit(moved(dataset, shift), known_by=TIMES[2] + shift)
    assert learnt.spec == featurizer.spec
