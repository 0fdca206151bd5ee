import tomllib
from decimal import Decimal

import pytest

from intentcast.scorecards import builtin_scorecards, parse_scorecard, read_scorecard
from intentcast.scorecards.hits import rules_of, with_points
from intentcast.scorecards.repriced_card import card_text
from intentcast.scorecards.repricing import reprice
from tests.scorecards.repricing_world import KNOWN_BY, SETTINGS, card, tables, times

TEXT = """\
# Our table.
name = "flat"  # short
[classes]
warm = 20
hot = 40       # hand-off
[[attributes]]
axis = "role"
item = "CTO"
column = "job_title"
equals = "CTO"
points = 10     # the one who signs
[[behaviours]]
item = "asked"
event_type = "ask"
points = 10
[[behaviours]]
item = "read"
points = 10
event_type = "read"
[[behaviours]]
item = "opened"
event_type = "open"
points = 10
"""


@pytest.fixture(scope="module")
def found(make_dataset):
    dataset = make_dataset(**tables(), settings=SETTINGS)
    return reprice(card(), dataset, times=times(dataset), known_by=KNOWN_BY)


def read(text):
    return parse_scorecard(tomllib.loads(text), source="the test")


def test_only_numbers_and_the_name_differ_from_the_teams_own_file(found):
    text = card_text(found, TEXT)
    added = set(text.splitlines()) - set(TEXT.splitlines())
    keys = {line.split("=")[0].strip() for line in added if not line.startswith("#")}
    assert keys == {"name", "description", "points", "warm"}
    assert len(text.splitlines()) == len(TEXT.splitlines()) + 6
    assert "# the one who signs" in text
    assert "hot = 40       # hand-off" in text


def test_the_file_reads_back_as_the_refitted_table(found):
    back = read(card_text(found, TEXT))
    assert [rule.points for rule in rules_of(back)] == [rule.new for rule in found.rules]
    assert back.name == "flat-repriced"


def test_a_file_in_another_shape_is_written_anew(found):
    text = card_text(found, "classes = {warm = 20, hot = 40}")
    assert [rule.points for rule in rules_of(read(text))] == [rule.new for rule in found.rules]


def test_the_file_says_what_it_was_fitted_on_and_when(found):
    head = card_text(found, TEXT).splitlines()[:4]
    assert all(line.startswith("# ") for line in head)
    assert "conversions within 30 days" in head[0]
    assert f"Known by {KNOWN_BY:%Y-%m-%d}" in head[1]
    assert f"{found.n_converted:,} of them converted" in head[2]


def test_writing_is_the_same_twice(found):
    assert card_text(found, TEXT) == card_text(found, TEXT)


@pytest.mark.parametrize("path", builtin_scorecards(), ids=lambda path: path.stem)
def test_every_built_in_file_can_be_edited_in_place(found, path):
    from dataclasses import replace

    old = read_scorecard(path)
    new = with_points(old, tuple(Decimal(n + 1) for n in range(len(rules_of(old)))))
    text = card_text(replace(found, old=old, new=new), path.read_text(encoding="utf-8"))
    assert [rule.points for rule in rules_of(read(text))] == [r.points for r in rules_of(new)]
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    assert set(kept) <= set(text.splitlines())
