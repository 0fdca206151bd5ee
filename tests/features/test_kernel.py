"""The kernel: examples by hand, and equality with sums, sets and lengths over seen events."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.features.kernel import (
    DAY_US,
    decayed_sums,
    distinct_counts,
    entity_bounds,
    windowed_counts,
)

HALF_LIVES = np.array([3.0, 14.0]) * DAY_US
WINDOWS = np.array([2, 7], dtype=np.int64) * DAY_US
N_GROUPS = 3


def micros(days):
    return np.array([round(day * DAY_US) for day in days], dtype=np.int64)


class World:
    """Events (entity, occurred, lag, groups, weight, key) and looks (entity, as-of), in days."""

    def __init__(self, events, looks, *, n_entities=1, n_codings=1):
        self.events = sorted(events, key=lambda e: (e[0], e[1] + e[2]))
        self.looks = sorted(looks)
        entity = np.array([e[0] for e in self.events], dtype=np.int64)
        self.event_bounds = entity_bounds(entity, n_entities)
        self.look_bounds = entity_bounds(
            np.array([look[0] for look in self.looks], dtype=np.int64), n_entities
        )
        self.occurred = micros(e[1] for e in self.events)
        self.known = micros(e[1] + e[2] for e in self.events)
        self.codes = np.array([e[3] for e in self.events], dtype=np.int32).reshape(-1, n_codings)
        self.weights = np.array([[e[4]] * n_codings for e in self.events]).reshape(-1, n_codings)
        self.as_of = micros(look[1] for look in self.looks)
        self.key = np.array([e[5] for e in self.events], dtype=np.int64)
        self.entity = entity

    def sums(self):
        return decayed_sums(
            self.event_bounds, self.look_bounds, self.known, self.occurred, self.codes,
            self.weights, self.as_of, HALF_LIVES, N_GROUPS,
        )  # fmt: skip

    def counts(self):
        return windowed_counts(
            self.event_bounds, self.look_bounds, self.known, self.occurred, self.codes,
            self.as_of, WINDOWS, N_GROUPS,
        )  # fmt: skip

    def distinct(self):
        order = np.lexsort((self.known, self.key, self.entity))
        return distinct_counts(
            self.event_bounds, self.look_bounds, self.known[order], self.occurred[order],
            self.key[order], self.as_of, WINDOWS,
        )  # fmt: skip

    def seen(self, look):
        """Return the events of the look's entity that became known strictly before it."""
        entity, as_of = look
        return [e for e in self.events if e[0] == entity and e[1] + e[2] < as_of]


def event(occurred, *, lag=0.0, group=0, weight=1.0, key=0, entity=0):
    return (entity, occurred, lag, (group,), weight, key)


# By hand


def test_an_event_loses_half_its_weight_per_half_life():
    sums, since = World([event(0.0)], [(0, 3.0), (0, 6.0), (0, 14.0)]).sums()
    assert sums[:, 0, 0] == pytest.approx([0.5, 0.25, 2 ** (-14 / 3)])
    assert sums[:, 0, 1] == pytest.approx([2 ** (-3 / 14), 2 ** (-6 / 14), 0.5])
    assert since[:, 0].tolist() == [3.0, 6.0, 14.0]


def test_events_add_up_each_at_its_own_age():
    sums, _ = World([event(0.0, weight=4.0), event(3.0, weight=-1.0)], [(0, 6.0)]).sums()
    assert sums[0, 0, 0] == pytest.approx(4.0 / 4 - 1.0 / 2)


def test_a_late_record_counts_from_when_it_is_known_with_its_true_age():
    world = World([event(5.0), event(0.0, lag=6.0)], [(0, 6.0), (0, 9.0)])
    sums, since = world.sums()
    assert sums[:, 0, 0] == pytest.approx([2 ** (-1 / 3), 2 ** (-4 / 3) + 2 ** (-9 / 3)])
    # The late record is not the latest occurrence.
    assert since[:, 0].tolist() == [1.0, 4.0]


def test_an_event_at_the_as_of_time_is_not_seen():
    world = World([event(1.0)], [(0, 1.0), (0, 1.0 + 1 / DAY_US)])
    sums, since = world.sums()
    assert sums[0].max() == 0.0
    assert sums[1, 0, 0] == pytest.approx(1.0)
    assert math.isnan(since[0, 0])
    assert world.counts()[:, 0, 0].tolist() == [0.0, 1.0]
    assert world.distinct()[:, 0].tolist() == [0.0, 1.0]


def test_a_window_includes_its_first_instant():
    world = World([event(0.0)], [(0, 2.0), (0, 2.0 + 1 / DAY_US), (0, 7.0), (0, 7.1)])
    assert world.counts()[:, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert world.counts()[:, 0, 1].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert world.distinct().tolist() == world.counts()[:, 0, :].tolist()


def test_an_event_known_only_after_its_window_is_never_counted():
    world = World([event(0.0, lag=3.0)], [(0, 1.0), (0, 3.0), (0, 4.0)])
    assert world.counts()[:, 0, :].tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_a_key_counts_once_while_any_of_its_events_is_in_the_window():
    events = [event(0.0, key=7), event(1.0, key=7), event(1.5, key=8), event(1.0, key=-1)]
    world = World(events, [(0, 0.5), (0, 2.0), (0, 2.5), (0, 3.2), (0, 8.2), (0, 9.0)])
    assert world.distinct()[:, 0].tolist() == [1.0, 2.0, 2.0, 1.0, 0.0, 0.0]
    assert world.distinct()[:, 1].tolist() == [1.0, 2.0, 2.0, 2.0, 1.0, 0.0]


def test_a_late_record_of_an_earlier_event_does_not_shorten_the_union():
    events = [event(3.0, key=1), event(0.0, lag=4.0, key=1)]
    world = World(events, [(0, 3.5), (0, 4.5), (0, 6.9), (0, 9.9), (0, 10.1)])
    assert world.distinct()[:, 1].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_an_entity_without_events_has_zeros_and_no_last_time():
    sums, since = World([event(0.0, entity=0)], [(0, 1.0), (1, 1.0)], n_entities=2).sums()
    assert sums[1].max() == 0.0
    assert np.isnan(since[1]).all()


def test_one_event_adds_to_each_of_its_groups():
    world = World([(0, 0.0, 0.0, (0, 2), 1.0, 0)], [(0, 1.0)], n_codings=2)
    assert world.counts()[0, :, 0].tolist() == [1.0, 0.0, 1.0]
    assert (world.sums()[0][0, :, 0] > 0).tolist() == [True, False, True]


# Against a reference that looks at every snapshot anew

quarters = st.integers(0, 60).map(lambda n: n / 4)
events = st.lists(
    st.tuples(
        st.integers(0, 2),
        quarters,
        st.sampled_from([0.0, 0.0, 0.25, 2.0, 9.0]),
        st.tuples(st.integers(-1, N_GROUPS - 1), st.integers(-1, N_GROUPS - 1)),
        st.sampled_from([1.0, -2.0, 3.5]),
        st.integers(-1, 3),
    ),
    max_size=14,
)
looks = st.lists(st.tuples(st.integers(0, 2), quarters), min_size=1, max_size=8, unique=True)


@settings(max_examples=150)
@given(events, looks)
def test_every_number_equals_a_reference_over_the_seen_events(history, at):
    world = World(history, at, n_entities=3, n_codings=2)
    sums, since = world.sums()
    counts, distinct = world.counts(), world.distinct()
    for row, (entity, as_of) in enumerate(world.looks):
        seen = world.seen((entity, as_of))
        for group in range(N_GROUPS):
            mine = [(e, coding) for e in seen for coding in (0, 1) if e[3][coding] == group]
            for h, half_life in enumerate(HALF_LIVES / DAY_US):
                expected = sum(e[4] * 2 ** (-(as_of - e[1]) / half_life) for e, _ in mine)
                assert sums[row, group, h] == pytest.approx(expected, abs=1e-12)
            latest = max((e[1] for e, _ in mine), default=None)
            if latest is None:
                assert math.isnan(since[row, group])
            else:
                assert since[row, group] == as_of - latest
            for w, window in enumerate((2, 7)):
                assert counts[row, group, w] == len([e for e, _ in mine if e[1] >= as_of - window])
        for w, window in enumerate((2, 7)):
            keys = {e[5] for e in seen if e[1] >= as_of - window and e[5] >= 0}
            assert distinct[row, w] == len(keys)


def numbers(world):
    sums, since = world.sums()
    flat = [part.reshape(len(world.looks), -1) for part in (sums, since, world.counts())]
    return dict(zip(world.looks, np.hstack([*flat, world.distinct()]), strict=True))


@settings(max_examples=150)
@given(events, looks, st.data())
def test_any_subset_of_entities_and_as_of_times_gives_the_same_bits(history, at, data):
    every = numbers(World(history, at, n_entities=3, n_codings=2))
    some = data.draw(st.lists(st.sampled_from(at), min_size=1, unique=True))
    for look, row in numbers(World(history, some, n_entities=3, n_codings=2)).items():
        assert row.tobytes() == every[look].tobytes()
    for look in at:
        own = [(0, *e[1:]) for e in history if e[0] == look[0]]
        (alone,) = numbers(World(own, [(0, look[1])], n_codings=2)).values()
        assert alone.tobytes() == every[look].tobytes()
