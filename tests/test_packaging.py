import json
from datetime import datetime, timedelta

import pytest

from tests.fixtures_world import CREATED, HORIZONS, bundle, bundle_folder, trained, world
from tests.tiny_world import tiny_bundle_folder, train_tiny

STEPS = ("logistic", "lightgbm", "hazard", "blend")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_json(step, name):
    return json.loads((bundle_folder(step) / name).read_text(encoding="utf-8"))


def test_two_trainings_at_one_and_two_threads_differ_in_moment_and_version_alone(tmp_path):
    later = CREATED + timedelta(days=3)
    one = contents(tiny_bundle_folder())
    other = contents(train_tiny(tmp_path, threads=2, created=later))
    assert {name for name in one if one[name] != other[name]} == {"manifest.json"}
    manifests = [json.loads(found["manifest.json"]) for found in (one, other)]
    differing = {key for key in manifests[0] if manifests[0][key] != manifests[1][key]}
    assert differing == {"created", "version", "sha256"}


@pytest.mark.parametrize("step", STEPS)
def test_golden_rows_are_made_up_and_nobodys_data(step):
    rows = read_json(step, "golden.json")
    assert len(rows) == 5
    leads = set(world().leads["lead_id"])
    for row in rows:
        assert row["request"]["lead"]["lead_id"] == "golden-lead"
        assert not leads & {event["lead_id"] for event in row["request"]["events"]}
        assert len(row["probabilities"]) == len(HORIZONS)
    assert rows[0]["request"]["events"] == []
    assert len({row["probabilities"][0] for row in rows}) == 5


@pytest.mark.parametrize("step", STEPS)
def test_golden_rows_are_before_the_data_ended(step):
    cutoff = world().data_cutoff
    for row in read_json(step, "golden.json"):
        assert datetime.fromisoformat(row["request"]["as_of"]) == cutoff
        for event in row["request"]["events"]:
            assert datetime.fromisoformat(event["occurred_at"]) < cutoff


def test_the_drift_baseline_has_rising_deciles_of_every_feature():
    reference = read_json("logistic", "reference.json")
    assert reference["n"] == trained().n_snapshots
    assert list(reference["features"]) == bundle("logistic").featurizer.spec.names
    for found in reference["features"].values():
        assert 0 <= found["unknown"] <= 1
        assert found["deciles"] == sorted(found["deciles"])
        assert len(found["deciles"]) == (0 if found["unknown"] == 1 else 9)


@pytest.mark.parametrize("step", STEPS)
def test_metrics_say_per_horizon_how_well_the_step_did_on_rows_it_had_not_seen(step):
    found = read_json(step, "metrics.json")
    assert found["step"] == step
    assert found["n_snapshots"] == trained().n_snapshots
    assert list(found["horizons"]) == [str(days) for days in HORIZONS]
    for days, row in found["horizons"].items():
        fit = trained().fitted[int(days)]
        assert row["log_loss"] == fit.log_loss[step]
        assert row["judged_on"] == fit.out_of_sample.scheme
        assert 0 < row["n_slice_converted"] < row["n_slice"] == len(fit.out_of_sample.rows)
        # A learner that is no better than chance would be a defect of the world.
        assert 0.6 < row["auc"] < 1
        assert row["base_rate"] < row["average_precision"] < 1
        assert row["brier_skill"] > 0


def test_settings_and_tiers_are_kept_as_given():
    assert bundle("logistic").tiers == trained().tiers
    assert bundle("logistic").config == world().config
    assert bundle("logistic").scorecard is not None
    assert bundle("logistic").scorecard.name == "playbook"
