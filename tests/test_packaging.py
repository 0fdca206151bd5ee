import json
from datetime import datetime, timedelta

import pytest

from intentcast.training import fit_model
from tests.fixtures_world import (
    CONFIG,
    CREATED,
    HORIZONS,
    bundle,
    bundle_folder,
    pack,
    trained,
    trained_as,
    world,
    world_times,
)

STEPS = ("logistic", "lightgbm", "hazard", "blend")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_json(step, name):
    return json.loads((bundle_folder(step) / name).read_text(encoding="utf-8"))


def test_two_trainings_on_the_same_data_differ_in_moment_and_version_alone(tmp_path):
    data = world()
    again = fit_model(data, times=world_times(), known_by=data.data_cutoff, config=CONFIG)
    later = CREATED + timedelta(days=3)
    one = contents(pack(trained(), tmp_path))
    other = contents(pack(again, tmp_path, created=later))
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
def test_the_model_card_says_what_it_learnt_from_and_its_limits(step):
    card = (bundle_folder(step) / "model_card.md").read_text(encoding="utf-8")
    model = trained_as(step)
    assert card.startswith("# Model card: small\n")
    for words in (
        "reaches closed_won within 30, 90 days",
        f"| training snapshots | {model.n_snapshots:,} |",
        f"| hot from | {model.tiers.hot:.4f} ",
        f"| 90 d | {step} |",
        "Limits:",
    ):
        assert words in card


def test_metrics_settings_and_tiers_are_kept_as_given():
    assert read_json("logistic", "metrics.json") == {"n_snapshots": trained().n_snapshots}
    assert bundle("logistic").tiers == trained().tiers
    assert bundle("logistic").config == world().config
    assert bundle("logistic").scorecard is not None
    assert bundle("logistic").scorecard.name == "playbook"
