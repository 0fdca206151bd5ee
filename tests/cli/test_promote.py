"""`promote` and `rollback` as anyone runs them, on bundles of the small world."""

import json
import shutil

import pytest

from tests.cli.conftest import start
from tests.fixtures_world import bundle_folder, world_folder

GATE = (
    "window_days = 56\nlog_loss_margin = 1\nconversions_margin = 1\n"
    "slope_low = 0.01\nslope_high = 100\nlevel_margin = 5\n"
)


@pytest.fixture
def shop(tmp_path):
    """A folder with two bundles, the first of them champion."""
    bundles = tmp_path / "models" / "bundles"
    for number, step in ((1, "logistic"), (2, "lightgbm")):
        shutil.copytree(bundle_folder(step), bundles / f"small-2026-01-02.{number}")
    reign = {"bundle": "small-2026-01-02.1", "since": "2026-01-02", "reason": "the first"}
    (bundles / "champions.json").write_text(json.dumps({"small": [reign]}))
    (tmp_path / "gate.toml").write_text(GATE)
    return tmp_path


def champion(shop):
    kept = json.loads((shop / "models" / "bundles" / "champions.json").read_text())
    return kept["small"][-1]["bundle"]


def promote(shop, *more, number=2):
    return start(
        "promote", f"models/bundles/small-2026-01-02.{number}", "--data", world_folder(),
        "--gate", "gate.toml", *more, cwd=shop,
    )  # fmt: skip


def test_a_challenger_that_passes_takes_the_place_and_rollback_gives_it_back(shop):
    done = promote(shop)
    assert done.code == 0, done.stderr
    assert "is the champion of small" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert champion(shop) == "small-2026-01-02.2"
    kept = json.loads((shop / "models/bundles/small-2026-01-02.2.gate.json").read_text())
    assert kept["passed"]
    assert kept["champion"] == "small-2026-01-02.1"
    back = start("rollback", "--reason", "a test", "--json", cwd=shop)
    assert back.json["champion"] == champion(shop) == "small-2026-01-02.1"
    assert back.json["was"] == "small-2026-01-02.2"


def test_a_challenger_that_fails_is_refused_with_the_reason_on_record(shop):
    (shop / "gate.toml").write_text(GATE.replace("slope_low = 0.01", "slope_low = 50"))
    done = promote(shop)
    assert done.code == 3
    assert champion(shop) == "small-2026-01-02.1"
    kept = json.loads((shop / "models/bundles/small-2026-01-02.2.gate.json").read_text())
    assert not kept["passed"]
    assert "calibration:" in kept["reason"]
    assert "calibration:" in done.stderr


def test_an_owner_waives_a_check_by_name_and_the_name_is_kept(shop):
    (shop / "gate.toml").write_text(GATE.replace("slope_low = 0.01", "slope_low = 50"))
    assert promote(shop, "--accept", "calibration").code == 2, "a waiver needs a name"
    assert promote(shop, "--accept", "calibratoin", "--by", "A. Owner").code == 2
    done = promote(shop, "--accept", "calibration", "--by", "A. Owner")
    assert done.code == 0, done.stderr
    kept = json.loads((shop / "models/bundles/champions.json").read_text())["small"][-1]
    assert "calibration, waived by A. Owner" in kept["reason"]


def test_the_champion_cannot_challenge_itself_and_a_first_one_has_nowhere_to_go_back_to(shop):
    done = promote(shop, number=1)
    assert done.code == 2
    assert "is the champion already" in done.stderr
    back = start("rollback", cwd=shop)
    assert back.code == 2
    assert "at least two promotions" in back.stderr


def test_a_damaged_challenger_is_refused_and_the_champion_stays(shop):
    path = shop / "models/bundles/small-2026-01-02.2/calibration.json"
    path.write_bytes(path.read_bytes()[:-9])
    assert promote(shop).code == 2
    assert champion(shop) == "small-2026-01-02.1"
