import tomllib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from intentcast.errors import RefusedError
from intentcast.scorecards import parse_scorecard, score_snapshots
from intentcast.scorecards.anchoring import anchor
from intentcast.scorecards.hits import rules_of
from intentcast.scorecards.repriced_card import card_text
from intentcast.scorecards.repricing import reprice
from intentcast.snapshots import build_snapshots
from tests.scorecards.repricing_world import (
    KNOWN_BY,
    SETTINGS,
    card,
    card_with,
    shuffled,
    tables,
    times,
)


@pytest.fixture(scope="module")
def data(make_dataset):
    return make_dataset(**tables(), settings=SETTINGS)


def refit(table, dataset, known_by=KNOWN_BY):
    return reprice(table, dataset, times=times(dataset), known_by=known_by)


@pytest.fixture(scope="module")
def found(data):
    return refit(card(), data)


def points(repricing):
    return {rule.item: float(rule.new) for rule in repricing.rules}


def test_points_come_in_the_order_of_what_the_actions_are_worth(found):
    new = points(found)
    assert new["asked"] > new["read"] > new["opened"]
    assert new["asked"] > 10 > new["opened"]


def test_points_are_whole_and_never_negative(found):
    assert all(rule.new == int(rule.new) >= 0 for rule in found.rules)


def test_intervals_hold_the_points_but_for_rounding(found):
    for rule in found.rules:
        assert rule.low - 0.5 <= rule.new <= rule.high + 0.5


def test_a_table_with_decimals_is_rounded_to_its_finest(data):
    table = card_with({"item": "any", "event_type": ["ask", "read"], "points": 0.25})
    assert all(rule.new * 100 == int(rule.new * 100) for rule in refit(table, data).rules)


def test_as_many_leads_as_before_reach_hot(data, found):
    snapshots = build_snapshots(data, [t for t in times(data) if t < KNOWN_BY])
    reach = [
        score_snapshots(table, data, snapshots)
        .filter(pl.col("score") >= float(table.classes.hot))["lead_id"]
        .n_unique()
        for table in (found.old, found.new)
    ]
    assert found.anchor.threshold == "hot"
    assert reach[1] == pytest.approx(reach[0], rel=0.35)
    assert found.new.classes.hot == found.old.classes.hot


def test_support_counts_leads_and_converted_ones(found):
    asked = next(rule for rule in found.rules if rule.item == "asked")
    assert 0 < asked.n_converted < asked.n_leads < found.n_leads
    assert found.n_converted < found.n_leads


def test_the_same_data_give_the_same_bytes(data, found):
    again = refit(card(), data)
    assert card_text(again, "") == card_text(found, "")
    assert again == found


def test_the_order_of_rows_changes_nothing(make_dataset, found):
    mixed = {name: shuffled(rows, seed=3) for name, rows in tables().items()}
    assert refit(card(), make_dataset(**mixed, settings=SETTINGS)) == found


def test_outcomes_known_later_change_nothing(make_dataset, found):
    def moved(row):
        # What happens later happens to someone else.
        return row if row["occurred_at"] < KNOWN_BY else {**row, "lead_id": "L0001"}

    rows = tables()
    changed = {**rows, "outcomes": [moved(row) for row in rows["outcomes"]]}
    assert changed["outcomes"] != rows["outcomes"]
    assert refit(card(), make_dataset(**changed, settings=SETTINGS)) == found


def test_a_rule_that_nobody_met_is_marked_and_scaled_with_the_rest(data):
    repriced = refit(card_with({"item": "phoned", "event_type": "call", "points": 10}), data)
    phoned = repriced.rules[-1]
    assert not phoned.has_support
    assert phoned.n_leads == 0
    worth = np.mean([float(rule.new) for rule in repriced.rules[:-1]])
    assert float(phoned.new) == pytest.approx(worth, abs=4)
    assert "# Nobody met it, scaled with the rest: phoned" in card_text(repriced, "")


def test_the_same_rule_twice_shares_its_points(data):
    repriced = refit(card_with({"item": "asked again", "event_type": "ask", "points": 10}), data)
    new = points(repriced)
    assert new["asked"] == new["asked again"]
    assert new["asked"] + new["asked again"] > new["read"]


def test_no_rule_gets_more_points_than_its_cap_lets_through(data):
    repriced = refit(card(behaviours_cap=6, attributes_cap=5, classes={"hot": 8}), data)
    assert all(rule.new <= 6 for rule in repriced.rules)
    assert repriced.new.behaviours_cap == 6


def test_too_few_conversions_are_refused_with_how_many_more(make_dataset):
    few = tables(n_leads=60, seed=2)
    dataset = make_dataset(**few, settings=SETTINGS)
    with pytest.raises(RefusedError) as refused:
        refit(card(), dataset)
    n = int(refused.value.found.split()[0])
    assert f"after {30 - n} more conversions" in refused.value.next_step


def test_before_any_horizon_is_over_repricing_is_refused(data):
    with pytest.raises(RefusedError, match="30 days are over by"):
        refit(card(), data, known_by=times(data)[0])


def test_a_table_that_nobody_meets_is_refused(data):
    table = card(attributes=[], behaviours=[{"item": "phoned", "event_type": "call", "points": 10}])
    with pytest.raises(RefusedError, match="no rule of the table was ever met"):
        refit(table, data)


def test_json_says_what_was_done(found):
    raw = found.to_json()
    assert raw["scorecard"] == "flat"
    assert raw["repriced"] == "flat-repriced"
    assert raw["judged_by"] == "later leads"
    assert [rule["item"] for rule in raw["rules"]] == ["CTO", "asked", "read", "opened"]
    assert replace(found, tried=()).to_json() == raw


@pytest.fixture(scope="module")
def rich():
    """A table with much of what the format has: each rule another way to give points."""
    return card(
        behaviours=[
            {"item": "asked", "event_type": "ask", "points": 10, "weight": 1.5},
            {"item": "read", "event_type": "read", "points": 10, "group": "g", "window_days": 60},
            {"item": "opened", "event_type": "open", "points": -2, "group": "g"},
            {
                "item": "active",
                "event_type": ["ask", "read", "open"],
                "bands": [
                    {"within_days": 30, "at_least": 2, "points": 8},
                    {"within_days": 90, "points": 4},
                ],
            },
        ],
        decay={"kind": "half_life", "days": 60},
        group_caps={"g": 15},
        behaviours_cap=60,
        classes={"hot": 25},
    )


def test_points_below_0_stay_there_and_bands_keep_their_ratio(data, rich):
    new = refit(rich, data).new
    asked, read, opened, active = new.behaviours
    assert min(asked.points, read.points, active.points) >= 0 >= opened.points
    assert active.bands[0].points == active.points
    assert active.bands[1].points == pytest.approx(active.points / 2)
    assert new.decay == rich.decay


def test_every_kind_of_rule_reads_back_from_the_file(data, rich):
    found = refit(rich, data)
    back = parse_scorecard(tomllib.loads(card_text(found, "")), source="the test")
    assert rules_of(back) == rules_of(found.new)


OPENS_TWICE = {"item": "opens again", "event_type": "open", "nth": 2}
NEVER = {"item": "phoned", "event_type": "call", "points": 1}


@pytest.fixture(scope="module")
def annoyed(make_dataset):
    """A world where opening speaks against a conversion."""
    return make_dataset(**tables(opening=-1.0), settings=SETTINGS)


@pytest.mark.parametrize("points_away", [-5, -20])
def test_where_only_a_rule_that_takes_points_away_speaks_repricing_is_refused(annoyed, points_away):
    opened = {"item": "opened", "event_type": "open", "points": 3, "per": "lead"}
    behaviours = [NEVER, opened, {**OPENS_TWICE, "points": points_away}]
    with pytest.raises(RefusedError, match="no rule of the table whose hits speak for"):
        refit(card(attributes=[], behaviours=behaviours), annoyed)


def scored_by_hand(hits):
    """Scores of leads with these hits, of a table of behaviours only."""

    def scores(table):
        score = hits @ np.array([float(rule.points) for rule in table.behaviours])
        names = [f"L{i}" for i in range(len(hits))]
        return pl.DataFrame({"lead_id": names, "score": score, "attribute_points": 0.0 * score})

    return scores


ASKS_AND_OPENS = [
    {"item": "asked", "event_type": "ask", "points": 5},
    {"item": "opened", "event_type": "open", "points": -5},
]
MANY_HITS = np.random.default_rng(0).integers(0, 4, (100, 2))


def test_no_scale_is_made_of_points_that_only_take_away():
    table = card(attributes=[], behaviours=ASKS_AND_OPENS, classes={"hot": 5})
    with pytest.raises(RefusedError, match="no rule gives points above 0"):
        anchor(table, np.array([0.0, -3.5]), scored_by_hand(MANY_HITS))


def test_a_scale_that_caps_leave_no_room_for_is_refused():
    table = card(attributes=[], behaviours=ASKS_AND_OPENS, behaviours_cap=8, classes={"hot": 5})
    opened = np.tile([0, 1], (30, 1))
    hits = np.vstack([opened, np.tile([1, 0], (40, 1))])
    with pytest.raises(RefusedError, match="no scale of the refitted points keeps hot at 40"):
        anchor(table, np.array([0.0, 2.0]), scored_by_hand(hits))


def test_a_mean_score_that_is_not_above_0_is_not_held_equal():
    table = card(attributes=[], behaviours=ASKS_AND_OPENS, classes={"hot": 500})
    with pytest.raises(RefusedError, match="the mean score is -5"):
        anchor(table, np.array([5.0, -1.0]), scored_by_hand(np.tile([0, 1], (100, 1))))
