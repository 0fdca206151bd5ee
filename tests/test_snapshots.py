"""Cohorts and what was known: every boundary at its exact instant."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import ConfigError, RefusedError
from intentcast.snapshots import (
    Span,
    as_of_times,
    attributes_as_of,
    build_snapshots,
    cohort_span,
    known_as_of,
    snapshots_at,
)
from tests.conftest import DAY, at, event, outcome

AS_OF = at("2024-03-04")
INSTANT = timedelta(microseconds=1)
OPEN = {"cohort": {"rule": "open"}}
CREATED = {"cohort": {"rule": "created", "within_days": 7}}
ENGAGED = {"cohort": {"rule": "engaged", "within_days": 7}}


def lead(lead_id="L1", created_at=None):
    return {
        "lead_id": lead_id,
        "created_at": created_at or at("2024-01-01"),
        "account_id": "A1",
    }


def members(dataset, *times):
    """Return the days on which L1 is in the cohort."""
    return build_snapshots(dataset, list(times or [AS_OF]))["as_of"].to_list()


# The module's worked example


@pytest.mark.parametrize(
    ("recorded", "expected"), [("2024-03-05", []), ("2024-03-03", ["2024-03-04"])]
)
def test_a_view_recorded_late_was_not_known_and_is_then_too_old(make_dataset, recorded, expected):
    dataset = make_dataset(
        leads=[lead()],
        events=[event("L1", "2024-03-01", recorded_at=recorded)],
        outcomes=[],
        settings={"cohort": {"rule": "engaged", "within_days": 7, "every_days": 7}},
    )
    times = as_of_times(Span(at("2024-03-04"), at("2024-03-25"), is_stated=True), 7)
    assert members(dataset, *times) == [at(day) for day in expected]


# What was known


@given(st.lists(st.integers(-3, 3), max_size=8))
def test_known_as_of_keeps_rows_known_strictly_before_in_their_order(offsets):
    known = [AS_OF + offset * INSTANT for offset in offsets]
    frame = pl.DataFrame(
        {"row": range(len(known)), "known_at": known},
        schema={"row": pl.Int64, "known_at": pl.Datetime("us", "UTC")},
    )
    expected = [row for row, offset in enumerate(offsets) if offset < 0]
    assert known_as_of(frame, AS_OF)["row"].to_list() == expected


# Each cohort rule at its boundaries


@pytest.mark.parametrize(
    ("occurred", "recorded", "is_in"),
    [
        (AS_OF - 7 * DAY, None, True),
        (AS_OF - 7 * DAY - INSTANT, None, False),
        (AS_OF - INSTANT, None, True),
        (AS_OF, None, False),
        (AS_OF - DAY, AS_OF - INSTANT, True),
        (AS_OF - DAY, AS_OF, False),
        (AS_OF + DAY, AS_OF - DAY, False),
    ],
)
def test_engaged_needs_an_event_of_the_window_known_before(make_dataset, occurred, recorded, is_in):
    dataset = make_dataset(
        leads=[lead()],
        events=[event("L1", occurred, recorded_at=recorded or occurred)],
        outcomes=[],
        settings=ENGAGED,
    )
    assert members(dataset) == ([AS_OF] if is_in else [])


@pytest.mark.parametrize(("is_machine", "is_in"), [(True, False), (False, True), (None, True)])
def test_a_machine_event_does_not_make_a_lead_engaged(make_dataset, is_machine, is_in):
    dataset = make_dataset(
        leads=[lead()],
        events=[
            event("L1", AS_OF - DAY, is_machine=is_machine),
            event("L1", AS_OF - 90 * DAY, is_machine=False),
        ],
        outcomes=[],
        settings=ENGAGED,
    )
    assert members(dataset) == ([AS_OF] if is_in else [])


@pytest.mark.parametrize(
    ("created", "is_in"),
    [
        (AS_OF - 7 * DAY, True),
        (AS_OF - 7 * DAY - INSTANT, False),
        (AS_OF - INSTANT, True),
        (AS_OF, False),
        (AS_OF + DAY, False),
    ],
)
def test_created_needs_a_creation_in_the_window(make_dataset, created, is_in):
    dataset = make_dataset(
        leads=[lead(created_at=created)],
        events=[event("L1", AS_OF - 90 * DAY)],
        outcomes=[],
        settings=CREATED,
    )
    assert members(dataset) == ([AS_OF] if is_in else [])


@pytest.mark.parametrize(("created", "is_in"), [(AS_OF - INSTANT, True), (AS_OF, False)])
def test_open_needs_a_creation_before_and_no_event(make_dataset, created, is_in):
    dataset = make_dataset(
        leads=[lead(created_at=created)],
        events=[],
        outcomes=[outcome("L1", AS_OF + 90 * DAY)],
        settings=OPEN,
    )
    assert members(dataset) == ([AS_OF] if is_in else [])


@pytest.mark.parametrize("rule", ["engaged", "created", "open"])
def test_a_lead_engaged_before_its_creation_is_not_scored_before_it(make_dataset, rule):
    dataset = make_dataset(
        leads=[lead(created_at=AS_OF + DAY)],
        events=[event("L1", AS_OF - DAY)],
        outcomes=[],
        settings={"cohort": {"rule": rule, "within_days": 30}},
    )
    assert members(dataset, AS_OF, AS_OF + 2 * DAY) == [AS_OF + 2 * DAY]


# Leaving the cohort


@pytest.mark.parametrize("rule", ["engaged", "created", "open"])
@pytest.mark.parametrize("name", ["won", "lost"])
@pytest.mark.parametrize(
    ("recorded", "is_in"), [(AS_OF - INSTANT, False), (AS_OF, True), (AS_OF + DAY, True)]
)
def test_a_lead_leaves_once_its_end_is_known(make_dataset, rule, name, recorded, is_in):
    dataset = make_dataset(
        leads=[lead(created_at=AS_OF - 5 * DAY)],
        events=[event("L1", AS_OF - 3 * DAY)],
        outcomes=[outcome("L1", AS_OF - 2 * DAY, name, recorded_at=recorded)],
        settings={"cohort": {"rule": rule, "within_days": 7}},
    )
    assert members(dataset) == ([AS_OF] if is_in else [])


def test_an_outcome_that_neither_converts_nor_closes_changes_nothing(make_dataset):
    dataset = make_dataset(
        leads=[lead()],
        events=[],
        outcomes=[outcome("L1", AS_OF - DAY, "meeting_held")],
        settings=OPEN,
    )
    assert members(dataset) == [AS_OF]


def test_recurring_keeps_a_lead_that_converted_but_not_one_that_closed(make_dataset):
    dataset = make_dataset(
        leads=[lead("L1"), lead("L2"), lead("L3")],
        outcomes=[outcome("L1", AS_OF - DAY, "won"), outcome("L2", AS_OF - DAY, "lost")],
        settings={
            "conversion": {"recurring": True, "outcomes": ["won"], "closing": ["lost"]},
            **OPEN,
        },
    )
    assert build_snapshots(dataset, [AS_OF])["lead_id"].to_list() == ["L1", "L3"]


def test_who_is_in_the_cohort_does_not_depend_on_what_happens_later(make_dataset):
    base = {"leads": [lead()], "events": [event("L1", AS_OF - DAY)], "settings": ENGAGED}
    for later in ([], [outcome("L1", AS_OF)], [outcome("L1", AS_OF + DAY, "lost")]):
        assert members(make_dataset(outcomes=later, **base)) == [AS_OF]


def test_snapshots_are_sorted_and_one_per_lead_and_time(make_dataset):
    events = [event(name, AS_OF - i * DAY) for name in ("L2", "L1") for i in range(1, 5)]
    dataset = make_dataset(
        leads=[lead("L2"), lead("L1")], events=events, outcomes=[], settings=ENGAGED
    )
    got = build_snapshots(dataset, [AS_OF + DAY, AS_OF])
    assert got.rows() == [
        (name, day, "A1") for name in ("L1", "L2") for day in (AS_OF, AS_OF + DAY)
    ]


offsets = st.integers(-10, 10)
histories = st.lists(st.tuples(offsets, st.integers(0, 4), st.booleans()), max_size=6)


@given(histories, st.lists(offsets, min_size=1, max_size=4, unique=True))
def test_engaged_says_for_any_history_what_its_definition_says(make_dataset, rows, days):
    anchor = event("L1", AS_OF - 300 * DAY, recorded_at=AS_OF - 300 * DAY, is_machine=False)
    events = [
        event("L1", AS_OF + o * DAY, recorded_at=AS_OF + (o + lag) * DAY, is_machine=is_machine)
        for o, lag, is_machine in rows
    ]
    dataset = make_dataset(
        leads=[lead(created_at=AS_OF - 400 * DAY)],
        events=[anchor, *events],
        outcomes=[],
        settings=ENGAGED,
    )
    expected = [
        AS_OF + t * DAY
        for t in sorted(days)
        if any(t - 7 <= o and o + lag < t for o, lag, is_machine in rows if not is_machine)
    ]
    assert members(dataset, *(AS_OF + t * DAY for t in days)) == expected


def test_nobody_in_the_cohort_is_refused_with_a_reason(make_dataset):
    with pytest.raises(
        RefusedError, match=r"nobody in the cohort at 2023-01-01.*open and engaged within 180 days"
    ):
        snapshots_at(make_dataset(), at("2023-01-01"))


def test_snapshots_at_one_time_are_those_of_the_whole_grid(make_dataset):
    dataset = make_dataset()
    times = as_of_times(Span(at("2024-01-15"), at("2024-04-01"), is_stated=True), 7)
    grid = build_snapshots(dataset, times)
    for moment in (at("2024-02-05"), at("2024-03-25")):
        assert snapshots_at(dataset, moment).equals(grid.filter(pl.col("as_of") == moment))


# As-of times


def test_as_of_times_include_the_end_where_the_step_meets_it():
    span = Span(at("2024-03-04"), at("2024-03-18"), is_stated=True)
    assert as_of_times(span, 7) == [at("2024-03-04"), at("2024-03-11"), at("2024-03-18")]
    short = Span(span.start, span.end - INSTANT, is_stated=True)
    assert as_of_times(short, 7) == [at("2024-03-04"), at("2024-03-11")]


def test_a_stated_span_is_taken_as_stated(make_dataset):
    dataset = make_dataset(
        settings={"cohort": {"start": at("2024-03-04"), "end": at("2024-03-18")}}
    )
    assert cohort_span(dataset) == (at("2024-03-04"), at("2024-03-18"), True)


def test_without_dates_the_span_is_that_of_the_record(make_dataset):
    events = [event("L1", "2024-01-01T10:00:00"), event("L1", "2024-12-31T10:00:00")]
    dataset = make_dataset(events=events, outcomes=[], settings={"cohort": {"within_days": 30}})
    assert cohort_span(dataset) == (at("2024-02-01"), at("2024-12-31"), False)
    # A quarter of the year's record is sooner than 180 days.
    longer = make_dataset(events=events, outcomes=[])
    assert cohort_span(longer).start == at("2024-04-02")


def test_without_events_and_dates_there_is_no_span(make_dataset):
    with pytest.raises(RefusedError, match=r"no events to take the first as-of time from.*start"):
        cohort_span(make_dataset(events=[]))


# Attributes


def change(entity_id, attribute, value, recorded_at, entity="lead"):
    return {
        "entity": entity, "entity_id": entity_id, "attribute": attribute, "value": value,
        "recorded_at": recorded_at,
    }  # fmt: skip


def attribute(dataset, name, *times):
    moments = list(times or [AS_OF])
    snapshots = pl.DataFrame(
        {"lead_id": ["L1"] * len(moments), "account_id": ["A1"] * len(moments), "as_of": moments},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    return attributes_as_of(dataset, snapshots, [name])[name].to_list()


def test_an_attribute_without_changes_is_constant_text(make_dataset):
    dataset = make_dataset(accounts=[{"account_id": "A1", "employee_count": 120}])
    assert attribute(dataset, "job_title") == ["CTO"]
    assert attribute(dataset, "employee_count") == ["120"]


def test_a_change_counts_from_the_instant_after_it_was_recorded(make_dataset):
    changes = [
        change("L1", "job_title", "Manager", AS_OF - 10 * DAY),
        change("L1", "job_title", "Director", AS_OF),
        change("L1", "job_title", "CTO", AS_OF + 10 * DAY),
    ]
    dataset = make_dataset(attribute_changes=changes)
    times = [AS_OF + INSTANT, AS_OF, AS_OF + 11 * DAY, AS_OF - DAY]
    assert attribute(dataset, "job_title", *times) == ["Director", "Manager", "CTO", "Manager"]


def test_a_change_that_is_still_to_come_alters_nothing(make_dataset):
    later = [change("L1", "job_title", "Customer", AS_OF)]
    assert attribute(make_dataset(attribute_changes=later), "job_title") == ["CTO"]


def test_a_change_to_unknown_is_a_change(make_dataset):
    changes = [
        change("L1", "job_title", "Manager", AS_OF - 2 * DAY),
        change("L1", "job_title", None, AS_OF - DAY),
    ]
    assert attribute(make_dataset(attribute_changes=changes), "job_title") == [None]


def test_changes_of_other_leads_and_attributes_do_not_count(make_dataset):
    changes = [
        change("L2", "job_title", "Manager", AS_OF - DAY),
        change("L1", "source", "fair", AS_OF - DAY),
        change("L1", "job_title", "Account", AS_OF - DAY, entity="account"),
    ]
    assert attribute(make_dataset(attribute_changes=changes), "job_title") == ["CTO"]


def test_changes_of_the_account_are_those_of_its_leads(make_dataset):
    dataset = make_dataset(
        accounts=[{"account_id": "A1", "employee_count": 200}],
        attribute_changes=[
            change("A1", "employee_count", "90", AS_OF - 9 * DAY, entity="account"),
            change("A1", "employee_count", "150", AS_OF - DAY, entity="account"),
        ],
    )
    assert attribute(dataset, "employee_count", AS_OF, AS_OF - DAY) == ["150", "90"]


def test_a_column_of_both_tables_is_the_leads(make_dataset):
    dataset = make_dataset(accounts=[{"account_id": "A1", "job_title": "not a person's"}])
    assert attribute(dataset, "job_title") == ["CTO"]


def test_attributes_that_nobody_has_are_named(make_dataset):
    with pytest.raises(ConfigError, match=r"attribute size, tier is in neither.*job_title"):
        attributes_as_of(
            make_dataset(), snapshots_at(make_dataset(), AS_OF), ["size", "job_title", "tier"]
        )
