"""Why a score and a tier are not what they were."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import InputError
from intentcast.scorecards import ChangeLedger, change_ledger, parse_scorecard
from intentcast.tier_changes import CAUSES, as_json, tier_change
from tests.test_scorecards import CARDS, NOW, event, world

THEN = NOW - timedelta(days=20)


def said(change: ChangeLedger) -> list[tuple[Any, ...]]:
    return [(line.cause, line.item, line.points, line.n) for line in change.lines]


def test_each_cause_has_its_lines() -> None:
    changes = [
        {"entity": "lead", "entity_id": "L1", "attribute": "job_title", "value": "Director",
         "recorded_at": NOW - timedelta(days=2)}
    ]  # fmt: skip
    events = [
        event("L1", "page_view", NOW - timedelta(days=25), content="/pricing"),
        event("L1", "email_click", NOW - timedelta(days=1)),
        event("L1", "email_click", NOW - timedelta(days=1)),
    ]
    dataset = world(events, leads={"L1": {"job_title": "Analyst"}}, changes=changes)
    card = CARDS["playbook"]
    got = change_ledger(card, card, dataset, "L1", since=THEN, as_of=NOW)
    assert (got.before.score, got.after.score, got.points) == (20, 36, 16)
    assert got.tiers == ("cold", "cold")
    assert said(got) == [
        ("time", "behaviours times 0.8 after 25 days without activity", -3, 0),
        ("attributes", "director or above", 15, 1),
        ("attributes", "individual contributor", -5, -1),
        ("events", "e-mail link click", 6, 2),
        ("events", "no longer: behaviours times 0.8 after 25 days without activity", 3, 0),
    ]


def test_other_rules_come_before_other_caps() -> None:
    raw: dict[str, Any] = {
        "name": "ours", "behaviours_cap": 10, "classes": {"hot": 60},
        "behaviours": [
            {"item": "visit", "event_type": "visit", "points": 8},
            {"item": "call", "event_type": "call", "points": 1},
        ],
    }  # fmt: skip
    later = {**raw, "behaviours_cap": 30, "behaviours": [{**raw["behaviours"][0], "points": 9}]}
    before, after = (parse_scorecard(each, source="test") for each in (raw, later))
    moment = THEN - timedelta(days=1)
    dataset = world([event("L1", kind, moment) for kind in ("visit", "visit", "call")])
    got = change_ledger(before, after, dataset, "L1", since=THEN, as_of=NOW)
    assert (got.before.score, got.after.score) == (10, 18)
    assert said(got) == [
        ("rules", "visit", 2, 0),
        ("rules", "behaviours capped at 10", -1, 0),
        ("rules", "call", -1, -1),
        ("caps", "no longer: behaviours capped at 10", 8, 0),
    ]


def test_nothing_that_changes_gives_no_lines() -> None:
    dataset = world([event("L1", "email_open", THEN - timedelta(days=1))])
    card = CARDS["crm_linear"]
    assert change_ledger(card, card, dataset, "L1", since=THEN, as_of=NOW).lines == ()


def test_the_later_time_may_not_be_the_earlier() -> None:
    card = CARDS["signals"]
    with pytest.raises(InputError, match="is after as_of"):
        change_ledger(card, card, world([]), "L1", since=NOW, as_of=THEN)


class Thresholds:
    """Hot and warm from two probabilities on."""

    def __init__(self, warm: float, hot: float) -> None:
        self.warm, self.hot = warm, hot

    def tiers(self, probabilities: Any) -> list[str]:
        return [
            "hot" if p >= self.hot else "warm" if p >= self.warm else "cold" for p in probabilities
        ]


def test_a_tier_change_is_laid_to_time_news_model_and_threshold() -> None:
    got = tier_change(
        start=0.30, later=0.18, informed=0.45, remodelled=0.35,
        policy_before=Thresholds(0.2, 0.4), policy_after=Thresholds(0.1, 0.3),
    )  # fmt: skip
    assert [(s.cause, s.tier_before, s.tier_after) for s in got.steps] == [
        ("time", "warm", "cold"),
        ("news", "cold", "hot"),
        ("model", "hot", "warm"),
        ("threshold", "warm", "hot"),
    ]
    assert got.causes == CAUSES
    assert [round(float(s.moved), 9) for s in got.steps] == [-0.12, 0.27, -0.1, 0]
    assert as_json(got)["tier_after"] == "hot"


chances = st.floats(0, 1)


@given(chances, chances, chances, chances, st.tuples(chances, chances), st.tuples(chances, chances))
def test_the_steps_of_a_tier_change_add_up_exactly(
    start: float, later: float, informed: float, remodelled: float, one: Any, other: Any
) -> None:
    before, after = (Thresholds(min(pair), max(pair)) for pair in (one, other))
    got = tier_change(
        start=start, later=later, informed=informed, remodelled=remodelled,
        policy_before=before, policy_after=after,
    )  # fmt: skip
    moved = sum((s.moved for s in got.steps), Fraction(0))
    assert moved == Fraction(remodelled) - Fraction(start)
    assert got.steps[0].tier_before == before.tiers(np.array([start]))[0]
    assert got.steps[-1].tier_after == after.tiers(np.array([remodelled]))[0]
    for earlier, following in zip(got.steps, got.steps[1:], strict=False):
        assert earlier.tier_after == following.tier_before
