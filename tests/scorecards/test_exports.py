import csv
import io
import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import ConfigError
from intentcast.scorecards import builtin_scorecards, parse_scorecard, read_scorecard
from intentcast.scorecards.export_csv import to_csv
from intentcast.scorecards.export_hubspot import to_hubspot
from intentcast.scorecards.export_marketo import to_marketo
from intentcast.scorecards.export_parts import settings_of
from intentcast.scorecards.hits import rules_of

PLAYBOOK, SIGNALS, LINEAR = (read_scorecard(path) for path in builtin_scorecards())
EXPORTERS = [to_csv, to_hubspot, to_marketo]


def table(*rules, **changes):
    raw = {"name": "t", "classes": {"hot": 20}, "behaviours": list(rules)}
    return parse_scorecard({**raw, **changes}, source="the test")


def opened(**changes):
    return {"item": "opened", "event_type": "email_open", "points": 5, **changes}


def rows(card):
    return list(csv.DictReader(io.StringIO(to_csv(card).content.decode())))


def test_csv_has_a_row_per_rule_and_setting():
    found = rows(PLAYBOOK)
    assert [row["item"] for row in found] == [
        *(rule.item for rule in rules_of(PLAYBOOK)),
        *settings_of(PLAYBOOK),
    ]
    assert {row["part"] for row in found} == {"attribute", "behaviour", "setting"}


def test_csv_says_points_places_and_conditions():
    view = next(row for row in rows(PLAYBOOK) if row["item"] == "case-study view")
    assert (view["place"], view["points"]) == ("view", "10")
    assert 'event_type = ["page_view", "document_view", "content_download"]' in view["condition"]
    third = next(row for row in rows(SIGNALS) if row["item"] == "third product page visit")
    assert "nth = 3" in third["condition"]


@given(st.sampled_from("=+-@"), st.text(max_size=10))
def test_no_text_in_a_csv_runs_as_a_formula(first, rest):
    [row, *_] = rows(table(opened(item=first + rest.replace("\x00", ""))))
    assert row["item"].startswith("'")


def test_csv_expresses_everything():
    for card in (PLAYBOOK, SIGNALS, LINEAR):
        assert to_csv(card).not_expressed == []


def hubspot(card):
    return json.loads(to_hubspot(card).content)


def test_hubspot_has_the_documented_body():
    body = hubspot(PLAYBOOK)["body"]
    assert set(body) == {
        "name", "objectTypeId", "allowedGroupTypes", "maxScore", "groupConfigs"
    }  # fmt: skip
    assert (body["name"], body["maxScore"]) == ("playbook", 100)
    fit, engagement = body["groupConfigs"]
    assert (fit["maxValue"], engagement["maxValue"]) == (40, 60)
    values = [
        rule["configuration"]["calculation"]
        for group in (fit, engagement)
        for rule in group["ruleConfigurations"]
    ]
    assert [value["value"] for value in values] == [int(r.points) for r in rules_of(PLAYBOOK)]
    assert {value["type"] for value in values} == {"CONSTANT"}


def test_hubspot_rules_come_switched_off_with_their_conditions_beside_them():
    found = hubspot(LINEAR)
    [group] = found["body"]["groupConfigs"]
    assert not any(rule["enabled"] for rule in group["ruleConfigurations"])
    assert found["by_hand"][0] == 'e-mail open (+5): event_type = ["email_open"]'


def test_hubspot_says_what_an_earlier_band_keeps_from_counting():
    said = hubspot(PLAYBOOK)["by_hand"]
    assert any(
        line.startswith("manager or team lead") and line.endswith("; unless 'director or above'")
        for line in said
    )


def test_hubspot_lists_what_it_cannot_express():
    missing = to_hubspot(PLAYBOOK).not_expressed
    assert any(line.startswith("decay.kind = silence") for line in missing)
    assert any("distinct_people = 2" in line for line in missing)
    assert any("hot_needs_attributes = 20" in line for line in missing)
    assert to_hubspot(LINEAR).not_expressed == []
    assert hubspot(PLAYBOOK)["not_expressed"] == missing


def test_hubspot_has_monthly_decay_of_its_own():
    card = table(opened(), decay={"kind": "monthly", "share": 0.5})
    found = to_hubspot(card)
    assert found.not_expressed == []
    assert "decay of the group Behaviours: 50% every month" in found.by_hand


def test_a_score_above_hubspots_widest_limit_is_refused():
    with pytest.raises(ConfigError, match=r"within ±10,000"):
        to_hubspot(table(opened(points=20_000), classes={"hot": 50_000}))


@pytest.mark.parametrize("exporter", [to_hubspot, to_marketo])
def test_points_that_are_not_whole_are_refused_by_name(exporter):
    with pytest.raises(ConfigError, match=r"'opened' \(0.05\)"):
        exporter(table(opened(points=0.05)))


def marketo(card):
    return json.loads(to_marketo(card).content)


def test_marketo_tokens_have_the_documented_fields():
    found = marketo(SIGNALS)
    assert found["tokens"][1] == {
        "name": "pricing page visit", "type": "score", "value": "+30", "folderType": "Program"
    }  # fmt: skip
    assert found["campaigns"][1]["flow"] == "Change Score by {{my.pricing page visit}}"
    assert len(found["tokens"]) == len(rules_of(SIGNALS))


def test_marketo_names_keep_to_50_characters_and_the_file_holds_the_whole_item():
    found = marketo(PLAYBOOK)
    assert max(len(token["name"]) for token in found["tokens"]) <= 50
    items = [campaign["campaign"] for campaign in found["campaigns"]]
    assert items == [rule.item for rule in rules_of(PLAYBOOK)]
    assert max(map(len, items)) > 50


def test_marketo_names_that_are_the_same_once_shortened_are_refused():
    long = "a very long name for something that a lead did on our pages, number"
    rules = [opened(item=f"{long} {i}", event_type=f"e{i}") for i in range(2)]
    with pytest.raises(ConfigError, match="first 50 characters"):
        to_marketo(table(*rules))


def test_marketo_lists_caps_and_decay_as_not_expressed():
    missing = to_marketo(PLAYBOOK).not_expressed
    assert "behaviours_cap = 60" in missing
    assert "decay.kind = silence" in missing
    assert to_marketo(LINEAR).not_expressed == []


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("card", [PLAYBOOK, SIGNALS, LINEAR], ids=lambda card: card.name)
def test_nothing_that_a_file_sets_is_dropped_silently(exporter, card):
    """Every key and value of the file is in the export, in one of its lists or its body."""
    path = next(path for path in builtin_scorecards() if path.stem == card.name)
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    exported = exporter(card)
    said = exported.content.decode() + "\n".join(exported.by_hand + exported.not_expressed)
    for rule in [*raw.get("attributes", []), *raw["behaviours"]]:
        for key, value in rule.items():
            if key in ("content", "matches"):
                value = json.dumps(value, ensure_ascii=False)[1:-1]
            for each in value if isinstance(value, list) else [value]:
                shown = "true" if each is True else str(each)
                assert any(text in said for text in (shown, shown.replace('"', '""')))
    for key in raw:
        if key not in ("name", "description", "attributes", "behaviours", "classes", "decay"):
            assert key in said or exporter is to_hubspot


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_export_is_the_same_twice(exporter):
    assert exporter(PLAYBOOK).content == exporter(PLAYBOOK).content
