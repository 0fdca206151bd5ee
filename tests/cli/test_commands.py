"""Each command from end to end on the small world, with its outputs as documented."""

import csv
import json
import shutil
from datetime import timedelta

import polars as pl
import pytest

from intentcast.scoring import load_bundle, score
from intentcast.simulation import simulate
from intentcast.snapshots import snapshots_at
from intentcast.sources import load_dataset
from tests.fixtures_world import (
    AS_OF,
    CONFIG_TOML,
    HORIZONS,
    backtested,
    bundle,
    bundle_folder,
    world,
    world_folder,
    world_snapshots,
)

DAY = str(AS_OF.date())


# simulate


def test_simulate_writes_the_world_of_its_seed(cli, tmp_path):
    done = cli("simulate", "--out", tmp_path / "new" / "world", "--leads", 60, "--seed", 5)
    assert done.code == 0
    expected = simulate(n_leads=60, seed=5, name="world")
    for table in ("leads", "events", "outcomes", "accounts", "attribute_changes", "truth"):
        found = pl.read_parquet(tmp_path / "new" / "world" / f"{table}.parquet")
        assert found.equals(getattr(expected, table))
    assert load_dataset(tmp_path / "new" / "world").config.name == "world"
    assert "Wrote " in done.stdout
    assert "60 leads" in done.stdout
    assert f"Next: intentcast backtest {tmp_path / 'new' / 'world'}" in done.stdout


# check


def test_check_prints_tables_cohort_and_base_rates(cli, tmp_path):
    done = cli("check", world_folder(), "--quarantine", tmp_path)
    assert done.code == 0
    for words in (
        "small: data complete up to 2026-01-01T00:00 UTC",
        "Cohort: engaged within 180 days, 40 as-of times from 2024-07-01 to 2025-12-29",
        "horizon",
        "Points tables to compare with: playbook, signals, crm_linear",
    ):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_check_sets_bad_rows_aside_with_their_number_and_every_rule(cli, tmp_path, variant):
    def spoil(events):
        bad = events.head(3).with_columns(
            event_id=pl.Series(["x1", "x2", "x3"]),
            lead_id=pl.Series(["nobody", None, events["lead_id"][2]], dtype=pl.String),
            occurred_at=pl.Series(
                [AS_OF, AS_OF, AS_OF - timedelta(days=365 * 60)], dtype=events.schema["occurred_at"]
            ),
        )
        return pl.concat([events, bad])

    folder = variant(tables={"events": spoil})
    done = cli("check", folder, "--quarantine", tmp_path / "bad", "--json")
    assert done.code == 0
    with (tmp_path / "bad" / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    n = len(pl.read_parquet(world_folder() / "events.parquet"))
    assert [row["row_number"] for row in rows] == [str(n + 1), str(n + 2), str(n + 3)]
    assert rows[0]["broken_rules"] == "lead_is_in_leads"
    assert "lead_id|nullability" in rows[1]["broken_rules"]
    assert rows[2]["broken_rules"] == "occurred_at_is_between_1990_and_2099"
    assert rows[0]["lead_id"] == "nobody"
    assert done.json["quarantine_files"] == [str(tmp_path / "bad" / "events.csv")]
    [events] = [table for table in done.json["tables"] if table["table"] == "events"]
    assert (events["n_rows"], events["n_set_aside"]) == (n + 3, 3)
    assert "3 rows set aside" in done.stderr


# train


def test_train_writes_one_bundle_that_scores(cli, trained_run):
    assert trained_run.code == 0
    [folder] = (path for path in (cli.home / "bundles").iterdir() if path.is_dir())
    found = trained_run.json
    [reign] = json.loads((cli.home / "bundles" / "champions.json").read_text())["small"]
    assert reign["bundle"] == folder.name, "the first of its name answers"
    assert (cli.home / found["bundle"]) == folder
    loaded = load_bundle(folder)
    assert loaded.name == "small"
    assert loaded.data_cutoff == world().data_cutoff.isoformat()
    assert len(score(loaded, world(), world_snapshots())) == len(world_snapshots()) * 2
    # The same settings and data as in this process: the same numbers.
    step = found["step"]
    assert (
        score(loaded, world(), world_snapshots())
        .drop("model_version")
        .equals(score(bundle(step), world(), world_snapshots()).drop("model_version"))
    )


@pytest.mark.slow
def test_train_says_what_it_learnt_and_registers_it(cli, tmp_path):
    (tmp_path / "quick.toml").write_text(CONFIG_TOML)
    args = ["train", world_folder(), "--settings", "quick.toml", "--out", "bundles"]
    first = cli(*args, "--registry", "registry", "--as-of", "2025-06-01", cwd=tmp_path)
    assert first.code == 0, first.stderr
    assert "snapshots known before 2025-06-01 00:00" in first.stdout
    assert "(registered as champion)" in first.stdout
    second = cli(*args, "--registry", "registry", cwd=tmp_path)
    assert "(registered as challenger)" in second.stdout
    assert max(map(len, first.stdout.splitlines()[2:])) <= 120
    assert (tmp_path / "registry" / "mlflow.db").is_file()


# backtest


def test_backtest_writes_predictions_report_and_page(cli, backtest_run):
    assert backtest_run.code == 0
    out = cli.home / "bt"
    assert sorted(path.name for path in out.iterdir()) == [
        "predictions.parquet", "report.html", "report.json",
    ]  # fmt: skip
    assert pl.read_parquet(out / "predictions.parquet").equals(backtested().predictions)
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.slow
def test_backtest_prints_the_verdict_in_80_columns(cli, settings_file, tmp_path):
    done = cli("backtest", world_folder(), "--settings", settings_file, "--out", tmp_path)
    assert done.code == 0
    assert "conversions" in done.stdout
    assert "95 %" in done.stdout
    assert f"Report: {tmp_path / 'report.html'}" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 82


# score


def test_score_writes_the_librarys_scores(cli, tmp_path):
    out = tmp_path / "new" / "scores.parquet"
    done = cli(
        "score", world_folder(), "--bundle", bundle_folder("lightgbm"), "--as-of", DAY, "--out", out
    )
    assert done.code == 0
    snapshots = snapshots_at(world(), AS_OF)
    assert pl.read_parquet(out).equals(score(bundle("lightgbm"), world(), snapshots))
    assert f"{len(snapshots):,} leads as of 2025-12-15 00:00 UTC: " in done.stdout
    assert f"Wrote {out} with bundle small 2026-01-02.1" in done.stdout


def test_score_takes_the_newest_bundle_and_writes_csv_where_asked(cli, tmp_path):
    bundles = tmp_path / "models" / "bundles"
    shutil.copytree(bundle_folder("logistic"), bundles / bundle_folder("logistic").name)
    (bundles / ".writing-x").mkdir()
    (bundles / ".writing-x" / "manifest.json").write_text('{"created": "2099-01-01"}')
    done = cli("score", world_folder(), "--as-of", DAY, "--out", "scores.csv", cwd=tmp_path)
    assert done.code == 0, done.stderr
    found = pl.read_csv(tmp_path / "scores.csv")
    expected = score(bundle("logistic"), world(), world_snapshots())
    assert found["probability"].to_list() == expected["probability"].to_list()
    assert found.columns == expected.columns


# explain


def test_explain_says_one_lead_in_words(cli):
    lead = world_snapshots()["lead_id"][3]
    done = cli(
        "explain", world_folder(), "--bundle", bundle_folder("logistic"), "--lead", lead,
        "--as-of", DAY,
    )  # fmt: skip
    assert done.code == 0
    text = " ".join(done.stdout.split())
    assert text.startswith(f"{lead} as of 2025-12-15 00:00 UTC is ")
    for days in HORIZONS:
        assert f"within {days} days (" in text
    assert "Hand-off to sales: " in text
    assert "Points (playbook): " in text
    assert "nan" not in text.lower().split()
    assert "None" not in text
