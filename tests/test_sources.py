"""Folders of tables: what each fault gets, and that good rows mean the same in any file."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from intentcast.contracts import TABLES
from intentcast.errors import ConfigError, ContractError
from intentcast.snapshots import attributes_as_of
from intentcast.sources import load_dataset
from tests.conftest import EVENTS, LEADS, OUTCOMES, at, event, outcome, write_dataset

LENIENT = {"quarantine": {"max_share": 0.9}}


def set_aside(dataset, table="events"):
    (rows,) = [q.rows for q in dataset.quarantined if q.table == table]
    return dict(rows.select("row_number", "broken_rules").iter_rows())


def duplicates(dataset, table="events"):
    return {q.table: q.n_duplicates for q in dataset.quarantined}[table]


def refusal(new_folder, **tables):
    """Return the one-line message with which the data set is refused."""
    with pytest.raises(ContractError, match=r"^Found: .* Expected: .* Next: .*\.$") as caught:
        load_dataset(write_dataset(new_folder(), **tables))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The same data set, however it is stored


FULL = {
    "leads": [
        {**row, "created_at": at(row["created_at"]), "source": None, "seats": i}
        for i, row in enumerate(LEADS)
    ],
    "events": [
        event("L1", at("2024-02-01T10:00:00.123456"), event_id="E1", content="/pricing", value=3.5),
        event("L2", at("2024-02-02"), event_id=None, content="Plans, prices", is_machine=True),
        event("L2", at("2024-02-03"), channel='say "hi"', recorded_at=at("2024-02-05")),
        event("L3", at("2024-02-04"), content="café\nzwei Zeilen", duration_seconds=12.0),
    ],
    "outcomes": [
        outcome("L1", at("2024-03-01"), amount=1200.0, reason=None),
        outcome("L3", at("2024-03-02"), "lost", amount=None, reason="no, thanks"),
    ],
    "accounts": [{"account_id": "A1", "employee_count": 120, "industry": "software"}],
    "attribute_changes": [
        {
            "entity": "account", "entity_id": "A1", "attribute": "employee_count",
            "value": "90", "recorded_at": at("2024-01-05"),
        }
    ],
}  # fmt: skip


def test_csv_and_parquet_give_the_same_data_set(make_dataset):
    csv, parquet = (make_dataset(**FULL, suffix=suffix) for suffix in (".csv", ".parquet"))
    for table in TABLES:
        columns = [name for name in TABLES[table].column_names() if name != "row_number"]
        if table in ("events", "outcomes"):
            columns.append("known_at")
        ours, theirs = getattr(csv, table), getattr(parquet, table)
        assert_frame_equal(ours.select(columns), theirs.select(columns))
    assert csv.data_cutoff == parquet.data_cutoff
    snapshots = csv.leads.select("lead_id", "account_id", as_of=pl.lit(at("2024-04-01")))
    names = ["seats", "job_title", "employee_count", "industry"]
    assert_frame_equal(
        attributes_as_of(csv, snapshots, names), attributes_as_of(parquet, snapshots, names)
    )


def test_a_blank_means_absent_in_parquet_as_in_csv(make_dataset):
    leads = [{"lead_id": i, "created_at": "2024-01-01", "account_id": a, "job_title": ""}
             for i, a in (("L1", ""), ("L2", "  "), ("L3", None))]  # fmt: skip
    for suffix in (".csv", ".parquet"):
        events = [event(lead["lead_id"], "2024-02-01", event_id="") for lead in leads]
        dataset = make_dataset(leads=leads, events=events, suffix=suffix)
        assert dataset.leads["account_id"].to_list() == ["lead:L1", "lead:L2", "lead:L3"]
        assert dataset.leads["job_title"].to_list() == [None] * 3
        assert len(dataset.events) == 3


def test_numbers_as_identifiers_are_text(make_dataset):
    leads = [{"lead_id": 7, "created_at": "2024-01-01", "account_id": 12}]
    dataset = make_dataset(
        leads=leads, events=[event(7, "2024-02-01")], outcomes=[], suffix=".parquet"
    )
    assert dataset.leads.select("lead_id", "account_id").row(0) == ("7", "12")


def test_a_lead_without_an_account_is_its_own(make_dataset):
    assert make_dataset().leads["account_id"].to_list() == ["A1", "A1", "lead:L3"]


def test_other_columns_of_events_are_kept(make_dataset):
    dataset = make_dataset(events=[event("L1", "2024-02-01", campaign="spring")])
    assert dataset.events["campaign"].to_list() == ["spring"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(make_dataset):
    leads = "\ufefflead_id,created_at\r\nL1,2024-01-01\r\nL2,2024-01-02\r\nL3,2024-01-03\r\n"
    assert make_dataset(leads=leads).leads["lead_id"].to_list() == ["L1", "L2", "L3"]


def test_progress_names_each_table(new_folder):
    seen = []
    load_dataset(write_dataset(new_folder()), on_table=seen.append)
    assert seen == list(TABLES)


# Times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-01", "2024-02-01T00:00:00"),
        ("2024-02-01T10:11", "2024-02-01T10:11:00"),
        ("2024-02-01 10:11", "2024-02-01T10:11:00"),
        ("2024-02-01T10:11:12", "2024-02-01T10:11:12"),
        ("2024-02-01 10:11:12.5", "2024-02-01T10:11:12.5"),
        ("2024-02-01T10:11:12Z", "2024-02-01T10:11:12"),
        ("2024-02-01T10:11Z", "2024-02-01T10:11:00"),
        ("2024-02-01 10:11:12 UTC", "2024-02-01T10:11:12"),
        ("2024-02-01T10:11:12+02:00", "2024-02-01T08:11:12"),
        ("2024-02-01T10:11-05:30", "2024-02-01T15:41:00"),
        ("2024-02-01 10:11:12.123456-0500", "2024-02-01T15:11:12.123456"),
        (" 2024-02-01T10:11:12 ", "2024-02-01T10:11:12"),
    ],
)
def test_a_time_without_a_zone_is_utc_and_others_are_converted(make_dataset, text, moment):
    dataset = make_dataset(events=[event("L1", text)])
    assert dataset.events["occurred_at"].to_list() == [at(moment)]


def test_parquet_times_without_a_zone_are_utc_and_others_are_converted(make_dataset):
    naive, summer = datetime(2024, 7, 1, 12), timezone(timedelta(hours=2))
    frame = pl.DataFrame([event("L1", naive), event("L2", naive)])
    zoned = frame.with_columns(
        recorded_at=pl.lit(datetime(2024, 7, 1, 16, tzinfo=summer)).dt.convert_time_zone(
            "Europe/Berlin"
        )
    )
    for unit in ("ms", "us", "ns"):
        events = zoned.with_columns(pl.col("occurred_at").dt.cast_time_unit(unit))
        dataset = make_dataset(events=events, suffix=".parquet")
        assert dataset.events["occurred_at"].to_list() == [at("2024-07-01T12:00:00")] * 2
        assert dataset.events["recorded_at"].to_list() == [at("2024-07-01T14:00:00")] * 2


def test_known_at_is_the_later_of_occurred_and_recorded(make_dataset):
    events = [
        event("L1", "2024-02-01", recorded_at="2024-02-03"),
        event("L2", "2024-02-01", recorded_at="2024-01-15"),
        event("L3", "2024-02-01", recorded_at=None),
    ]
    known = make_dataset(events=events).events["known_at"].to_list()
    assert known == [at("2024-02-03"), at("2024-02-01"), at("2024-02-01")]


def test_the_source_delay_counts_where_a_row_does_not_say(make_dataset):
    dataset = make_dataset(
        events=[
            event("L1", "2024-02-01", recorded_at=None),
            event("L2", "2024-02-01", recorded_at="2024-02-01T01:00:00"),
        ],
        outcomes=[outcome("L1", "2024-03-01")],
        settings={"source_delay_hours": {"events": 6, "outcomes": 48}},
    )
    assert dataset.events["known_at"].to_list() == [
        at("2024-02-01T06:00:00"),
        at("2024-02-01T01:00:00"),
    ]
    assert dataset.outcomes["known_at"].to_list() == [at("2024-03-03")]


def test_the_cut_off_is_the_next_whole_second_after_the_last_record_unless_stated(make_dataset):
    late = [event("L1", "2024-02-01", recorded_at="2024-04-01")]
    assert make_dataset(events=late).data_cutoff == at("2024-04-01T00:00:01")
    within = [event("L1", "2024-02-01", recorded_at="2024-04-01T00:00:00.999999")]
    assert make_dataset(events=within).data_cutoff == at("2024-04-01T00:00:01")
    stated = make_dataset(events=late, settings={"data_cutoff": datetime(2024, 5, 1, tzinfo=UTC)})
    assert stated.data_cutoff == at("2024-05-01")


# Columns under other names


def test_columns_are_renamed(make_dataset):
    events = [{"who": "L1", "timestamp": "2024-02-01", "kind": "page_view"}]
    dataset = make_dataset(
        events=events,
        settings={
            "columns": {
                "events": {"lead_id": "who", "occurred_at": "timestamp", "event_type": "kind"}
            }
        },
    )
    row = dataset.events.select("lead_id", "occurred_at", "event_type").row(0)
    assert row == ("L1", at("2024-02-01"), "page_view")


def test_a_mapped_column_takes_the_place_of_one_of_the_same_name(make_dataset):
    events = [event("L1", "2030-01-01", logged="2024-02-01")]
    dataset = make_dataset(
        events=events, settings={"columns": {"events": {"occurred_at": "logged"}}}
    )
    assert dataset.events["occurred_at"].to_list() == [at("2024-02-01")]


def test_two_columns_can_change_places(make_dataset):
    dataset = make_dataset(
        events=[event("L1", "2024-02-01", event_type="/pricing", content="page_view")],
        settings={"columns": {"events": {"event_type": "content", "content": "event_type"}}},
    )
    assert dataset.events.select("event_type", "content").row(0) == ("page_view", "/pricing")


def test_a_mapping_from_an_absent_column_names_it(new_folder):
    message = refusal(new_folder, settings={"columns": {"events": {"occurred_at": "stamp"}}})
    assert "events has no column stamp, which [columns.events] names" in message


# Duplicates


def test_a_repeated_event_id_counts_once_as_it_was_first_known(make_dataset):
    events = [
        event("L1", "2024-02-03", event_id="E1", content="late copy"),
        event("L1", "2024-02-01", event_id="E1", content="first"),
        event("L1", "2024-02-01", event_id="E2"),
        event("L1", "2024-02-01", event_id=None),
        event("L1", "2024-02-01", event_id=None),
    ]
    dataset = make_dataset(events=events)
    assert duplicates(dataset) == 1
    assert dataset.events["content"].drop_nulls().to_list() == ["first"]
    assert len(dataset.events) == 4


def test_a_lead_twice_with_the_same_values_counts_once(make_dataset):
    dataset = make_dataset(leads=[*LEADS, LEADS[0], LEADS[0]])
    assert duplicates(dataset, "leads") == 2
    assert set_aside(dataset, "leads") == {}
    assert len(dataset.leads) == 3


def test_leads_that_disagree_keep_one_whatever_their_order(make_dataset):
    other = {**LEADS[0], "created_at": "2024-01-09"}
    for leads, number in (([*LEADS, other], 4), ([other, *LEADS], 1)):
        dataset = make_dataset(leads=leads, settings=LENIENT)
        assert set_aside(dataset, "leads") == {number: "lead_id_is_unique"}
        assert dataset.leads["created_at"][0] == at("2024-01-01")


def test_accounts_that_disagree_keep_one(make_dataset):
    accounts = [{"account_id": "A1", "industry": name} for name in ("retail", "chemicals")]
    dataset = make_dataset(accounts=accounts, settings=LENIENT)
    assert set_aside(dataset, "accounts") == {1: "account_id_is_unique"}
    assert dataset.accounts["industry"].to_list() == ["chemicals"]


# Bad rows


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (event("L1", "01.02.2024"), "occurred_at_is_a_time; occurred_at|nullability"),
        (event("L1", "2024-02-30"), "occurred_at_is_a_time; occurred_at|nullability"),
        (event("L1", None), "occurred_at|nullability"),
        (event("L1", "0001-01-01"), "occurred_at_is_between_1990_and_2099"),
        (event("L1", "2024-02-01", recorded_at="9999-12-31"),
         "recorded_at_is_between_1990_and_2099"),
        (event("L1", "2024-02-01", value="1.234,5"), "value_is_a_number"),
        (event("L1", "2024-02-01", value="€ 12"), "value_is_a_number"),
        (event("L1", "2024-02-01", value="NaN"), "value|nan"),
        (event("L1", "2024-02-01", duration_seconds="-3"), "duration_is_not_negative"),
        (event("L1", "2024-02-01", is_machine="perhaps"), "is_machine_is_a_boolean"),
        (event("L1", "2024-02-01", is_machine="2"), "is_machine_is_a_boolean"),
        (event("L1", "2024-02-01", event_type=" "), "event_type|nullability"),
        (event(None, "2024-02-01"), "lead_id|nullability"),
        (event("L9", "2024-02-01"), "lead_is_in_leads"),
    ],
)  # fmt: skip
def test_a_bad_event_is_set_aside_with_its_row_number_and_rule(make_dataset, row, rule):
    dataset = make_dataset(events=[*EVENTS[:2], row, EVENTS[2]], settings=LENIENT)
    assert set_aside(dataset) == {3: rule}
    assert len(dataset.events) == 3


def test_an_outcome_of_an_unknown_lead_is_set_aside(make_dataset):
    outcomes = [outcome("L9", "2024-03-01"), *OUTCOMES]
    dataset = make_dataset(outcomes=outcomes, settings=LENIENT)
    assert set_aside(dataset, "outcomes") == {1: "lead_is_in_leads"}


def test_events_of_a_lead_that_was_set_aside_are_set_aside(make_dataset):
    leads = [*LEADS[:2], {**LEADS[2], "created_at": "soon"}]
    dataset = make_dataset(leads=leads, settings=LENIENT)
    assert set_aside(dataset, "leads") == {3: "created_at_is_a_time; created_at|nullability"}
    assert set_aside(dataset) == {3: "lead_is_in_leads"}


def test_a_row_set_aside_shows_what_the_file_has(make_dataset):
    events = [*EVENTS, event("L1", "2024-02-01", value="1.234,5")]
    dataset = make_dataset(events=events, settings=LENIENT)
    (rows,) = [q.rows for q in dataset.quarantined if q.table == "events"]
    assert rows["value"].to_list() == ["1.234,5"]


def test_a_row_set_aside_may_have_a_list(make_dataset):
    leads = pl.DataFrame({"lead_id": ["L1", "L2", "L3", None], "created_at": ["2024-01-01"] * 4,
                          "tags": [["a"], [], None, ["b", "c"]]})  # fmt: skip
    dataset = make_dataset(leads=leads, settings=LENIENT, suffix=".parquet")
    assert set_aside(dataset, "leads") == {4: "lead_id|nullability"}


@pytest.mark.parametrize(
    ("word", "is_machine"),
    [
        *[(word, True) for word in ("true", "True", "TRUE", "t", "yes", "Y", "1", " true ")],
        *[(word, False) for word in ("false", "False", "f", "no", "N", "0")],
        (None, None),
    ],
)
def test_booleans_are_understood_as_people_write_them(make_dataset, word, is_machine):
    dataset = make_dataset(events=[event("L1", "2024-02-01", is_machine=word)])
    assert dataset.events["is_machine"].to_list() == [is_machine]


def test_booleans_as_whole_numbers_are_understood(make_dataset):
    events = [event("L1", "2024-02-01", is_machine=i) for i in (0, 1, 2)]
    dataset = make_dataset(events=events, settings=LENIENT, suffix=".parquet")
    assert dataset.events["is_machine"].to_list() == [False, True]
    assert set_aside(dataset) == {3: "is_machine_is_a_boolean"}


def test_ragged_rows_are_set_aside_and_the_rest_is_not_shifted(make_dataset):
    events = (
        "lead_id,occurred_at,event_type\n"
        "L1,2024-02-01,page_view\n"
        "L1,2024-02-02\n"
        "\n"
        "L2,2024-02-03,page_view,extra\n"
        "L3,2024-02-04,page_view\n"
    )
    dataset = make_dataset(events=events, settings=LENIENT)
    rule = "row_has_as_many_fields_as_the_header"
    assert set_aside(dataset) == {2: rule, 4: rule}
    assert dataset.events["lead_id"].to_list() == ["L1", "L3"]


def test_rows_in_another_encoding_are_set_aside(make_dataset):
    text = "lead_id,occurred_at,event_type\nL1,2024-02-01,café\nL2,2024-02-02,page_view\n"
    dataset = make_dataset(events=text.encode("latin-1"), settings=LENIENT)
    assert set_aside(dataset) == {1: "row_is_valid_utf8"}
    assert dataset.events["lead_id"].to_list() == ["L2"]


def test_more_bad_rows_than_the_stated_share_stop_the_run(new_folder, make_dataset):
    events = [*EVENTS, event("L9", "2024-02-01")]
    message = refusal(new_folder, events=events)
    assert "1 of 4 rows of events.csv break a rule: lead_is_in_leads (1)" in message
    assert "the first is row 4" in message
    assert "at most 20% (quarantine.max_share)" in message
    dataset = make_dataset(events=events, settings={"quarantine": {"max_share": 0.25}})
    assert len(dataset.events) == 3


# Tables and files that cannot be meant


def test_a_missing_folder_is_named(new_folder):
    folder = new_folder() / "nowhere"
    with pytest.raises(ContractError, match=r"Found: no folder .*nowhere\. Expected: .*leads"):
        load_dataset(folder)


def test_missing_tables_are_all_named_with_what_is_there(new_folder):
    message = refusal(new_folder, events=None, outcomes=None)
    assert "no table events, outcomes in" in message
    assert "(it has dataset.toml, leads.csv)" in message


def test_a_missing_dataset_toml_says_what_to_write(new_folder):
    folder = write_dataset(new_folder())
    (folder / "dataset.toml").unlink()
    with pytest.raises(ConfigError, match=r"no dataset\.toml in .*conversion\.outcomes"):
        load_dataset(folder)


def test_two_files_for_one_table_are_refused(new_folder):
    folder = write_dataset(write_dataset(new_folder()), suffix=".parquet")
    with pytest.raises(ContractError, match=r"both leads\.parquet and leads\.csv in"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("table", "missing"),
    [
        ("leads", "created_at"),
        ("events", "occurred_at, event_type"),
        ("outcomes", "occurred_at, outcome"),
    ],
)
def test_missing_columns_are_all_named(new_folder, table, missing):
    message = refusal(new_folder, **{table: [{"lead_id": "L1", "other": 1}]})
    assert f"{table} has no column {missing} (it has lead_id, other)" in message
    assert f"[columns.{table}]" in message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_empty_file_is_refused(new_folder, suffix):
    message = refusal(new_folder, events=b"", suffix=suffix)
    assert f"events{suffix} is empty" in message


def test_leads_without_rows_are_refused(new_folder):
    assert "leads.csv has a header and no rows" in refusal(new_folder, leads=[])


def test_outcomes_without_rows_are_fine(make_dataset):
    assert make_dataset(outcomes=[]).outcomes.is_empty()


def test_neither_events_nor_outcomes_is_refused(new_folder):
    assert "no events and no outcomes" in refusal(new_folder, events=[], outcomes=[])


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_named(new_folder, mark):
    text = "lead_id,created_at\nL1,2024-01-01\n".replace(",", mark)
    message = refusal(new_folder, leads=text)
    assert f"leads.csv has one column, 'lead_id{mark}created_at'" in message
    assert "columns separated by commas" in message


@pytest.mark.parametrize(
    "content",
    [
        "lead_id,created_at\nL1,2024-01-01\n".encode("utf-16"),
        "lead_id,created_at,städtchen\nL1,2024-01-01,x\n".encode("latin-1"),
    ],
)
def test_a_header_in_another_encoding_is_refused(new_folder, content):
    assert "the header of leads.csv is not UTF-8" in refusal(new_folder, leads=content)


@pytest.mark.parametrize(
    "text",
    [
        'lead_id,occurred_at,event_type\nL1,2024-02-01,x\nL1,2024-02-02,"x\nL2,2024-02-03,x\n',
        'lead_id,occurred_at,event_type\nL1,2024-02-01,x\nL1,2024-02-02,"x\nL2,2024-02-03,"y"\n',
    ],
)
def test_an_open_quote_never_swallows_the_rows_after_it(new_folder, text):
    message = refusal(new_folder, events=text, settings=LENIENT)
    assert "events.csv is not CSV after row 1" in message


def test_a_column_named_twice_is_refused(new_folder):
    text = "lead_id,created_at,source,source\nL1,2024-01-01,a,b\n"
    assert "leads.csv names column source twice" in refusal(new_folder, leads=text)


def test_a_file_that_is_not_parquet_is_refused(new_folder):
    message = refusal(new_folder, leads=b"lead_id,created_at\n", suffix=".parquet")
    assert "leads.parquet cannot be read as parquet" in message


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("occurred_at", 1_700_000_000, "a time in UTC"),
        ("value", datetime(2024, 1, 1), "a number"),
        ("is_machine", 0.5, "true or false"),
    ],
)
def test_a_column_of_a_type_that_cannot_be_meant_is_refused(new_folder, column, value, wanted):
    row = event("L1", datetime(2024, 2, 1)) | {column: value}
    message = refusal(new_folder, events=[row], suffix=".parquet")
    assert f"events.{column} is of type" in message
    assert f"Expected: {wanted}" in message


def test_an_absent_column_as_all_null_is_absent(make_dataset):
    rows = [event("L1", datetime(2024, 2, 1), recorded_at=None, is_machine=None, value=None)]
    dataset = make_dataset(events=rows, suffix=".parquet")
    assert dataset.events["known_at"].to_list() == [at("2024-02-01")]
