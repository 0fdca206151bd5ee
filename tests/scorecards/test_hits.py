import numpy as np
import polars as pl
import pytest

from intentcast.scorecards import builtin_scorecards, read_scorecard, score_snapshots
from intentcast.scorecards.hits import rule_hits, rules_of, steps_of, with_points
from intentcast.snapshots import build_snapshots
from tests.conftest import WORLD_SETTINGS, world
from tests.scorecards import repricing_world as small


@pytest.fixture(scope="module")
def lively(make_dataset):
    return make_dataset(**world(5, n_leads=40), settings=WORLD_SETTINGS)


def points(card):
    return np.array([float(rule.points) for rule in rules_of(card)])


@pytest.mark.parametrize("path", builtin_scorecards(), ids=lambda path: path.stem)
def test_weights_times_points_are_the_score(lively, path):
    card = read_scorecard(path)
    snapshots = build_snapshots(lively, [small.at_day("2024-03-15"), small.at_day("2024-04-25")])
    found = rule_hits(card, lively, snapshots)
    score = score_snapshots(card, lively, snapshots)["score"].to_numpy()
    assert score.max() > 20
    np.testing.assert_allclose(found.weights @ points(card), score, atol=0.01)


def test_without_caps_and_decay_a_hit_is_a_count(make_dataset):
    data = make_dataset(**small.tables(), settings=small.SETTINGS)
    snapshots = build_snapshots(data, [small.FIRST])
    found = rule_hits(small.card(), data, snapshots)
    counts = (
        data.events.filter(pl.col("known_at") < small.FIRST)
        .group_by("lead_id")
        .agg(ask=(pl.col("event_type") == "ask").sum())
    )
    wanted = snapshots.join(counts, on="lead_id", how="left", maintain_order="left")["ask"]
    assert found.alone[:, 1].tolist() == wanted.fill_null(0).to_list()


def test_a_cap_takes_the_same_share_of_every_rule(make_dataset):
    data = make_dataset(**small.tables(), settings=small.SETTINGS)
    snapshots = build_snapshots(data, [small.FIRST])
    found = rule_hits(small.card(behaviours_cap=20), data, snapshots)
    over = found.alone[:, 1:].sum(axis=1) > 2
    assert over.any()
    np.testing.assert_allclose(found.weights[over, 1:].sum(axis=1), 2.0)
    shares = found.weights[over, 1:] / np.where(found.alone > 0, found.alone, np.nan)[over, 1:]
    assert np.nanmax(shares, axis=1) == pytest.approx(np.nanmin(shares, axis=1))


def test_a_rule_without_points_is_met_as_often_as_with_them(make_dataset):
    data = make_dataset(**small.tables(), settings=small.SETTINGS)
    snapshots = build_snapshots(data, [small.FIRST])
    card = small.card()
    free = with_points(card, (card.attributes[0].points, *([card.attributes[0].points * 0] * 3)))
    assert (rule_hits(free, data, snapshots).alone == rule_hits(card, data, snapshots).alone).all()
    assert [float(step) for step in steps_of(free)] == [10.0] * 4
