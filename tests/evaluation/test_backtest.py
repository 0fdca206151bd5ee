import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from intentcast.contracts import Predictions
from intentcast.errors import RefusedError
from intentcast.evaluation.backtest import run_backtest
from intentcast.labels import label_snapshots
from intentcast.scorecards import repricing, score_snapshots
from intentcast.scorecards.repricing import reprice
from intentcast.snapshots import build_snapshots
from intentcast.sources import load_dataset
from tests.fixtures_world import (
    CONFIG,
    HORIZONS,
    backtested,
    scorecards,
    shuffled_copy,
    world,
    world_folder,
    world_times,
)

FIRST_TEST = datetime(2025, 1, 13, tzinfo=UTC)  # the first as-of time from backtest.first_test on
LEARNT = {"base_rate", "logistic", "lightgbm", "hazard", "blend", "champion"}
RULES = {"scorecard:playbook", "scorecard:signals", "scorecard:crm_linear", "scorecard:repriced"}
LITTLE = CONFIG.model_copy(update={"max_rows": 1000})
KEYS = ["contender", "lead_id", "as_of", "horizon_days"]


def predictions():
    return backtested().predictions


def of(contender, *, days=90):
    return predictions().filter(
        (pl.col("contender") == contender) & (pl.col("horizon_days") == days)
    )


# What is there.


def test_every_contender_is_there():
    assert set(predictions()["contender"]) == LEARNT | RULES


def test_predictions_are_a_table_of_the_documented_columns():
    assert dict(predictions().schema) == {
        "contender": pl.String,
        "lead_id": pl.String,
        "as_of": pl.Datetime("us", "UTC"),
        "horizon_days": pl.Int32,
        "score": pl.Float64,
        "probability": pl.Float64,
        "converted": pl.Boolean,
        "fold": pl.Int32,
    }
    assert predictions().columns == Predictions.column_names()
    assert not predictions().select(KEYS).is_duplicated().any()


def test_predictions_survive_parquet(tmp_path):
    predictions().write_parquet(tmp_path / "predictions.parquet", compression="zstd")
    assert pl.read_parquet(tmp_path / "predictions.parquet").equals(predictions())


def test_every_contender_scores_the_same_leads_at_the_same_times():
    wanted = backtested().snapshots.sort("as_of", "lead_id").select("lead_id", "as_of", "fold")
    for contender in LEARNT | RULES:
        for days in HORIZONS:
            found = of(contender, days=days).sort("as_of", "lead_id")
            assert found.select("lead_id", "as_of", "fold").equals(wanted)


def test_rules_give_no_probability_and_learners_always_do():
    nulls = predictions().group_by("contender").agg(pl.col("probability").is_null().mean())
    assert dict(nulls.iter_rows()) == dict.fromkeys(RULES, 1.0) | dict.fromkeys(LEARNT, 0.0)


def test_a_learners_score_is_its_probability():
    learnt = predictions().filter(pl.col("contender").is_in(LEARNT))
    assert (learnt["score"] == learnt["probability"]).all()


def test_the_champion_is_the_step_that_each_fold_chose():
    for fold in backtested().folds:
        here = pl.col("fold") == fold.split.fold
        for days in HORIZONS:
            champion = of("champion", days=days).filter(here)
            chosen = of(fold.step, days=days).filter(here)
            assert champion.drop("contender").equals(chosen.drop("contender"))


def test_the_base_rate_is_one_number_per_fold_and_horizon():
    counts = of("base_rate").group_by("fold").agg(pl.col("score").n_unique())
    assert counts["score"].to_list() == [1, 1]


@pytest.mark.parametrize("contender", sorted(LEARNT - {"base_rate"}))
def test_probabilities_never_fall_with_the_horizon(contender):
    short, long = (
        of(contender, days=days).sort("as_of", "lead_id")["probability"] for days in HORIZONS
    )
    assert (short <= long).all()


def test_an_outcome_that_is_not_known_yet_is_null_and_never_false():
    cutoff = world().data_cutoff
    for days in HORIZONS:
        found = of("champion", days=days)
        is_over = found["as_of"] + timedelta(days=days) <= cutoff
        assert (found["converted"].is_not_null() == is_over).all()
        assert not is_over.all()


def test_outcomes_are_those_of_the_labels():
    snapshots = backtested().snapshots.sort("as_of", "lead_id")
    for days in HORIZONS:
        label = label_snapshots(snapshots, world(), horizon_days=days, known_by=world().data_cutoff)
        found = of("scorecard:playbook", days=days).sort("as_of", "lead_id")["converted"]
        assert found.to_list() == label.to_list()


# Time.


def test_folds_train_before_they_test_by_a_horizon():
    first, second = backtested().folds
    assert first.split.test[0] == FIRST_TEST
    assert max(first.split.test) < min(second.split.test)
    for fold in backtested().folds:
        gap = min(fold.split.test) - max(fold.split.train)
        assert gap >= timedelta(days=HORIZONS[-1])
        assert fold.split.known_by == min(fold.split.test)


def test_each_fold_refits_the_first_scorecard_on_what_was_known_then():
    for fold in backtested().folds:
        known_by = fold.split.known_by
        found = reprice(scorecards()[0], world(), times=world_times(), known_by=known_by)
        assert fold.repriced == found.new.model_copy(update={"name": "repriced"})
        here = backtested().snapshots.filter(pl.col("fold") == fold.split.fold)
        scored = score_snapshots(fold.repriced, world(), here).sort("as_of", "lead_id")
        rows = of("scorecard:repriced").filter(pl.col("fold") == fold.split.fold)
        assert rows.sort("as_of", "lead_id")["score"].equals(scored["score"])


def of_one_fold(cards, **more):
    """Return a backtest of scorecards: what is learnt beside them is the least that can be."""
    data = with_config(backtest={"folds": 1})
    return run_backtest(data, config=LITTLE, scorecards=cards, contenders=(), **more)


def test_without_a_scorecard_nothing_is_repriced():
    found = of_one_fold([])
    assert not found.predictions["contender"].str.starts_with("scorecard:").any()
    assert found.folds[0].repriced is None


def test_a_scorecard_of_the_contenders_name_is_run_as_it_is():
    card = scorecards()[2].model_copy(update={"name": "repriced"})
    found = of_one_fold([card])
    assert found.folds[0].repriced is None
    rows = found.predictions.filter(pl.col("contender") == "scorecard:repriced")
    assert rows.select(KEYS).is_unique().all()


def test_with_too_little_to_refit_there_is_no_repriced_contender(monkeypatch):
    monkeypatch.setattr(repricing, "FEWEST_CONVERSIONS", 10_000)
    said = []
    found = of_one_fold(scorecards()[:1], on_progress=said.append)
    names = found.predictions["contender"].unique()
    assert names.filter(names.str.starts_with("scorecard:")).to_list() == ["scorecard:playbook"]
    assert any("points kept" in line for line in said)


def later_rows(frame, *, from_, **constants):
    """Every third row once more, but first recorded at `from_` or up to 40 days later."""
    rows = frame.gather_every(3).with_row_index("i")
    return rows.with_columns(
        recorded_at=(pl.lit(from_) + pl.duration(days=pl.col("i") % 40)).cast(
            frame.schema["recorded_at"]
        ),
        **{name: pl.lit(value).cast(frame.schema[name]) for name, value in constants.items()},
    ).drop("i")


def grown(out, *, from_):
    """The small world with events, outcomes and attribute changes recorded from an instant on."""
    shutil.copytree(world_folder(), out)
    toml = out / "dataset.toml"
    cutoff = world().data_cutoff.isoformat()
    toml.write_text(f'data_cutoff = "{cutoff}"\n{toml.read_text()}')
    for table, constants in (
        ("events", {"event_type": "demo_request", "content": "/pricing/late"}),
        ("outcomes", {"outcome": "closed_won"}),
        ("attribute_changes", {"value": "changed"}),
    ):
        path = out / f"{table}.parquet"
        frame = pl.read_parquet(path)
        constants = {k: v for k, v in constants.items() if k in frame.columns}
        added = later_rows(frame, from_=from_, **constants)
        if "event_id" in frame.columns:
            added = added.with_columns(pl.concat_str(pl.lit("late-"), "event_id").alias("event_id"))
        assert len(added) > 40
        pl.concat([frame, added]).write_parquet(path)
    return load_dataset(out)


def scores(result):
    return result.predictions.select(*KEYS, "fold", "score", "probability")


@pytest.mark.slow
def test_nothing_recorded_from_the_first_test_on_is_learnt_from(tmp_path):
    data = grown(tmp_path / "grown", from_=FIRST_TEST)
    assert len(data.events) > len(world().events) * 1.3
    found = run_backtest(data, config=CONFIG, scorecards=scorecards())
    first = pl.col("as_of") == FIRST_TEST
    before = scores(backtested()).filter(first)
    assert len(before) > 100
    assert scores(found).filter(first).equals(before)
    assert not scores(found).equals(scores(backtested()))


@pytest.mark.slow
def test_a_fold_does_not_see_what_is_recorded_after_it(tmp_path):
    second = backtested().folds[1].split.test[0]
    data = grown(tmp_path / "grown", from_=second)
    found = run_backtest(data, config=CONFIG, scorecards=scorecards())
    known = pl.col("as_of") <= second
    assert scores(found).filter(known).equals(scores(backtested()).filter(known))
    assert scores(backtested()).filter(known)["fold"].n_unique() == 2


# The same every time.


@pytest.mark.slow
def test_one_thread_and_shuffled_files_give_the_same_bits(tmp_path):
    data = load_dataset(shuffled_copy(tmp_path / "shuffled", seed=5))
    assert CONFIG.threads == 2
    config = CONFIG.model_copy(update={"threads": 1})
    found = run_backtest(data, config=config, scorecards=scorecards())
    assert found.predictions.equals(predictions())
    assert [fold.tiers for fold in found.folds] == [fold.tiers for fold in backtested().folds]
    assert [fold.drivers for fold in found.folds] == [fold.drivers for fold in backtested().folds]


# Too little.


def with_config(**sections):
    config = world().config
    for name, changes in sections.items():
        part = getattr(config, name).model_copy(update=changes)
        config = config.model_copy(update={name: part})
    return replace(world(), config=config)


def refused(data, match, *, config=CONFIG):
    with pytest.raises(RefusedError, match=match):
        run_backtest(data, config=config, scorecards=[], contenders=())


def test_a_horizon_longer_than_the_data_is_refused():
    data = with_config(conversion={"horizons_days": (3000,), "primary_horizon_days": 3000})
    refused(data, "the data end on 2026-01-01, 360 days after the first test")


def test_a_first_test_whose_horizon_is_not_over_is_refused():
    data = with_config(backtest={"first_test": datetime(2025, 12, 1, tzinfo=UTC)})
    refused(data, "31 days after the first test on 2025-12-01")


def test_a_first_test_without_anything_before_it_is_refused():
    data = with_config(backtest={"first_test": datetime(2024, 7, 8, tzinfo=UTC)})
    refused(data, "no as-of time whose 90 days are over by 2024-07-15")


def test_data_without_a_conversion_are_refused_once_it_has_said_what_it_does():
    said = []
    data = with_config(conversion={"outcomes": ("never",)})
    with pytest.raises(RefusedError, match=r"0 of .* training snapshots converted within 90 days"):
        run_backtest(data, config=CONFIG, scorecards=[], on_progress=said.append)
    assert said[0].startswith("fold 1 of 2: training on ")
    assert "fold 1: features" in said


def test_a_cohort_with_nobody_in_it_is_refused():
    data = replace(world(), leads=world().leads.clear(), events=world().events.clear())
    refused(data, "no snapshot whose 30 days are over")


def test_test_windows_with_nobody_in_the_cohort_are_refused():
    """Everybody was created in 2024, and only the newly created are scored."""
    born = datetime(2024, 8, 1, tzinfo=UTC)
    data = with_config(cohort={"rule": "created", "within_days": 30})
    old = data.leads.with_columns(
        created_at=pl.when(pl.col("created_at") < FIRST_TEST - timedelta(days=100))
        .then("created_at")
        .otherwise(pl.lit(born, dtype=data.leads.schema["created_at"]))
    )
    config = LITTLE.model_copy(update={"min_converted": 2})
    refused(replace(data, leads=old), "nobody in the cohort", config=config)


def test_the_cohort_of_the_first_test_is_what_was_known_then():
    first = backtested().snapshots.filter(pl.col("as_of") == FIRST_TEST)
    expected = build_snapshots(world(), [FIRST_TEST])
    assert first.select(expected.columns).equals(expected)
