"""Thresholds: what is counted, how they are chosen, and what is refused."""

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import InputError, RefusedError
from intentcast.evaluation.out_of_time import known_until, predict_out_of_time
from intentcast.thresholds.bands import forecast
from intentcast.thresholds.calibration import calibrate, refuse_overlap
from intentcast.thresholds.choose import Ask, choose, refuse_too_little, value_of_conversion
from intentcast.thresholds.evidence import DAY_US, gather
from intentcast.thresholds.rates import TierRate, largest_list, lost_below, tier_rate
from intentcast.tiers import TIERS
from tests.fixtures_world import CONFIG, world

WEEK = 7 * DAY_US


def evidence(p, leads, weeks, *, converted=None, accounts=None, horizon_days=14, now=None):
    """Return evidence of weekly as-of times."""
    times = np.array(weeks, np.int64) * WEEK
    leads = np.array(leads)
    return gather(
        np.array(p, float),
        np.zeros(len(leads), bool) if converted is None else np.array(converted, bool),
        leads,
        leads if accounts is None else np.array(accounts),
        times,
        every_days=7,
        horizon_days=horizon_days,
        now=int(times.max()) + WEEK if now is None else now,
    )


@functools.cache
def made(seed, *, n_leads=400, n_weeks=30, base=0.3, leads_per_account=2):
    """Leads that stay a few weeks, whose probability is true."""
    rng = np.random.default_rng(seed)
    p, lead, week = [], [], []
    for i in range(n_leads):
        begin = int(rng.integers(0, n_weeks))
        for w in range(begin, min(n_weeks, begin + int(rng.integers(1, 8)))):
            p.append(float(rng.beta(1, 1 / base)))
            lead.append(i)
            week.append(w)
    p = np.array(p)
    won = rng.random(len(p)) < p
    accounts = np.array(lead) // leads_per_account
    return evidence(p, lead, week, converted=won, accounts=accounts)


# What is counted.


def test_a_lead_is_handed_over_where_it_reaches_the_threshold_and_had_not_within_the_rest():
    p = [0.1, 0.6, 0.7, 0.2, 0.8, 0.1, 0.1, 0.1, 0.9]
    found = evidence(p, ["L"] * 9, range(9))
    assert (found.rest_days, found.n_steps) == (14, 7)
    # Weeks 0 and 1 are run-in: 0.7 in week 2 came after 0.6; 0.8 in week 4 came after 0.7 in week
    # 2; in week 8 nothing had reached 0.5 for two weeks.
    assert found.step[found.handed_over(0.5)].tolist() == [6]
    assert found.step[found.handed_over(0.65)].tolist() == [0, 6]


def test_the_rest_is_at_most_a_third_of_the_record():
    found = evidence(np.linspace(0, 1, 9), ["L"] * 9, range(9), horizon_days=90)
    assert found.rest_days == 21


def test_the_count_of_hand_offs_is_that_of_the_rows():
    found = made(1)
    at = np.array([0.05, 0.2, 0.5, 0.9])
    assert found.count_handed_over(at).tolist() == [int(found.handed_over(t).sum()) for t in at]


def test_the_order_of_rows_changes_nothing():
    rng = np.random.default_rng(0)
    n = 300
    p, lead, week = rng.random(n), np.arange(n) // 10, np.tile(np.arange(10), 30)
    won, order = rng.random(n) < 0.3, rng.permutation(n)
    a = evidence(p, lead, week, converted=won)
    b = evidence(p[order], lead[order], week[order], converted=won[order])
    assert forecast(a, 0.5, weeks=13) == forecast(b, 0.5, weeks=13)


# Thresholds.


@given(st.integers(0, 6), st.floats(0.2, 6), st.floats(0, 6))
def test_more_capacity_never_raises_a_threshold(seed, per_week, more):
    found = made(seed)
    hot, warm = choose(found, Ask(per_week=per_week + 1))
    hot_more, warm_more = choose(found, Ask(per_week=per_week + 1 + more))
    assert hot_more <= hot
    assert warm_more <= warm


@pytest.mark.parametrize("ask", [Ask(per_week=2), Ask(precision=0.7), Ask(value=1000, cost=600)])
def test_hot_is_above_warm_is_above_the_list(ask):
    found = calibrate(made(3), ask, weeks=13, most_lost=0.2, fall=0.3).tiers
    assert found.hot >= found.warm >= (found.deprioritise or 0.0)
    assert list(found.enter) == sorted(found.enter)
    assert list(found.leave) == sorted(found.leave)
    assert all(leave < enter for leave, enter in zip(found.leave, found.enter, strict=True))
    assert found.policy == ask.method


def test_capacity_is_taken_up():
    found = made(4)
    hot, warm = choose(found, Ask(per_week=3))
    assert found.handed_over(hot).sum() == round(3 * found.n_weeks)
    assert found.handed_over(warm).sum() == round(12 * found.n_weeks)


def test_the_precision_asked_for_was_reached():
    found = made(5)
    rows = found.handed_over(choose(found, Ask(precision=0.5))[0])
    assert found.converted[rows].mean() >= 0.5


def test_by_value_hot_begins_where_it_pays():
    assert choose(made(5), Ask(value=400, cost=100))[0] == 0.25


def test_what_cannot_be_reached_is_refused():
    with pytest.raises(RefusedError, match=r"precision of 99.9%"):
        choose(made(5), Ask(precision=0.999))
    with pytest.raises(RefusedError, match="pays from a probability of 200"):
        choose(made(5), Ask(value=100, cost=200))


def test_too_few_conversions_are_refused_with_how_many_more():
    found = evidence([0.2] * 40, np.arange(40), [0, 1, 2, 3] * 10, converted=[1] * 12 + [0] * 28)
    with pytest.raises(RefusedError, match=f"{30 - found.n_converted_accounts} more"):
        refuse_too_little(found)


def test_the_value_of_a_conversion_is_that_of_won_amounts(make_dataset):
    rows = [
        {"lead_id": lead, "occurred_at": "2024-03-01", "outcome": name, "amount": amount}
        for lead, name, amount in (
            ("L1", "won", 100.0), ("L2", "won", 500.0), ("L3", "won", 600.0), ("L2", "lost", 9e9),
        )
    ]  # fmt: skip
    dataset = make_dataset(outcomes=rows)
    assert value_of_conversion(dataset, "mean") == 400
    assert value_of_conversion(dataset, "median") == 500
    assert value_of_conversion(dataset, "250") == 250
    for odd in ("0", "-1", "nan", "inf", "much"):
        with pytest.raises(InputError, match="--deal-value"):
            value_of_conversion(dataset, odd)
    with pytest.raises(InputError, match="no amounts"):
        value_of_conversion(make_dataset(), "mean")


# Bands.


def test_a_band_holds_its_estimate_and_widens_ahead():
    found = made(6)
    near = forecast(found, 0.4, weeks=4)
    far = forecast(found, 0.4, weeks=26)
    for told in (near, far):
        for band in (told.volume, told.conversions, told.precision):
            assert band.low <= band.estimate <= band.high
    assert near.per_week()["volume"].past == far.per_week()["volume"].past

    def width(told):
        return (told.volume.high - told.volume.low) / told.volume.past

    # Over a longer time the weeks average out, unless the trend carries the level away.
    assert width(near) > width(far) / 2


def test_no_conversion_still_leaves_room():
    found = made(6)
    told = forecast(found, float(found.probability.max()) + 1e-9, weeks=13)
    assert (told.n_handoffs, told.volume.estimate, told.conversions.low) == (0, 0.0, 0.0)
    assert told.volume.high >= 1
    assert told.precision == type(told.precision)(0.0, 0.0, 0.0, 1.0)


def test_a_falling_past_is_expected_to_go_on_falling():
    weeks = np.repeat(np.arange(30), np.linspace(24, 4, 30).astype(int))
    found = evidence(np.full(len(weeks), 0.5), np.arange(len(weeks)), weeks)
    told = forecast(found, 0.3, weeks=13)
    assert told.volume.low < told.volume.estimate < 0.9 * told.volume.past


@pytest.mark.slow
def test_bands_of_independent_leads_cover_what_comes():
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        weeks = np.repeat(np.arange(43), rng.poisson(5, 43))
        found = evidence(np.full(len(weeks), 0.5), np.arange(len(weeks)), weeks)
        past = weeks < 30
        told = forecast(
            evidence(found.probability[: past.sum()], np.arange(past.sum()), weeks[past]),
            0.3, weeks=13, n_resamples=300, seed=seed,
        )  # fmt: skip
        held += told.volume.low <= (~past).sum() <= told.volume.high
    assert held >= 186


# Rates of tiers, and what a list loses.


def test_leads_of_one_account_count_as_one():
    p, weeks = np.full(60, 0.5), np.tile(np.arange(6), 10)
    won = np.arange(60) < 30
    apart = tier_rate(evidence(p, np.arange(60), weeks, converted=won), "hot", 0, 1)
    together = tier_rate(
        evidence(p, np.arange(60), weeks, converted=won, accounts=np.arange(60) // 10), "hot", 0, 1
    )
    assert apart.rate == together.rate
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_with_nothing_lost_the_bound_is_the_rule_of_three():
    p = np.where(np.arange(200) % 2, 0.9, 0.01)
    found = evidence(p, np.arange(200), np.tile(np.arange(10), 20), converted=p > 0.5)
    told = lost_below(found, 0.5)
    assert told.share == 0.0
    assert told.share_high == pytest.approx(1 - 0.05 ** (1 / told.n_accounts))
    assert told.share_high == pytest.approx(3 / told.n_accounts, rel=0.05)


@given(st.integers(0, 6), st.floats(0.02, 0.9))
def test_the_list_never_promises_more_than_it_keeps(seed, most_lost):
    found = made(seed)
    told = largest_list(found, most_lost=most_lost, below=0.3)
    if told is not None:
        assert told.threshold <= 0.3
        assert told.share <= told.share_high <= most_lost
        assert told.conversions <= told.conversions_high


def test_tiers_that_cannot_be_told_apart_are_refused_with_their_rates():
    rates = (
        TierRate("hot", 50, 10, 0.2, 0.1, 0.35),
        TierRate("warm", 500, 50, 0.1, 0.07, 0.13),
        TierRate("cold", 900, 9, 0.01, 0.0, 0.02),
    )
    with pytest.raises(RefusedError, match=r"hot .* 20.0% .* warm .* 10.0% .* overlap"):
        refuse_overlap(rates)
    refuse_overlap((TierRate("hot", 50, 10, 0.2, 0.14, 0.35), *rates[1:]))


def test_a_model_that_knows_nothing_has_no_tiers():
    rng = np.random.default_rng(2)
    n = 2000
    found = evidence(
        rng.random(n), np.arange(n), rng.integers(0, 30, n), converted=rng.random(n) < 0.2
    )
    with pytest.raises(RefusedError, match="overlap"):
        calibrate(found, Ask(per_week=5), weeks=13, most_lost=0.05)


# From a data set.


KNOWN_BY = datetime(2025, 9, 1, tzinfo=UTC)


def with_another_future():
    """The small world, with everything that became known later changed or gone."""
    data = world()
    is_late = pl.col("known_at") >= KNOWN_BY
    return replace(
        data,
        leads=data.leads.filter(pl.col("created_at") < KNOWN_BY + timedelta(days=30)),
        events=data.events.with_columns(
            value=pl.when(is_late).then(1e6).otherwise(pl.col("value")),
            content=pl.when(is_late).then(pl.lit("later")).otherwise(pl.col("content")),
        ),
        outcomes=data.outcomes.filter(~is_late),
        attribute_changes=data.attribute_changes.with_columns(
            value=pl.when(pl.col("recorded_at") >= KNOWN_BY)
            .then(pl.lit("later"))
            .otherwise(pl.col("value"))
        ),
        data_cutoff=data.data_cutoff + timedelta(days=300),
    )


def test_nothing_known_later_is_in_the_data_set_that_is_calibrated_on():
    a, b = known_until(world(), KNOWN_BY), known_until(with_another_future(), KNOWN_BY)
    for table in ("leads", "events", "outcomes", "attribute_changes", "accounts"):
        assert getattr(a, table).equals(getattr(b, table)), table
    assert a.config == b.config
    assert a.data_cutoff == b.data_cutoff == a.config.cohort.end == KNOWN_BY
    assert a.events["known_at"].max() < KNOWN_BY
    assert a.outcomes["known_at"].max() < KNOWN_BY


@pytest.mark.slow
def test_nothing_known_later_changes_the_predictions():
    a, b = (
        predict_out_of_time(data, known_by=KNOWN_BY, config=CONFIG).predictions
        for data in (world(), with_another_future())
    )
    assert a.equals(b)
    horizon = timedelta(days=world().config.conversion.primary_horizon_days)
    assert a["as_of"].max() + horizon <= KNOWN_BY


@pytest.mark.slow
def test_evidence_is_out_of_time_and_matured():
    seen = predict_out_of_time(world(), known_by=world().data_cutoff, config=CONFIG)
    first_test = world().config.backtest.first_test
    assert seen.predictions["as_of"].min() >= first_test
    assert seen.predictions["converted"].null_count() == 0
    assert seen.evidence.ahead_days >= world().config.conversion.primary_horizon_days
    found = calibrate(seen.evidence, Ask(per_week=3), weeks=13, most_lost=0.1)
    assert {rate.tier for rate in found.rates} <= set(TIERS)
    assert found.evidence["n_converted_accounts"] >= 30
