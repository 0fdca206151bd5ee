import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import RefusedError
from intentcast.propensity import LADDER, STEPS, interval_edges
from intentcast.snapshots import account_numbers
from intentcast.sources import load_dataset
from intentcast.training import fit_model, training_set
from tests.fixtures_world import (
    CONFIG,
    HORIZONS,
    shuffled_copy,
    trained,
    trained_as,
    world,
    world_times,
)

EARLY = datetime(2025, 3, 1, tzinfo=UTC)


def fit(data=None, *, times=None, known_by=EARLY, **changes):
    data = data or world()
    config = CONFIG.model_copy(update=changes)
    return fit_model(data, times=times or world_times(), known_by=known_by, config=config)


@functools.cache
def early():
    return fit()


def everything(model, features):
    """All numbers that a model gives for some features, whatever its step."""
    return {
        (step, days): part
        for step in LADDER
        for days, horizon in model.step(step).items()
        for part in [
            np.column_stack([horizon.learner.margins(features), *horizon.interval(features)])
        ]
    }


def hazard_of(model):
    return model.step("hazard")[HORIZONS[-1]].learner.hazard


def same(one, other):
    features = one.features.doubles
    left, right = everything(one, features), everything(other, features)
    return (
        one.features.names == other.features.names
        and np.array_equal(features, other.features.values, equal_nan=True)
        and all((left[key] == right[key]).all() for key in left)
        and hazard_of(one).text == hazard_of(other).text
        and hazard_of(one).to_json() == hazard_of(other).to_json()
        and one.tiers == other.tiers
    )


def test_only_as_of_times_of_which_an_interval_is_over_are_learnt_from():
    model = early()
    assert model.known_by == EARLY
    first = timedelta(days=interval_edges(HORIZONS)[1])
    latest = max(t for t in world_times() if t + first <= EARLY)
    assert model.snapshots["as_of"].max() == latest
    assert latest + timedelta(days=HORIZONS[0]) > EARLY
    assert model.n_snapshots == len(model.snapshots) == len(model.features.values)


def test_conversions_counted_are_those_of_the_primary_horizon():
    model = trained()
    primary = model.fitted[HORIZONS[-1]]
    assert 0 < model.n_converted < model.n_snapshots
    assert primary.models[primary.champion].calibrator.n_converted <= model.n_converted


def test_one_step_serves_every_horizon():
    assert {used.step for used in trained().champion.values()} == {
        trained().fitted[HORIZONS[-1]].champion
    }
    for step in STEPS:
        champion = trained_as(step).champion
        assert list(champion) == list(HORIZONS)
        assert {used.step for used in champion.values()} == {step}


def test_the_champion_is_the_step_chosen_at_the_primary_horizon():
    choice = trained().fitted[HORIZONS[-1]].choice
    for fitted in trained().fitted.values():
        assert fitted.champion == choice.step
        assert fitted.reason.startswith(choice.reason)
        assert choice.step in fitted.reason


def test_as_of_times_are_thinned_to_the_row_limit_from_the_latest_back():
    limit = len(trained().snapshots) // 2
    model = fit(max_rows=limit, known_by=world().data_cutoff)
    assert limit / 2 < model.n_snapshots <= limit * 1.2
    every = trained().snapshots["as_of"].unique().sort()
    kept = model.snapshots["as_of"].unique().sort()
    assert kept[-1] == every[-1]
    assert set(kept) < set(every)
    # No lead of a kept as-of time is left out.
    same_times = trained().snapshots.filter(pl.col("as_of").is_in(kept.implode()))
    assert model.snapshots.filter(pl.col("as_of").is_in(every.implode())).equals(same_times)


def test_one_thread_and_shuffled_files_learn_the_same_bits(tmp_path):
    assert CONFIG.threads == 2
    other = fit(load_dataset(shuffled_copy(tmp_path / "shuffled", seed=9)), threads=1)
    assert same(early(), other)


def test_what_becomes_known_later_is_not_learnt_from():
    data = world()
    known = pl.col("known_at") < EARLY
    past = replace(
        data,
        events=data.events.filter(known),
        outcomes=data.outcomes.filter(known),
        attribute_changes=data.attribute_changes.filter(pl.col("recorded_at") < EARLY),
    )
    assert len(past.events) < 0.8 * len(data.events)
    assert same(early(), fit(past))


def test_rows_and_follow_up_carry_the_delay_of_the_outcomes():
    delays = world().config.source_delay_hours.model_copy(update={"outcomes": 36.0})
    late = replace(world(), config=world().config.model_copy(update={"source_delay_hours": delays}))
    known = training_set(late, times=world_times(), known_by=EARLY, config=CONFIG)
    hours = {round(part.delay_us / 3.6e9) for part in (*known.rows.values(), known.followed)}
    assert hours == {36}
    assert all(part.over_by(int(EARLY.timestamp() * 1e6)).all() for part in known.rows.values())


def test_words_and_levels_that_appear_later_are_in_no_vocabulary():
    """Event types, channels, content and job titles of the future, and plenty of them."""
    data = world()
    is_later = pl.col("known_at") >= EARLY
    new = {name: pl.lit("novel") for name in ("event_type", "channel", "content")}
    events = data.events.with_columns(
        pl.when(is_later).then(word).otherwise(name).alias(name) for name, word in new.items()
    )
    is_young = pl.col("created_at") >= EARLY
    leads = data.leads.with_columns(
        pl.when(is_young).then(pl.lit("novel")).otherwise("job_title").alias("job_title")
    )
    assert (events["event_type"] == "novel").mean() > 0.1
    assert (leads["job_title"] == "novel").mean() > 0.1
    found = fit(replace(data, events=events, leads=leads))
    assert "novel" not in str(found.featurizer.spec)
    assert same(early(), found)


def test_another_seed_learns_other_trees():
    features = early().features.doubles
    one, other = (
        model.step("hazard")[90].learner.margins(features) for model in (early(), fit(seed=8))
    )
    assert (one != other).any()


# Too little.


def test_before_any_horizon_is_over_training_is_refused():
    first = world_times()[0]
    with pytest.raises(RefusedError, match="no snapshot whose 30 days are over by 2024-07-30"):
        fit(known_by=first + timedelta(days=29))
    with pytest.raises(RefusedError, match="no snapshot whose 30 days are over"):
        fit(times=[datetime(2030, 1, 1, tzinfo=UTC)])


def test_a_cohort_with_nobody_in_it_is_refused():
    with pytest.raises(RefusedError, match="no snapshot whose 30 days are over"):
        fit(times=[datetime(2020, 1, 1, tzinfo=UTC)])


def with_outcomes(names):
    conversion = world().config.conversion.model_copy(update={"outcomes": names, "closing": ()})
    return replace(world(), config=world().config.model_copy(update={"conversion": conversion}))


def test_without_a_conversion_training_is_refused():
    with pytest.raises(RefusedError, match=r"0 of .* training snapshots converted within 90"):
        fit(with_outcomes(("never",)))


def test_with_nothing_but_conversions_training_is_refused():
    data = world()
    soon = pl.DataFrame({"known_at": [moment + timedelta(hours=1) for moment in world_times()]})
    soon = soon.cast({"known_at": data.outcomes.schema["known_at"]})
    won = (
        data.leads.select("lead_id")
        .join(soon, how="cross")
        .with_columns(occurred_at=pl.col("known_at"), outcome=pl.lit("won"))
    )
    conversion = data.config.conversion.model_copy(update={"outcomes": ("won",), "recurring": True})
    config = data.config.model_copy(update={"conversion": conversion})
    outcomes = pl.concat([data.outcomes.clear(), won], how="diagonal_relaxed").sort(
        "lead_id", "known_at"
    )
    with pytest.raises(RefusedError, match="as many that did not"):
        fit(replace(data, config=config, outcomes=outcomes))


def test_each_stage_is_said():
    said = []
    with pytest.raises(RefusedError, match="0 of"):
        fit_model(
            with_outcomes(("never",)),
            times=world_times(),
            known_by=EARLY,
            config=CONFIG,
            on_progress=said.append,
        )
    assert said[0] == "features"
    assert said[1].startswith("learners for 30, 90 days on ")


# Accounts.


@given(st.lists(st.sampled_from("ABCDEFG"), min_size=1, max_size=20))
def test_an_accounts_number_depends_on_its_name_alone(names):
    numbers = account_numbers(pl.Series(names)).tolist()
    alone = {name: account_numbers(pl.Series([name])).item() for name in names}
    assert numbers == [alone[name] for name in names]
    assert len(set(numbers)) == len(set(names))
