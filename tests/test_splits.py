"""Splits: nothing that trains was known only after the first test."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import LookAheadError, RefusedError
from intentcast.splits import Split, assert_no_look_ahead, rolling_origin
from tests.conftest import DAY, at

WEEKS = [at("2024-01-01") + 7 * i * DAY for i in range(40)]
FIRST_TEST = at("2024-06-03")


def test_training_ends_one_horizon_before_the_first_test():
    (split,) = rolling_origin(WEEKS, first_test=FIRST_TEST, folds=1, horizon_days=30)
    assert split.train[0] == at("2024-01-01")
    assert split.train[-1] == at("2024-04-29")
    assert split.test[0] == FIRST_TEST
    assert split.test[-1] == WEEKS[-1]
    assert split.known_by == FIRST_TEST


def test_a_horizon_that_ends_exactly_at_the_first_test_trains():
    (split,) = rolling_origin(WEEKS, first_test=FIRST_TEST, folds=1, horizon_days=28)
    assert split.train[-1] == at("2024-05-06")
    (split,) = rolling_origin(WEEKS, first_test=FIRST_TEST, folds=1, horizon_days=29)
    assert split.train[-1] == at("2024-04-29")


def test_a_first_test_between_as_of_times_starts_at_the_next():
    (split,) = rolling_origin(WEEKS, first_test=FIRST_TEST - DAY, folds=1, horizon_days=30)
    assert split.test[0] == FIRST_TEST


def test_each_fold_trains_on_all_that_is_over_by_its_own_start():
    splits = rolling_origin(WEEKS, first_test=FIRST_TEST, folds=3, horizon_days=30)
    assert [split.fold for split in splits] == [1, 2, 3]
    assert [len(split.test) for split in splits] == [6, 6, 6]
    for split in splits:
        assert split.train == tuple(t for t in WEEKS if t + 30 * DAY <= split.test[0])


@given(
    n=st.integers(1, 60),
    every=st.integers(1, 15),
    first=st.integers(0, 400),
    folds=st.integers(1, 6),
    horizon=st.integers(1, 120),
)
def test_folds_partition_the_test_times_and_never_look_ahead(n, every, first, folds, horizon):
    times = [at("2024-01-01") + every * i * DAY for i in range(n)]
    first_test = at("2024-01-01") + first * DAY
    try:
        splits = rolling_origin(times, first_test=first_test, folds=folds, horizon_days=horizon)
    except RefusedError:
        testable = [t for t in times if t >= first_test]
        assert len(testable) < folds or times[0] + timedelta(days=horizon) > testable[0]
        return
    tested = [t for split in splits for t in split.test]
    assert tested == [t for t in times if t >= first_test]
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    assert all(a.known_by < b.known_by for a, b in pairwise(splits))
    for split in splits:
        assert max(split.train) + timedelta(days=horizon) <= min(split.test) == split.known_by


def test_fewer_test_times_than_folds_are_refused():
    with pytest.raises(
        RefusedError, match=r"2 as-of times from 2024-09-23 on for 3 test windows.*fewer backtest"
    ):
        rolling_origin(WEEKS, first_test=at("2024-09-23"), folds=3, horizon_days=30)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(
        RefusedError, match=r"no as-of time whose 30 days are over by 2024-01-29.*shorter horizon"
    ):
        rolling_origin(WEEKS, first_test=at("2024-01-29"), folds=1, horizon_days=30)


GOOD = Split(
    fold=2, train=(at("2024-01-01"), at("2024-01-08")), test=(at("2024-02-07"), at("2024-02-14")),
    known_by=at("2024-02-07"),
)  # fmt: skip


def test_the_check_accepts_a_split_whose_labels_end_at_the_first_test():
    assert_no_look_ahead([GOOD], horizon_days=30)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, train=(*GOOD.train, at("2024-01-08") + timedelta(microseconds=1))),
        replace(GOOD, train=(at("2024-01-15"), at("2024-01-01"))),
        replace(GOOD, test=(at("2024-02-14"), at("2024-02-06"))),
        replace(GOOD, known_by=at("2024-02-07") + timedelta(microseconds=1)),
        replace(GOOD, train=GOOD.test),
    ],
)
def test_the_check_finds_a_split_that_sees_the_future(bad):
    with pytest.raises(LookAheadError, match=r"fold 2 trains on labels up to .*report this"):
        assert_no_look_ahead([GOOD, bad], horizon_days=30)


def test_the_check_knows_the_horizon():
    with pytest.raises(
        LookAheadError, match=r"labels up to 2024-02-08 .* first test at 2024-02-07"
    ):
        assert_no_look_ahead([GOOD], horizon_days=31)
