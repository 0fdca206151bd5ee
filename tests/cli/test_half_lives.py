"""`train --half-lives`."""

import json
from pathlib import Path

import pytest

from intentcast.scoring import load_bundle
from tests.fixtures_world import world_folder


@pytest.mark.slow
def test_train_reports_half_lives_and_keeps_them_beside_the_bundle(cli, settings_file):
    done = cli(
        "train", world_folder(), "--settings", settings_file, "--out", "bundles-half-lives",
        "--no-registry", "--half-lives",
    )  # fmt: skip
    assert done.code == 0
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    assert "Points of playbook halve after 30 days of silence; the data say" in done.stdout
    assert "half-lives: features" in done.stderr
    written = [line.removeprefix("Written: ") for line in done.stdout.splitlines()[-2:]]
    report, picture = (cli.home / Path(path) for path in written)
    assert json.loads(report.read_bytes())["rule_days"] == 30
    assert picture.read_text(encoding="utf-8").startswith("<svg xmlns=")
    bundle = report.with_name(report.name.removesuffix(".half_lives.json"))
    assert load_bundle(bundle).manifest["name"] == "small"


@pytest.mark.slow
def test_json_holds_the_report_too(cli, settings_file):
    done = cli(
        "train", world_folder(), "--settings", settings_file, "--out", "bundles-half-lives-json",
        "--no-registry", "--half-lives", "--json",
    )  # fmt: skip
    report = cli.home / f"{done.json['bundle']}.half_lives.json"
    assert done.json["half_lives"] == json.loads(report.read_bytes())


def test_without_the_option_nothing_is_said_of_half_lives(trained_run):
    assert "half_lives" not in trained_run.json
