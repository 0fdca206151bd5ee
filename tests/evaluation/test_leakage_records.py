"""Times of events and outcomes that cannot be believed are said to be odd."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from intentcast.evaluation.leakage import audit_leakage
from tests.conftest import at
from tests.fixtures_world import world

HOUR = timedelta(hours=1)


def odd(data):
    """What is said of tables, as (name, verdict, evidence)."""
    return [
        (found.name, found.verdict, found.evidence)
        for found in audit_leakage(data).findings
        if found.kind == "table"
    ]


def with_events(**columns):
    return replace(world(), events=world().events.with_columns(**columns))


def with_outcomes(**columns):
    return replace(world(), outcomes=world().outcomes.with_columns(**columns))


def test_believable_times_are_not_mentioned():
    assert odd(world()) == []


def test_a_history_loaded_in_bulk_is_suspicious():
    loaded = at("2025-03-01")
    late = pl.max_horizontal("recorded_at", pl.lit(loaded))
    found = odd(with_events(recorded_at=late, known_at=late))
    assert found[0][:2] == ("events", "suspicious")
    assert "on 2025-03-01" in found[0][2]


def test_rows_recorded_before_they_occurred_are_suspicious():
    ((name, verdict, evidence),) = odd(with_events(recorded_at=pl.col("occurred_at") - HOUR))
    assert (name, verdict) == ("events", "suspicious")
    assert "before they occurred" in evidence


def test_missing_recording_times_are_suspicious_if_some_are_there_and_only_said_if_none_is():
    nothing = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    some = pl.when(pl.int_range(pl.len()) % 3 == 0).then(nothing).otherwise("recorded_at")
    assert odd(with_events(recorded_at=some))[0][:2] == ("events", "suspicious")
    assert odd(with_events(recorded_at=nothing))[0][:2] == ("events", "fine")


@pytest.mark.parametrize(("day", "word"), [("1mo", "first"), ("-1d", "last")])
def test_conversions_dated_to_one_day_of_the_month_are_suspicious(day, word):
    month = pl.col("occurred_at").dt.truncate("1mo").dt.offset_by("1mo")
    moved = month if day == "1mo" else month.dt.offset_by(day)
    assert any(word in evidence for _, _, evidence in odd(with_outcomes(occurred_at=moved)))


def test_conversions_before_their_lead_are_suspicious():
    early = pl.lit(at("2023-01-01"))
    assert any("created" in evidence for _, _, evidence in odd(with_outcomes(occurred_at=early)))
