"""`--json` prints one JSON document on stdout and nothing else there."""

import json

import pytest

from intentcast.evaluation.summary import summarise
from intentcast.scoring import answer
from tests.fixtures_world import (
    AS_OF,
    HORIZONS,
    backtested,
    bundle,
    bundle_folder,
    handoff_settings,
    world,
    world_folder,
    world_snapshots,
)

DAY = str(AS_OF.date())


def test_simulate(cli, tmp_path):
    done = cli("simulate", "--out", tmp_path / "world", "--leads", 30, "--seed", 2, "--json")
    assert done.code == 0
    assert done.json["seed"] == 2
    assert done.json["rows"]["leads"] == 30


def test_check(cli, tmp_path):
    found = cli("check", world_folder(), "--quarantine", tmp_path, "--json").json
    assert found["dataset"] == "small"
    assert found["cohort"]["n_times"] == 40
    assert [row["horizon_days"] for row in found["horizons"]] == list(HORIZONS)
    assert found["quarantine_files"] == []
    assert {row["table"]: row["n_rows"] for row in found["tables"]}["leads"] == 1200
    assert found["scorecards"] == ["playbook", "signals", "crm_linear"]


def test_train(trained_run):
    found = trained_run.json
    assert found["alias"] is None
    assert found["known_by"] == world().data_cutoff.isoformat()
    assert list(found["horizons"]) == [str(days) for days in HORIZONS]
    assert found["step"] in found["reason"].lower()
    assert found["tiers"]["policy"] == "capacity"


def test_backtest(cli, backtest_run):
    found = backtest_run.json
    assert found.pop("out") == "bt"
    assert found == summarise(backtested(), signals=handoff_settings().signals)
    assert (cli.home / "bt" / "report.json").is_file()


@pytest.mark.slow
def test_score(cli, tmp_path):
    out = tmp_path / "scores.parquet"
    args = ["--bundle", bundle_folder("logistic"), "--as-of", DAY, "--out", out, "--json"]
    found = cli("score", world_folder(), *args).json
    assert found["as_of"] == AS_OF.isoformat()
    assert found["n_leads"] == len(world_snapshots())
    assert sum(found["tiers"].values()) == found["n_leads"]
    assert found["model_version"] == bundle("logistic").version
    assert found["out"] == str(out)


def test_explain_is_the_servers_answer(cli):
    snapshot = world_snapshots()[5]
    found = cli(
        "explain", world_folder(), "--bundle", bundle_folder("logistic"),
        "--lead", snapshot["lead_id"][0], "--as-of", DAY, "--json",
    ).json  # fmt: skip
    expected = answer(bundle("logistic"), world(), snapshot, explain=True)
    assert found == json.loads(json.dumps(expected))
