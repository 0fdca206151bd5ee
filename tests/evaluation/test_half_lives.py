"""The half-life report: what is asked, what is held fixed, words, picture."""

import functools
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from intentcast.evaluation.half_life_chart import draw_half_lives, standalone
from intentcast.evaluation.half_life_page import best, half_life_lines, span
from intentcast.evaluation.half_life_rows import half_life_rows
from intentcast.evaluation.half_lives import (
    GroupHalfLife,
    HalfLifeReport,
    Memory,
    halving_days,
    measure_half_lives,
)
from intentcast.propensity.half_lives import HALF_LIVES_DAYS
from intentcast.scorecards import builtin_scorecards, read_scorecard
from intentcast.scorecards.decay import SilenceDecay
from tests.fixtures_world import CONFIG, scorecards, trained, world

PLAYBOOK, SIGNALS, CRM_LINEAR = map(read_scorecard, builtin_scorecards())


@functools.cache
def rows():
    return half_life_rows(trained(), world())


@functools.cache
def measured(threads=2):
    config = CONFIG.model_copy(update={"threads": threads})
    return measure_half_lives(trained(), world(), config=config, card=scorecards()[0])


def memory(verdict="known", best_days=12.0, low=8.0, high=20.0, factor=1.5):
    return Memory(verdict, best_days, low, high, factor, 1.1, 2.0, 0.001, 4.0)


def report(*groups, scorecard="playbook", rule_days=30):
    known_by = datetime(2026, 1, 1, tzinfo=UTC)
    return HalfLifeReport(groups, 90, known_by, 15_000, 1600, 340, scorecard, rule_days)


NO_EVIDENCE = memory("no evidence", None, None, None, 1.01)
FLAT = memory("not determined", 3.0, None, None)
OLD = memory(best_days=180.0, low=45.0, high=None, factor=123.4)
LONG = "a-theme-with-a-very-long-name-of-clusters"
EVERY_WORDING = report(
    GroupHalfLife("all activity", "any", 1600, memory(), None),
    GroupHalfLife("event type", "page_view", 900, memory(low=None), memory(factor=0.5)),
    GroupHalfLife("event type", "demo_request", 80, FLAT, NO_EVIDENCE),
    GroupHalfLife("event type", "other", 5, None, None),
    GroupHalfLife("theme", LONG, 700, memory(high=None), NO_EVIDENCE),
    GroupHalfLife("theme", "old", 700, OLD, NO_EVIDENCE),
    GroupHalfLife("theme", "quick", 700, memory(best_days=1.0, low=None, high=1.8), FLAT),
    GroupHalfLife("theme", "plain", 700, NO_EVIDENCE, NO_EVIDENCE),
)


# The points table's half-life


def test_the_playbook_halves_after_30_days_and_the_others_never():
    assert halving_days(PLAYBOOK) == 30
    assert halving_days(SIGNALS) is None
    assert halving_days(CRM_LINEAR) is None


@pytest.mark.parametrize(
    ("steps", "reset_days", "expected"),
    [
        ([], 45, 45),
        ([(20, "0.75"), (60, "0.5")], 90, 60),
        ([(20, "0.75"), (60, "0.501")], 90, 90),
        ([(7, "0.1")], None, 7),
        ([(7, "0.6")], None, None),
    ],
)
def test_points_are_halved_at_the_first_silence_with_half_or_less(steps, reset_days, expected):
    decay = SilenceDecay.model_validate(
        {
            "kind": "silence",
            "steps": [{"days": days, "factor": factor} for days, factor in steps],
            "reset_days": reset_days,
        }
    )
    assert halving_days(PLAYBOOK.model_copy(update={"decay": decay})) == expected


@pytest.mark.parametrize(
    ("low", "high", "rule_days", "expected"),
    [
        (8.0, 20.0, 30, "shorter"),
        (None, 20.0, 30, "shorter"),
        (8.0, 20.0, 14, "in line"),
        (8.0, 20.0, 5, "longer"),
        (8.0, None, 5, "longer"),
        (8.0, None, 30, "in line"),
        (8.0, 20.0, None, "shorter"),
        (8.0, None, None, "in line"),
    ],
)
def test_an_interval_wholly_on_one_side_of_the_rule_is_shorter_or_longer(
    low, high, rule_days, expected
):
    assert memory(low=low, high=high).against(rule_days) == expected
    assert memory("not determined", low=None, high=None).against(rule_days) == ""
    assert NO_EVIDENCE.against(rule_days) == ""


# What is asked and held fixed


def test_every_type_and_theme_of_the_model_is_a_group():
    spec = trained().featurizer.spec
    names = {kind: [] for kind in ("all activity", "event type", "theme")}
    for group in rows().groups:
        names[group.kind].append(group.name)
    assert names["all activity"] == ["any"]
    assert names["event type"] == [*spec.event_types, "other"]
    assert names["theme"] == [*spec.themes, "other"]


def test_sums_rise_with_the_half_life_and_are_the_models_own_at_its_ladder():
    model, found = trained(), rows()
    for group in found.groups:
        sums = found.sums(group)
        assert sums.shape == (len(found.converted), len(HALF_LIVES_DAYS))
        assert (np.diff(sums, axis=1) >= -1e-5).all()
    every = next(group for group in found.groups if group.kind == "all activity")
    name = "engagement.recency_weighted.any.7d_halflife"
    own = model.features.values[:, model.features.names.index(name)][found.mature]
    assert found.sums(every)[:, HALF_LIVES_DAYS.index(7.0)] == pytest.approx(own, rel=1e-6)


def test_labels_are_those_that_the_model_was_trained_on():
    assert rows().converted.sum() == trained().n_converted


def test_beside_the_others_holds_them_and_not_the_group_itself():
    found = rows()
    theme = next(group for group in found.groups if group.kind == "theme")
    n_themes = sum(group.kind == "theme" for group in found.groups)
    alone, beside = found.held_alone, found.held_beside(theme)
    assert beside.shape[1] == alone.shape[1] + 4 * (n_themes - 1)
    own = np.log1p(found.sums(theme))
    for column in beside.T:
        assert all(abs(column - h).max() > 1e-6 for h in own.T if h.any())


def test_the_attributes_are_one_column_learnt_from_other_accounts():
    found = rows()
    margin = found.held_alone[:, -1]
    flipped = replace(found, converted=np.where(found.clusters % 5 == 2, 1.0, found.converted))
    changed = flipped.held_alone[:, -1] != margin
    # What the accounts of a fold did changes what is said of all the others, not of themselves.
    assert not changed[found.clusters % 5 == 2].any()
    assert changed[found.clusters % 5 != 2].all()


# The report


def test_the_report_counts_what_it_rests_on():
    found, data = measured(), rows()
    assert found.n_snapshots == len(data.converted)
    assert found.n_accounts == len(np.unique(data.clusters))
    assert found.n_accounts_converted == len(np.unique(data.clusters[data.converted > 0]))
    assert (found.scorecard, found.rule_days) == ("playbook", 30)
    assert {(g.kind, g.name) for g in found.groups} == {(g.kind, g.name) for g in data.groups}
    for group in found.groups:
        is_asked = group.n_accounts >= 20
        assert (group.alone is not None) == is_asked
        assert (group.beside is not None) == (is_asked and group.kind != "all activity")


def test_activity_of_the_simulated_world_matters_for_weeks_not_months():
    """Buying states change with half-lives of 22 to 26 days; a large world gives 13.5 days."""
    overall = measured().groups[0].alone
    assert overall.verdict == "known"
    assert overall.odds_low > 1.0
    assert (overall.low_days or 0.0) <= 13.5 <= overall.high_days
    assert overall.high_days < 60


def test_threads_change_nothing():
    assert measured(threads=1) == measured(threads=2)


def test_too_few_converting_accounts_are_too_few_for_every_group():
    found = half_life_rows(trained(), world())
    few = np.isin(found.clusters, np.unique(found.clusters[found.converted > 0])[:19])
    model = trained()
    hidden = replace(found, converted=np.where(few, found.converted, 0.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("intentcast.evaluation.half_lives.half_life_rows", lambda *_: hidden)
        small = measure_half_lives(model, world(), config=CONFIG, card=None)
    assert small.n_accounts_converted == 19
    assert all(group.alone is None and group.beside is None for group in small.groups)
    assert any("Too few accounts" in line for line in half_life_lines(small))


def test_the_report_is_json():
    raw = json.loads(json.dumps(measured().to_json(), allow_nan=False))
    assert raw["interval_level"] == 0.9
    assert raw["groups"][0]["alone_against_rule"] in ("shorter", "longer", "in line")
    assert raw["groups"][0]["alone"]["verdict"] == "known"
    assert raw["groups"][0]["beside"] is None


# Words and picture


@pytest.mark.parametrize("which", ["measured", "every wording", "no card"])
def test_lines_fit_80_columns_and_none_ends_in_space(which):
    shown = {
        "measured": measured,
        "every wording": lambda: EVERY_WORDING,
        "no card": lambda: replace(EVERY_WORDING, scorecard=None, rule_days=None),
    }[which]()
    lines = list(half_life_lines(shown))
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_every_verdict_has_its_words():
    text = "\n".join(half_life_lines(EVERY_WORDING))
    for words in (
        "Points of playbook halve after 30 days of silence; the data say that all\n"
        "activity halves after 12 (8–20).",
        "all activity                  12  8–20          ×1.50  shorter\n",
        "  page_view                   12  up to 20      ×1.50  shorter  − 12 (8–20)\n",
        "  demo_request                 –  any           ×1.50           no evidence\n",
        "  a-theme-with-a-very…        12  from 8        ×1.50  in line  no evidence\n",
        "  old                       ≥180  from 45       ×>100  longer   no evidence\n",
        "  quick                       ≤1  up to 1.8     ×1.50  shorter  – (any)\n",
        "No evidence of an effect: plain\n",
        "Too few accounts: other (event type)",
    ):
        assert words in f"{text}\n"


def test_a_report_without_any_effect_says_so_and_has_no_picture():
    nothing = report(GroupHalfLife("all activity", "any", 50, NO_EVIDENCE, None), rule_days=None)
    lines = list(half_life_lines(nothing))
    assert lines[-1] == "No evidence of an effect: any"
    assert "Points of playbook never halve by silence" in lines[2]
    assert draw_half_lives(nothing) == ""


def test_words_for_half_lives():
    assert best(memory(best_days=9.96)) == "10"
    assert best(memory(best_days=4.56)) == "4.6"
    assert span(memory(low=9.4, high=18.2)) == "9.4–18"


def test_the_picture_is_a_file_of_its_own_that_names_every_known_group():
    root = ET.fromstring(standalone(draw_half_lives(EVERY_WORDING)))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    said = root.get("aria-label")
    assert "page_view (event type) 12 [up to 20]" in said
    assert "Points of playbook halve after 30." in said
    text = " ".join(root.itertext())
    for words in ("all activity", "demo_request (event type)", "playbook: 30 days", "on its own"):
        assert words in text
    assert "plain" not in text


def test_without_a_rule_the_picture_has_no_line():
    text = draw_half_lives(replace(EVERY_WORDING, rule_days=None))
    assert "playbook" not in text
