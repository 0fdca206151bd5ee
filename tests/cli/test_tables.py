"""Tables that commands write and read again."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from intentcast.cli.tables import read_frame, told_before, write_frame

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


def scores(tier, *, as_of=MONDAY):
    return pl.DataFrame(
        {
            "lead_id": ["00123", "2025-01-06"],
            "as_of": [as_of] * 2,
            "horizon_days": [30, 30],
            "probability": [0.45, 0.1],
            "tier": [tier, "1"],
            "model_version": ["1", "20250106"],
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_names_that_look_like_numbers_or_dates_come_back_as_they_were(tmp_path, ending):
    path = tmp_path / f"scores.{ending}"
    write_frame(scores("hot"), path)
    assert_frame_equal(read_frame(path), scores("hot"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("order", [1, -1], ids=["rising", "falling"])
def test_of_scores_of_several_times_the_latest_were_told_last(tmp_path, ending, order):
    path = tmp_path / f"scores.{ending}"
    times = [scores("cold", as_of=MONDAY - timedelta(days=7)), scores("hot")]
    write_frame(pl.concat(times[::order]), path)
    found = told_before(path, MONDAY + timedelta(days=1))
    assert found.select("lead_id", "tier").rows() == [("00123", "hot"), ("2025-01-06", "1")]
