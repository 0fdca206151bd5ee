"""What a points table of any team must be able to say, by the published numbers."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from intentcast.scorecards import Scorecard, ledger, parse_scorecard, score_snapshots
from tests.test_scorecards import NOW, at, event, world

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def card(*rules: dict[str, Any], **more: Any) -> Scorecard:
    named = [{"item": f"rule {i}", "event_type": "visit", **rule} for i, rule in enumerate(rules)]
    raw = {"name": "ours", "behaviours": named, "classes": {"hot": 60}, **more}
    return parse_scorecard(raw, source="test")


def score(table: Scorecard, *events: dict[str, Any], as_of: datetime = NOW) -> float:
    dataset = world(list(events))
    found = score_snapshots(table, dataset, at(as_of))["score"][0]
    lines = ledger(table, dataset, "L1", as_of).lines
    assert float(sum(line.points for line in lines)) == found
    return float(found)


def visits(*ages: float, **more: Any) -> list[dict[str, Any]]:
    return [event("L1", "visit", NOW - timedelta(days=age), **more) for age in ages]


@pytest.mark.parametrize(
    ("decay", "points", "age", "left"),
    [
        ({"kind": "lifespan", "days": 90}, 9, 3, 8.7),
        ({"kind": "lifespan", "days": 90}, 9, 45, 4.5),
        ({"kind": "lifespan", "days": 90}, 9, 89, 0.1),
        ({"kind": "lifespan", "days": 90}, 9, 90, 0),
        ({"kind": "lifespan", "days": 90}, 9, 400, 0),
        ({"kind": "monthly", "share": 0.5}, 10, 0.5, 9.917),
        ({"kind": "monthly", "share": 0.5}, 10, 30, 5),
        ({"kind": "monthly", "share": 0.5}, 10, 45, 2.5),
        ({"kind": "monthly", "share": 0.5}, 10, 60, 0),
        ({"kind": "half_life", "days": 30}, 10, 30, 5),
        ({"kind": "half_life", "days": 30}, 10, 60, 2.5),
        ({"kind": "half_life", "days": 30}, 10, 15, 7.071),
        ({"kind": "none"}, 10, 3000, 10),
        ({"kind": "lifespan", "days": 90}, -9, 3, -8.7),
    ],
)
def test_points_fade_with_the_age_of_the_event(
    decay: dict[str, Any], points: float, age: float, left: float
) -> None:
    for table in (card({"points": points}, decay=decay), card({"points": points, "decay": decay})):
        assert score(table, *visits(age)) == left


def test_what_faded_is_a_line_of_its_own() -> None:
    table = card({"points": 9}, decay={"kind": "lifespan", "days": 90})
    lines = ledger(table, world(visits(3, 45)), "L1", NOW).lines
    assert [(line.item, float(line.points), line.n, line.kind) for line in lines] == [
        ("rule 0", 18, 2, "behaviour"),
        ("rule 0: faded with age", -4.8, 0, "decay"),
    ]


@pytest.mark.parametrize(
    ("ages", "points"),
    [
        ([1], 8),
        ([1.1, 1.2, 1.3], 20),  # one day: 24, at most 20
        ([1.1, 1.2, 1.3, 2.1, 2.2], 36),
        ([1.1, 1.2, 1.3, 2.1, 2.2, 2.3], 40),
        ([30], 8),
        ([30.001], 0),  # past the window of 30 days
        ([29.1, 29.2, 29.3, 40], 20),
    ],
)
def test_a_rolling_window_of_30_days_with_at_most_20_points_a_day_and_activity(
    ages: list[float], points: float
) -> None:
    table = card({"points": 8}, daily_cap=20, window_days=30)
    assert score(table, *visits(*ages)) == points


def test_each_activity_has_its_own_cap_of_a_day() -> None:
    table = card(
        {"points": 8, "event_type": ["visit", "call"]}, daily_cap=20, daily_caps={"call": 5}
    )
    calls = [event("L1", "call", NOW - DAY)] * 3
    assert score(table, *visits(1, 1, 1), *calls) == 25
    lines = ledger(table, world([*visits(1, 1, 1), *calls]), "L1", NOW).lines
    assert [(line.item, line.points) for line in lines] == [
        ("rule 0", 48),
        ("rule 0: above the cap of a day", -23),
    ]


@pytest.mark.parametrize(
    ("ages", "points"),
    [
        ([2], 35),
        ([7], 35),
        ([7.01], 26.25),
        ([14], 26.25),
        ([20], 17.5),
        ([30], 17.5),
        ([31], 0),
        ([29, 10, 3], 35),  # the latest band that matches wins
    ],
)
def test_a_form_within_7_14_or_30_days_is_100_75_or_50_times_a_weight_of_35_percent(
    ages: list[float], points: float
) -> None:
    within = {7: 100, 14: 75, 30: 50}
    bands = [{"within_days": days, "points": points} for days, points in within.items()]
    assert score(card({"bands": bands, "weight": 0.35}), *visits(*ages)) == points


@pytest.mark.parametrize(
    ("ages", "points"), [([1, 2, 3], 90), ([1, 2], 40), ([1], 40), ([9, 20], 15), ([20], 0)]
)
def test_bands_may_ask_how_often_as_well(ages: list[float], points: float) -> None:
    bands = [
        {"within_days": 7, "at_least": 3, "points": 90},
        {"within_days": 7, "points": 40},
        {"within_days": 30, "at_least": 2, "points": 15},
    ]
    assert score(card({"bands": bands}), *visits(*ages)) == points


@pytest.mark.parametrize(
    ("ages", "points"),
    [([1, 2, 3, 4], 0), ([1, 2, 3, 4, 28], 12), ([1, 2, 3, 4, 28.1], 0), ([1] * 11, 12)],
)
def test_at_least_5_opens_in_28_days(ages: list[float], points: float) -> None:
    table = card({"at_least": 5, "window_days": 28, "points": 12})
    assert score(table, *visits(*ages)) == points


@pytest.mark.parametrize(("sticky", "tier"), [(True, "hot"), (False, "cold")])
def test_a_qualification_stays_or_follows_the_score(sticky: bool, tier: str) -> None:  # noqa: FBT001
    table = card({"points": 70}, window_days=30, classes={"hot": 60, "sticky": sticky})
    times = [NOW - 40 * DAY, NOW - 40 * DAY + MOMENT, NOW - 10 * DAY, NOW]
    found = score_snapshots(table, world(visits(40)), at(*times))
    assert found["tier"].to_list() == ["cold", "hot", "hot", tier]
    assert found["score"].to_list()[-1] == 0
    assert ledger(table, world(visits(40)), "L1", NOW).tier == tier


def test_whoever_leaves_is_out_even_where_hot_sticks() -> None:
    table = card({"points": 70}, classes={"hot": 60, "sticky": True}, opt_out=["unsubscribe"])
    left = event("L1", "unsubscribe", NOW - DAY)
    tiers = score_snapshots(table, world([*visits(9), left]), at(NOW - DAY, NOW))["tier"]
    assert tiers.to_list() == ["hot", "out"]


def test_hot_by_an_attribute_that_was_changed_since_sticks() -> None:
    boss = {"axis": "role", "item": "boss", "column": "job_title", "equals": "CEO", "points": 60}
    changes = [
        {"entity": "lead", "entity_id": "L1", "attribute": "job_title", "value": value,
         "recorded_at": NOW - timedelta(days=days)}
        for days, value in ((20, "ceo"), (10, "cook"))
    ]  # fmt: skip
    for sticky in (True, False):
        table = card({"points": 1}, attributes=[boss], classes={"hot": 60, "sticky": sticky})
        dataset = world([], leads={"L1": {"job_title": "cook"}}, changes=changes)
        tiers = score_snapshots(table, dataset, at(NOW - 20 * DAY, NOW - 15 * DAY, NOW))["tier"]
        assert tiers.to_list() == ["cold", "hot", "hot" if sticky else "cold"]


def test_negative_points_take_away() -> None:
    table = card({"points": 10}, {"points": -12.5, "event_type": "careers_view"})
    away = event("L1", "careers_view", NOW - DAY)
    assert score(table, *visits(2, 3), away) == 7.5
    assert score(table, away) == -12.5


@pytest.mark.parametrize(("n", "points"), [(1, 8), (2, 15), (9, 15)])
def test_a_group_stops_at_its_cap(n: int, points: float) -> None:
    table = card(
        {"points": 8, "group": "web"}, {"points": 3, "event_type": "call"}, group_caps={"web": 15}
    )
    assert score(table, *visits(*range(1, n + 1))) == points
    assert score(table, *visits(*range(1, n + 1)), event("L1", "call", NOW - DAY)) == points + 3


@pytest.mark.parametrize(
    ("where", "points"),
    [
        ({"value": {"at_least": 100}}, 5),
        ({"value": {"between": [1, 99]}}, 0),
        ({"duration_seconds": {"at_most": 60}}, 5),
        ({"duration_seconds": {"otherwise": True}}, 5),
        ({"channel": {"equals": ["EMAIL", "web"]}}, 5),
        ({"content": {"matches": "^/PRIC"}}, 5),
        ({"content": {"matches": "^PRIC"}, "value": {"at_least": 100}}, 0),
        ({"campaign": {"equals": "spring"}}, 0),  # a column that is not there
    ],
)
def test_conditions_look_at_any_column_of_events(where: dict[str, Any], points: float) -> None:
    table = card({"points": 5, "where": where})
    seen = visits(1, value=250.0, duration_seconds=30.0, channel="email", content="/pricing")
    assert score(table, *seen) == points
    assert score(table, *visits(1)) == 0


def test_a_column_of_ones_own_can_be_a_condition() -> None:
    table = card({"points": 5, "where": {"campaign": {"equals": "spring"}}})
    dataset = world(visits(1, 2, 3))
    import polars as pl

    campaigns = pl.Series("campaign", ["Spring", None, "autumn"])
    object.__setattr__(dataset, "events", dataset.events.with_columns(campaigns))
    assert score_snapshots(table, dataset, at(NOW))["score"].to_list() == [5]


def test_a_rule_may_be_there_for_some_leads_only() -> None:
    table = card(
        {"points": 30, "group": "price", "lead": {"job_title": {"matches": "director"}}},
        {"points": 15, "group": "price"},
    )
    for title, points in (("Director of IT", 30), ("Analyst", 15), (None, 15)):
        dataset = world(visits(1), leads={"L1": {"job_title": title}})
        assert score_snapshots(table, dataset, at(NOW))["score"].to_list() == [points]


def test_grades_are_letters_by_attribute_points() -> None:
    bands = [(1000, 40), (100, 25), (10, 10)]
    rules = [
        {"axis": "size", "item": f"{n}", "column": "employee_count", "at_least": n, "points": p}
        for n, p in bands
    ]
    table = card({"points": 1}, attributes=rules, grades={"A": 40, "B": 25, "C": 10})
    for size, grade in ((5000, "A"), (100, "B"), (99, "C"), (9, None), (None, None)):
        dataset = world([], accounts={"A1": {"employee_count": size}})
        assert score_snapshots(table, dataset, at(NOW))["grade"].to_list() == [grade]
        assert ledger(table, dataset, "L1", NOW).grade == grade


def test_several_people_fade_from_the_view_that_made_them_enough() -> None:
    table = card({"points": 9, "distinct_people": 2}, decay={"kind": "lifespan", "days": 90})
    views = [
        event(lead, "visit", NOW - timedelta(days=days), content="Plan")
        for lead, days in (("L1", 60), ("L2", 3))
    ]
    dataset = world(views, leads={"L1": {}, "L2": {}})
    assert score_snapshots(table, dataset, at(NOW))["score"].to_list() == [8.7]


def test_a_card_is_the_same_after_being_written_and_read() -> None:
    table = card(
        {"points": 8, "group": "g", "nth": 2, "where": {"value": {"at_least": 1}}},
        {"bands": [{"within_days": 7, "points": 4}], "weight": 0.35},
        {"points": 2, "decay": {"kind": "monthly", "share": 0.5}, "lead": {"x": {"equals": "y"}}},
        group_caps={"g": 5}, daily_cap=3, window_days=9, grades={"A": 3},
    )  # fmt: skip
    for dumped in (table.model_dump(mode="json"), table.model_dump(exclude_none=True)):
        assert parse_scorecard(dumped, source="test") == table
