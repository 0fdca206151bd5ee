"""Contracts: which rows keep them, and that no row is lost between kept and set aside."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.contracts import (
    INSTANT,
    REQUIRED_COLUMNS,
    TABLES,
    Predictions,
    Quarantined,
    Scores,
    Snapshots,
    quarantine,
    validate,
)
from intentcast.errors import ContractError
from tests.conftest import at

GOOD = {"lead_id": "L1", "occurred_at": at("2024-02-01"), "event_type": "page_view"}


def events(*rows):
    schema = TABLES["events"].create_empty().schema
    numbered = [{**GOOD, **row, "row_number": i} for i, row in enumerate(rows, start=1)]
    return pl.DataFrame(numbered, schema=schema)


def broken_rules(*rows):
    _, bad = quarantine(events(*rows), "events")
    return dict(bad.rows.select("row_number", "broken_rules").iter_rows())


def test_a_row_that_keeps_every_rule_stays():
    good, bad = quarantine(events({}, {}), "events")
    assert len(good) == 2
    assert bad.rows.is_empty()
    assert bad.share == 0.0
    assert bad.rule_counts() == {}


def test_a_row_is_set_aside_with_its_number_and_every_rule_that_it_broke():
    rows = [{}, {"lead_id": "", "duration_seconds": -1.0}, {"event_type": None}]
    assert broken_rules(*rows) == {
        2: "duration_is_not_negative; lead_id|min_length",
        3: "event_type|nullability",
    }


@pytest.mark.parametrize(
    ("moment", "is_kept"),
    [
        (datetime(1989, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), False),
        (datetime(1990, 1, 1, tzinfo=UTC), True),
        (datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (datetime(2100, 1, 1, tzinfo=UTC), False),
        (datetime(1, 1, 1, tzinfo=UTC), False),
    ],
)
def test_times_are_between_1990_and_2099(moment, is_kept):
    for column in ("occurred_at", "recorded_at"):
        rule = f"{column}_is_between_1990_and_2099"
        assert broken_rules({column: moment}) == ({} if is_kept else {1: rule})


@pytest.mark.parametrize("table", ["leads", "outcomes", "attribute_changes"])
def test_every_time_of_every_table_has_a_plausible_range(table):
    schema = TABLES[table].create_empty().schema
    times = [name for name, dtype in schema.items() if dtype == INSTANT]
    assert times
    row = {name: "lead" for name, dtype in schema.items() if dtype == pl.String}
    row |= {"row_number": 1, **dict.fromkeys(times, datetime(1900, 1, 1, tzinfo=UTC))}
    _, bad = quarantine(pl.DataFrame([row], schema=schema), table)
    expected = {f"{name}_is_between_1990_and_2099" for name in times}
    assert set(bad.rows["broken_rules"][0].split("; ")) == expected


@pytest.mark.parametrize("column", ["lead_id", "occurred_at", "event_type"])
def test_null_never_passes_where_a_value_is_required(column):
    assert broken_rules({column: None}) == {1: f"{column}|nullability"}


def test_null_passes_where_a_value_is_optional():
    optional = set(TABLES["events"].column_names()) - set(REQUIRED_COLUMNS["events"])
    assert broken_rules(dict.fromkeys(optional - {"row_number"})) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_is_finite(value):
    (rules,) = broken_rules({"value": value}).values()
    assert rules.startswith("value|")


def test_rules_of_the_caller_count_too():
    frame = events({}, {"channel": "fax"})
    _, bad = quarantine(frame, "events", broken=[(pl.col("channel") == "fax").alias("no_fax")])
    assert bad.rows["broken_rules"].to_list() == ["no_fax"]


def test_rules_are_counted_most_first_and_ties_by_name():
    rows = [{"event_type": None}, {"lead_id": None}, {"duration_seconds": -1.0, "lead_id": None}]
    _, bad = quarantine(events(*rows), "events")
    assert list(bad.rule_counts().items()) == [
        ("lead_id|nullability", 2),
        ("duration_is_not_negative", 1),
        ("event_type|nullability", 1),
    ]
    assert bad.share == 1.0


def test_a_table_without_rows_has_no_share_of_bad_ones():
    assert Quarantined("events", 0, events().clear()).share == 0.0


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "lead_id": st.sampled_from(["L1", "", None]),
                "duration_seconds": st.sampled_from([None, 0.0, 1.0, -1.0]),
                "occurred_at": st.sampled_from([at("2024-02-01"), at("1970-01-01"), None]),
            }
        ),
        max_size=8,
    )
)
def test_each_row_is_kept_in_its_order_or_set_aside_and_never_both(rows):
    frame = events(*rows).with_columns(content=pl.col("row_number").cast(pl.String))
    good, bad = quarantine(frame, "events")
    kept = [int(number) for number in good["content"]]
    aside = bad.rows["row_number"].to_list()
    assert kept == sorted(kept)
    assert sorted(kept + aside) == list(range(1, len(rows) + 1))
    is_good = [
        row["lead_id"] == "L1"
        and row["occurred_at"] == at("2024-02-01")
        and (row["duration_seconds"] is None or row["duration_seconds"] >= 0)
        for row in rows
    ]
    assert kept == [i for i, fine in enumerate(is_good, start=1) if fine]


def snapshots(*pairs):
    rows = [{"lead_id": lead, "as_of": at(day), "account_id": "A1"} for lead, day in pairs]
    return pl.DataFrame(rows, schema=Snapshots.create_empty().schema)


def test_validate_cuts_to_the_columns_of_the_schema():
    frame = snapshots(("L1", "2024-03-04")).with_columns(extra=1)
    assert validate(frame, Snapshots).columns == ["lead_id", "as_of", "account_id"]


def test_a_lead_twice_at_one_as_of_time_is_a_defect():
    frame = snapshots(("L1", "2024-03-04"), ("L1", "2024-03-04"))
    with pytest.raises(ContractError, match=r"a Snapshots table that breaks.*report this") as got:
        validate(frame, Snapshots)
    assert "\n" not in str(got.value)


def test_a_missing_column_is_a_defect():
    with pytest.raises(ContractError, match=r"a Snapshots table that breaks its contract"):
        validate(snapshots(("L1", "2024-03-04")).drop("account_id"), Snapshots)


@pytest.mark.parametrize(
    ("schema", "column", "is_refused"),
    [
        (Scores, "probability", True),
        (Scores, "low", True),
        (Predictions, "probability", False),
        (Predictions, "converted", False),
        (Predictions, "score", True),
    ],
)
def test_what_may_be_null_in_answers_is_decided_per_column(schema, column, is_refused):
    text = {name: "x" for name, dtype in schema.create_empty().schema.items() if dtype == pl.String}
    numbers = {"probability": 0.5, "low": 0.4, "high": 0.6, "score": 1.0, "fold": 1}
    row = {**text, **numbers, "horizon_days": 30, "as_of": at("2024-03-04"), column: None}
    frame = pl.DataFrame([row], schema=schema.create_empty().schema)
    if is_refused:
        with pytest.raises(ContractError, match=f"a {schema.__name__} table that breaks"):
            validate(frame, schema)
    else:
        assert len(validate(frame, schema)) == 1


@pytest.mark.parametrize("probability", [-0.01, 1.01, float("nan")])
def test_a_probability_outside_0_to_1_is_a_defect(probability):
    row = {
        "contender": "x", "lead_id": "L1", "as_of": at("2024-03-04"), "horizon_days": 30,
        "score": 1.0, "probability": probability, "converted": True, "fold": 1,
    }  # fmt: skip
    frame = pl.DataFrame([row], schema=Predictions.create_empty().schema)
    with pytest.raises(ContractError, match="a Predictions table that breaks"):
        validate(frame, Predictions)
