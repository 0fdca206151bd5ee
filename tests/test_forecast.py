"""When leads drop a tier in silence: the dates are what scoring says on those days."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from intentcast.errors import RefusedError
from intentcast.forecast import RANKS, drop_counts, first_lower, forecast
from intentcast.scorecards import score_snapshots
from intentcast.scoring import score
from intentcast.snapshots import known_dataset
from intentcast.tiers import TierPolicy
from tests.conftest import at
from tests.fixtures_world import AS_OF, bundle, world

DAY = timedelta(days=1)
LIMIT = 60


def policy(**thresholds):
    return TierPolicy(
        **{
            **{"horizon_days": 90, "hot": 0.3, "warm": 0.1},
            **{"handoffs_per_week": 10, "n_leads": 1, "n_weeks": 1.0},
            **thresholds,
        }
    )


def forecasted(**more):
    return forecast(
        bundle("logistic"), world(), AS_OF, **{"policy": policy(), "limit_days": LIMIT, **more}
    )


@pytest.fixture(scope="module")
def found():
    return forecasted()


def scored_on(rows, column, *, days_before):
    """The tiers by scoring itself, some days before the dates in a column."""
    past = known_dataset(world(), AS_OF)
    later = rows.select("lead_id", as_of=pl.col(column) - days_before * DAY).join(
        world().leads.select("lead_id", "account_id"), on="lead_id"
    )
    mine = replace(bundle("logistic"), tiers=policy())
    scores = score(mine, past, later).filter(pl.col("horizon_days") == 90)
    model = rows.select("lead_id").join(scores, on="lead_id", maintain_order="left")["tier"]
    rules = later.hstack([score_snapshots(mine.scorecard, past, later)["tier"].alias("rules")])
    rules = rows.select("lead_id").join(rules, on="lead_id", maintain_order="left")["rules"]
    return model, rules


def rank(tiers):
    return tiers.replace_strict(RANKS, return_dtype=pl.Int64)


def test_scoring_on_the_date_gives_the_lower_tier_and_on_no_day_before(found):
    rows = found.drop_nulls("drops_on")
    assert len(rows) > 20
    assert set(rows["tier"]) == {"hot", "warm"}
    model, _ = scored_on(rows, "drops_on", days_before=0)
    assert model.to_list() == rows["drops_to"].to_list()
    assert (rank(model) < rank(rows["tier"])).all()
    for days in (1, 2, 3):
        still = rows.filter(pl.col("days_left") > days)
        model, _ = scored_on(still, "drops_on", days_before=days)
        assert (rank(model) >= rank(still["tier"])).all()


def test_the_points_tables_date_is_when_its_tier_is_lower(found):
    rows = found.drop_nulls("rules_drops_on")
    assert len(rows) > 5
    _, rules = scored_on(rows, "rules_drops_on", days_before=0)
    assert (rank(rules) < rank(rows["rules_tier"])).all()
    _, before = scored_on(rows, "rules_drops_on", days_before=1)
    assert (rank(before) >= rank(rows["rules_tier"])).all()
    assert found.filter(pl.col("rules_tier") == "cold")["rules_drops_on"].null_count() == len(
        found.filter(pl.col("rules_tier") == "cold")
    )


def test_dates_days_and_limit_agree(found):
    assert found["lead_id"].n_unique() == len(found)
    dropping = found.drop_nulls("drops_on")
    assert (dropping["drops_on"] == dropping["as_of"] + dropping["days_left"] * DAY).all()
    assert dropping["days_left"].is_between(1, LIMIT).all()
    never = found.filter(pl.col("drops_on").is_null())
    assert never["drops_to"].null_count() == never["days_left"].null_count() == len(never)


def test_a_shorter_limit_only_hides_later_dates(found):
    short = forecasted(limit_days=10)
    expected = found.with_columns(
        pl.when(pl.col(days) <= 10).then(name).alias(name)
        for days, names in (
            ("days_left", ("drops_on", "drops_to", "days_left")),
            ("rules_days_left", ("rules_drops_on", "rules_days_left")),
        )
        for name in names
    )
    assert_frame_equal(
        short.drop("limit_days").sort("lead_id"), expected.drop("limit_days").sort("lead_id")
    )


@given(st.integers(0, 10_000))
@settings(max_examples=5)
def test_nothing_recorded_at_or_after_the_as_of_time_changes_the_forecast(found, seed):
    rng = np.random.default_rng(seed)
    data = world()
    watched = found["lead_id"].to_list()
    some = data.events.filter(pl.col("lead_id").is_in(watched), pl.col("known_at") < AS_OF).sample(
        50, seed=seed
    )
    late = AS_OF + timedelta(days=float(rng.choice([0.0, 0.5, 20.0])))
    occurred = (
        pl.col("occurred_at") if rng.random() < 0.5 else pl.lit(late).cast(pl.Datetime("us", "UTC"))
    )
    news = some.with_columns(
        occurred_at=occurred,
        recorded_at=pl.lit(late).cast(pl.Datetime("us", "UTC")),
        known_at=pl.lit(late).cast(pl.Datetime("us", "UTC")),
    )
    closing = data.outcomes.head(1).with_columns(
        lead_id=pl.lit(watched[0]),
        outcome=pl.lit("closed_won"),
        known_at=pl.lit(late).cast(pl.Datetime("us", "UTC")),
    )
    column, values = "job_title", data.leads["job_title"].drop_nulls().unique().sort()
    known_changes = data.attribute_changes.filter(pl.col("recorded_at") < AS_OF)
    promoted = pl.DataFrame(
        {"entity": "lead", "entity_id": watched, "attribute": column, "value": values[seed % 5]},
    ).with_columns(recorded_at=pl.lit(late).cast(pl.Datetime("us", "UTC")))
    changed = replace(
        data,
        attribute_changes=pl.concat([known_changes, promoted], how="diagonal").select(
            data.attribute_changes.columns
        ),
        events=pl.concat([data.events.filter(pl.col("known_at") < AS_OF), news]).sort(
            "lead_id", "known_at", "occurred_at", maintain_order=True
        ),
        outcomes=pl.concat([data.outcomes.filter(pl.col("known_at") < AS_OF), closing]),
        data_cutoff=late + DAY,
    )
    assert_frame_equal(
        forecast(bundle("logistic"), changed, AS_OF, policy=policy(), limit_days=LIMIT), found
    )


def test_with_leave_thresholds_a_lead_drops_later_or_on_the_same_day(found):
    sticky = forecasted(policy=policy(hot_leave=0.2, warm_leave=0.05))
    both = found.join(sticky, on=["lead_id", "tier"], suffix="_sticky")
    assert len(both) == len(found)
    later = both["days_left_sticky"].fill_null(LIMIT + 1) - both["days_left"].fill_null(LIMIT + 1)
    assert (later >= 0).all()
    assert (later > 0).any()


def test_a_lead_that_was_hot_is_hot_until_it_leaves(found):
    kept = policy(hot_leave=0.15)
    told = found.select("lead_id", tier=pl.lit("hot"))
    with_past = forecasted(policy=kept, previous=told)
    held = found.filter(pl.col("tier") == "warm", pl.col("probability") >= 0.15)["lead_id"]
    assert len(held) > 0
    hot = with_past.filter(pl.col("tier") == "hot")["lead_id"]
    assert set(hot) == set(held) | set(found.filter(pl.col("tier") == "hot")["lead_id"])


def test_a_lead_that_only_the_points_table_drops_is_dropped_sooner_by_it():
    days = {"days_left": [None, None, 20, 20], "rules_days_left": [5, None, 10, None]}
    rows = pl.DataFrame(
        {"tier": ["hot"] * 4, "rules_tier": ["hot"] * 4, **days},
        schema_overrides=dict.fromkeys(days, pl.Int32),
    )
    assert drop_counts(rows, (30,))["hot"]["rules_drop_sooner"] == 2


def test_where_nobody_is_warm_the_forecast_is_empty_with_the_same_columns(found):
    nobody = forecasted(policy=policy(hot=1.0, warm=1.0))
    assert nobody.is_empty()
    assert nobody.schema == found.schema


def test_a_time_without_a_cohort_is_refused():
    with pytest.raises(RefusedError, match=r"nobody in the cohort at 2020-01-01"):
        forecast(bundle("logistic"), world(), at("2020-01-01"))


@given(st.data())
def test_the_first_lower_day_is_the_first_whatever_the_blocks(data):
    n, limit = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    now = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    # Each stays for some days, or for all, and does whatever it likes afterwards.
    stays = data.draw(st.lists(st.integers(0, limit), min_size=n, max_size=n))
    ranks = np.repeat(now[:, None], limit, axis=1)
    for i, stay in enumerate(stays):
        after = data.draw(st.lists(st.integers(1, 3), min_size=limit, max_size=limit))
        ranks[i, stay:] = after[stay:]
    rows = pl.DataFrame(
        {"lead_id": [str(i) for i in range(n)], "as_of": [AS_OF] * n, "account_id": ["a"] * n},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )

    def ranker(snapshots, _):
        days = ((snapshots["as_of"] - AS_OF).dt.total_days()).to_numpy()
        return ranks[snapshots["lead_id"].cast(pl.Int64).to_numpy(), days - 1]

    days, to = first_lower(rows, now, ranker, limit_days=limit)
    for i in range(n):
        lower = np.flatnonzero(ranks[i] < now[i])
        assert days[i] == (lower[0] + 1 if len(lower) else 0)
        assert to[i] == (ranks[i, lower[0]] if len(lower) else now[i])
