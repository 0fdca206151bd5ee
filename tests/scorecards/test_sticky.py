"""Classes that stick: of a data set, and of one lead as a service sends it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from intentcast.config import DatasetConfig
from intentcast.histories import EngagementEvent, LeadHistory, history_from_dataset
from intentcast.scorecards import (
    Scorecard,
    ledger,
    ledger_of_history,
    parse_scorecard,
    sticky,
    unknown_past,
)
from tests.test_scorecards import NOW, at, event, world

DAY = timedelta(days=1)
CONFIG = DatasetConfig.model_validate({"conversion": {"outcomes": ["won"], "horizons_days": [30]}})
BOSS = {"axis": "role", "item": "boss", "column": "job_title", "equals": "Director", "points": 10}
VISIT = {"item": "visit", "event_type": "visit", "points": 70}


def card(*rules: dict[str, Any], hot: float = 60, gate: float = 0, **more: Any) -> Scorecard:
    classes = {"hot": hot, "hot_needs_attributes": gate, "sticky": more.pop("sticky", True)}
    return parse_scorecard(
        {"name": "ours", "behaviours": list(rules), "classes": classes, **more}, source="test"
    )


@pytest.mark.parametrize(
    ("was", "is_now", "tiers"),
    [
        ("Director", "Director", ("hot", "hot")),
        ("Director", "Analyst", ("hot", "cold")),
        ("Analyst", "Director", ("cold", "hot")),
    ],
)
def test_a_history_is_judged_as_if_it_had_always_had_its_present_attributes(
    was: str, is_now: str, tiers: tuple[str, str]
) -> None:
    table = card(VISIT, gate=10, window_days=30, attributes=[BOSS])
    changes = [
        {"entity": "lead", "entity_id": "L1", "attribute": "job_title", "value": value,
         "recorded_at": NOW - days * DAY}
        for days, value in ((60, was), (5, is_now))
    ]  # fmt: skip
    seen = [event("L1", "visit", NOW - 50 * DAY)]
    dataset = world(seen, leads={"L1": {"job_title": is_now}}, changes=changes)
    history = replace(history_from_dataset(dataset, at(NOW)), attributes={"job_title": is_now})
    batch = ledger(table, dataset, "L1", NOW)
    single = ledger_of_history(table, history, dataset.config)
    assert (batch.tier, single.tier) == tiers
    assert batch.score == single.score
    assert len(unknown_past(table)) == 1


def test_only_a_sticky_table_that_looks_at_attributes_warns_of_an_unknown_past() -> None:
    of_directors = {**VISIT, "lead": {"job_title": {"equals": "Director"}}}
    assert unknown_past(card(VISIT)) == []
    assert unknown_past(card(VISIT, attributes=[BOSS], sticky=False)) == []
    assert len(unknown_past(card(of_directors))) == 1


def history(n: int) -> LeadHistory:
    visits = [
        EngagementEvent("L1", NOW - timedelta(minutes=n - i), "visit", content=f"/{i}")
        for i in range(n)
    ]
    return LeadHistory(lead_id="L1", created_at=NOW - 400 * DAY, as_of=NOW, events=tuple(visits))


def looks_at(table: Scorecard, n: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many instants of a history of n events are looked at."""
    looked: list[int] = []
    walk = sticky.walk

    def counted(rules: Any, signatures: Any, events: Any, moments: Any, **how: Any) -> Any:
        looked.append(len(moments.lead))
        return walk(rules, signatures, events, moments, **how)

    monkeypatch.setattr(sticky, "walk", counted)
    ledger_of_history(table, history(n), CONFIG)
    return int(np.sum(looked))


def test_nothing_is_looked_at_after_a_lead_was_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    fading = {**VISIT, "decay": {"kind": "half_life", "days": 14}}
    assert looks_at(card(fading), 2000, monkeypatch) <= 32


@pytest.mark.parametrize("n", [31, 32, 33, 255, 256, 257, 700])
@pytest.mark.parametrize("fading", [{}, {"decay": {"kind": "lifespan", "days": 30}}])
def test_a_lead_that_is_hot_late_for_a_moment_stays_hot(n: int, fading: dict[str, Any]) -> None:
    back = {"item": "left", "event_type": "leave", "points": -1}
    visit = {"item": "visit", "event_type": "visit", "points": 1}
    told = history(n)
    left = EngagementEvent("L1", NOW - timedelta(seconds=1), "leave")
    told = replace(told, events=(*told.events, left))
    # The points of the last visit, and no earlier one, are enough, and then one is taken away.
    enough = float(ledger_of_history(card(visit, **fading), history(n), CONFIG).score)
    table = card(visit, back, hot=enough, **fading)
    assert ledger_of_history(table, told, CONFIG).tier == "hot"
    follows = card(visit, back, hot=enough, sticky=False, **fading)
    assert ledger_of_history(follows, told, CONFIG).tier == "cold"
    assert (
        ledger_of_history(card(visit, back, hot=round(enough + 1, 3), **fading), told, CONFIG).tier
        == "cold"
    )
