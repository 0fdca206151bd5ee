"""Histories at the edges: ten years of halvings, 20,000 events, 300 people, long before 1970."""

import math
import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from intentcast.features import Featurizer
from intentcast.histories import dataset_of
from tests.conftest import DAY, at
from tests.features import reference as by_definition
from tests.features.by_hand import (
    AS_OF,
    CONFIG,
    FEATURIZER,
    SPEC,
    THEMES,
    ended,
    history,
    matrix,
    seen,
    told,
)
from tests.features.reference import View, World, reference
from tests.features.worlds import looks

CONTENTS = [None, "/pricing", "/pricing/plans", "/rollout", "/careers"]


def expected(one, featurizer=FEATURIZER):
    return reference(World(dataset_of(one, CONFIG), featurizer), one.lead_id, one.as_of)


def named(found, row=0):
    return dict(zip(found.names, found.values[row].tolist(), strict=True))


def random_events(rng, n, *, days, who=("L1",), until=AS_OF, late=0.2):
    """Events over some days before an instant, some of them told late."""
    found = []
    for _ in range(n):
        occurred = until - timedelta(seconds=rng.randrange(1, round(days * 86_400)))
        lag = timedelta(hours=rng.randrange(1, 400) if rng.random() < late else 0)
        found.append(
            seen(
                occurred,
                rng.choice(CONTENTS),
                known=occurred + lag,
                who=rng.choice(who),
                kind=rng.choice(["page_view", "email_open", "fax"]),
                channel=rng.choice([None, "web", "fax"]),
                value=rng.choice([None, 1.5, -2.0]),
                duration_seconds=rng.choice([None, 30.0]),
            )
        )
    return found


# Half-lives that are short for the length of a history, and long


@pytest.mark.parametrize("half_lives", [(0.01,), (0.01, 0.5), (0.01, 3650.0), (0.01, 1.0, 14.0)])
def test_ten_years_of_many_halvings_equal_their_definition(half_lives):
    featurizer = Featurizer(replace(SPEC, half_lives_days=half_lives), THEMES)
    rng = random.Random(1)
    events = random_events(rng, 200, days=3653, who=("L1", "L1", "L2"))
    # Some of the last minutes, so that there is something left to tell.
    events += random_events(rng, 30, days=0.02, who=("L1", "L2"), late=0.0)
    whole = history(*events)
    times = [AS_OF, AS_OF - 0.005 * DAY, AS_OF - 1000.3 * DAY, AS_OF - 3652 * DAY, at("1999-01-01")]
    found = matrix(*(replace(whole, as_of=as_of) for as_of in times), featurizer=featurizer)
    assert not np.isinf(found.values).any()
    unknown = {column.name for column in featurizer.spec.columns if column.unknown}
    for row, as_of in enumerate(times):
        got = named(found, row)
        assert {name for name, value in got.items() if math.isnan(value)} <= unknown
        right = expected(replace(whole, as_of=as_of), featurizer)
        assert got == pytest.approx(right, rel=1e-5, abs=1e-12, nan_ok=True)
    assert named(found)["engagement.recency_weighted.any.0_01d_halflife"] > 1


def test_what_moves_the_reference_of_halvings_does_not_depend_on_other_as_of_times():
    featurizer = Featurizer(replace(SPEC, half_lives_days=(0.01, 3650.0)), THEMES)
    whole = history(*random_events(random.Random(2), 150, days=3653, who=("L1", "L2")))
    times = [AS_OF - d * DAY for d in (0, 1, 40, 41, 900, 2500, 3600)]
    together = featurizer.transform(
        dataset_of(whole, CONFIG), looks(dataset_of(whole, CONFIG), times)
    )
    mine = [row for row in range(len(together.values)) if row < len(times)]
    for row, as_of in zip(mine, times, strict=True):
        alone = matrix(replace(whole, as_of=as_of), featurizer=featurizer)
        assert alone.values.tobytes() == together.values[row].tobytes()


def test_a_future_however_far_does_not_overflow_what_is_not_seen_yet():
    featurizer = Featurizer(replace(SPEC, half_lives_days=(0.01, 14.0)), THEMES)
    far = [seen("2034-03-04", "/pricing", value=3.0), seen("2034-03-04", who="L2")]
    assert str(told(*far, featurizer=featurizer)) == str(told(featurizer=featurizer))


# Many events


def test_twenty_thousand_events_of_one_lead_equal_their_definition():
    rng = random.Random(3)
    events = random_events(rng, 20_000, days=400, late=0.5)
    one = history(*events)
    found = FEATURIZER.transform_histories([one], CONFIG)
    got = named(found)
    view = View(World(dataset_of(one, CONFIG), FEATURIZER), "L1", AS_OF)
    # All but revisits, which the definition would take a day for.
    right = {}
    for family in ("counted", "valued", "days", "coherent", "visits", "silences", "rhythm"):
        right |= dict(getattr(by_definition, family)(view, SPEC))
    assert {name: got[name] for name in right} == pytest.approx(right, rel=1e-6, nan_ok=True)
    tables = FEATURIZER.transform(dataset_of(one, CONFIG), looks(dataset_of(one, CONFIG), [AS_OF]))
    assert tables.values.tobytes() == found.values.tobytes()


def test_twenty_thousand_events_told_backwards_are_features_too():
    """Everything out of order: the last that happened was known first."""
    n = 20_000
    first = at("2023-01-01")
    events = [
        seen(first + i * DAY / 50, "/pricing", known=AS_OF - (i + 1) * timedelta(minutes=1))
        for i in range(n)
    ]
    assert events[-1].occurred_at < events[-1].recorded_at
    got = told(*events)
    assert got["consistency.streak_longest.any.run"] == 400.0
    assert got["consistency.gap_mean.any.gap"] == 1.0
    assert got["escalation.engagement_visits.any.visits"] == 1.0
    # Of each event what came before was told only later.
    assert got["escalation.revisits.any.30d"] == 0.0


# Many people


@pytest.fixture(scope="module")
def large_account():
    """An account of 300 people, three to five events each, some with titles and outcomes."""
    rng = random.Random(4)
    people = [f"P{i:03}" for i in range(300)]
    events = [
        event
        for person in people
        for event in random_events(rng, rng.randrange(3, 6), days=100, who=(person,))
    ]
    colleagues = {person: {"job_title": rng.choice(["CTO", "Buyer", None])} for person in people}
    outcomes = tuple(
        ended(AS_OF - rng.randrange(100) * DAY, rng.choice(["won", "lost"]), who=person)
        for person in people[::7]
    )
    return history(
        *events, seen("2024-03-01", "/pricing"), colleagues=colleagues, outcomes=outcomes
    )


def test_an_account_of_300_people_equals_its_definition(large_account):
    got = named(matrix(large_account))
    assert got == pytest.approx(expected(large_account), rel=1e-6, abs=1e-12, nan_ok=True)
    assert got["account.people_engaged.any.30d"] > 100


def test_everybody_of_a_large_account_has_the_same_bits_alone(large_account):
    dataset = dataset_of(large_account, CONFIG)
    snapshots = looks(dataset, [AS_OF - 20 * DAY, AS_OF])
    together = FEATURIZER.transform(dataset, snapshots)
    for row in range(0, len(snapshots), 41):
        alone = FEATURIZER.transform(dataset, snapshots[row])
        assert alone.values.tobytes() == together.values[row].tobytes()


# Long ago


@pytest.mark.parametrize("year", [1601, 1899, 1955, 1969, 1970])
def test_times_before_1970_equal_their_definition(year):
    until = at(f"{year}-01-02T07:30")
    events = random_events(random.Random(year), 60, days=200, who=("L1", "L2"), until=until)
    one = history(
        *events, as_of=until, created_at=until - 250 * DAY, outcomes=(ended(until - 60 * DAY),)
    )
    got = named(matrix(one))
    assert got == pytest.approx(expected(one), rel=1e-6, abs=1e-12, nan_ok=True)


def test_before_1970_nothing_is_nothing_too():
    featurizer = Featurizer(replace(SPEC, half_lives_days=(0.01, 14.0)), THEMES)
    now, then = (
        told(seen("1950-01-01", who="L2", known="1990-01-01"), featurizer=featurizer, **times)
        for times in (
            {"as_of": "1980-01-01", "created_at": at("1979-01-01")},
            {"as_of": "1961-01-01", "created_at": at("1960-01-02")},
        )
    )
    assert str(then) == str(now)


# Little


def test_one_event_just_now_is_all_there_is_to_know():
    got = told(seen(AS_OF - timedelta(microseconds=1), "/pricing"))
    assert got["engagement.count.any.7d"] == 1.0
    assert got["consistency.streak_current.any.run"] == 1.0
    assert got["engagement.recency_weighted.any.1d_halflife"] == pytest.approx(1.0)
    assert not any(math.isinf(value) for value in got.values())


def test_no_histories_give_no_rows():
    found = FEATURIZER.transform_histories([], CONFIG)
    assert found.values.shape == (0, len(FEATURIZER.spec.names))


def test_one_half_life_and_one_window_are_enough():
    spec = replace(SPEC, half_lives_days=(14.0,), windows_days=(30,))
    featurizer = Featurizer(spec, THEMES)
    one = history(*random_events(random.Random(5), 40, days=90, who=("L1", "L2")))
    got = named(matrix(one, featurizer=featurizer))
    assert got == pytest.approx(expected(one, featurizer), rel=1e-6, abs=1e-12, nan_ok=True)
    assert not [name for name in got if name.startswith("acceleration.")]


# Large values


def test_a_value_larger_than_a_hundred_thousand_million_is_taken_as_that():
    got = told(seen("2024-03-01", value=1e15), seen("2024-03-01", value=-1e12))
    assert got["value.sum.any.7d"] == 0.0
    assert told(seen("2024-03-01", value=1e15))["value.sum.any.7d"] == pytest.approx(1e10)


def test_the_largest_values_overflow_no_recency_weighted_sum():
    got = told(seen("2024-03-01", value=1e300), seen("2024-02-01", value=-1e300))
    assert not [name for name, value in got.items() if math.isinf(value)]
    assert got["value.recency_weighted.any.14d_halflife"] > 0


def test_many_large_values_overflow_no_sum_over_a_window():
    got = told(*[seen("2024-03-01", value=1e10)] * 2000)
    assert got["value.sum.any.7d"] == pytest.approx(2000 * 1e10)
