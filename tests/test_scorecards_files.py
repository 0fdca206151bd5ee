"""Scorecard files that are wrong: one line that names the file, the rule and the key."""

from pathlib import Path
from typing import Any

import pytest

from intentcast.errors import ConfigError
from intentcast.scorecards import parse_scorecard, read_scorecard

ITEM = {"item": "visit", "event_type": "page_view", "points": 5}
BAND = {"axis": "role", "item": "boss", "column": "job_title", "points": 5}
SILENCE = {"kind": "silence", "steps": [{"days": 30, "factor": 0.5}]}


def card(**changes: Any) -> dict[str, Any]:
    return {"name": "ours", "behaviours": [ITEM], "classes": {"hot": 60}, **changes}


WRONG = [
    (card(behavior=[]), "unknown key behavior in f.toml", "did you mean behaviours"),
    (
        card(behaviours=[ITEM, {**ITEM, "item": "two", "contents": "x"}]),
        "unknown key contents in behaviours rule 2 ('two') of f.toml",
        "did you mean content",
    ),
    (
        card(behaviours=[{**ITEM, "content": "pric(ing"}]),
        "content: not a regular expression: unclosed group ('pric(ing') in behaviours rule 1 "
        "('visit') of f.toml",
        "correct the value",
    ),
    (
        card(behaviours=[{**ITEM, "content": "price(?!less)"}]),
        "content: not a regular expression: look-around",
        "correct the value",
    ),
    (card(behaviours=[ITEM, ITEM]), "item 'visit' is used by two rules in f.toml", "correct"),
    (
        card(attributes=[{**BAND, "item": "visit", "otherwise": True}]),
        "item 'visit' is used by two rules in f.toml",
        "correct",
    ),
    (card(behaviours=[]), "no rule under [[attributes]] or [[behaviours]]", "correct"),
    (card(classes={}), "no classes.hot in f.toml", "correct"),
    (card(classes={"warm": 60, "hot": 60}), "warm = 60 is not below hot = 60", "correct"),
    (card(classes={"hot": 60, "cool": 1}), "unknown key classes.cool", "known here: warm, hot"),
    (card(classes={"hot": 60, "labels": {"mild": "x"}}), "classes.labels.mild", "correct"),
    (card(behaviours=[{**ITEM, "points": 0.0001}]), "points: Decimal input should have", "correct"),
    (card(behaviours=[{**ITEM, "points": -100_001}]), "points: Input should be greater", "correct"),
    (card(behaviours=[{**ITEM, "points": True}]), "points: Decimal input should be", "correct"),
    (
        card(behaviours=[{**ITEM, "nth": 3, "until": ["x"]}]),
        "nth and until given, at most one of them is possible",
        "correct",
    ),
    (card(behaviours=[{**ITEM, "nth": 3, "per": "event"}]), 'per = "event" with nth', "correct"),
    (
        card(behaviours=[{**ITEM, "distinct_people": 2, "per": "lead"}]),
        'per = "lead" with distinct_people, "content" needed',
        "correct",
    ),
    (
        card(behaviours=[{**ITEM, "event_type": []}]),
        "event_type: Value should have at least 1 item",
        "correct",
    ),
    (card(behaviours=[{"event_type": "x"}]), "no item; no points in behaviours rule 1 of", "corr"),
    (card(behaviours=["visit"]), "in behaviours rule 1 of f.toml", "correct"),
    (card(behaviours="visit"), "behaviours: Input should be a valid tuple in f.toml", "correct"),
    (card(attributes=[BAND]), "no condition given, one of equals, between", "correct"),
    (
        card(attributes=[{**BAND, "equals": "x", "matches": "y"}]),
        "equals and matches given, one of",
        "correct",
    ),
    (card(attributes=[{**BAND, "between": [9, 3]}]), "between: 9 is above 3 in attr", "correct"),
    (card(axis_caps={"size": 5}), "axis_caps: no rule has axis 'size'", "correct"),
    (card(immediate=["x"], opt_out=["x"]), "x cannot be both immediate and opt_out", "correct"),
    (card(decay={"kind": "sleep"}), "decay: Input tag 'sleep'", "correct"),
    (
        card(decay={**SILENCE, "reset": 90}),
        "unknown key reset in [decay] of",
        "did you mean reset_",
    ),
    (card(decay={**SILENCE, "reset_days": 30}), "reset_days = 30 does not come after", "correct"),
    (
        card(decay={"kind": "silence", "steps": [{"days": 9, "factor": 0.5}] * 2}),
        "steps: 9 days do not come after 9",
        "correct",
    ),
    (
        card(decay={**SILENCE, "steps": [*SILENCE["steps"], {"days": 60, "factor": 0.8}]}),  # type: ignore[misc]
        "steps: factor 0.8 is above 0.5 in [decay] of f.toml",
        "correct",
    ),
]


@pytest.mark.parametrize(("raw", "found", "next_step"), WRONG)
def test_a_wrong_file_gives_one_line_with_file_rule_and_key(
    raw: dict[str, Any], found: str, next_step: str
) -> None:
    with pytest.raises(ConfigError, match=r"f\.toml") as caught:
        parse_scorecard(raw, source="f.toml")
    assert found in caught.value.found
    assert caught.value.next_step.startswith(next_step)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_is_not_toml_are_said_so(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    with pytest.raises(ConfigError, match=r"no scorecard .*ours\.toml"):
        read_scorecard(path)
    path.write_text("name = ")
    with pytest.raises(ConfigError, match=r"ours\.toml is not valid TOML"):
        read_scorecard(path)


def test_the_smallest_file_is_a_name_a_rule_and_a_threshold(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        'name = "ours"\nclasses = { hot = 60 }\n'
        '[[behaviours]]\nitem = "visit"\nevent_type = "page_view"\npoints = 5\n'
    )
    got = read_scorecard(path)
    assert got == parse_scorecard(card(), source="test")
    assert (got.behaviours[0].per, got.behaviours[0].nth, got.decay.kind) == ("event", 1, "none")
    assert got.label("hot") == "hot"


def test_a_rule_with_nth_alone_counts_per_lead_and_one_across_people_per_content() -> None:
    rules = [{**ITEM, "nth": 3}, {**ITEM, "item": "two", "distinct_people": 2}]
    got = parse_scorecard(card(behaviours=rules), source="test").behaviours
    assert [rule.per for rule in got] == ["lead", "content"]
