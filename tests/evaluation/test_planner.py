"""How many more conversions, and by when."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import CalibrationSettings, LearnerConfig
from intentcast.evaluation.planner import (
    design_effect,
    logistic_conversions,
    plan_data,
    verdict_conversions,
)
from intentcast.evaluation.planner_page import plan_lines
from intentcast.labels import label_snapshots
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import HORIZONS, world, world_times


@pytest.fixture(scope="module")
def cohort():
    snapshots = build_snapshots(world(), world_times())
    labels = {
        days: label_snapshots(snapshots, world(), horizon_days=days, known_by=world().data_cutoff)
        for days in HORIZONS
    }
    return snapshots, labels


@pytest.fixture(scope="module")
def plans(cohort):
    return plan_data(*cohort, world(), LearnerConfig())


def needs(plan):
    return {need.step: need for need in plan.needs}


def test_each_horizon_counts_each_lead_once(plans, cohort):
    snapshots, labels = cohort
    for plan in plans:
        converted = snapshots.filter(labels[plan.horizon_days].fill_null(value=False))
        assert plan.conversions == converted["lead_id"].n_unique()
        assert plan.accounts == converted["account_id"].n_unique()


def test_rules_need_nothing_and_each_learner_more_than_the_one_before(plans):
    for plan in plans:
        needed = [need.conversions for need in plan.needs[:3]]
        assert needed[0] == 0 < needed[1] < needed[2]


def test_what_is_missing_comes_at_the_present_rate(cohort):
    config = LearnerConfig(calibration=CalibrationSettings(isotonic_from=60))
    plan = plan_data(*cohort, world(), config)[-1]
    need = needs(plan)["isotonic calibration"]
    assert need.conversions == pytest.approx(60 / 0.25 * plan.design_effect, abs=1)
    assert need.missing == need.conversions - plan.conversions
    days = need.missing / plan.per_year * 365.25
    assert need.by == world().data_cutoff + timedelta(days=days)


def test_what_would_take_more_than_ten_years_has_no_date(cohort):
    snapshots, labels = cohort
    rare = {90: labels[90] & (pl.Series(np.arange(len(snapshots))) % 400 == 0)}
    (plan,) = plan_data(snapshots, rare, world(), LearnerConfig())
    assert needs(plan)["verdict on 10 %"].by is None
    assert needs(plan)["verdict on 10 %"].missing > 0


def test_a_smaller_capacity_waits_longer_for_a_verdict(cohort):
    def needed(per_week):
        capacity = world().config.capacity.model_copy(update={"handoffs_per_week": per_week})
        data = replace(world(), config=world().config.model_copy(update={"capacity": capacity}))
        return needs(plan_data(*cohort, data, LearnerConfig())[-1])["verdict on 10 %"].conversions

    assert needed(1) > needed(4)


def test_logistic_regression_by_riley_at_a_base_rate_of_a_tenth():
    # By hand: max R² = 1 − exp(2·(0.1·ln 0.1 + 0.9·ln 0.9)) = 0.4780; R² = 0.0717; n = 1,204.6.
    assert logistic_conversions(0.1) == pytest.approx(120.5, abs=0.2)


@given(st.floats(0, 1))
def test_the_rarer_class_counts(rate):
    assert logistic_conversions(rate) == pytest.approx(logistic_conversions(1 - rate))
    assert logistic_conversions(rate) > 0


def test_a_verdict_has_the_stated_power():
    """Of pairs of contenders with that many conversions, 80 % show the difference."""
    rng = np.random.default_rng(4)
    n = verdict_conversions()
    assert n == pytest.approx(784.9, abs=0.1)
    # Each finds half alone; the better one finds a tenth of n more.
    better, worse = rng.poisson(0.55 * n, 20_000), rng.poisson(0.45 * n, 20_000)
    z = (better - worse) / np.sqrt(better + worse)
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.02)


def leads(sizes, converted):
    account = [f"A{i}" for i, n in enumerate(sizes) for _ in range(n)]
    return pl.DataFrame({"account_id": account, "converted": converted})


def test_accounts_of_one_lead_have_no_design_effect():
    assert design_effect(leads([1] * 50, [True, False] * 25)) == 1.0


def test_colleagues_that_always_convert_together_count_as_one():
    effect = design_effect(leads([4] * 100, [i // 4 % 2 == 0 for i in range(400)]))
    assert effect == pytest.approx(4.0, abs=0.01)


def test_colleagues_that_convert_independently_count_each():
    rng = np.random.default_rng(1)
    assert design_effect(leads([4] * 500, rng.random(2000) < 0.3)) == pytest.approx(1.0, abs=0.15)


def test_the_page_is_80_columns_wide_and_shows_every_step(plans):
    lines = list(plan_lines(plans))
    assert max(map(len, lines)) <= 80
    for step in needs(plans[0]):
        assert any(line.startswith(step) for line in lines)


def test_nothing_to_plan_from_prints_nothing():
    assert list(plan_lines(())) == []
