"""What the lead's account does, worked out by hand: people, ranks, colleagues; as-of 2024-03-04."""

import math
from dataclasses import replace

import polars as pl
import pytest

from intentcast.histories import history_from_dataset
from tests.conftest import event
from tests.features.by_hand import AS_OF, FEATURIZER, ended, nonzero, seen, told
from tests.features.worlds import features, fit, look

TWO_WEEKS_AGO, FOUR_WEEKS_AGO = "2024-02-19", "2024-02-05"


# People


def test_people_engaged_are_counted_once_each_the_lead_among_them():
    got = told(
        seen("2024-03-01"),
        seen("2024-03-02"),
        seen("2024-03-02", who="L2"),
        seen("2024-02-10", who="L3"),
        seen("2024-01-10", who="L4"),
    )
    assert got["account.people_engaged.any.7d"] == 2.0
    assert got["account.people_engaged.any.30d"] == 3.0


def test_an_account_is_engaged_without_the_lead_too():
    got = told(seen("2024-03-02", who="L2"))
    assert got["account.people_engaged.any.7d"] == 1.0
    assert got["engagement.count.any.7d"] == 0.0


def test_a_colleague_whose_event_is_known_only_later_is_not_engaged():
    got = told(seen("2024-03-01", who="L2", known=AS_OF))
    assert got["account.people_engaged.any.7d"] == 0.0


# Colleagues' activity


def test_colleagues_activity_is_summed_without_the_leads_own():
    got = told(
        seen("2024-03-03", "/pricing"),
        seen(TWO_WEEKS_AGO, "/pricing", who="L2"),
        seen(FOUR_WEEKS_AGO, "/rollout", who="L2"),
        seen(TWO_WEEKS_AGO, who="L0"),
    )
    assert nonzero(got, "colleagues_recency_weighted", "14d_halflife") == {
        "account.any": 0.5 + 0.25 + 0.5,
        "account.pricing": 0.5,
        "account.rollout": 0.25,
    }


def test_a_lead_alone_has_no_colleagues_whatever_it_does():
    got = told(*(seen(f"2024-02-{day:02}T0{day % 7}:30", "/pricing") for day in range(1, 29)))
    found = {value for name, value in got.items() if name.startswith("account.colleagues")}
    assert found == {0.0}
    assert math.isnan(got["account.since_colleague_won.any.days"])


# Rank

COLLEAGUES = {
    "L2": {"job_title": "VP Sales"},
    "L3": {"job_title": "Engineer"},
    "L4": {"job_title": "Chief Technology Officer"},
    "L5": {"job_title": "CEO"},
}


def test_people_of_rank_count_while_they_are_engaged():
    got = told(
        seen("2024-02-23", who="L2"),
        seen("2024-02-24", who="L3"),
        # 60 days ago; L5 does nothing.
        seen("2024-01-04", who="L4"),
        colleagues=COLLEAGUES,
    )
    assert got["account.senior_people.any.30d"] == 1.0
    assert got["account.senior_people.any.90d"] == 2.0
    assert got["account.top_rank.any.90d"] == 5.0


def test_the_leads_own_rank_counts_too():
    got = told(seen("2024-02-23"), attributes={"job_title": "Head of IT"})
    assert got["account.senior_people.any.30d"] == 1.0
    assert got["account.top_rank.any.90d"] == 3.0


def test_a_manager_is_not_senior_and_an_unknown_title_has_no_rank():
    events = [seen("2024-02-23", who="L2")]
    manager = told(*events, colleagues={"L2": {"job_title": "Product manager"}})
    assert manager["account.senior_people.any.30d"] == 0.0
    assert manager["account.top_rank.any.90d"] == 2.0
    unknown = told(*events)
    assert unknown["account.top_rank.any.90d"] == 0.0


def test_ninety_one_days_ago_is_too_long_ago_for_a_rank():
    # 2023-12-05 is 90 days before 2024-03-04.
    colleagues = {"L2": {"job_title": "CEO"}}
    just = told(seen("2023-12-05", who="L2"), colleagues=colleagues)
    assert just["account.top_rank.any.90d"] == 5.0
    before = told(seen("2023-12-04", who="L2"), colleagues=colleagues)
    assert before["account.top_rank.any.90d"] == 0.0


@pytest.mark.parametrize(
    ("recorded", "rank"),
    [("2024-02-10", 5.0), ("2024-03-03T23:59:59.999999", 5.0), ("2024-03-04", 1.0)],
)
def test_a_title_counts_as_it_was_known_at_the_as_of_time(make_dataset, recorded, rank):
    dataset = make_dataset(
        leads=[
            {"lead_id": who, "created_at": "2024-01-01", "account_id": "A1", "job_title": title}
            for who, title in (("L1", None), ("L2", "Engineer"))
        ],
        events=[event("L2", "2024-02-01", recorded_at=None)],
        attribute_changes=[
            {
                "entity": "lead", "entity_id": "L2", "attribute": "job_title", "value": "CTO",
                "recorded_at": recorded,
            }
        ],
    )  # fmt: skip
    unknown = [pl.lit(None, dtype=pl.String).alias(n) for n in ("employee_count", "industry")]
    dataset = replace(dataset, leads=dataset.leads.with_columns(unknown))
    got = features(FEATURIZER, dataset, look("L1", AS_OF))
    assert got["account.top_rank.any.90d"] == rank
    assert got["account.senior_people.any.90d"] == float(rank >= 3)


@pytest.mark.parametrize("values", [(None, "CTO"), ("CTO", None), ("Buyer", "CTO")])
def test_of_two_titles_of_one_instant_tables_and_requests_take_the_same(make_dataset, values):
    dataset = make_dataset(
        events=[event("L2", "2024-02-01")],
        outcomes=[],
        attribute_changes=[
            {
                "entity": "lead", "entity_id": "L2", "attribute": "job_title", "value": value,
                "recorded_at": "2024-02-10",
            }
            for value in values
        ],
        settings={"attributes": {"seniority": "job_title"}},
    )  # fmt: skip
    featurizer, snapshot = fit(dataset), look("L1", AS_OF)
    batch = featurizer.transform(dataset, snapshot)
    sent = history_from_dataset(dataset, snapshot)
    alone = featurizer.transform_histories([sent], dataset.config)
    assert alone.values.tobytes() == batch.values.tobytes()
    assert features(featurizer, dataset, snapshot)["account.top_rank.any.90d"] == 5.0


# Colleagues' outcomes


def test_colleagues_outcomes_are_counted_without_the_leads_own():
    got = told(
        outcomes=(
            ended("2024-01-15"),
            ended("2024-02-01", who="L2"),
            ended("2024-02-13", who="L3"),
            ended("2024-02-20", "lost", who="L2"),
            ended("2024-02-21", "rejected", who="L2"),
        )
    )
    assert got["account.colleagues_won.any.count"] == 2.0
    assert got["account.colleagues_lost.any.count"] == 1.0
    assert got["account.since_colleague_won.any.days"] == 20.0


def test_the_leads_own_conversion_is_not_the_latest_of_its_colleagues():
    outcomes = (ended("2024-03-01"), ended("2024-02-01", who="L2"), ended("2024-01-01", who="L2"))
    got = told(outcomes=outcomes)
    assert got["account.since_colleague_won.any.days"] == 32.0


def test_the_latest_conversion_of_colleagues_is_theirs_whoever_comes_first_by_name():
    days = ["2024-02-13", "2024-02-01", "2024-01-15"]
    for shift in range(3):
        outcomes = [
            ended(days[(i + shift) % 3], who=who) for i, who in enumerate(["L0", "L2", "L3"])
        ]
        got = told(outcomes=(*outcomes, ended("2024-03-01")))
        assert got["account.since_colleague_won.any.days"] == 20.0


def test_a_colleagues_outcome_counts_from_when_it_is_known():
    late = ended("2024-02-01", who="L2", known="2024-03-03")
    assert told(outcomes=(late,))["account.colleagues_won.any.count"] == 1.0
    assert told(outcomes=(late,))["account.since_colleague_won.any.days"] == 32.0
    before = told(outcomes=(late,), as_of="2024-03-03")
    assert before["account.colleagues_won.any.count"] == 0.0
    assert math.isnan(before["account.since_colleague_won.any.days"])
