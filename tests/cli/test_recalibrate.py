"""`recalibrate` as anyone runs it."""

import json

from tests.cli.conftest import start
from tests.fixtures_world import bundle_folder, world_folder
from tests.test_recalibration import old_bundle


def test_it_writes_a_bundle_and_says_how_true_it_was_before_and_after(tmp_path):
    folder, bundle = old_bundle()
    done = start("recalibrate", world_folder(), "--bundle", folder, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"Learner of small {bundle.version}" in done.stdout
    assert "before" in done.stdout
    assert "after" in done.stdout
    [written] = (tmp_path / "models" / "bundles").iterdir()
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["recalibrated_from"]["version"] == bundle.version
    again = start("score", world_folder(), "--bundle", written, "--out", "scores.csv", cwd=tmp_path)
    assert again.code == 0, again.stderr


def test_json_has_both_sides_of_the_comparison(tmp_path):
    folder, bundle = old_bundle()
    done = start("recalibrate", world_folder(), "--bundle", folder, "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.json["recalibrated_from"] == bundle.version
    for part in done.json["horizons"].values():
        assert part["n_converted"] >= 30
        assert set(part["before"]) == set(part["after"])


def test_a_bundle_that_has_seen_it_all_is_refused(tmp_path):
    done = start("recalibrate", world_folder(), "--bundle", bundle_folder("logistic"), cwd=tmp_path)
    assert done.code == 3
    [line] = done.error_lines
    assert "0 of 0 snapshots" in line
    assert "wait for 30 more conversions" in line
    assert not (tmp_path / "models").exists()
