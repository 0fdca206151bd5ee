"""Random hand-offs from below the threshold: chances, draws, and the weights that follow."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from intentcast.errors import InputError
from intentcast.exploration import (
    LOG_SCHEMA,
    draw,
    eligible,
    inclusion_probabilities,
    weights,
)
from tests.conftest import at, event, outcome

MONDAY = at("2024-06-03")
EMPTY = LOG_SCHEMA.to_frame()


def candidates(n=60, *, as_of=MONDAY, seed=1):
    p = np.random.default_rng(seed).beta(1, 12, n)
    return pl.DataFrame(
        {
            "lead_id": [f"L{i:03d}" for i in range(n)],
            "as_of": [as_of] * n,
            "tier": np.where(p > 0.1, "warm", "cold"),
            "probability": p,
            "model_version": "m1",
        }
    ).with_columns(pl.col("as_of").cast(pl.Datetime("us", "UTC")))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.integers(1, 45),
    st.floats(0.05, 1),
)
def test_chances_add_up_to_the_seats_and_none_is_below_its_floor(p, n, share):
    chances = inclusion_probabilities(np.array(p), n, uniform_share=share)
    seats = min(n, len(p))
    assert chances.sum() == pytest.approx(seats)
    assert (chances <= 1 + 1e-12).all()
    assert (chances >= share * seats / len(p) - 1e-9).all()


def test_a_lead_that_is_certain_to_be_drawn_leaves_the_other_seats_to_the_others():
    chances = inclusion_probabilities(np.array([0.9, 0.02, 0.01, 0.0]), 2, uniform_share=0.2)
    assert chances[0] == 1
    assert chances[1:].sum() == pytest.approx(1)
    assert chances[1:] == pytest.approx([0.8 * 2 / 3 + 0.2 / 3, 0.8 / 3 + 0.2 / 3, 0.2 / 3])


def test_likelier_leads_have_greater_chances_unless_all_is_uniform():
    p = np.array([0.01, 0.02, 0.30])
    assert (np.diff(inclusion_probabilities(p, 1, uniform_share=0.5)) > 0).all()
    assert inclusion_probabilities(p, 1, uniform_share=1) == pytest.approx([1 / 3] * 3)


def test_leads_are_drawn_as_often_as_their_chances_say():
    rows = candidates()
    n_draws = 1500
    counts = np.zeros(len(rows))
    for seed in range(n_draws):
        drawn = draw(rows, EMPTY, per_week=7, seed=seed)
        assert len(drawn) == drawn["lead_id"].n_unique() == 7
        counts += rows["lead_id"].is_in(drawn["lead_id"].implode()).to_numpy()
    chances = inclusion_probabilities(rows["probability"].to_numpy(), 7, uniform_share=0.5)
    off = (counts / n_draws - chances) / np.sqrt(chances * (1 - chances) / n_draws)
    assert np.abs(off).max() < 4.5
    assert np.mean(off**2) == pytest.approx(1, abs=0.5)


def test_the_log_has_each_leads_chance_and_what_decided_it():
    rows = candidates()
    drawn = draw(rows, EMPTY, per_week=5, seed=3, uniform_share=0.4)
    assert drawn.schema == LOG_SCHEMA
    chances = inclusion_probabilities(rows["probability"].to_numpy(), 5, uniform_share=0.4)
    expected = dict(zip(rows["lead_id"], chances, strict=True))
    assert drawn["inclusion_probability"].to_list() == [expected[i] for i in drawn["lead_id"]]
    assert drawn.select("n_eligible", "n_drawn", "seed", "policy_version").unique().row(0) == (
        60, 5, 3, "m1",
    )  # fmt: skip


def test_a_draw_does_not_depend_on_the_order_of_rows_but_on_seed_and_time():
    rows = candidates()
    drawn = draw(rows, EMPTY, per_week=5, seed=3)
    assert_frame_equal(drawn, draw(rows.reverse(), EMPTY, per_week=5, seed=3))
    others = [
        draw(rows, EMPTY, per_week=5, seed=4),
        draw(candidates(as_of=at("2024-06-10")), EMPTY, per_week=5, seed=3),
    ]
    assert all(other["lead_id"].to_list() != drawn["lead_id"].to_list() for other in others)


def test_drawing_again_in_the_same_week_adds_nothing():
    first = draw(candidates(), EMPTY, per_week=5, seed=3)
    assert draw(candidates(), first, per_week=5, seed=9).is_empty()
    friday = candidates(as_of=at("2024-06-07"))
    assert draw(friday, first, per_week=5, seed=3).is_empty()
    more = draw(friday, first, per_week=8, seed=3)
    assert len(more) == 3
    assert not set(more["lead_id"]) & set(first["lead_id"])


def test_a_lead_drawn_lately_is_not_drawn_again():
    log = EMPTY
    for week in range(4):
        rows = candidates(12, as_of=MONDAY + timedelta(weeks=week))
        log = pl.concat([log, draw(rows, log, per_week=3, seed=1, pause_days=90)])
    assert log["lead_id"].n_unique() == len(log) == 12
    assert (
        draw(
            candidates(12, as_of=MONDAY + timedelta(days=91)),
            log,
            per_week=3,
            seed=1,
            pause_days=90,
        )["lead_id"]
        .is_in(log.filter(pl.col("as_of") == MONDAY)["lead_id"].implode())
        .all()
    )


def test_a_log_only_grows():
    log = draw(candidates(), EMPTY, per_week=5, seed=3)
    with pytest.raises(InputError, match=r"a draw of 2024-06-03T00:00Z in the log, after"):
        draw(candidates(as_of=at("2024-05-27")), log, per_week=5, seed=3)


def test_no_seats_no_draw():
    assert draw(candidates(), EMPTY, per_week=0, seed=3).is_empty()
    assert draw(candidates().clear(), EMPTY, per_week=5, seed=3).schema == LOG_SCHEMA


def test_scores_of_two_times_are_refused():
    both = pl.concat([candidates(3), candidates(3, as_of=at("2024-06-10"))])
    with pytest.raises(InputError, match=r"6 rows at 2 as-of times"):
        draw(both, EMPTY, per_week=5, seed=3)


def test_who_opted_out_or_is_in_sales_hands_or_was_sent_back_lately_is_never_drawn(make_dataset):
    names = [f"L{i}" for i in range(9)]
    dataset = make_dataset(
        leads=[{"lead_id": name, "created_at": "2024-01-01"} for name in names],
        events=[
            event("L0", "2024-05-01", "unsubscribe"),
            event("L1", "2024-06-03", "unsubscribe"),  # known at the as-of time: not before it
            event("L2", "2024-05-01"),
        ],
        outcomes=[
            outcome("L3", "2024-05-01", "won"),
            outcome("L4", "2024-05-01", "lost"),
            outcome("L5", "2024-05-01", "opportunity_created"),
            outcome("L6", "2024-05-01", "mql_rejected"),
            outcome("L7", "2024-01-05", "mql_rejected"),
            outcome("L8", "2024-05-01", "won", recorded_at="2024-06-04"),
        ],
    )
    scores = candidates(9).with_columns(lead_id=pl.Series(names), tier=pl.lit("cold"))
    left = eligible(scores, dataset, opt_out=("unsubscribe",))
    assert left["lead_id"].to_list() == ["L1", "L2", "L7", "L8"]
    hot = scores.with_columns(tier=pl.lit("hot"))
    assert eligible(hot, dataset, opt_out=("unsubscribe",)).is_empty()


def test_a_return_is_over_once_its_days_have_passed(make_dataset):
    sent_back = MONDAY - timedelta(days=90)
    dataset = make_dataset(
        leads=[{"lead_id": name, "created_at": "2024-01-01"} for name in ("L0", "L1")],
        events=[event("L0", "2024-05-01")],
        outcomes=[
            outcome("L0", sent_back.isoformat(), "mql_rejected"),
            outcome("L1", (sent_back + timedelta(seconds=1)).isoformat(), "mql_rejected"),
        ],
    )
    assert dataset.config.sales.renurture_days == 90
    scores = candidates(2).with_columns(lead_id=pl.Series(["L0", "L1"]), tier=pl.lit("cold"))
    assert eligible(scores, dataset, opt_out=("unsubscribe",))["lead_id"].to_list() == ["L0"]


def test_an_opt_out_that_was_taken_back_later_no_longer_stands(make_dataset):
    dataset = make_dataset(
        leads=[{"lead_id": f"L{i}", "created_at": "2024-01-01"} for i in range(4)],
        events=[
            event("L0", "2024-05-01", "unsubscribe"),
            event("L0", "2024-05-02", "resubscribe"),
            event("L1", "2024-05-02", "unsubscribe"),
            event("L1", "2024-05-01", "resubscribe"),
            event("L2", "2024-05-01", "resubscribe"),
            event("L2", "2024-05-01", "unsubscribe"),
            event("L3", "2024-05-01", "unsubscribe"),
            event("L3", "2024-06-03", "resubscribe"),  # known at the as-of time: not before it
        ],
    )
    scores = candidates(4).with_columns(
        lead_id=pl.Series([f"L{i}" for i in range(4)]), tier=pl.lit("cold")
    )
    back = eligible(scores, dataset, opt_out=("unsubscribe",), revoked_by=("resubscribe",))
    assert back["lead_id"].to_list() == ["L0"]
    assert eligible(scores, dataset, opt_out=("unsubscribe",)).is_empty()


def test_a_snapshot_belongs_to_the_draw_of_the_week_before_it():
    log = draw(candidates(3), EMPTY, per_week=1, seed=3)
    [name], chance = log["lead_id"].to_list(), log["inclusion_probability"][0]
    other = next(i for i in ("L000", "L001") if i != name)
    times = ["2024-06-02", "2024-06-03", "2024-06-09T23:59:59", "2024-06-10"]
    rows = pl.DataFrame(
        {
            "lead_id": [name] * 4 + [other, other],
            "as_of": [at(t) for t in times] + [MONDAY, MONDAY],
            "tier": ["cold"] * 5 + ["hot"],
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    found = weights(log, rows)
    assert found.part.to_list() == ["no draw", "drawn", "drawn", "no draw", "not drawn", "above"]
    assert found.values == pytest.approx([1, 1 / chance, 1 / chance, 1, 0, 1])
    total = found.values.sum()
    assert found.effective_n == pytest.approx(total**2 / (found.values**2).sum())


def test_a_weight_above_the_bound_is_cut_and_counted():
    rows = candidates(400)
    log = draw(rows, EMPTY, per_week=2, seed=3)
    found = weights(log, rows, bound=20)
    assert found.values.max() == found.bound == 20
    assert found.n_bounded == 2
    assert weights(log, rows).n_bounded == 0


def test_weighted_rates_below_the_threshold_are_unbiased_where_chosen_ones_are_not():
    """Sales hands over the leads below the threshold that it has a feeling about.

    The feeling knows more of who will convert than the score does. So the rate among those chosen
    is too high, and the rate with everyone else as "did not convert" too low; the weighted rate of
    the drawn ones is right.
    """
    n, n_weeks = 300, 400
    rng = np.random.default_rng(11)
    log, totals, chosen_rates, recorded_rates, truths = EMPTY, [], [], [], []
    for week in range(n_weeks):
        as_of = MONDAY + timedelta(weeks=week)
        rows = candidates(n, as_of=as_of, seed=1000 + week).with_columns(
            lead_id=pl.Series([f"W{week:03d}-{i:03d}" for i in range(n)])
        )
        feeling = rng.normal(size=n)
        p = rows["probability"].to_numpy()
        would_convert = rng.random(n) < np.clip(p * np.exp(feeling - 0.5), 0, 1)
        chosen = feeling > 1.0
        drawn = draw(rows, log.tail(20), per_week=10, seed=5)
        log = pl.concat([log, drawn])
        weight = weights(drawn, rows).values
        totals.append((weight * would_convert).sum() / n)
        truths.append(would_convert.mean())
        chosen_rates.append(would_convert[chosen].mean())
        recorded_rates.append((would_convert & chosen).mean())
    errors = np.array(totals) - np.array(truths)
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(n_weeks)
    for naive in (chosen_rates, recorded_rates):
        off = np.array(naive) - np.array(truths)
        assert abs(off.mean()) > 10 * off.std() / np.sqrt(n_weeks)
    assert errors.std() / np.sqrt(n_weeks) < 0.1 * np.mean(truths)


def estimated_each_week(*, n_weeks, n_runs, pause_days, per_week=4):
    """Weighted means of the chances of the same 40 leads, shape (n_runs, n_weeks), and the mean."""
    p = np.where(np.arange(40) < 8, 0.4, 0.02)
    weeks = [
        candidates(40, as_of=MONDAY + timedelta(weeks=week)).with_columns(
            probability=pl.Series(p), tier=pl.lit("cold")
        )
        for week in range(n_weeks)
    ]
    means = np.empty((n_runs, n_weeks))
    for seed in range(n_runs):
        log = EMPTY
        for week, rows in enumerate(weeks):
            more = draw(rows, log, per_week=per_week, seed=seed, pause_days=pause_days)
            log = pl.concat([log, more])
            means[seed, week] = (weights(log, rows).values * p).sum() / len(p)
    return means, p.mean()


@pytest.mark.parametrize("pause_days", [90, 15])
def test_weighted_means_are_right_week_after_week_of_the_same_leads(pause_days):
    """Likelier leads are drawn earlier and then paused: without them the others look unlikely."""
    means, truth = estimated_each_week(n_weeks=6, n_runs=120, pause_days=pause_days)
    error = means.std(axis=0) / np.sqrt(len(means))
    assert np.abs(means.mean(axis=0) - truth).max() < 3.5 * error.max()
    assert error.max() < 0.05 * truth


@pytest.mark.parametrize("later", [timedelta(days=3), timedelta(0)], ids=["thursday", "same time"])
def test_a_second_draw_in_a_week_leaves_weighted_means_right(later):
    rows = candidates(40, as_of=MONDAY).with_columns(tier=pl.lit("cold"))
    again = candidates(40, as_of=MONDAY + later).with_columns(tier=pl.lit("cold"))
    p = rows["probability"].to_numpy()
    means, parts = [], []
    for seed in range(200):
        first = draw(rows, EMPTY, per_week=4, seed=seed)
        log = pl.concat([first, draw(again, first, per_week=7, seed=seed)])
        found = weights(log.sample(fraction=1.0, shuffle=True, seed=seed), again)
        means.append((found.values * p).mean())
        parts.append(found.part.value_counts().sort("part").rows())
    assert parts == [[("drawn", 3), ("drawn before", 4), ("not drawn", 33)]] * 200
    assert np.mean(means) == pytest.approx(p.mean(), abs=3.5 * np.std(means) / np.sqrt(200))
    assert np.std(means) / np.sqrt(200) < 0.05 * p.mean()


def test_a_lead_stands_for_itself_while_it_is_paused_and_no_longer():
    rows = [candidates(6, as_of=MONDAY + timedelta(weeks=week)) for week in range(4)]
    log = draw(rows[0], EMPTY, per_week=1, seed=3, pause_days=14)
    [name] = log["lead_id"]
    for week in (1, 2):
        others = rows[week].filter(pl.col("lead_id") != name)
        more = draw(others, log, per_week=1, seed=3, pause_days=14)
        log = pl.concat([log, more])
    told = pl.concat(
        [
            row.filter(pl.col("lead_id") == name).with_columns(tier=pl.lit("cold"))
            for row in rows[:3]
        ]
    )
    found = weights(log, told)
    assert found.part.to_list() == ["drawn", "drawn before", "not drawn"]
    assert found.values == pytest.approx([1 / log["inclusion_probability"][0], 1, 0])
