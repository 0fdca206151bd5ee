import tomllib

import numpy as np
import polars as pl
import pytest

from intentcast.errors import RefusedError
from intentcast.evaluation.agreement import agreement
from intentcast.scorecards import parse_scorecard, score_snapshots
from intentcast.scorecards.distil import distil
from intentcast.scorecards.repriced_card import card_text, provenance
from intentcast.snapshots import build_snapshots
from intentcast.tiers import TierPolicy
from tests.scorecards.repricing_world import FIRST, KNOWN_BY, SETTINGS, TRUE, card, tables, times

POLICY = TierPolicy(
    horizon_days=30, hot=0.1, warm=0.04, handoffs_per_week=10, n_leads=900, n_weeks=8
)


@pytest.fixture(scope="module")
def data(make_dataset):
    return make_dataset(**tables(), settings=SETTINGS)


@pytest.fixture(scope="module")
def snapshots(data):
    return build_snapshots(data, [t for t in times(data) if t < KNOWN_BY])


@pytest.fixture(scope="module")
def model(data, snapshots):
    """A model that knows the world: log-odds add up what each action is worth."""
    counts = data.events.filter(pl.col("known_at") < FIRST).pivot(
        "event_type", index="lead_id", values="occurred_at", aggregate_function="len"
    )
    joined = snapshots.join(counts, on="lead_id", how="left", maintain_order="left")
    worth = sum(joined[kind].fill_null(0).to_numpy() * value for kind, value in TRUE.items())
    return 1 / (1 + np.exp(4.5 - worth))


def distilled(data, snapshots, model, table=None):
    return distil(
        table or card(),
        data,
        snapshots=snapshots,
        probabilities=model,
        hot=POLICY.hot,
        warm=POLICY.warm,
        known_by=KNOWN_BY,
        source="the probabilities of a model",
    )


@pytest.fixture(scope="module")
def found(data, snapshots, model):
    return distilled(data, snapshots, model)


def test_points_are_worth_what_the_model_gives(found):
    new = {rule.item: float(rule.new) for rule in found.rules}
    assert new["asked"] / new["read"] == pytest.approx(TRUE["ask"] / TRUE["read"], rel=0.15)
    assert new["opened"] <= 1


def test_a_distilled_table_orders_leads_as_the_model_does(data, snapshots, model, found):
    agreed = agreement(found.new, data, snapshots, model, tiers=POLICY, top_size=40)
    before = agreement(found.old, data, snapshots, model, tiers=POLICY, top_size=40)
    assert agreed.rank_correlation > 0.95 > before.rank_correlation
    assert agreed.top_overlap > before.top_overlap
    assert 0 < agreed.same_tier <= 1


def test_as_many_leads_are_hot_and_warm_as_by_the_model(data, snapshots, model, found):
    scored = score_snapshots(found.new, data, snapshots)
    for edge, threshold in ((POLICY.hot, "hot"), (POLICY.warm, "warm")):
        by_model = snapshots.filter(model >= edge)["lead_id"].n_unique()
        reach = scored.filter(pl.col("score") >= float(getattr(found.new.classes, threshold)))
        assert reach["lead_id"].n_unique() == pytest.approx(by_model, rel=0.2)
    assert found.new.classes.warm < found.new.classes.hot
    back = parse_scorecard(tomllib.loads(card_text(found, "")), source="the test")
    assert back.classes == found.new.classes


def test_a_table_agrees_with_itself(data, snapshots, found):
    score = score_snapshots(found.new, data, snapshots)["score"].to_numpy()
    agreed = agreement(found.new, data, snapshots, score / 1000, tiers=POLICY, top_size=40)
    assert agreed.rank_correlation == pytest.approx(1)
    assert agreed.top_overlap == pytest.approx(1)


def test_a_table_that_never_differs_has_no_rank_correlation(data, snapshots, model):
    flat = card(behaviours=[{"item": "phoned", "event_type": "call", "points": 5}], attributes=[])
    agreed = agreement(flat, data, snapshots, model, tiers=POLICY, top_size=40)
    assert agreed.to_json()["rank_correlation"] is None


def test_the_order_of_snapshots_changes_nothing(data, snapshots, model, found):
    order = np.random.default_rng(1).permutation(len(snapshots))
    assert distilled(data, snapshots[order], model[order]) == found


def test_outcomes_play_no_part(make_dataset, snapshots, model, found):
    rows = tables()
    kept = make_dataset(**{**rows, "outcomes": rows["outcomes"][:1]}, settings=SETTINGS)
    assert distilled(kept, snapshots, model) == found


def test_the_file_says_that_it_was_fitted_to_probabilities(found):
    assert found.new.name == "flat-distilled"
    assert "the probabilities of a model" in provenance(found)[0]
    assert "expected conversions" in card_text(found, "")


def test_few_leads_are_refused(data, snapshots, model):
    few = snapshots["lead_id"].is_in(snapshots["lead_id"].unique().sort().head(20).implode())
    with pytest.raises(RefusedError, match="20 leads"):
        distilled(data, snapshots.filter(few), model[few.to_numpy()])
