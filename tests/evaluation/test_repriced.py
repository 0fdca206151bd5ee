from datetime import timedelta

import numpy as np
import pytest

from intentcast.errors import RefusedError
from intentcast.evaluation.repriced import (
    compare_out_of_time,
    first_test_of,
    later_leads,
    points_of,
)
from intentcast.scorecards.repricing import reprice
from tests.scorecards.repricing_world import KNOWN_BY, LAST, SETTINGS, card, tables, times


@pytest.fixture(scope="module")
def data(make_dataset):
    return make_dataset(**tables(), settings=SETTINGS)


@pytest.fixture(scope="module")
def tested(data):
    return compare_out_of_time(card(), data, times=times(data), known_by=data.data_cutoff)


def test_points_are_fitted_before_the_test_only(data, tested):
    assert tested.repricing.known_by == KNOWN_BY
    assert tested.test_from >= KNOWN_BY
    assert tested.repricing == reprice(card(), data, times=times(data), known_by=KNOWN_BY)


def test_only_leads_whose_horizon_is_over_are_compared(data, tested):
    assert tested.test_to + timedelta(days=30) <= data.data_cutoff
    later = later_leads(data, times=times(data), known_by=data.data_cutoff)
    assert set(np.unique(later.converted)) == {0.0, 1.0}


def test_both_tables_hand_over_the_same_number_of_leads(tested):
    assert tested.paired.a == "flat-repriced"
    assert tested.paired.b == "flat"
    assert tested.paired.handoffs > 0
    assert tested.paired.difference == pytest.approx(
        tested.paired.conversions_a - tested.paired.conversions_b
    )


def test_points_in_line_with_the_truth_find_more_conversions(tested):
    assert tested.paired.conversions_a > tested.paired.conversions_b
    low, high = tested.paired.ci95
    expected = "new points win" if low > 0 else "old points win" if high < 0 else "no difference"
    assert tested.verdict == expected


def test_a_table_against_itself_makes_no_difference(data):
    later = later_leads(data, times=times(data), known_by=data.data_cutoff)
    score = points_of(card(), data, later.snapshots)
    pair = later.compare("a", score, "b", score)
    assert (pair.difference, pair.ci95, pair.verdict) == (0.0, (0.0, 0.0), "no difference")


def test_without_a_stated_test_the_last_two_fifths_are_it(make_dataset):
    settings = {**SETTINGS, "backtest": {}}
    dataset = make_dataset(**tables(), settings=settings)
    first = first_test_of(dataset, times(dataset), dataset.data_cutoff)
    assert first == times(dataset)[len(times(dataset)) * 3 // 5]


def test_without_later_leads_the_comparison_is_refused(data):
    with pytest.raises(RefusedError, match="no as-of time from 2024-05-24 on"):
        first_test_of(data, times(data), KNOWN_BY)
    with pytest.raises(RefusedError, match="horizon is over"):
        compare_out_of_time(card(), data, times=[LAST], known_by=LAST)


def test_leads_that_had_converted_before_it_was_recorded_are_not_judged_by(make_dataset):
    rows = tables()
    late = [{**o, "recorded_at": o["occurred_at"] + timedelta(days=14)} for o in rows["outcomes"]]
    dataset = make_dataset(**{**rows, "outcomes": late}, settings=SETTINGS)
    later = later_leads(
        dataset, times=[t for t in times(dataset) if t >= KNOWN_BY], known_by=dataset.data_cutoff
    )
    first = {row["lead_id"]: row["occurred_at"] for row in late}
    seen = later.snapshots.select("lead_id", "as_of").iter_rows()
    assert [lead for lead, as_of in seen if first.get(lead, as_of) < as_of] == []
    assert len(later.converted) == len(later.snapshots)
    assert set(np.unique(later.converted)) == {0.0, 1.0}
