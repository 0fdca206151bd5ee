"""`intentcast forecast`: dates as a file, counts in words and as JSON."""

from datetime import timedelta

import polars as pl
import pytest

from intentcast.cli.tables import write_frame
from intentcast.forecast import forecast
from tests.fixtures_world import AS_OF, bundle, bundle_folder, world, world_folder

DAY = str(AS_OF.date())


def args():
    return ("--bundle", bundle_folder("logistic"), "--as-of", DAY, "--limit-days", 40)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("forecast") / "forecast.parquet"


def test_the_file_is_the_forecast(cli, out):
    found = cli("forecast", world_folder(), *args(), "--out", out, "--json").json
    expected = forecast(bundle("logistic"), world(), AS_OF, limit_days=40)
    written = pl.read_parquet(out)
    assert written.equals(expected)
    assert found["n_leads"] == len(expected) > 0
    for tier, row in found["tiers"].items():
        of_tier = expected.filter(pl.col("tier") == tier)
        assert row["n_leads"] == len(of_tier)
        assert row["within_days"]["40"] + row["not_within_limit"] == len(of_tier)
        assert row["within_days"]["7"] == (of_tier["days_left"] <= 7).sum()


def test_it_is_said_in_80_columns_who_is_next(cli, out):
    done = cli("forecast", world_folder(), *args(), "--out", out.with_suffix(".csv"))
    assert done.code == 0
    lines = done.stdout.splitlines()
    # The last line has the path, as long as it may be.
    assert max(map(len, lines[:-1])) <= 80
    first = forecast(bundle("logistic"), world(), AS_OF, limit_days=40).row(0, named=True)
    [next_] = [line for line in lines if line.lstrip().startswith(first["lead_id"])]
    assert next_.split()[-3:-1] == [f"{first['drops_on']:%Y-%m-%d}", first["drops_to"]]


def test_a_policy_that_is_none_is_an_error(cli, tmp_path):
    (tmp_path / "policy.json").write_text("{}")
    done = cli(
        "forecast", world_folder(), *args(), "--policy", tmp_path / "policy.json",
        "--out", tmp_path / "f.parquet",
    )  # fmt: skip
    assert done.code == 2
    assert "policy.json" in done.stderr
    assert not (tmp_path / "f.parquet").exists()


def test_scores_of_a_later_time_are_no_previous_ones(cli, tmp_path):
    told = world().leads.select(
        "lead_id", as_of=pl.lit(AS_OF + timedelta(days=1)), tier=pl.lit("hot")
    )
    write_frame(told, tmp_path / "later.parquet")
    done = cli(
        "forecast", world_folder(), *args(), "--previous", tmp_path / "later.parquet",
        "--out", tmp_path / "f.parquet",
    )  # fmt: skip
    assert done.code == 2
    assert "was scored as of 2025-12-16" in done.stderr
    assert not (tmp_path / "f.parquet").exists()


def test_previous_scores_without_a_tier_are_an_error(cli, tmp_path):
    write_frame(world().leads.select("lead_id"), tmp_path / "told.parquet")
    done = cli(
        "forecast", world_folder(), *args(), "--previous", tmp_path / "told.parquet",
        "--out", tmp_path / "f.parquet",
    )  # fmt: skip
    assert done.code == 2
    assert "has no column as_of, tier" in done.stderr
