import functools
import inspect
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from intentcast.cli.calibrate import run as calibrate_command
from intentcast.evaluation.arena import Arena
from intentcast.evaluation.backtest import CHAMPION
from intentcast.evaluation.out_of_time import matured, predict_out_of_time
from intentcast.evaluation.revops import MOST_LOST, WEEKS, revops_figures, thresholds, volume_curve
from intentcast.evaluation.summary import summarise
from intentcast.thresholds.choose import Ask, choose
from tests.fixtures_world import CONFIG, HORIZONS, backtested

PRIMARY = HORIZONS[-1]
RIVAL = "scorecard:playbook"


def at_capacity(per_week):
    """The backtest with another capacity, which no prediction depends on."""
    result = backtested()
    config = result.dataset.config
    capacity = config.capacity.model_copy(update={"handoffs_per_week": per_week})
    changed = replace(result.dataset, config=config.model_copy(update={"capacity": capacity}))
    return replace(result, dataset=changed)


@functools.cache
def figures():
    result = at_capacity(3)
    return revops_figures(result, Arena(result, PRIMARY), rival=RIVAL)


def test_the_figures_are_in_the_report_as_json_without_nan():
    found = summarise(backtested())["revops"]
    assert set(found) == {"curve", "thresholds", "repriced"}
    json.dumps(found, allow_nan=False)


def test_at_capacity_the_curve_is_the_paired_comparison():
    pair = Arena(at_capacity(3), PRIMARY).compare(CHAMPION, RIVAL)
    [present] = [p for p in figures()["curve"]["points"] if p["multiple"] == 1]
    assert present["n_handoffs"] == pytest.approx(pair.handoffs)
    assert present["model"]["n_converted"] == pytest.approx(pair.conversions_a)
    assert present["rules"]["n_converted"] == pytest.approx(pair.conversions_b)


def test_along_the_curve_volume_rises_and_precision_is_conversions_over_hand_offs():
    points = figures()["curve"]["points"]
    volumes = [p["handoffs_per_week"] for p in points]
    assert volumes == sorted(set(volumes))
    for p in points:
        for kind in ("model", "rules"):
            assert p[kind]["precision"] == pytest.approx(p[kind]["n_converted"] / p["n_handoffs"])
            assert p[kind]["n_converted"] <= p["n_handoffs"]


def test_the_curve_ends_where_leads_are_wanting_and_always_has_the_capacity():
    result = at_capacity(500)
    found = volume_curve(Arena(result, PRIMARY), None)
    assert [p["multiple"] for p in found["points"]][-1] == 1
    assert found["points"][-1]["handoffs_per_week"] < 500
    assert all("rules" not in p for p in found["points"])


def test_limits_are_those_that_calibrate_chooses_on_the_same_evidence():
    result = at_capacity(3)
    hot, warm = choose(matured(result).evidence, Ask(per_week=3))
    tiers = figures()["thresholds"]["tiers"]
    assert (tiers["hot"], tiers["warm"]) == (hot, warm)
    assert tiers["hot_leave"] < hot
    assert figures()["thresholds"]["bands"]["hot"]["weeks"] == WEEKS


@pytest.mark.slow
def test_the_backtest_is_the_evidence_that_calibrate_would_gather():
    dataset = backtested().dataset
    seen = predict_out_of_time(dataset, known_by=dataset.data_cutoff, config=CONFIG)
    assert seen.predictions.equals(matured(backtested()).predictions)


def test_weeks_and_list_are_the_defaults_of_the_command():
    parameters = inspect.signature(calibrate_command).parameters
    assert (parameters["weeks"].default, parameters["most_lost"].default) == (WEEKS, MOST_LOST)


def test_the_rates_hold_every_row_once():
    found = figures()["thresholds"]
    assert sum(rate["n_rows"] for rate in found["rates"]) == found["evidence"]["n_predictions"]


def test_tiers_that_overlap_are_refused_with_the_reason():
    found = thresholds(at_capacity(10))
    assert set(found) == {"refused"}
    assert "the bands overlap" in found["refused"]["found"]
    assert found["refused"]["next_step"]


def test_without_a_matured_prediction_limits_are_refused():
    nothing = pl.lit(None, dtype=pl.Boolean).alias("converted")
    bare = replace(backtested(), predictions=backtested().predictions.with_columns(nothing))
    assert "no out-of-time prediction" in thresholds(bare)["refused"]["found"]


def test_old_and_new_points_are_compared_at_equal_volume():
    result = at_capacity(3)
    arena = Arena(result, PRIMARY)
    found = figures()["repriced"]
    assert (found["a"], found["b"]) == ("scorecard:repriced", RIVAL)
    pair = arena.compare("scorecard:repriced", RIVAL)
    assert found["difference"] == pair.difference
    assert found["ci95"] == list(pair.ci95)
    low, high = found["ci95"]
    expected = "new points win" if low > 0 else "old points win" if high < 0 else "no difference"
    assert found["verdict"] == expected
    assert found["n_windows"] == found["n_refitted"] == len(np.unique(arena.keys["fold"]))


def test_points_that_no_window_could_refit_are_not_compared():
    result = backtested()
    kept = replace(result, folds=[replace(fold, repriced=None) for fold in result.folds])
    assert revops_figures(kept, Arena(kept, PRIMARY), rival=RIVAL)["repriced"] is None
