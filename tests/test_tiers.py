import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.files import json_bytes
from intentcast.labels import was_at_risk
from intentcast.tiers import TierPolicy, policy_from_capacity
from tests.fixtures_world import EVERY_DAYS, HORIZONS, trained, world

POLICY = TierPolicy(
    horizon_days=90, hot=0.5, warm=0.2, handoffs_per_week=3, n_leads=10, n_weeks=2.0
)


def policy(probabilities, leads, times, *, per_week=1, every_days=7):
    return policy_from_capacity(
        np.array(probabilities, float),
        np.array(leads),
        np.array(times, np.int64),
        handoffs_per_week=per_week,
        every_days=every_days,
        horizon_days=90,
    )


def test_a_tier_begins_at_its_threshold():
    assert POLICY.tiers(np.array([0.5, np.nextafter(0.5, 0), 0.2, np.nextafter(0.2, 0)])) == [
        "hot", "warm", "warm", "cold",
    ]  # fmt: skip


def test_who_was_hot_before_does_not_take_a_seat():
    # The second week has one seat. A reached 0.9 the week before; of those who had not, B is best.
    found = policy(
        [0.9, 0.3, 0.9, 0.7, 0.6], ["A", "B", "A", "B", "C"], [0, 0, 7, 7, 7], per_week=1
    )
    assert found.hot == 0.7
    assert (found.n_leads, found.n_weeks) == (3, 1.0)


def test_hot_is_the_capacity_th_largest_where_there_is_no_before():
    found = policy([0.9, 0.7, 0.4], ["A", "B", "C"], [0, 0, 0], per_week=2)
    assert found.hot == 0.7
    assert (found.n_leads, found.n_weeks) == (3, 1.0)


def test_warm_lets_four_times_as_many_leads_reach_it():
    p = np.linspace(0.99, 0.01, 50)
    found = policy(p, np.arange(50), np.zeros(50), per_week=2)
    assert (found.hot, found.warm) == (p[1], p[7])


def test_where_there_are_fewer_leads_than_capacity_every_one_is_hot():
    found = policy([0.9, 0.1], ["A", "B"], [0, 0], per_week=5)
    assert (found.hot, found.warm) == (0.1, 0.1)


def test_without_leads_nobody_would_be_hot():
    found = policy([], [], [])
    assert (found.hot, found.warm) == (1.0, 1.0)


def test_as_of_times_further_apart_are_more_weeks_of_capacity():
    p, leads = np.linspace(0.9, 0.1, 9), np.arange(9)
    assert policy(p, leads, np.zeros(9), every_days=7).hot == p[0]
    assert policy(p, leads, np.zeros(9), every_days=28).hot == p[3]


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 3), st.floats(0, 1)),
        min_size=1,
        max_size=60,
        unique_by=lambda row: row[:2],
    ),
    st.integers(1, 6),
)
def test_handing_over_whoever_first_reaches_hot_takes_up_the_capacity(rows, per_week):
    leads, times, p = (np.array(column) for column in zip(*rows, strict=True))
    found = policy(p, leads, times * 7, per_week=per_week)
    distinct = np.unique(times)
    before = times < distinct[len(distinct) // 2]
    wanted = per_week * (len(distinct) - len(distinct) // 2)

    def n_new(threshold):
        hot_before = set(leads[before & (p >= threshold)])
        return len(set(leads[~before & (p >= threshold)]) - hot_before)

    # Any probability of the later half could be the threshold: none higher fills the seats.
    news = {float(t): n_new(t) for t in p[~before]}
    if max(news.values()) >= wanted:
        assert found.hot == max(t for t, n in news.items() if n >= wanted)
    else:
        assert n_new(found.hot) == max(news.values())
    assert found.warm <= found.hot


def test_the_policy_survives_json():
    assert TierPolicy.from_json(POLICY.to_json()) == POLICY
    assert POLICY.to_json()["policy"] == "capacity"
    assert json_bytes(POLICY.to_json())


def test_training_sets_hot_for_the_capacity_over_its_out_of_sample_slice():
    model = trained()
    fit = model.fitted[HORIZONS[-1]]
    conversion = world().config.conversion
    assert model.tiers.horizon_days == conversion.primary_horizon_days == HORIZONS[-1]
    at_risk = was_at_risk(model.snapshots, world(), known_by=model.known_by)
    mature = model.snapshots.filter(
        (model.snapshots["as_of"].dt.offset_by(f"{HORIZONS[-1]}d") <= model.known_by) & at_risk
    )
    p = fit.models[fit.champion].calibrator.probabilities(fit.out_of_sample.margins)
    leads = mature["lead_id"].to_numpy()[fit.out_of_sample.rows]
    times = mature["as_of"].to_numpy()[fit.out_of_sample.rows]
    # Thinning may have left out every second as-of time: the gap between those kept is what counts.
    gap = np.diff(np.unique(times)).min() / np.timedelta64(1, "D")
    later = np.unique(times)[len(np.unique(times)) // 2 :]
    weeks = len(later) * gap / 7
    assert model.tiers.n_weeks == pytest.approx(weeks)
    assert gap % EVERY_DAYS == 0
    wanted = round(world().config.capacity.handoffs_per_week * weeks)
    before = times < later[0]
    hot_before = set(leads[before & (p >= model.tiers.hot)])
    reached = len(set(leads[~before & (p >= model.tiers.hot)]) - hot_before)
    assert wanted <= reached <= wanted + 3


# Optional thresholds.

FULL = TierPolicy(
    horizon_days=90, hot=0.5, warm=0.2, handoffs_per_week=3, n_leads=10, n_weeks=2.0,
    hot_leave=0.4, warm_leave=0.15, deprioritise=0.05, deprioritise_leave=0.04,
)  # fmt: skip
TIER_NAMES = ("deprioritised", "cold", "warm", "hot", None, "never heard of")


def test_a_policy_from_before_there_were_optional_thresholds_is_read_and_written_as_it_was():
    raw = {
        "policy": "capacity", "horizon_days": 90, "hot": 0.5, "warm": 0.2, "handoffs_per_week": 3,
        "n_leads": 10, "n_weeks": 2.0,
    }  # fmt: skip
    assert TierPolicy.from_json(raw) == POLICY
    assert POLICY.to_json() == raw
    assert TierPolicy.from_json(FULL.to_json()) == FULL


def test_below_the_list_a_lead_is_deprioritised():
    assert FULL.tiers(np.array([0.05, np.nextafter(0.05, 0)])) == ["cold", "deprioritised"]
    assert POLICY.tiers(np.array([0.0])) == ["cold"]


def test_a_hot_lead_stays_hot_until_it_is_below_leave():
    p = np.array([0.45, 0.45, 0.39, 0.39])
    assert FULL.tiers(p, ["hot", "warm", "hot", None]) == ["hot", "warm", "warm", "warm"]
    assert FULL.tiers(np.array([0.045, 0.045, 0.16]), ["cold", "deprioritised", "hot"]) == [
        "cold", "deprioritised", "warm",
    ]  # fmt: skip


@given(st.floats(0, 1), st.sampled_from(TIER_NAMES), st.sampled_from([FULL, POLICY]))
def test_a_lead_whose_probability_does_not_move_never_flips(p, tier, tiers):
    told = tiers.tiers(np.array([p]), [tier])
    assert tiers.tiers(np.array([p]), told) == told
    stateless = tiers.tiers(np.array([p]))
    assert tiers.tiers(np.array([p]), stateless) == stateless


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(TIER_NAMES))
def test_a_higher_probability_is_never_a_lower_tier(a, b, tier):
    low, high = FULL.tiers(np.sort([a, b]), [tier, tier])
    ranks = ("deprioritised", "cold", "warm", "hot")
    assert ranks.index(low) <= ranks.index(high)
