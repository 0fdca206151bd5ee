"""`recalibrate` as anyone runs it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from intentcast.provenance import fingerprint_data
from tests.cli.conftest import start
from tests.fixtures_world import bundle_folder, world_folder
from tests.test_recalibration import old_bundle

# MLflow asks SQLAlchemy for a loader that will go away; that is between the two of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning:mlflow"
)
LOOSE = (
    "window_days = 28\nlog_loss_margin = 1\nconversions_margin = 1\nslope_low = 0.01\n"
    "slope_high = 100\nlevel_margin = 5\n"
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which the champion, registered nowhere, has been recalibrated."""
    folder = tmp_path_factory.mktemp("recalibrated")
    source, bundle = old_bundle()
    shutil.copytree(source, folder / "models" / "bundles" / source.name)
    reign = {"bundle": source.name, "since": "2026-01-02", "reason": "the first"}
    (folder / "models" / "bundles" / "champions.json").write_text(json.dumps({"small": [reign]}))
    run = start("recalibrate", world_folder(), cwd=folder)
    assert run.code == 0, run.stderr
    [written] = set((folder / "models" / "bundles").glob("small-*/")) - {
        folder / "models" / "bundles" / source.name
    }
    return folder, run, bundle, written


def test_it_writes_a_bundle_and_says_how_true_it_was_before_and_after(done):
    folder, run, bundle, written = done
    assert max(map(len, run.stdout.splitlines())) <= 80
    assert f"Learner of small {bundle.version}" in run.stdout
    assert "before" in run.stdout
    assert "after" in run.stdout
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["recalibrated_from"]["version"] == bundle.version
    again = start("score", world_folder(), "--bundle", written, "--out", "scores.csv", cwd=folder)
    assert again.code == 0, again.stderr


def test_it_is_a_run_of_its_own_with_the_figures_before_and_after(done):
    folder, run, bundle, written = done
    assert "(registered as challenger)" in run.stdout
    client = MlflowClient(f"sqlite:///{folder / 'models' / 'registry' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("small", "challenger")
    assert version.tags["bundle"] == written.name
    kept = client.get_run(version.run_id)
    told = kept.data.params
    assert (told["kind"], told["source"]) == ("recalibration", bundle.version)
    assert told["data"] == str(world_folder())
    assert told["data_sha256"] == fingerprint_data(world_folder()).sha256
    assert told["known_by"] == json.loads((written / "manifest.json").read_text())["data_cutoff"]
    assert told["booster.rounds"] == "40"
    figures = json.loads((written / "manifest.json").read_text())["recalibrated_on"]["90"]
    for when in ("before", "after"):
        name = f"recalibrated.90.{when}.log_loss"
        assert kept.data.metrics[name] == figures[when]["log_loss"]
    assert "horizons.90.log_loss" not in kept.data.metrics, "that is of the training"


def test_the_command_that_it_prints_puts_the_bundle_in_its_place(done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "shop")
    [line] = [line for line in done[1].stdout.splitlines() if line.startswith("Next: ")]
    program, *command = shlex.split(line.removeprefix("Next: "))
    assert program == "intentcast"
    (folder / "gate.toml").write_text(LOOSE)
    promoted = start(*command, "--gate", "gate.toml", cwd=folder)
    assert promoted.code == 0, promoted.stderr
    # Judged is the learner itself, and not another one trained in its place.
    assert "its own learner" in " ".join(promoted.stdout.split())
    kept = json.loads((folder / "models" / "bundles" / "champions.json").read_text())
    assert kept["small"][-1]["bundle"] == done[3].name
    client = MlflowClient(f"sqlite:///{folder / 'models' / 'registry' / 'mlflow.db'}")
    assert client.get_model_version_by_alias("small", "champion").tags["bundle"] == done[3].name


def test_json_has_both_sides_of_the_comparison_and_without_a_record_the_data_are_named(tmp_path):
    folder, bundle = old_bundle()
    args = ("recalibrate", world_folder(), "--bundle", folder, "--no-registry")
    done = start(*args, "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.json["recalibrated_from"] == bundle.version
    assert done.json["alias"] is None
    for part in done.json["horizons"].values():
        assert part["n_converted"] >= 30
        assert set(part["before"]) == set(part["after"])
    assert not (tmp_path / "models" / "registry").exists()
    [line] = [
        line for line in start(*args, cwd=tmp_path).stdout.splitlines() if line.startswith("Next: ")
    ]
    command = shlex.split(line)
    assert Path(command[command.index("--data") + 1]) == world_folder()


def test_a_bundle_that_has_seen_it_all_is_refused(tmp_path):
    done = start("recalibrate", world_folder(), "--bundle", bundle_folder("logistic"), cwd=tmp_path)
    assert done.code == 3
    [line] = done.error_lines
    assert "0 of 0 snapshots" in line
    assert "wait for 30 more conversions" in line
    assert not (tmp_path / "models").exists()
