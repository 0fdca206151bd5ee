"""Half-lives found in accounts whose own is known: estimate, interval, evidence."""

import functools

import numpy as np
import pytest

from intentcast.propensity.clustered_fit import Background
from intentcast.propensity.half_lives import (
    HALF_LIVES_DAYS,
    familywise_p_values,
    profile_half_lives,
)
from tests.half_life_world import RememberingAccounts

GRID = np.array(HALF_LIVES_DAYS)
AT_14 = HALF_LIVES_DAYS.index(14.0)


@functools.cache
def accounts(seed=1, **truth):
    return RememberingAccounts.drawn(seed, **truth)


def profile(data, *, group=0, held=None):
    held = data.held() if held is None else held
    return profile_half_lives(data.sums(group), held, data.converted, data.accounts, seed=3)


@functools.cache
def found(seed=1, **truth):
    return profile(accounts(seed, **truth))


def covers(result, days):
    return (result.low_days or 0.0) <= days <= (result.high_days or np.inf)


def covers_by_the_plain_likelihood(result, days):
    best = result.log_likelihood.max()
    return 2 * (best - result.log_likelihood[HALF_LIVES_DAYS.index(days)]) <= 2.7055


# The fit


def test_a_fit_is_at_the_top_of_the_penalised_likelihood():
    data = accounts(n_accounts=80)
    rng = np.random.default_rng(0)
    group = np.log1p(data.sums(0, [14.0]))[:, 0]
    background = Background.of(data.held(), data.converted, data.accounts)
    null = background.null_fit()
    fit = background.fit_with(group, near=null)
    beta = np.append(fit.coefficients, fit.weight)
    penalty = np.append(background.penalty, 0.0)

    def height(beta):
        eta = background.design @ beta[:-1] + group * beta[-1]
        return (data.converted * eta - np.log1p(np.exp(eta))).sum() - (penalty * beta**2).sum() / 2

    assert fit.height == pytest.approx(height(beta), abs=1e-9)
    assert fit.height > null.height
    for _ in range(20):
        assert height(beta + 0.01 * rng.standard_normal(len(beta))) < fit.height


def test_a_fit_does_not_depend_on_where_it_starts():
    data = accounts(n_accounts=80)
    background = Background.of(data.held(), data.converted, data.accounts)
    groups = np.log1p(data.sums(0, [1.0, 14.0, 180.0]))
    null = background.null_fit()
    far = background.fit_with(groups[:, 2], near=background.fit_with(groups[:, 0], near=null))
    near = background.fit_with(groups[:, 2], near=null)
    assert far.height == pytest.approx(near.height, abs=1e-7)
    assert far.weight == pytest.approx(near.weight, abs=1e-4)


def test_controls_that_repeat_one_another_or_never_vary_do_no_harm():
    data = accounts(n_accounts=200)
    held = data.held()
    more = np.hstack([held, held[:, :1], np.ones((len(held), 1))])
    with_more = profile(data, held=more)
    assert np.isfinite(with_more.log_likelihood).all()
    assert with_more.best_days == pytest.approx(profile(data, held=held).best_days, rel=0.05)


# Estimate and interval


@pytest.mark.parametrize("half_life", [3.0, 14.0, 60.0])
def test_the_half_life_is_found_where_there_is_much_to_learn_from(half_life):
    result = found(n_accounts=2500, half_life=half_life)
    assert result.best_days == pytest.approx(half_life, rel=0.35)
    assert covers(result, half_life)
    assert result.odds_low < result.odds_factor < result.odds_high
    assert result.odds_low < 2.0 < result.odds_high  # weight 1: one event doubles the odds


def test_more_accounts_narrow_the_interval():
    few, many = found(n_accounts=400), found(n_accounts=2500)
    assert many.high_days / many.low_days < 0.8 * few.high_days / few.low_days


def test_the_same_snapshots_told_again_add_nothing():
    data = accounts()
    once = found()
    again = profile_half_lives(
        np.repeat(data.sums(0), 5, axis=0),
        np.repeat(data.held(), 5, axis=0),
        np.repeat(data.converted, 5),
        np.repeat(data.accounts, 5),
        seed=3,
    )
    assert again.best_days == pytest.approx(once.best_days, rel=0.02)
    assert again.low_days == pytest.approx(once.low_days, rel=0.05)
    assert again.high_days == pytest.approx(once.high_days, rel=0.05)
    assert again.statistic == pytest.approx(once.statistic, rel=0.02)
    # The plain likelihood takes them for news.
    gain = np.ptp(again.log_likelihood) / np.ptp(once.log_likelihood)
    assert gain == pytest.approx(5.0, rel=0.05)


def test_neither_the_order_of_snapshots_nor_the_accounts_numbers_matter():
    data = accounts(n_accounts=150)
    order = np.random.default_rng(5).permutation(len(data.converted))
    renamed = (7919 * (data.accounts + 1)) % 104_729
    there = profile(data)
    here = profile_half_lives(
        data.sums(0)[order], data.held()[order], data.converted[order], renamed[order], seed=3
    )
    assert here.log_likelihood == pytest.approx(there.log_likelihood, abs=1e-6)
    assert here.p_value == pytest.approx(there.p_value, abs=2e-3)
    assert here.statistic == pytest.approx(there.statistic, rel=1e-6)


def test_an_interval_holds_the_half_lives_that_are_not_rejected():
    result = found()
    kept = result.p_value > 0.1
    inside = (result.low_days <= GRID) & (result.high_days >= GRID)
    # The ends lie between grid points, and the top between them may be higher than any.
    assert (kept & ~inside).sum() <= 1
    assert (inside & ~kept).sum() <= 1
    assert result.low_days < result.best_days < result.high_days


def test_single_events_of_one_age_show_an_effect_but_no_half_life():
    rng = np.random.default_rng(2)
    has_event = rng.random(1500) < 0.5
    converted = (rng.random(1500) < np.where(has_event, 0.4, 0.1)).astype(float)
    sums = has_event[:, None] * 2.0 ** (-10.0 / GRID)[None, :]
    result = profile_half_lives(sums, np.empty((1500, 0)), converted, np.arange(1500), seed=3)
    assert result.statistic > 5
    assert np.ptp(result.log_likelihood) < 1e-6
    assert result.is_flat


def test_a_group_that_never_acts_shows_no_effect():
    data = accounts(n_accounts=100)
    nothing = np.zeros_like(data.sums(0))
    result = profile_half_lives(nothing, data.held(), data.converted, data.accounts, seed=3)
    assert result.statistic == 0.0
    assert familywise_p_values([result], seed=1) == [1.0]


# Evidence


def test_the_more_groups_are_asked_about_the_stronger_each_must_be():
    data = accounts()
    profiles = [profile(data, group=group, held=np.empty((7200, 0))) for group in range(4)]
    together = familywise_p_values(profiles, seed=1)
    apart = [familywise_p_values([p], seed=1)[0] for p in profiles]
    assert all(joint >= alone for joint, alone in zip(together, apart, strict=True))
    by_strength = np.argsort([-p.statistic for p in profiles])
    assert (np.diff(np.array(together)[by_strength]) >= 0).all()
    # The weakest has no rivals left: that is what stepping down gains.
    weakest = by_strength[-1]
    assert together[weakest] == max(apart[weakest], together[by_strength[-2]])


def test_no_groups_have_no_p_values():
    assert familywise_p_values([], seed=1) == []


# By simulation


def repeated(n, **truth):
    """Not kept: a thousand draws would fill the memory."""
    return [profile(RememberingAccounts.drawn(1000 + seed, **truth)) for seed in range(n)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "truth",
    [
        {},
        {"half_life": 60.0},
        {"weight": 0.5},
        {"others_weight": 0.6, "level": -4.0},
        {"others_weight": 0.6, "others_half_life": 10.0, "half_life": 60.0, "level": -3.8},
    ],
    ids=str,
)
def test_intervals_of_90_percent_cover_the_truth_nine_times_in_ten(truth):
    """200 draws each: a coverage of 0.9 shows as 0.85 to 0.95 in 98 of 100 runs."""
    days = truth.get("half_life", 14.0)
    results = repeated(200, **truth)
    assert 0.83 <= np.mean([covers(result, days) for result in results]) <= 0.97
    plain = np.mean([covers_by_the_plain_likelihood(result, days) for result in results])
    assert plain < 0.75


@pytest.mark.slow
def test_other_groups_held_at_one_half_life_only_would_lend_theirs():
    """Why they are held at four: the true 14 days look like the others' 60."""
    n_covered = 0
    for seed in range(40):
        data = RememberingAccounts.drawn(1000 + seed, others_weight=0.6, level=-4.0)
        n_covered += covers(profile(data, held=data.held([14.0])), 14.0)
    assert n_covered <= 10


@pytest.mark.slow
def test_without_an_effect_evidence_is_as_rare_as_promised():
    n_false = 0
    for seed in range(200):
        data = RememberingAccounts.drawn(5000 + seed, n_accounts=300, weight=0.0, level=-2.0)
        profiles = [profile(data, group=g, held=np.empty((3600, 0))) for g in range(3)]
        n_false += min(familywise_p_values(profiles, seed=seed)) <= 0.05
    assert n_false <= 20
