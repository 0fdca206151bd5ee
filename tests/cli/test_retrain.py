"""`retrain` as anyone runs it: real processes, killed at many moments, on the tiny world."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import polars as pl
import pytest

from intentcast.scoring import load_bundle
from tests.cli.conftest import start
from tests.fixtures_world import place
from tests.tiny_world import tiny_folder, tiny_settings_file

pytestmark = pytest.mark.slow
GATE = (
    "log_loss_margin = 1\nconversions_margin = 1\nslope_low = 0.01\nslope_high = 100\n"
    "level_margin = 5\n"
)
# What a run says when it begins something: inside each step, and between them.
MOMENTS = (
    "leakage audit of",
    "learners for",
    "writing the bundle",
    "reading it back",
    "registering",
    "fold 1: predicting",
    "drawing the report",
    "judging the challenger",
    "recording",
    "report to the registry",
)


def arguments(folder, *more):
    (folder / "gate.toml").write_text(GATE)
    return [
        "retrain", str(tiny_folder()), "--settings", str(tiny_settings_file()), "--out", "bundles",
        "--report", "report", "--registry", "registry", "--gate", "gate.toml", *more,
    ]  # fmt: skip


def killed_at(moment, args, cwd):
    """Run until stderr says the moment, then kill the process; return whether it came to that."""
    process = subprocess.Popen(
        [sys.executable, "-m", "intentcast", *args],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    for line in process.stderr:
        if moment in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    return process.wait() == -signal.SIGKILL


def bundles(folder):
    return sorted(path.parent for path in (folder / "bundles").glob("[!.]*/manifest.json"))


def contents(bundle):
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def kept(folder):
    """Return `retrain.json` without what the moment decides."""
    found = json.loads((folder / "report" / "retrain.json").read_text())
    for part, key in (("training", "manifest_sha256"), ("backtest", "report_sha256")):
        found[part].pop(key, None)
    return {key: value for key, value in found.items() if key not in ("created", "key")}


def count(folder, table):
    with sqlite3.connect(folder / "registry" / "mlflow.db") as store:
        return store.execute(f"select count(*) from {table}").fetchone()[0]


@pytest.fixture(scope="module")
def undisturbed():
    """A run with --promote that nobody stopped."""
    folder = place() / "undisturbed"
    folder.mkdir()
    done = start(*arguments(folder, "--promote"), cwd=folder)
    assert done.code == 0, done.stderr
    return folder, done


def test_a_run_that_was_killed_at_ten_moments_ends_like_one_that_was_not(undisturbed, tmp_path):
    whole, _ = undisturbed
    args = arguments(tmp_path, "--promote")
    came = [moment for moment in MOMENTS if killed_at(moment, args, tmp_path)]
    assert tuple(came) == MOMENTS
    done = start(*args, cwd=tmp_path)
    assert done.code == 0, done.stderr
    [expected], [found] = bundles(whole), bundles(tmp_path)
    load_bundle(found)
    one, other = contents(expected), contents(found)
    assert {name for name in one if one[name] != other[name]} == {"manifest.json"}
    manifests = [json.loads(files["manifest.json"]) for files in (one, other)]
    differing = {key for key in manifests[0] if manifests[0][key] != manifests[1][key]}
    assert differing <= {"created", "version", "sha256"}
    assert kept(whole) == kept(tmp_path)
    for name in ("runs", "model_versions", "registered_models"):
        assert count(tmp_path, name) == count(whole, name) == 1
    reigns = json.loads((tmp_path / "bundles" / "champions.json").read_text())["tiny"]
    assert [reign["bundle"] for reign in reigns] == [found.name]
    paths = [folder / "report/backtest/predictions.parquet" for folder in (whole, tmp_path)]
    assert pl.read_parquet(paths[0]).equals(pl.read_parquet(paths[1]))


def test_a_rerun_does_nothing_twice_and_the_next_quarter_is_compared_with_the_champion(
    undisturbed,
):
    folder, first = undisturbed
    assert "is the champion" in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 80
    again = start(*arguments(folder, "--promote"), cwd=folder)
    assert again.code == 0
    assert again.stdout == first.stdout
    assert len(bundles(folder)) == 1
    page = (folder / "report" / "retrain.html").read_text()
    assert page.lstrip().startswith("<!doctype html>")
    assert "## Backtest" in (folder / "report" / "model_card.md").read_text()
    [run] = (folder / "registry" / "artifacts").iterdir()
    assert (run / "artifacts" / "report" / "retrain.html").read_text() == page

    before = bundles(folder)[0].name
    later = start(*arguments(folder, "--as-of", "2025-12-01", "--json"), cwd=folder)
    assert later.code == 0, later.stderr
    assert later.json["recommendation"]["verdict"] == "promote"
    assert later.json["champion"] == before
    assert {"log loss", "conversions"} <= {c["name"] for c in later.json["gate"]["checks"]}
    reigns = json.loads((folder / "bundles" / "champions.json").read_text())["tiny"]
    assert [reign["bundle"] for reign in reigns] == [before], "nobody asked for it"


def test_what_does_not_pass_is_refused_with_the_reason_and_the_champion_stays(tmp_path):
    args = [*arguments(tmp_path, "--promote", "--no-registry")]
    (tmp_path / "gate.toml").write_text(GATE.replace("slope_low = 0.01", "slope_low = 50"))
    done = start(*args, cwd=tmp_path)
    assert done.code == 3
    assert "calibration" in done.stderr
    assert "Promote nothing" in done.stdout
    assert len(bundles(tmp_path)) == 1
    assert not (tmp_path / "bundles" / "champions.json").exists()
    assert "FAILED" in done.stdout

    # The owner widens the margins: the same bundle is compared again, and nothing is trained.
    (tmp_path / "gate.toml").write_text(GATE)
    wider = start(*args, cwd=tmp_path)
    assert wider.code == 0, wider.stderr
    said = {line.partition(" s  ")[2] for line in wider.stderr.splitlines()}
    assert {"check: done before", "train: done before", "backtest: done before"} <= said
    assert "gate: done before" not in said
    [bundle] = bundles(tmp_path)
    reigns = json.loads((tmp_path / "bundles" / "champions.json").read_text())["tiny"]
    assert [reign["bundle"] for reign in reigns] == [bundle.name]
    record = json.loads(bundle.with_name(f"{bundle.name}.gate.json").read_text())
    assert record["passed"]
    same = start(*args, cwd=tmp_path)
    assert same.stdout == wider.stdout
    assert "gate: done before" in same.stderr


def test_a_champion_that_the_gate_could_not_judge_is_the_champion_already(tmp_path):
    """There was no window to judge on, and the owner gave it the place: a rerun says no more."""
    args = arguments(tmp_path, "--no-registry")
    first = start(*args, cwd=tmp_path)
    assert first.code == 0, first.stderr
    [state] = (tmp_path / "report" / "state").iterdir()
    refused = {"found": "0 conversions", "expected": "some", "next": "wait"}
    kept = json.loads((state / "gate.json").read_text())
    (state / "gate.json").write_text(json.dumps({"refused": refused, "settings": kept["settings"]}))
    waiting = start(*args, cwd=tmp_path)
    assert waiting.code == 3
    assert "nothing to compare on" in waiting.stdout
    [bundle] = bundles(tmp_path)
    reign = {"bundle": bundle.name, "since": "2026-01-02", "reason": "the owner's word"}
    (tmp_path / "bundles" / "champions.json").write_text(json.dumps({"tiny": [reign]}))
    again = start(*args, "--json", cwd=tmp_path)
    assert again.code == 0, again.stderr
    assert again.json["recommendation"]["verdict"] == "champion"
    assert again.json["champion"] == bundle.name


def test_a_leak_refuses_before_anything_is_trained(tmp_path, variant):
    def tell(leads):
        outcomes = pl.read_parquet(tiny_folder() / "outcomes.parquet")
        won = outcomes.filter(pl.col("outcome") == "closed_won")["lead_id"].unique()
        status = pl.when(pl.col("lead_id").is_in(won.implode())).then(pl.lit("customer"))
        return leads.with_columns(status=status)

    leaky = variant(
        tables={"leads": tell},
        toml=("categorical = [", 'categorical = ["status", '),
        of=tiny_folder(),
    )
    args = arguments(tmp_path, "--no-registry")
    args[1] = str(leaky)
    done = start(*args, cwd=tmp_path)
    assert done.code == 3
    assert "status" in done.stderr
    assert "--accept-leak status" in done.stderr
    assert not (tmp_path / "bundles").exists()
    assert "status" in (tmp_path / "report" / "retrain.html").read_text()
