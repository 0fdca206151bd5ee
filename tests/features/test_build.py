"""Features of snapshots: all written, each the same in any batch, alone, and in any selection."""

import dataclasses
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.features import FAMILIES
from intentcast.features.spec import NAME_PATTERN
from intentcast.snapshots import build_snapshots
from tests.conftest import DAY, START, WORLD_SETTINGS, at, event, world
from tests.features.worlds import AS_OF, ONE, POOLED, SMALL, TIMES, features, fit, look, looks

# A number that no feature has.
POISON = np.float32(-987654.25)


@pytest.fixture(scope="module")
def lively(make_dataset):
    """A world, its snapshots and its features."""
    dataset = make_dataset(**world(3, n_leads=30), settings=WORLD_SETTINGS)
    snapshots = build_snapshots(dataset, TIMES)
    featurizer = fit(dataset, known_by=TIMES[2])
    return dataset, featurizer, snapshots, featurizer.transform(dataset, snapshots)


# What is written


@pytest.mark.parametrize("settings", [SMALL, POOLED, ONE])
def test_every_column_of_every_row_is_written(make_dataset, settings):
    """Room that is used again holds old numbers: what no walk writes would be one of them."""
    dataset = make_dataset(**world(3, n_leads=30), settings=WORLD_SETTINGS)
    featurizer = fit(dataset, settings=settings)
    # With people of whom nothing is known yet.
    snapshots = looks(dataset, [START - 900 * DAY, *TIMES])
    clean = featurizer.transform(dataset, snapshots)
    assert not (clean.values == POISON).any()
    room = np.full(clean.values.size + 100, POISON)
    matrix = featurizer.transform(dataset, snapshots, room=room)
    written = (matrix.values != POISON).all(axis=0)
    assert [name for name, ok in zip(matrix.names, written, strict=True) if not ok] == []
    assert matrix.values.tobytes() == clean.values.tobytes()
    # What lies beyond is nobody's.
    assert (room[clean.values.size :] == POISON).all()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 32, 33])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_any_number_of_rows_is_written_whole(lively, n, order):
    """Rows are written sixteen at a time, the last ones by themselves."""
    dataset, featurizer, snapshots, matrix = lively
    rows = np.arange(n)
    if order == "shuffled":
        rows = np.random.default_rng(n).permutation(len(snapshots))[:n]
    size = n * len(matrix.names)
    room = np.full(size + 100, POISON)
    found = featurizer.transform(dataset, snapshots[rows.tolist()], room=room)
    assert found.values.tobytes() == matrix.values[rows].tobytes()
    assert (room[size:] == POISON).all()


@pytest.mark.parametrize("settings", [SMALL, ONE])
@given(without=st.sets(st.sampled_from(FAMILIES)))
def test_leaving_out_families_changes_no_bit_of_the_others(lively, settings, without):
    dataset, _, snapshots, _ = lively
    full = fit(dataset, known_by=TIMES[2], settings=settings)
    part = dataclasses.replace(
        full, spec=dataclasses.replace(full.spec, families=kept_families(without))
    )
    every = full.transform(dataset, snapshots)
    some = part.transform(dataset, snapshots)
    kept = [c.name for c in full.spec.columns if c.family not in without]
    assert some.names == kept
    places = [every.names.index(name) for name in kept]
    assert some.values.tobytes() == every.values[:, places].tobytes()


def kept_families(without):
    return tuple(family for family in FAMILIES if family not in without)


@pytest.mark.parametrize("has_values", [True, False])
@pytest.mark.parametrize("has_durations", [True, False])
@pytest.mark.parametrize("has_core", [True, False])
@pytest.mark.parametrize("seniority", ["job_title", ""])
def test_what_the_data_lacks_changes_no_bit_of_the_rest(
    lively, has_values, has_durations, has_core, seniority
):
    dataset, full, snapshots, matrix = lively
    lacking = {"has_values": has_values, "has_durations": has_durations, "seniority": seniority}
    lacking |= {} if has_core else {"core_themes": ()}
    part = dataclasses.replace(full, spec=dataclasses.replace(full.spec, **lacking))
    some = part.transform(dataset, snapshots)
    left_out = {
        "value.": has_values, "duration.": has_durations, "coherence.core_share": has_core,
        "account.senior_people": seniority, "account.top_rank": seniority,
    }  # fmt: skip
    kept = [
        name
        for name in matrix.names
        if all(there or not name.startswith(start) for start, there in left_out.items())
    ]
    assert some.names == kept
    places = [matrix.names.index(name) for name in kept]
    assert some.values.tobytes() == matrix.values[:, places].tobytes()


def test_settings_without_families_give_the_columns_of_the_others(lively):
    dataset, _, snapshots, matrix = lively
    for family in FAMILIES:
        found = fit(dataset, known_by=TIMES[2], without=(family,)).transform(dataset, snapshots)
        places = [matrix.names.index(name) for name in found.names]
        assert 0 < len(found.names) < len(matrix.names)
        assert found.values.tobytes() == matrix.values[:, places].tobytes()


def test_a_featurizer_with_every_family_has_the_columns_of_one_that_was_fitted_so(lively):
    dataset, featurizer, snapshots, matrix = lively
    without = fit(dataset, known_by=TIMES[2], without=("recency", "escalation", "fit"))
    assert without.complete.spec == featurizer.spec
    assert (
        without.complete.transform(dataset, snapshots).values.tobytes() == matrix.values.tobytes()
    )
    assert featurizer.complete is featurizer


def test_values_are_single_precision_each_features_column_contiguous(lively):
    *_, matrix = lively
    assert matrix.values.dtype == np.float32
    assert matrix.values.T.flags.c_contiguous
    assert matrix.doubles.dtype == np.float64
    assert matrix.doubles.flags.c_contiguous
    np.testing.assert_array_equal(matrix.doubles, matrix.values)


def test_names_match_the_pattern_and_are_unique(lively):
    *_, matrix = lively
    assert all(NAME_PATTERN.match(name) for name in matrix.names)
    assert len(set(matrix.names)) == len(matrix.names) == matrix.values.shape[1]


# The same bits whatever else is asked


@given(st.data())
def test_any_snapshots_in_any_order_give_the_same_bits(lively, data):
    dataset, featurizer, snapshots, matrix = lively
    rows = data.draw(
        st.lists(st.integers(0, len(snapshots) - 1), min_size=1, max_size=9, unique=True)
    )
    part = featurizer.transform(dataset, snapshots[rows])
    assert part.values.tobytes() == matrix.values[rows].tobytes()


def test_each_lead_alone_has_the_bits_that_it_has_in_the_batch(lively):
    dataset, featurizer, snapshots, matrix = lively
    for row in range(0, len(snapshots), 7):
        alone = featurizer.transform(dataset, snapshots[row])
        assert alone.values.tobytes() == matrix.values[row].tobytes()


def test_features_do_not_need_the_rows_of_other_accounts(lively, make_dataset):
    _, featurizer, snapshots, matrix = lively
    tables = world(3, n_leads=30)
    account = {row["lead_id"]: row["account_id"] or row["lead_id"] for row in tables["leads"]}
    wanted = {name for name, group in account.items() if group == account["L004"]}
    own = {
        name: [row for row in tables[name] if row["lead_id"] in wanted]
        for name in ("leads", "events", "outcomes")
    }
    dataset = make_dataset(**{**tables, **own}, settings=WORLD_SETTINGS)
    is_wanted = snapshots["lead_id"].is_in(list(wanted))
    part = featurizer.transform(dataset, snapshots.filter(is_wanted))
    assert len(part.values)
    assert part.values.tobytes() == matrix.values[is_wanted.to_numpy()].tobytes()


def test_no_snapshots_give_no_rows(lively):
    dataset, featurizer, snapshots, matrix = lively
    empty = featurizer.transform(dataset, snapshots.clear())
    assert empty.values.shape == (0, len(matrix.names))


# What never counts


def test_machine_events_change_no_feature(lively, make_dataset):
    _, _, snapshots, matrix = lively
    tables = world(3, n_leads=30)
    human = [row for row in tables["events"] if not row["is_machine"]]
    assert len(human) < len(tables["events"])
    dataset = make_dataset(**{**tables, "events": human}, settings=WORLD_SETTINGS)
    without = fit(dataset, known_by=TIMES[2]).transform(dataset, snapshots)
    assert without.names == matrix.names
    assert without.values.tobytes() == matrix.values.tobytes()


def test_before_any_event_there_is_nothing(make_dataset):
    dataset = make_dataset()
    featurizer = fit(dataset)
    got = features(featurizer, dataset, look("L3", at("2024-01-10"), "lead:L3"))
    assert got.pop("lifecycle.age.lead.days") == 7.0
    unknown = {column.name for column in featurizer.spec.columns if column.unknown}
    assert {name for name, value in got.items() if np.isnan(value)} == unknown & got.keys()
    assert {value for name, value in got.items() if name not in unknown} == {0.0}


def test_a_data_set_without_human_events_has_features(make_dataset):
    events = [event("L1", "2024-02-01", is_machine=True)]
    dataset = make_dataset(events=events)
    got = features(fit(dataset), dataset, look())
    assert got["engagement.count.any.30d"] == 0.0
    assert got["activity.count.other.30d"] == 0.0


# The account


@pytest.mark.parametrize("hours", [0.3, 0.7, 1.3])
def test_a_colleague_long_forgotten_weighs_what_is_left_and_no_rounding(make_dataset, hours):
    # Recorded among the lead's own events, so that a sum of both would be rounded elsewhere.
    events = []
    for i in range(1, 31):
        own, recorded = AS_OF - i * timedelta(hours=1.7), AS_OF - i * timedelta(hours=hours)
        events.append(event("L1", own, recorded_at=own))
        events.append(event("L2", AS_OF - 300 * DAY, recorded_at=recorded))
    dataset = make_dataset(events=events)
    got = features(fit(dataset), dataset, look())
    left = got["account.colleagues_recency_weighted.any.3d_halflife"]
    assert left == pytest.approx(30 * 2**-100, rel=1e-6)


def test_recency_rises_with_the_half_life(lively):
    *_, matrix = lively
    column = {name: matrix.values[:, i] for i, name in enumerate(matrix.names)}
    ladder = [column[f"engagement.recency_weighted.any.{h}d_halflife"] for h in (3, 45)]
    counts = [column[f"engagement.count.any.{w}d"] for w in (7, 30)]
    for shorter, longer in (*pairwise(ladder), *pairwise(counts)):
        assert (shorter <= longer * (1 + 1e-6)).all()
