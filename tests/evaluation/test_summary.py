import functools
import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from intentcast.evaluation.compare import compare_paired
from intentcast.evaluation.summary import Arena, summarise
from intentcast.files import json_bytes
from tests.fixtures_world import EVERY_DAYS, HORIZONS, backtested, world

PRIMARY = HORIZONS[-1]


@functools.cache
def report():
    return summarise(backtested())


def mature(contender, *, days=PRIMARY, fold=None):
    """Rows of the predictions file, as anyone would read them."""
    rows = backtested().predictions.filter(
        (pl.col("contender") == contender)
        & (pl.col("horizon_days") == days)
        & pl.col("converted").is_not_null()
    )
    return rows if fold is None else rows.filter(pl.col("fold") == fold)


def test_the_report_is_json_without_nan():
    assert json.loads(json_bytes(report())) == report()
    text = json.dumps(report(), allow_nan=False)
    assert "NaN" not in text


def test_the_documented_keys_are_there():
    assert {"dataset", "folds", "contenders", "paired", "champion"} <= set(report())
    assert set(report()["contenders"]) == set(backtested().predictions["contender"])
    assert {
        "a", "b", "handoffs", "conversions_a", "conversions_b", "difference", "ci95", "verdict",
    } <= set(report()["paired"][0])  # fmt: skip


@pytest.mark.parametrize("days", HORIZONS)
@pytest.mark.parametrize("name", ["champion", "lightgbm", "scorecard:playbook", "base_rate"])
def test_metrics_are_those_of_the_predictions_file(name, days):
    rows = mature(name, days=days)
    found = report()["horizons"][str(days)][name]
    y, score = rows["converted"].to_numpy(), rows["score"].to_numpy()
    assert found["n_snapshots"] == len(rows)
    assert found["n_converted"] == y.sum()
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, score))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(y, score))
    if name.startswith("scorecard:"):
        assert not {"brier", "log_loss", "calibration_slope"} & set(found)
        return
    base = mature("base_rate", days=days)["score"].to_numpy()
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, score))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, score))
    reference = sk.brier_score_loss(y, base)
    assert found["brier_skill"] == pytest.approx(1 - found["brier"] / reference)
    assert found["mean_probability"] == pytest.approx(score.mean())


def test_the_contenders_are_judged_at_the_primary_horizon():
    assert report()["primary_horizon_days"] == PRIMARY
    assert report()["contenders"] == report()["horizons"][str(PRIMARY)]
    assert report()["base_rate"] == pytest.approx(mature("champion")["converted"].mean())


def test_a_constant_prediction_is_no_worse_calibrated_than_its_distance_from_the_truth():
    """Bins that split its ties by the outcome would say otherwise."""
    rows = mature("base_rate")
    gaps = rows.group_by("fold").agg(
        (pl.col("score").mean() - pl.col("converted").mean()).abs(), pl.len()
    )
    most = (gaps["score"] * gaps["len"]).sum() / len(rows)
    found = report()["contenders"]["base_rate"]["expected_calibration_error"]
    assert found <= most + 1e-9


def test_figures_have_intervals_by_account_that_hold_them():
    for name, figures in report()["contenders"].items():
        ends = figures["ci95"]
        keys = {"auc", "average_precision"}
        if "brier" in figures:
            keys |= {"brier", "log_loss", "mean_gap"}
        if "brier" in figures and name != "base_rate":
            keys |= {"calibration_slope", "calibration_intercept"}
        assert set(ends) == keys
        for key in keys - {"mean_gap"}:
            assert ends[key][0] <= figures[key] <= ends[key][1]


def test_each_fold_has_the_same_figures_of_its_own_rows():
    primary = report()["contenders"]
    for fold in report()["folds"]:
        for name, figures in fold["contenders"].items():
            assert set(figures) == set(primary[name]) - {"ci95"}
            assert figures["n_snapshots"] == fold["n_test"]
    pooled = sum(f["contenders"]["champion"]["n_converted"] for f in report()["folds"])
    assert pooled == primary["champion"]["n_converted"]


def test_quarters_are_those_of_the_as_of_times_and_add_up():
    rows = mature("champion")
    quarters = report()["quarters"]
    assert sum(q["n_snapshots"] for q in quarters) == len(rows)
    assert sum(q["n_converted"] for q in quarters) == rows["converted"].sum()
    first = rows.filter(pl.col("as_of").dt.quarter() == int(quarters[0]["quarter"][-1])).filter(
        pl.col("as_of").dt.year() == int(quarters[0]["quarter"][:4])
    )
    assert quarters[0]["mean_probability"] == pytest.approx(first["probability"].mean())
    assert [q["quarter"] for q in quarters] == sorted(q["quarter"] for q in quarters)


def test_lift_is_precision_over_the_base_rate():
    champion = report()["contenders"]["champion"]
    expected = champion["precision_at_capacity"]["expected"] / report()["base_rate"]
    assert champion["lift_at_capacity"] == pytest.approx(expected)


def test_each_scorecard_is_compared_on_the_same_leads_at_the_same_volume():
    assert {pair["b"] for pair in report()["paired"]} == {
        "scorecard:playbook", "scorecard:signals", "scorecard:crm_linear", "scorecard:repriced",
    }  # fmt: skip
    champion = mature("champion").sort("as_of", "lead_id")
    accounts = champion.join(
        backtested().snapshots.select("lead_id", "as_of", "account_id"), on=["lead_id", "as_of"]
    ).sort("as_of", "lead_id")["account_id"]
    seats = round(world().config.capacity.handoffs_per_week * EVERY_DAYS / 7)
    for pair in report()["paired"]:
        rules = mature(pair["b"]).sort("as_of", "lead_id")
        again = compare_paired(
            "champion",
            champion["score"].to_numpy(),
            pair["b"],
            rules["score"].to_numpy(),
            converted=champion["converted"].cast(pl.Float64).to_numpy(),
            leads=champion["lead_id"].rank("dense").cast(pl.Int64).to_numpy() - 1,
            accounts=accounts.rank("dense").cast(pl.Int64).to_numpy(),
            times=champion["as_of"].dt.timestamp("us").to_numpy(),
            per_time=seats,
        )
        for key in ("handoffs", "conversions_a", "conversions_b", "difference", "n_accounts"):
            assert pair[key] == pytest.approx(getattr(again, key))
        assert pair["handoffs"] <= seats * champion["as_of"].n_unique()
        # Accounts are numbered otherwise here, so that other ones are drawn: about the same.
        width = again.ci95[1] - again.ci95[0]
        assert pair["ci95"] == pytest.approx(again.ci95, abs=0.15 * width)


def test_the_headline_is_the_comparison_with_the_best_of_the_teams_own_tables():
    own = [pair for pair in report()["paired"] if pair["b"] != "scorecard:repriced"]
    assert report()["headline"] == max(own, key=lambda pair: pair["conversions_b"])


def test_repriced_points_are_compared_but_never_the_headline():
    """As if they had found more than anyone: they are fitted to outcomes, like the model."""
    is_repriced = pl.col("contender") == "scorecard:repriced"
    knowing = pl.when(is_repriced).then(pl.col("converted").cast(pl.Float64)).otherwise("score")
    predictions = backtested().predictions.with_columns(knowing.alias("score"))
    found = summarise(replace(backtested(), predictions=predictions))
    best = max(found["paired"], key=lambda pair: pair["conversions_b"])
    assert best["b"] == "scorecard:repriced"
    assert found["headline"]["b"] != best["b"]


def test_a_table_of_the_teams_that_is_called_repriced_may_be_the_headline():
    result = backtested()
    named = [card.model_copy(update={"name": "repriced"}) for card in result.scorecards[:1]]
    found = summarise(replace(result, scorecards=named))
    assert found["headline"]["b"] == "scorecard:repriced"


def test_without_rules_there_is_no_headline():
    learnt = pl.col("contender").str.starts_with("scorecard:").not_()
    bare = replace(backtested(), predictions=backtested().predictions.filter(learnt))
    found = summarise(bare)
    assert found["paired"] == []
    assert found["headline"] is None


def test_each_fold_says_what_it_trained_and_tested_on():
    assert [fold["fold"] for fold in report()["folds"]] == [1, 2]
    for fold in report()["folds"]:
        rows = mature("champion", fold=fold["fold"])
        assert fold["train_to"] < fold["test_from"] <= fold["test_to"]
        assert fold["n_test"] == len(rows)
        assert fold["n_test_converted"] == rows["converted"].sum()
        scores = rows["score"].to_numpy()
        expected = sk.roc_auc_score(rows["converted"].to_numpy(), scores)
        assert fold["contenders"]["champion"]["auc"] == pytest.approx(expected)
    assert report()["folds"][0]["n_train"] < report()["folds"][1]["n_train"]


def test_tiers_hold_every_snapshot_once():
    tiers = report()["tiers"]
    assert [row["tier"] for row in tiers] == ["hot", "warm", "cold"]
    assert sum(row["n_snapshots"] for row in tiers) == report()["n_snapshots"]
    assert sum(row["n_converted"] for row in tiers) == report()["n_converted"]
    assert sum(row["share_of_conversions"] for row in tiers) == pytest.approx(1)
    shares = [row["share_converted"] for row in tiers]
    assert shares == sorted(shares, reverse=True)


def test_segments_are_levels_of_the_categorical_attributes():
    segments = report()["segments"]
    attributes = world().config.attributes
    assert {row["attribute"] for row in segments} == {*attributes.categorical, *attributes.numeric}
    for row in segments:
        assert 0 < row["n_snapshots"] <= report()["n_snapshots"]
        assert row["share_converted"] == pytest.approx(row["n_converted"] / row["n_snapshots"])
    for attribute in world().config.attributes.categorical:
        rows = [row for row in segments if row["attribute"] == attribute]
        assert sum(row["n_snapshots"] for row in rows) <= report()["n_snapshots"]
        assert len(rows) <= 8


def test_gains_rise_to_one_and_have_no_base_rate():
    assert "base_rate" not in report()["gains"]
    for curve in report()["gains"].values():
        assert curve[0] == [0.0, 0.0]
        assert curve[-1] == pytest.approx([1.0, 1.0])


def test_reliability_bins_hold_every_snapshot_once():
    bins = report()["reliability"]
    assert sum(b["n_leads"] for b in bins) == report()["n_snapshots"]
    assert sum(b["n_converted"] for b in bins) == report()["n_converted"]


def test_a_simulated_world_is_compared_with_its_truth():
    truth = report()["truth"]
    champion = report()["contenders"]["champion"]
    # Snapshots whose account had already decided, unknown to all, have no true probability.
    assert 0.9 * report()["n_snapshots"] < truth["n_snapshots"] <= report()["n_snapshots"]
    assert 0.6 < truth["auc"] < truth["auc_truth"]
    assert truth["auc"] == pytest.approx(champion["auc"], abs=0.05)
    assert truth["mean_absolute_gap"] < 0.1


def test_data_without_a_truth_have_none(tmp_path):
    bare = replace(backtested(), dataset=replace(world(), folder=tmp_path))
    assert summarise(bare)["truth"] is None


def test_drivers_are_features_the_strongest_first():
    names, strengths = zip(*report()["drivers"], strict=True)
    assert len(names) == 40
    assert list(strengths) == sorted(strengths, reverse=True)
    assert all(name.count(".") == 3 for name in names)


def test_snapshots_whose_horizon_is_not_over_are_in_no_figure():
    immature = backtested().predictions.filter(pl.col("converted").is_null())
    assert len(immature) > 0
    for days in HORIZONS:
        arena = Arena(backtested(), days)
        assert set(arena.converted) == {0.0, 1.0}
        assert len(arena.converted) == len(mature("champion", days=days))


def test_a_horizon_without_any_mature_snapshot_is_left_out():
    nothing = pl.when(pl.col("horizon_days") == PRIMARY).then("converted")
    found = backtested().predictions.with_columns(nothing)
    primary_only = summarise(replace(backtested(), predictions=found))
    assert list(primary_only["horizons"]) == [str(PRIMARY)]


def test_test_windows_without_a_conversion_have_figures_where_they_are_defined():
    none = backtested().predictions.with_columns(
        pl.when(pl.col("converted").is_not_null()).then(pl.lit(value=False)).alias("converted")
    )
    found = summarise(replace(backtested(), predictions=none))
    assert found["base_rate"] == 0
    assert found["contenders"]["champion"]["auc"] is None
    assert found["contenders"]["champion"]["brier"] > 0
    assert {pair["verdict"] for pair in found["paired"]} == {"no difference"}
    assert not any(
        isinstance(value, float) and math.isnan(value)
        for value in found["contenders"]["champion"].values()
    )
    assert np.isfinite(found["contenders"]["champion"]["log_loss"])
