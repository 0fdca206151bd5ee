"""The calibration alone, fitted anew: the learner stays, the level follows."""

import json
from dataclasses import asdict, replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest

from intentcast.bundle import read_bundle
from intentcast.config import SourceDelay
from intentcast.errors import RefusedError
from intentcast.files import json_bytes
from intentcast.model_card import bundle_card
from intentcast.propensity import Calibrator
from intentcast.propensity.calibration import fit_calibrator
from intentcast.propensity.margins import sigmoid
from intentcast.recalibration import (
    Quality,
    learner_cutoff,
    moved_tiers,
    recalibrate,
    write_recalibrated,
)
from intentcast.scoring import load_bundle, score
from intentcast.tiers import TierPolicy
from intentcast.training import fit_model
from tests.fixtures_world import (
    CONFIG,
    CREATED,
    pack,
    place,
    world,
    world_snapshots,
    world_times,
)


@cache
def old_bundle():
    """A bundle of the small world that learnt until half a year before the data end."""
    data = world()
    known_by = data.data_cutoff - timedelta(days=300)
    model = fit_model(data, times=world_times(), known_by=known_by, config=CONFIG)
    folder = pack(model, place() / "old", metrics={})
    return folder, load_bundle(folder)


def wrongly_levelled(by):
    """The old bundle as if all its log-odds were too high by some amount."""
    folder, bundle = old_bundle()
    models = {
        days: replace(model, calibrator=replace(model.calibrator, shift=by))
        for days, model in bundle.models.items()
    }
    return folder, replace(bundle, models=models)


@cache
def recalibrated():
    _, bundle = wrongly_levelled(1.5)
    return recalibrate(bundle, world(), known_by=world().data_cutoff)


@cache
def rewritten():
    folder, bundle = wrongly_levelled(1.5)
    out = place() / "recalibrated"
    known_by = world().data_cutoff
    return write_recalibrated(
        bundle, folder, recalibrated(), known_by=known_by, created=CREATED, out=out
    )


def test_a_wrong_level_is_set_right_out_of_time():
    for part in recalibrated().values():
        assert part.before.mean_probability > 1.5 * part.before.share_converted
        assert abs(part.after.mean_probability - part.after.share_converted) < 0.3 * (
            part.before.mean_probability - part.before.share_converted
        )
        assert part.after.log_loss < part.before.log_loss
        assert part.calibrator.kind != "none" or part.after.mean_probability > 0


def test_only_what_the_learner_had_not_seen_and_what_had_matured_is_used():
    _, bundle = old_bundle()
    for days, part in recalibrated().items():
        assert part.first >= f"{learner_cutoff(bundle):%Y-%m-%d}"
        last = world().data_cutoff - timedelta(days=days)
        assert part.last <= f"{last:%Y-%m-%d}"
        assert part.n_judged < part.n


def test_the_new_bundle_has_the_same_learner_and_its_own_golden_rows(tmp_path):
    folder, bundle = old_bundle()
    higher = {
        days: replace(part, calibrator=replace(part.calibrator, kind="level", intercept=0.5))
        for days, part in recalibrated().items()
    }
    known_by = world().data_cutoff
    written = write_recalibrated(
        bundle, folder, higher, known_by=known_by, created=CREATED, out=tmp_path
    )
    loaded = load_bundle(written)
    for name in ("features.json", "themes.npz", "handoff.json"):
        assert (written / name).read_bytes() == (folder / name).read_bytes()
    for days, model in loaded.models.items():
        assert model.step == bundle.models[days].step
        assert model.calibrator.to_json() == higher[days].calibrator.to_json()
    assert loaded.golden[0]["request"] == bundle.golden[0]["request"]
    for new, old in zip(loaded.golden, bundle.golden, strict=True):
        assert all(np.array(new["probabilities"]) > np.array(old["probabilities"]))


def test_the_manifest_says_what_was_done():
    _, bundle = old_bundle()
    manifest = read_bundle(rewritten()).manifest
    source = {"version": bundle.version, "sha256": bundle.sha256}
    assert manifest["recalibrated_from"] == source
    assert manifest["data_cutoff"] == world().data_cutoff.isoformat()
    assert manifest["learner_cutoff"] == bundle.data_cutoff
    assert manifest["recalibrated_on"]["90"]["n_converted"] == recalibrated()[90].n_converted
    json.dumps(manifest["recalibrated_on"])


def test_the_card_says_what_is_newer_and_until_when_the_learner_had_learnt():
    _, bundle = old_bundle()
    card = (rewritten() / "model_card.md").read_text(encoding="utf-8")
    assert card == bundle_card_without_version(rewritten())
    assert card.count("## Recalibrated") == 1
    assert f"that of {bundle.version}" in card
    learnt = bundle.data_cutoff[:16].replace("T", " ")
    assert f"| learnt from what was known before | {learnt} UTC |" in card
    assert f"fitted on what was known before {world().data_cutoff:%Y-%m-%d %H:%M} UTC" in card
    for days, part in recalibrated().items():
        assert f"| {days} d | {part.n:,}, {part.first} to {part.last} |" in card


def bundle_card_without_version(folder):
    """Return the card made from a bundle's files again, as it was before it had a version."""
    lines = bundle_card(folder).splitlines(keepends=True)
    [here] = [i for i, line in enumerate(lines) if line.startswith("Version ")]
    return "".join(lines[: here - 1] + lines[here + 1 :])


def test_a_recalibrated_bundle_can_be_recalibrated_from_what_its_learner_had_not_seen():
    again = recalibrate(load_bundle(rewritten()), world(), known_by=world().data_cutoff)
    assert again[90].n == recalibrated()[90].n
    assert again[90].calibrator.to_json() == recalibrated()[90].calibrator.to_json()


def test_whoever_was_hot_is_hot():
    _, bundle = wrongly_levelled(1.5)
    before = score(bundle, world(), world_snapshots())
    after = score(load_bundle(rewritten()), world(), world_snapshots())
    same = (before["tier"] == after["tier"]).mean()
    assert same > 0.99
    assert after["probability"].mean() < before["probability"].mean()


def test_a_threshold_moves_with_the_probability():
    rng = np.random.default_rng(1)
    m = rng.normal(-1, 1.5, 4000)
    y = (rng.random(4000) < sigmoid(0.8 * m - 1)).astype(float)
    many = np.arange(4000)
    new = fit_calibrator(m, y, many, many % 9, isotonic_from=10**9, min_converted=30)
    old = replace(new, kind="none", slope=1.0, intercept=0.0)
    tiers = TierPolicy(30, hot=0.4, warm=0.1, handoffs_per_week=5, n_leads=9, n_weeks=3.0)
    moved = moved_tiers(tiers, old, new)
    assert moved.hot_leave is None
    p, q = old.probabilities(m), new.probabilities(m)
    assert ((p >= 0.4) == (q >= moved.hot)).all()
    assert ((p >= 0.1) == (q >= moved.warm)).all()


def test_too_few_conversions_are_refused_with_how_many_more_it_takes():
    _, bundle = old_bundle()
    known_by = learner_cutoff(bundle) + timedelta(days=110)
    with pytest.raises(RefusedError, match=r"wait for [\d,]+ more conversions"):
        recalibrate(
            replace(
                bundle,
                settings=CONFIG.model_copy(
                    update={
                        "calibration": CONFIG.calibration.model_copy(
                            update={"min_converted": 100_000}
                        )
                    }
                ),
            ),
            world(),
            known_by=known_by,
        )


def test_a_stated_end_of_learning_is_no_end_of_recalibrating():
    """The monitor looks at scores after `cohort.end`, so what it advises must be possible."""
    _, bundle = wrongly_levelled(1.5)
    data = world()
    ended = data.config.cohort.model_copy(update={"end": learner_cutoff(bundle)})
    config = data.config.model_copy(update={"cohort": ended})
    found = recalibrate(bundle, replace(data, config=config), known_by=data.data_cutoff)
    assert {days: part.to_json() for days, part in found.items()} == {
        days: part.to_json() for days, part in recalibrated().items()
    }


def test_a_horizon_counts_only_where_its_outcomes_are_recorded_too():
    _, bundle = wrongly_levelled(1.5)
    slow = world().config.model_copy(update={"source_delay_hours": SourceDelay(outcomes=24 * 28)})
    data = replace(world(), config=slow)
    found = recalibrate(bundle, data, known_by=data.data_cutoff)
    for days, part in found.items():
        latest = data.data_cutoff - timedelta(days=days + 28)
        assert part.last <= f"{latest:%Y-%m-%d}" < recalibrated()[days].last


def test_a_slope_that_one_class_alone_does_not_define_is_null():
    found = Quality.of(np.zeros(9), np.full(9, 0.2))
    assert found.slope is None
    json_bytes(asdict(found))
    assert Quality.of(np.arange(9) % 2.0, np.linspace(0.1, 0.9, 9)).slope is not None


def test_nothing_matured_is_refused():
    _, bundle = old_bundle()
    with pytest.raises(RefusedError, match="0 of 0 snapshots"):
        recalibrate(bundle, world(), known_by=learner_cutoff(bundle) + timedelta(days=20))


def test_a_calibrator_of_another_level_has_slope_one():
    rng = np.random.default_rng(2)
    m = rng.normal(-1, 1.5, 6000)
    y = (rng.random(6000) < sigmoid(m - 1.2)).astype(float)
    many = np.arange(6000)
    found = fit_calibrator(m, y, many, many % 9, isotonic_from=10**9, min_converted=30)
    assert found.kind == "level"
    assert found.slope == 1.0
    assert found.intercept == pytest.approx(-1.2, abs=0.15)
    assert Calibrator.from_json(found.to_json()).to_json() == found.to_json()
