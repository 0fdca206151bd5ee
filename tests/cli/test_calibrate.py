"""`calibrate`, and `score` with what it writes."""

import json

import polars as pl
import pytest

from intentcast.thresholds.policy import read_policy
from tests.fixtures_world import AS_OF, HORIZONS, bundle, bundle_folder, world_folder

DAY = str(AS_OF.date())


@pytest.fixture(scope="module")
def calibrated(cli, settings_file):
    """A policy for three hand-offs a week."""
    return cli(
        "calibrate", world_folder(), "--bundle", bundle_folder("logistic"), "--settings",
        settings_file, "--per-week", 3, "--most-lost", 0.15, "--accept-churn", "--out",
        "policy.json",
    )  # fmt: skip


def test_it_says_what_the_policy_rests_on_and_brings(calibrated):
    assert calibrated.code == 0, calibrated.stderr
    assert max(map(len, calibrated.stdout.splitlines())) <= 80
    for words in ("matured predictions, out of time", "hot from", "warm from", "Churn:", "95 %"):
        assert words in calibrated.stdout


def test_it_writes_a_policy_and_its_curve(cli, calibrated):
    assert calibrated.code == 0, calibrated.stderr
    policy = read_policy(cli.home / "policy.json")
    assert (policy.dataset, policy.version, policy.previous) == ("small", 1, None)
    assert policy.bundle.sha256 == bundle("logistic").sha256
    assert policy.tiers.horizon_days == HORIZONS[-1]
    assert policy.tiers.handoffs_per_week == 3
    assert policy.tiers.hot_leave < policy.tiers.hot
    told = policy.details
    assert told["ask"] == {"method": "capacity", "per_week": 3.0}
    assert told["predictions"]["n_folds"] == 2
    assert told["evidence"]["n_converted_accounts"] >= 30
    volume = told["bands"]["hot"]["per_week"]["volume"]
    assert volume["low"] <= volume["estimate"] <= volume["high"]
    assert volume["past"] == pytest.approx(3, abs=0.3)
    svg = (cli.home / "policy.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg xmlns=")
    assert "&amp;lt;" not in svg
    assert svg.count("<svg") == 3


def test_score_takes_its_tiers_and_keeps_them_above_leave(cli, calibrated, tmp_path):
    assert calibrated.code == 0, calibrated.stderr
    args = ["--bundle", bundle_folder("logistic"), "--policy", cli.home / "policy.json"]
    out, again = tmp_path / "a.parquet", tmp_path / "b.csv"
    done = cli("score", world_folder(), *args, "--as-of", DAY, "--out", out)
    assert done.code == 0, done.stderr
    tiers = read_policy(cli.home / "policy.json").tiers
    told = pl.read_parquet(out).filter(pl.col("horizon_days") == HORIZONS[-1])
    assert told["tier"].to_list() == tiers.tiers(told["probability"].to_numpy())
    # Everyone was hot: who is above leave still is.
    pl.read_parquet(out).with_columns(tier=pl.lit("hot")).write_parquet(out)
    done = cli(
        "score", world_folder(), *args, "--as-of", DAY, "--out", again, "--previous", out, "--json"
    )
    told = pl.read_csv(again).filter(pl.col("horizon_days") == HORIZONS[-1])
    expected = (told["probability"] >= tiers.hot_leave).sum()
    assert done.json["tiers"]["hot"] == expected
    assert done.json["policy"] == str(cli.home / "policy.json")


def test_scores_of_a_later_time_are_no_previous_ones(cli, tmp_path):
    told = pl.DataFrame({"lead_id": ["L1"], "as_of": [AS_OF], "tier": ["hot"]})
    told.write_parquet(tmp_path / "later.parquet")
    done = cli(
        "score", world_folder(), "--bundle", bundle_folder("logistic"), "--as-of", "2025-12-01",
        "--previous", tmp_path / "later.parquet", "--out", tmp_path / "x.parquet",
    )  # fmt: skip
    assert done.code == 2
    assert "scored as of 2025-12-15" in done.stderr


@pytest.mark.slow
def test_a_second_policy_follows_the_first_and_more_churn_than_the_budget_is_refused(
    cli, calibrated, settings_file, tmp_path
):
    assert calibrated.code == 0, calibrated.stderr
    out = tmp_path / "policy.json"
    out.write_bytes((cli.home / "policy.json").read_bytes())
    args = [
        "calibrate", world_folder(), "--bundle", bundle_folder("logistic"), "--settings",
        settings_file, "--most-lost", 0.15, "--out", out, "--json",
    ]  # fmt: skip
    done = cli(*args, "--per-week", 3, "--hysteresis", 0.2)
    assert done.code == 0, done.stderr
    assert done.json["version"] == 2
    assert (
        done.json["previous"]["sha256"]
        == json.loads((cli.home / "policy.json").read_bytes())["sha256"]
    )
    assert done.json["details"]["churn"]["share"] == 0.0
    before = out.read_bytes()
    done = cli(*args, "--per-week", 3.5, "--max-churn", 0)
    assert done.code == 3
    assert "would change tier" in done.json["error"]["found"]
    assert out.read_bytes() == before
    proposed = json.loads(out.with_suffix(".proposed.json").read_bytes())
    assert proposed["version"] == 3, "kept, to be renamed once sales agrees"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], "none of --per-week"),
        (["--per-week", 3, "--precision", 0.2], "--per-week and --precision"),
        (["--precision", 0.2, "--deal-value", "cheap"], "--deal-value 'cheap'"),
        (["--per-week", 3, "--out", "policy.svg"], "--out policy.svg"),
        (["--value"], "--value without --cost-per-handoff"),
    ],
)
def test_an_unclear_wish_is_refused_before_anything_is_read(cli, options, found):
    done = cli("calibrate", "nowhere", *options)
    assert done.code == 2
    assert found in done.stderr


def test_a_damaged_policy_is_refused(cli, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text("{}")
    done = cli(
        "score", world_folder(), "--bundle", bundle_folder("logistic"), "--as-of", DAY,
        "--policy", path, "--out", tmp_path / "x.parquet",
    )  # fmt: skip
    assert done.code == 2
    assert "policy file" in done.stderr
    assert done.error_lines == [line for line in done.error_lines if "Found:" in line]
