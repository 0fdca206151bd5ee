"""The gate: a challenger that may be worse does not pass, and the margins decide how much."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.champions import champion, reigns
from intentcast.config import SourceDelay
from intentcast.errors import InputError, RefusedError
from intentcast.gate import (
    Evidence,
    GateSettings,
    Judgement,
    gather_evidence,
    judge,
    judge_bundle,
    record_judgement,
)
from intentcast.gate.checks import clustered_mean
from intentcast.labels import was_at_risk
from intentcast.propensity.margins import logit, sigmoid
from intentcast.recalibration import recalibrate, recalibrated_models
from intentcast.scoring import Unpackaged, load_bundle, predict
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import world
from tests.test_recalibration import old_bundle, rewritten
from tests.tiny_world import tiny, tiny_bundle, tiny_bundle_folder

DAY = 86_400_000_000


def evidence(*, n=6000, seed=1, challenger_noise=0.0, champion_noise=0.0, stretch=1.0, shift=0.0):
    """A window of four as-of times whose true probabilities are known."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-2.5, 1.2, size=n)
    noisy = [true + size * rng.standard_normal(n) for size in (challenger_noise, champion_noise)]
    return Evidence(
        first=datetime(2025, 1, 1, tzinfo=UTC),
        last=datetime(2025, 1, 22, tzinfo=UTC),
        horizon_days=90,
        challenger=sigmoid(stretch * noisy[0] + shift),
        champion=sigmoid(noisy[1]),
        scorecards={"points": np.round(rng.normal(size=n), 1)},
        converted=(rng.random(n) < sigmoid(true)).astype(np.float64),
        leads=np.arange(n),
        accounts=np.arange(n) // 3,
        times=np.arange(n) % 4 * 7 * DAY,
        per_time=100.0,
        how=(),
    )


def names(verdict):
    return [check.name for check in verdict.failed]


def test_a_challenger_that_is_the_champion_passes():
    assert judge(evidence(), GateSettings()).passed


def test_a_worse_challenger_fails_on_log_loss_and_on_conversions():
    verdict = judge(evidence(challenger_noise=2.5), GateSettings())
    assert {"log loss", "conversions"} <= set(names(verdict))


def test_a_better_challenger_passes_where_the_champion_would_not():
    worse = evidence(champion_noise=2.5)
    assert judge(worse, GateSettings()).passed
    swapped = replace(worse, challenger=worse.champion, champion=worse.challenger)
    assert not judge(swapped, GateSettings()).passed


def test_on_few_leads_a_loss_cannot_be_ruled_out_so_the_challenger_does_not_pass():
    """Equal in truth; the same pair passes where there are enough leads to know."""
    noise = {"challenger_noise": 1.0, "champion_noise": 1.0}
    wide = GateSettings(slope_low=0.01, slope_high=100, level_margin=1.0)
    assert "log loss" in names(judge(evidence(n=300, **noise), wide))
    assert "log loss" not in names(judge(evidence(n=60_000, **noise), wide))


@pytest.mark.parametrize(("stretch", "shift"), [(2.0, 2.5), (0.4, -1.3), (1.0, 0.8), (1.0, -0.8)])
def test_probabilities_that_are_off_fail_on_calibration(stretch, shift):
    assert "calibration" in names(judge(evidence(stretch=stretch, shift=shift), GateSettings()))


def test_rules_that_win_stop_the_challenger_unless_the_owner_waives_them_by_name():
    found = evidence(challenger_noise=3.0, champion_noise=3.0)
    best = evidence().challenger
    found = replace(found, scorecards={"points": logit(best)})
    open_settings = GateSettings(log_loss_margin=1, conversions_margin=1, slope_low=0.01)
    verdict = judge(found, open_settings)
    assert "rules: points" in names(verdict)
    waived = judge(found, open_settings, waived=("rules: points",))
    assert "rules: points" not in names(waived)
    assert waived.to_json()["waived"] == ["rules: points"]


def test_without_a_champion_there_is_nothing_to_be_worse_than():
    verdict = judge(replace(evidence(), champion=None), GateSettings())
    assert [check.name for check in verdict.checks] == ["calibration", "rules: points"]
    assert verdict.passed


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_the_order_of_rows_changes_no_figure_beyond_rounding(order, seed):
    found = evidence(n=240, seed=seed, challenger_noise=0.5)
    rows = np.concatenate([np.arange(240)[place::12] for place in order])
    arrays = ("challenger", "champion", "converted", "leads", "accounts", "times")
    moved = replace(
        found,
        **{name: getattr(found, name)[rows] for name in arrays},
        scorecards={"points": found.scorecards["points"][rows]},
    )
    for one, other in zip(
        judge(found, GateSettings()).checks, judge(moved, GateSettings()).checks, strict=True
    ):
        assert one.passed == other.passed
        assert one.figures == pytest.approx(other.figures, rel=1e-9, abs=1e-9)


def test_the_clustered_error_is_the_plain_one_where_every_cluster_is_one_row():
    values = np.random.default_rng(2).normal(size=500)
    mean, error = clustered_mean(values, np.arange(500))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(500))


def test_rows_that_are_copies_within_a_cluster_add_no_certainty():
    values = np.random.default_rng(3).normal(size=500)
    _, once = clustered_mean(values, np.arange(500))
    _, thrice = clustered_mean(np.repeat(values, 3), np.repeat(np.arange(500), 3))
    assert thrice == pytest.approx(once)


def test_a_bundle_that_learnt_from_the_window_is_judged_by_a_stand_in_that_did_not():
    found = gather_evidence(
        tiny(), challenger=tiny_bundle(), champion=tiny_bundle(), scorecards=[], window_days=56
    )
    opens = found.first
    assert found.last.date().isoformat() > opens.date().isoformat()
    assert all(f"before {opens:%Y-%m-%d}" in how for how in found.how)
    assert 0 < found.converted.sum() < len(found.converted)
    assert len(found.challenger) == len(found.champion) == len(found.times)
    np.testing.assert_array_equal(found.challenger, found.champion)


def gathered(challenger, champion, *, window_days, bundles=None):
    return gather_evidence(
        world(),
        challenger=challenger,
        champion=champion,
        scorecards=[],
        window_days=window_days,
        bundles=bundles,
    )


def test_a_recalibrated_bundle_is_judged_by_its_own_learner_with_the_calibration_of_then():
    bundle, source = load_bundle(rewritten()), old_bundle()[1]
    found = gathered(bundle, source, window_days=28)
    assert "its own learner" in found.how[0]
    assert f"recalibrated on what was known before {found.first:%Y-%m-%d}" in found.how[0]
    assert "itself" in found.how[1]
    then = recalibrate(source, world(), known_by=found.first)
    models = recalibrated_models(source, {days: part.calibrator for days, part in then.items()})
    times = [datetime.fromtimestamp(us / 1e6, tz=UTC) for us in np.unique(found.times)]
    snapshots = build_snapshots(world(), times)
    snapshots = snapshots.filter(was_at_risk(snapshots, world(), known_by=world().data_cutoff))
    expected = predict(Unpackaged(source.featurizer, models, source.config), world(), snapshots)
    np.testing.assert_array_equal(found.challenger, expected[1].at(90))
    assert not np.allclose(found.challenger, found.champion)


def demanding(bundle):
    """The bundle as if it took more conversions to recalibrate than there are."""
    calibration = bundle.settings.calibration.model_copy(update={"min_converted": 10_000})
    return replace(bundle, settings=bundle.settings.model_copy(update={"calibration": calibration}))


def test_where_too_little_had_matured_to_recalibrate_on_the_calibration_before_is_judged():
    folder, source = old_bundle()
    found = gathered(
        demanding(load_bundle(rewritten())), source, window_days=28, bundles=folder.parent
    )
    assert f"with the calibration of {source.version}" in found.how[0]
    assert "too little to recalibrate on" in found.how[0]
    np.testing.assert_array_equal(found.challenger, found.champion)


def test_where_the_bundle_before_is_gone_a_stand_in_is_trained(tmp_path):
    found = gathered(demanding(load_bundle(rewritten())), None, window_days=28, bundles=tmp_path)
    assert "trained on what was known before" in found.how[0]


def test_a_champion_is_as_old_as_its_learner_not_as_its_calibration():
    bundle = tiny_bundle()
    older = datetime.fromisoformat(bundle.data_cutoff) - timedelta(days=14)
    champion = replace(bundle, manifest={**bundle.manifest, "learner_cutoff": older.isoformat()})
    found = gather_evidence(
        tiny(), challenger=bundle, champion=champion, scorecards=[], window_days=56
    )
    assert f"before {found.first:%Y-%m-%d}" in found.how[0]
    assert f"before {found.first - timedelta(days=14):%Y-%m-%d}" in found.how[1]


def test_a_window_closes_where_the_outcomes_are_recorded_not_where_the_horizon_ends():
    """With a delay of ten days, as-of times whose labels are not known yet are not in it."""
    slow = tiny().config.model_copy(update={"source_delay_hours": SourceDelay(outcomes=240)})
    late = gather_evidence(
        replace(tiny(), config=slow),
        challenger=tiny_bundle(),
        champion=None,
        scorecards=[],
        window_days=56,
    )
    longest = timedelta(days=late.horizon_days + 10)
    assert late.last + longest <= tiny().data_cutoff
    assert datetime.fromtimestamp(late.times.max() / 1e6, tz=UTC) == late.last


def test_a_window_without_conversions_is_refused():
    short = replace(tiny(), outcomes=tiny().outcomes.clear())
    with pytest.raises(RefusedError, match="0 conversions among"):
        gather_evidence(
            short, challenger=tiny_bundle(), champion=None, scorecards=[], window_days=56
        )


@pytest.fixture(scope="module")
def judged():
    """The tiny bundle before the gate, without a champion."""
    loose = GateSettings(slope_low=0.01, slope_high=100, level_margin=5)
    return judge_bundle(tiny_bundle_folder(), tiny_bundle(), tiny(), settings=loose)


def test_a_judgement_survives_its_file(judged):
    raw = json.loads(json.dumps(judged.to_json()))
    assert Judgement.from_json("tiny", judged.bundle.parent, raw) == judged
    assert judged.champion is None
    assert judged.reason.endswith("there was no champion")


def test_a_bundle_that_passes_takes_the_place_only_where_that_was_asked_for(judged, tmp_path):
    moved = replace(judged, bundle=tmp_path / judged.bundle.name)
    at = datetime(2026, 1, 3, tzinfo=UTC)
    record_judgement(moved, at=at, store=None, take_place=False)
    assert champion(tmp_path, "tiny") is None
    record_judgement(moved, at=at, store=None, take_place=True)
    record_judgement(moved, at=at, store=None, take_place=True)
    assert [reign.bundle for reign in reigns(tmp_path, "tiny")] == [moved.bundle.name]
    kept = json.loads((tmp_path / f"{moved.bundle.name}.gate.json").read_text())
    assert kept["passed"]
    assert kept["at"] == at.isoformat()


def test_a_bundle_that_fails_never_takes_the_place(judged, tmp_path):
    failed = replace(judged.verdict.checks[0], passed=False)
    moved = replace(
        judged,
        bundle=tmp_path / judged.bundle.name,
        verdict=replace(judged.verdict, checks=(failed,)),
    )
    record_judgement(moved, at=datetime(2026, 1, 3, tzinfo=UTC), store=None, take_place=True)
    assert champion(tmp_path, "tiny") is None


def test_a_registry_that_cannot_be_used_is_a_note_and_the_place_is_given(judged, tmp_path):
    (tmp_path / "file").write_text("no folder")
    moved = replace(judged, bundle=tmp_path / judged.bundle.name)
    notes = record_judgement(
        moved, at=datetime(2026, 1, 3, tzinfo=UTC), store=tmp_path / "file", take_place=True
    )
    assert any("Not recorded in MLflow" in note for note in notes)
    assert champion(tmp_path, "tiny") == moved.bundle


def test_a_name_that_is_no_check_cannot_be_waived():
    with pytest.raises(InputError, match="calibratoin"):
        judge_bundle(
            tiny_bundle_folder(),
            tiny_bundle(),
            tiny(),
            settings=GateSettings(),
            accept=["calibratoin"],
            by="A. Owner",
        )
