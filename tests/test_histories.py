import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import DatasetConfig
from intentcast.histories import (
    EngagementEvent,
    KnownOutcome,
    LeadHistory,
    dataset_of,
    history_from_dataset,
    history_from_json,
    history_to_json,
    snapshot_of,
)
from intentcast.snapshots import attributes_as_of

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
CONFIG = DatasetConfig.model_validate(
    {
        "conversion": {"outcomes": ["won"], "horizons_days": [30]},
        "attributes": {"numeric": ["seats"], "categorical": ["job_title", "industry"]},
    }
)
VISIT = EngagementEvent("L1", AS_OF - timedelta(days=2), "page_view", content="/pricing")
HISTORY = LeadHistory(
    "L1",
    datetime(2024, 1, 1, tzinfo=UTC),
    AS_OF,
    account_id="A1",
    attributes={"job_title": "CTO"},
    account_attributes={"seats": 12.5, "industry": "steel"},
    events=(VISIT, replace(VISIT, lead_id="L2", event_type="email_click")),
    outcomes=(
        KnownOutcome("L1", AS_OF - timedelta(days=40), "returned"),
        KnownOutcome("L3", AS_OF - timedelta(days=30), "won", AS_OF - timedelta(days=29)),
    ),
    colleagues={"L2": {"job_title": "Head of IT"}, "L4": {}},
)


def attributes(history, config=CONFIG):
    """The lead's attributes as features see them."""
    columns = [*config.attributes.numeric, *config.attributes.categorical]
    data = dataset_of(history, config)
    return attributes_as_of(data, snapshot_of(history), columns).row(0, named=True)


# JSON.


def test_a_history_survives_json():
    assert history_from_json(json.loads(json.dumps(history_to_json(HISTORY)))) == HISTORY


moments = st.datetimes(
    datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)
)  # microseconds and all
events = st.builds(
    EngagementEvent,
    lead_id=st.sampled_from(["L1", "L2"]),
    occurred_at=moments,
    event_type=st.text(min_size=1, max_size=5),
    content=st.none() | st.text(max_size=5),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    is_machine=st.none() | st.booleans(),
    event_id=st.none() | st.text(min_size=1, max_size=3),
    recorded_at=st.none() | moments,
)
outcomes = st.builds(
    KnownOutcome,
    lead_id=st.sampled_from(["L1", "L2"]),
    occurred_at=moments,
    outcome=st.text(min_size=1, max_size=5),
    recorded_at=st.none() | moments,
)
titles = st.dictionaries(
    st.sampled_from(["L2", "L3"]),
    st.dictionaries(st.text(min_size=1, max_size=3), st.none() | st.text(max_size=3), max_size=2),
)


@given(
    events=st.lists(events, max_size=4).map(tuple),
    outcomes=st.lists(outcomes, max_size=4).map(tuple),
    colleagues=titles,
    created_at=moments,
    account_id=st.none() | st.just("A1"),
)
def test_every_history_survives_json(**found):
    history = LeadHistory("L1", as_of=AS_OF, **found)
    assert history_from_json(json.loads(json.dumps(history_to_json(history)))) == history


def test_fields_that_are_absent_are_unknown():
    history = history_from_json(
        {"lead": {"lead_id": "L1", "created_at": "2024-01-01T00:00:00Z"}, "as_of": AS_OF}
    )
    assert history == LeadHistory("L1", datetime(2024, 1, 1, tzinfo=UTC), AS_OF)


def test_times_in_other_zones_are_the_same_instants():
    history = history_from_json(
        {
            "lead": {"lead_id": "L1", "created_at": "2024-01-01T02:00:00+02:00"},
            "events": [
                {"lead_id": "L1", "occurred_at": "2024-02-01T00:00:00-05:00", "event_type": "x"}
            ],
            "as_of": AS_OF.astimezone(timezone(timedelta(hours=9))),
        }
    )
    assert history.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert history.events[0].occurred_at == datetime(2024, 2, 1, 5, tzinfo=UTC)
    assert history.as_of == AS_OF
    assert history.as_of.tzinfo is UTC


# As a data set of one.


def test_everyone_that_is_told_of_is_of_the_account():
    assert HISTORY.people == ["L1", "L2", "L3", "L4"]
    assert LeadHistory("L9", AS_OF, AS_OF).people == ["L9"]


def test_the_data_set_holds_the_lead_its_colleagues_and_what_is_told_of_them():
    data = dataset_of(HISTORY, CONFIG)
    assert data.leads["lead_id"].to_list() == ["L1", "L2", "L3", "L4"]
    assert data.leads["account_id"].to_list() == ["A1"] * 4
    assert data.events["lead_id"].to_list() == ["L1", "L2"]
    assert data.outcomes.select("lead_id", "outcome").rows() == [("L1", "returned"), ("L3", "won")]
    assert data.data_cutoff == AS_OF
    assert snapshot_of(HISTORY).rows() == [("L1", AS_OF, "A1")]


def test_a_lead_without_an_account_is_its_own():
    alone = replace(HISTORY, account_id=None, events=(VISIT,), outcomes=(), colleagues={})
    assert dataset_of(alone, CONFIG).leads["account_id"].to_list() == ["lead:L1"]
    assert snapshot_of(alone)["account_id"].to_list() == ["lead:L1"]


def test_an_event_is_known_when_it_was_recorded_or_after_the_sources_delay():
    config = DatasetConfig.model_validate(
        CONFIG.model_dump() | {"source_delay_hours": {"events": 6}}
    )
    late = replace(VISIT, recorded_at=VISIT.occurred_at + timedelta(days=1))
    data = dataset_of(replace(HISTORY, events=(VISIT, late)), config)
    assert sorted(data.events["known_at"] - VISIT.occurred_at) == [
        timedelta(hours=6), timedelta(days=1),
    ]  # fmt: skip


def test_an_outcome_is_known_when_it_was_recorded_or_after_the_sources_delay():
    config = DatasetConfig.model_validate(
        CONFIG.model_dump() | {"source_delay_hours": {"outcomes": 24}}
    )
    data = dataset_of(HISTORY, config)
    delays = (data.outcomes["known_at"] - data.outcomes["occurred_at"]).to_list()
    assert delays == [timedelta(days=1), timedelta(days=1)]
    soon = dataset_of(HISTORY, CONFIG).outcomes
    assert (soon["known_at"] - soon["occurred_at"]).to_list() == [timedelta(0), timedelta(days=1)]


def test_each_person_has_the_title_that_is_told():
    titles = dataset_of(HISTORY, CONFIG).leads["job_title"].to_list()
    assert titles == ["CTO", "Head of IT", None, None]


def test_the_column_of_ranks_need_not_be_an_attribute():
    config = DatasetConfig.model_validate(
        CONFIG.model_dump() | {"attributes": {"seniority": "role"}}
    )
    told = replace(HISTORY, attributes={"role": "CFO"}, colleagues={"L2": {"role": "Buyer"}})
    assert dataset_of(told, config).leads["role"].to_list() == ["CFO", "Buyer", None]


def test_an_event_sent_twice_counts_once():
    twice = replace(VISIT, event_id="E1")
    data = dataset_of(replace(HISTORY, events=(twice, twice)), CONFIG)
    assert len(data.events) == 1


def test_the_order_of_events_does_not_matter():
    backwards = replace(HISTORY, events=HISTORY.events[::-1])
    assert dataset_of(backwards, CONFIG).events.equals(dataset_of(HISTORY, CONFIG).events)


def test_attributes_of_lead_and_account_are_both_seen():
    assert attributes(HISTORY) == {"seats": "12.5", "job_title": "CTO", "industry": "steel"}


def test_attributes_that_are_absent_or_null_are_unknown():
    bare = replace(HISTORY, attributes={"job_title": None}, account_attributes={})
    assert attributes(bare) == {"seats": None, "job_title": None, "industry": None}


def test_an_attribute_of_both_is_the_leads():
    both = replace(HISTORY, attributes={"industry": "software"})
    assert attributes(both)["industry"] == "software"


def test_a_boolean_is_written_as_tables_write_it():
    assert attributes(replace(HISTORY, attributes={"job_title": True}))["job_title"] == "true"


@pytest.mark.parametrize("name", ["lead_id", "account_id", "created_at"])
def test_an_attribute_cannot_take_the_place_of_a_key(name):
    plain = dataset_of(HISTORY, CONFIG)
    for changed in (
        replace(HISTORY, attributes={**HISTORY.attributes, name: "zzz"}),
        replace(HISTORY, account_attributes={**HISTORY.account_attributes, name: "zzz"}),
    ):
        data = dataset_of(changed, CONFIG)
        keys = ["lead_id", "created_at", "account_id"]
        assert data.leads.select(keys).equals(plain.leads.select(keys))
        assert data.accounts["account_id"].to_list() == ["A1"]


# From a data set.


@pytest.fixture(scope="session")
def small(make_dataset):
    event = {"event_type": "page_view", "event_id": None}
    return make_dataset(
        leads=[
            {"lead_id": "L1", "created_at": "2024-01-01", "account_id": "A1", "job_title": "CTO"},
            {"lead_id": "L2", "created_at": "2024-01-02", "account_id": "A1", "job_title": None},
            {"lead_id": "L3", "created_at": "2024-01-03", "account_id": None, "job_title": "CFO"},
        ],
        accounts=[{"account_id": "A1", "seats": "n/a", "industry": "steel"}],
        events=[
            event | {"lead_id": "L1", "occurred_at": "2024-02-01", "recorded_at": "2024-02-02"},
            event | {"lead_id": "L2", "occurred_at": "2024-02-03", "recorded_at": None},
            event | {"lead_id": "L1", "occurred_at": "2024-02-04", "recorded_at": "2024-03-01"},
            event | {"lead_id": "L3", "occurred_at": "2024-02-05", "recorded_at": None},
            event | {"lead_id": "L1", "occurred_at": "2024-03-01", "recorded_at": None},
        ],
        attribute_changes=[
            {
                "entity": "lead", "entity_id": "L1", "attribute": "job_title",
                "value": value, "recorded_at": moment,
            }
            for value, moment in (("VP", "2024-02-10"), ("CEO", "2024-03-01"))
        ],
        outcomes=[
            {"lead_id": who, "occurred_at": "2024-01-20", "outcome": name, "recorded_at": recorded}
            for who, name, recorded in (
                ("L1", "returned", None), ("L2", "won", "2024-02-29"), ("L2", "won", "2024-03-01"),
                ("L3", "lost", None),
            )
        ],
        settings={
            "attributes": {"numeric": ["seats"], "categorical": ["job_title", "industry"]}
        },
    )  # fmt: skip


def snapshot(lead_id, account_id):
    return pl.DataFrame(
        {"lead_id": [lead_id], "as_of": [AS_OF], "account_id": [account_id]},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )


def test_a_service_would_send_what_was_known_strictly_before(small):
    history = history_from_dataset(small, snapshot("L1", "A1"))
    assert history.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert [(e.lead_id, e.occurred_at.day) for e in history.events] == [("L1", 1), ("L2", 3)]
    assert history.attributes == {"job_title": "VP"}


def test_a_service_would_send_the_accounts_outcomes_known_strictly_before(small):
    history = history_from_dataset(small, snapshot("L1", "A1"))
    assert [(o.lead_id, o.outcome) for o in history.outcomes] == [("L1", "returned"), ("L2", "won")]
    alone = history_from_dataset(small, snapshot("L3", "lead:L3"))
    assert [(o.lead_id, o.outcome) for o in alone.outcomes] == [("L3", "lost")]


def test_a_service_would_send_the_titles_of_active_colleagues_as_known_then(small):
    # L1's title changed before the as-of time and at it; L2 has none; neither knows L3.
    assert history_from_dataset(small, snapshot("L2", "A1")).colleagues == {
        "L1": {"job_title": "VP"}
    }
    assert history_from_dataset(small, snapshot("L1", "A1")).colleagues == {}
    assert history_from_dataset(small, snapshot("L3", "lead:L3")).colleagues == {}


def test_a_number_that_cannot_be_read_is_unknown(small):
    history = history_from_dataset(small, snapshot("L1", "A1"))
    assert history.account_attributes == {"seats": None, "industry": "steel"}


def test_a_lead_of_no_account_brings_nobody_along(small):
    history = history_from_dataset(small, snapshot("L3", "lead:L3"))
    assert [e.lead_id for e in history.events] == ["L3"]
    assert history.account_attributes == {"seats": None, "industry": None}
