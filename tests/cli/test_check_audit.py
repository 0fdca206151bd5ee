"""`check` shows the leakage audit and the data plan; `train` refuses leaks but those named."""

import json

import polars as pl
import pytest

from tests.fixtures_world import HORIZONS, world_folder

QUICK = ("--no-registry", "--json")


def contract_on_the_win(events):
    """Add an event at the instant of each conversion."""
    outcomes = pl.read_parquet(world_folder() / "outcomes.parquet")
    won = outcomes.filter(pl.col("outcome") == "closed_won").select(
        "lead_id",
        "occurred_at",
        pl.col("occurred_at").alias("recorded_at"),
        pl.lit("contract_sent").alias("event_type"),
    )
    return pl.concat([events, won], how="diagonal")


@pytest.fixture
def leaky(variant):
    return variant(tables={"events": contract_on_the_win})


def test_check_prints_the_audit_and_the_plan_in_80_columns(cli, tmp_path):
    done = cli("check", world_folder(), "--quarantine", tmp_path)
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "No leak, nothing suspicious." in lines
    assert any(line.startswith("logistic regression") for line in lines)


def test_check_as_json_holds_the_audit_and_the_plan(cli, tmp_path):
    found = cli("check", world_folder(), "--quarantine", tmp_path, "--json").json
    judged = {(one["kind"], one["name"]): one["verdict"] for one in found["leakage"]["findings"]}
    assert judged["attribute", "industry"] == "fine"
    assert judged["event type", "page_view"] == "fine"
    assert [plan["horizon_days"] for plan in found["plan"]] == list(HORIZONS)
    assert found["plan"][0]["needs"][0] == {
        "step": "rules only", "conversions": 0, "missing": 0, "by": None,
    }  # fmt: skip


def test_check_names_a_leak_and_does_not_fail(cli, leaky, tmp_path):
    done = cli("check", leaky, "--quarantine", tmp_path)
    assert done.code == 0
    assert "1 leak: train refuses, but for --accept-leak contract_sent." in done.stdout


def test_train_refuses_a_leak_in_one_line_that_names_the_override(cli, leaky, settings_file):
    done = cli("train", leaky, "--settings", settings_file, "--out", "refused", *QUICK)
    assert done.code == 3
    (line,) = done.error_lines
    assert "contract_sent" in line
    assert "--accept-leak contract_sent" in line
    assert not (cli.home / "refused").exists()


@pytest.mark.slow
def test_train_with_the_leak_accepted_records_it_in_the_bundle(cli, leaky, settings_file):
    done = cli(
        "train", leaky, "--settings", settings_file, "--out", "accepted",
        "--accept-leak", "contract_sent", *QUICK,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert done.json["accepted_leaks"] == ["contract_sent"]
    (metrics,) = (cli.home / "accepted").glob("*/metrics.json")
    assert json.loads(metrics.read_text())["accepted_leaks"] == ["contract_sent"]


def test_accepting_a_name_that_is_no_column_is_bad_input(cli, settings_file):
    done = cli(
        "train", world_folder(), "--settings", settings_file, "--out", "mistyped",
        "--accept-leak", "contract", *QUICK,
    )  # fmt: skip
    assert done.code == 2
    assert "--accept-leak contract" in done.error_lines[0]


@pytest.mark.slow
def test_a_backtest_says_what_leaks(cli, leaky, settings_file):
    done = cli("backtest", leaky, "--settings", settings_file, "--out", "leaky-backtest", "--json")
    assert done.code == 0, done.stderr
    assert "leak: event type contract_sent" in done.stderr
