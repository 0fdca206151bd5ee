"""Labels: the window's two ends, and what is not known yet."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.labels import label_periods, label_snapshots, was_at_risk
from tests.conftest import DAY, at, outcome

AS_OF = at("2024-03-04")
END = at("2024-04-03")
LATER = at("2024-12-31")
INSTANT = timedelta(microseconds=1)


def snapshots(*moments, lead_id="L1"):
    return pl.DataFrame(
        {"lead_id": [lead_id] * len(moments), "as_of": list(moments)},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )


def label(dataset, *moments, known_by=LATER, lead_id="L1"):
    frame = snapshots(*(moments or [AS_OF]), lead_id=lead_id)
    return label_snapshots(frame, dataset, horizon_days=30, known_by=known_by).to_list()


# The module's worked example


@pytest.mark.parametrize(
    ("converted", "expected"),
    [
        ("2024-03-04T00:00:00", True),
        ("2024-03-03T23:59:59.999999", False),
        ("2024-04-02T23:59:59.999999", True),
        ("2024-04-03T00:00:00", False),
    ],
)
def test_the_window_includes_its_start_and_not_its_end(make_dataset, converted, expected):
    assert label(make_dataset(outcomes=[outcome("L1", converted)])) == [expected]


@pytest.mark.parametrize(("known_by", "expected"), [("2024-04-02", None), ("2024-04-03", False)])
def test_a_label_is_null_until_its_horizon_is_over(make_dataset, known_by, expected):
    dataset = make_dataset(outcomes=[])
    assert label(dataset, known_by=at(known_by)) == [expected]


def test_an_immature_label_is_null_even_for_a_known_conversion(make_dataset):
    dataset = make_dataset(outcomes=[outcome("L1", AS_OF + DAY)])
    assert label(dataset, known_by=END - INSTANT) == [None]
    assert label(dataset, known_by=END) == [True]


def test_a_quiet_lead_is_false(make_dataset):
    assert label(make_dataset(), lead_id="L3") == [False]


# What became known when


@pytest.mark.parametrize(
    ("recorded", "expected"), [(END - INSTANT, True), (END, False), (END + 9 * DAY, False)]
)
def test_a_conversion_recorded_too_late_is_not_used(make_dataset, recorded, expected):
    dataset = make_dataset(outcomes=[outcome("L1", AS_OF + DAY, recorded_at=recorded)])
    assert label(dataset, known_by=END) == [expected]
    assert label(dataset, known_by=LATER) == [True]


# Which outcomes count


def test_only_configured_outcomes_are_conversions(make_dataset):
    outcomes = [outcome("L1", AS_OF + DAY, "lost"), outcome("L1", AS_OF + DAY, "meeting")]
    assert label(make_dataset(outcomes=outcomes)) == [False]


def test_conversions_of_others_do_not_count(make_dataset):
    assert label(make_dataset(outcomes=[outcome("L2", AS_OF + DAY)])) == [False]


def test_a_conversion_after_a_close_counts_for_the_window_that_it_is_in(make_dataset):
    outcomes = [outcome("L1", AS_OF + DAY, "lost"), outcome("L1", AS_OF + 9 * DAY, "won")]
    assert label(make_dataset(outcomes=outcomes)) == [True]


def test_each_of_recurring_conversions_counts_in_its_own_window(make_dataset):
    dataset = make_dataset(
        outcomes=[outcome("L1", AS_OF + DAY), outcome("L1", AS_OF + 60 * DAY)],
        settings={"conversion": {"recurring": True}},
    )
    moments = [AS_OF + d * DAY for d in (-40, 0, 2, 31, 60, 61)]
    assert label(dataset, *moments) == [False, True, False, True, True, False]


def test_labels_are_in_the_order_of_their_snapshots(make_dataset):
    dataset = make_dataset(outcomes=[outcome("L1", AS_OF + DAY)])
    moments = [AS_OF + 5 * DAY, AS_OF, AS_OF - 60 * DAY, AS_OF + DAY]
    assert label(dataset, *moments) == [False, True, False, True]


days = st.integers(0, 80)


@given(
    st.lists(st.tuples(days, st.integers(0, 30)), max_size=5),
    st.lists(days, min_size=1, max_size=5),
    st.integers(20, 120),
)
def test_labels_say_for_any_outcomes_what_their_definition_says(
    make_dataset, conversions, moments, known_by
):
    rows = [outcome("L1", AS_OF + o * DAY, recorded_at=AS_OF + (o + lag) * DAY)
            for o, lag in conversions]  # fmt: skip
    dataset = make_dataset(outcomes=rows or [])
    known = [o for o, lag in conversions if o + lag < known_by]
    expected = [
        any(t <= o < t + 30 for o in known) if t + 30 <= known_by else None for t in moments
    ]
    moved = [AS_OF + t * DAY for t in moments]
    assert label(dataset, *moved, known_by=AS_OF + known_by * DAY) == expected


def test_a_lead_that_had_converted_before_anyone_knew_was_not_at_risk(make_dataset):
    dataset = make_dataset(
        outcomes=[outcome("L1", at("2024-02-10"), recorded_at=at("2024-03-10"))],
    )
    snapshots = pl.DataFrame(
        {
            "lead_id": ["L1", "L1", "L2"],
            "as_of": [at("2024-02-10"), at("2024-02-12"), at("2024-02-12")],
            "account_id": ["A1", "A1", "A1"],
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    told = was_at_risk(snapshots, dataset, known_by=at("2024-06-01"))
    assert told.to_list() == [True, False, True]
    assert was_at_risk(snapshots, dataset, known_by=at("2024-03-10")).to_list() == [True] * 3


def test_a_label_waits_for_the_delay_with_which_outcomes_are_told(make_dataset):
    dataset = make_dataset(settings={"source_delay_hours": {"outcomes": 48}})
    snapshots = pl.DataFrame(
        {"lead_id": ["L1"], "as_of": [at("2024-02-01")], "account_id": ["A1"]},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    ends = at("2024-02-01") + 30 * DAY
    for known_by, mature in ((ends + DAY, False), (ends + 2 * DAY, True)):
        label = label_snapshots(snapshots, dataset, horizon_days=30, known_by=known_by)
        assert label.is_not_null().to_list() == [mature]


# Intervals

EDGES = (0, 15, 30, 60)


def periods(dataset, *moments, known_by=LATER, lead_id="L1"):
    frame = snapshots(*(moments or [AS_OF]), lead_id=lead_id)
    found = label_periods(frame, dataset, edges_days=EDGES, known_by=known_by)
    return list(found.select("n_over", "converted_in").iter_rows())


@pytest.mark.parametrize(
    ("converted", "interval"),
    [
        ("2024-03-04T00:00:00", 0),
        ("2024-03-18T23:59:59.999999", 0),
        ("2024-03-19T00:00:00", 1),
        ("2024-04-03T00:00:00", 2),
        ("2024-05-02T23:59:59.999999", 2),
        ("2024-05-03T00:00:00", 3),
        ("2024-03-03T23:59:59.999999", 3),
    ],
)
def test_an_interval_includes_its_start_and_not_its_end(make_dataset, converted, interval):
    assert periods(make_dataset(outcomes=[outcome("L1", converted)])) == [(3, interval)]


@pytest.mark.parametrize(
    ("known_by", "expected"),
    [
        ("2024-03-18", (0, 3)),
        ("2024-03-19", (1, 3)),
        ("2024-04-02", (1, 3)),
        ("2024-04-03", (2, 1)),
        ("2024-05-03", (3, 1)),
    ],
)
def test_a_partial_interval_tells_neither_silence_nor_conversion(make_dataset, known_by, expected):
    """The conversion is of 25 March, in the second interval, and known on the day."""
    dataset = make_dataset(outcomes=[outcome("L1", "2024-03-25")])
    assert periods(dataset, known_by=at(known_by)) == [expected]


def test_who_is_lost_stays_as_one_that_did_not_convert(make_dataset):
    lost = make_dataset(outcomes=[outcome("L1", AS_OF + DAY, "lost")])
    back = make_dataset(
        outcomes=[outcome("L1", AS_OF + DAY, "lost"), outcome("L1", AS_OF + 40 * DAY, "won")]
    )
    assert periods(lost) == [(3, 3)]
    assert periods(back) == [(3, 2)]


def test_the_first_of_recurring_conversions_after_each_as_of_time_counts(make_dataset):
    dataset = make_dataset(
        outcomes=[outcome("L1", AS_OF + DAY), outcome("L1", AS_OF + 50 * DAY)],
        settings={"conversion": {"recurring": True}},
    )
    moments = [AS_OF + d * DAY for d in (-20, 0, 2, 30, 51)]
    assert [at for _, at in periods(dataset, *moments)] == [1, 0, 2, 1, 3]


@given(
    st.lists(st.tuples(days, st.integers(0, 30)), max_size=5),
    st.lists(days, min_size=1, max_size=5),
    st.integers(20, 200),
    st.sampled_from([0, 36]),
)
def test_intervals_say_at_each_edge_what_the_label_says(
    make_dataset, conversions, moments, known_by, delay
):
    rows = [outcome("L1", AS_OF + o * DAY, recorded_at=AS_OF + (o + lag) * DAY)
            for o, lag in conversions]  # fmt: skip
    dataset = make_dataset(outcomes=rows, settings={"source_delay_hours": {"outcomes": delay}})
    moved = [AS_OF + t * DAY for t in moments]
    known = AS_OF + known_by * DAY
    found = periods(dataset, *moved, known_by=known)
    for k, edge in enumerate(EDGES[1:]):
        frame = snapshots(*moved)
        labels = label_snapshots(frame, dataset, horizon_days=edge, known_by=known).to_list()
        assert labels == [None if n_over <= k else first <= k for n_over, first in found]
