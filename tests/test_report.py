import copy
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser

import pytest

from intentcast.evaluation.formats import format_day, format_number, format_percent
from intentcast.evaluation.report import contender_in_words, render_report, state_verdict
from intentcast.evaluation.revops_page import COMMANDS

HOSTILE = "<script>alert(1)</script>"
LOADS = {"script", "img", "image", "link", "iframe", "object", "embed", "use", "base", "form"}


def metrics(*, has_probability=True, precision=0.14):
    found = {
        "auc": 0.81,
        "average_precision": 0.27,
        "precision_at_capacity": {
            "expected": precision,
            "worst": precision - 0.01,
            "best": precision + 0.02,
            "n_handoffs": 390.0,
            "n_converted": 390.0 * precision,
            "lift": precision / 0.067,
        },
        "n_snapshots": 4650,
        "n_converted": 312,
    }
    if has_probability:
        found |= {
            "brier": 0.0555,
            "brier_skill": 0.115,
            "log_loss": 0.2003,
            "calibration_slope": 0.9,
            "calibration_intercept": -0.37,
            "expected_calibration_error": 0.012,
            "mean_probability": 0.077,
        }
    return found


def pair(b, conversions_a, conversions_b, ci95, verdict):
    return {
        "a": "champion",
        "b": b,
        "handoffs": 1390.0,
        "conversions_a": conversions_a,
        "conversions_b": conversions_b,
        "difference": conversions_a - conversions_b,
        "ci95": list(ci95),
        "verdict": verdict,
        "n_accounts": 1374,
    }


MODEL_WINS = pair("scorecard:playbook", 276.0, 255.0, (4.2, 37.1), "model wins")
RULES_WIN = pair("scorecard:playbook", 230.0, 255.0, (-40.3, -9.8), "rules win")
NO_DIFFERENCE = pair("scorecard:playbook", 269.0, 255.05, (-1.06, 29.36), "no difference")


def band(past, estimate, low, high):
    return {"past": past, "estimate": estimate, "low": low, "high": high}


def told(volume, conversions):
    return {
        "weeks": 13,
        "n_handoffs": 400,
        "n_converted": 100,
        "precision": band(0.25, 0.24, 0.1, 0.42),
        "per_week": {"volume": volume, "conversions": conversions},
    }


def found_at(multiple, model, rules):
    def found(won):
        return {
            "n_converted": 40 * won,
            "conversions_per_week": won,
            "precision": won / (10 * multiple),
        }

    return {
        "multiple": multiple,
        "n_handoffs": 400.0 * multiple,
        "handoffs_per_week": 10.0 * multiple,
        "model": found(model),
        "rules": found(rules),
    }


def revops(rival="scorecard:playbook"):
    points = [found_at(0.5, 2.0, 1.5), found_at(1.0, 3.1, 2.5), found_at(2.0, 4.2, 4.0)]
    if rival is None:
        for point in points:
            del point["rules"]
    return {
        "curve": {"rival": rival, "per_week": 10, "points": points},
        "thresholds": {
            "refused": None,
            "most_lost": 0.05,
            "tiers": {
                "policy": "capacity",
                "horizon_days": 90,
                "hot": 0.31,
                "hot_leave": 0.28,
                "warm": 0.08,
                "deprioritise": 0.006,
                "handoffs_per_week": 10,
                "n_leads": 22000,
                "n_weeks": 27.0,
            },
            "bands": {
                "hot": told(band(10.0, 9.1, 4.2, 15.3), band(3.0, 2.7, 0.8, 5.9)),
                "warm": told(band(40.0, 38.0, 27.0, 49.0), band(6.0, 5.5, 2.1, 9.6)),
            },
            "rates": [
                {"tier": n, "n_rows": 800, "n_converted": k, "rate": r, "low": r / 2, "high": 2 * r}
                for n, k, r in [
                    ("hot", 240, 0.3),
                    ("warm", 80, 0.1),
                    ("cold", 12, 0.015),
                    ("deprioritised", 1, 0.00125),
                ]
            ],
            "lost": {
                "threshold": 0.006,
                "share_of_leads": 0.35,
                "share": 0.009,
                "share_high": 0.043,
                "conversions": 0.1,
                "conversions_high": 0.5,
                "n_accounts": 141,
            },
            "evidence": {
                "n_leads": 22000,
                "n_weeks": 27.0,
                "n_as_of_times": 40,
                "rest_days": 90,
                "n_converted_leads": 261,
                "n_converted_accounts": 141,
            },
        },
        "repriced": {
            "a": "scorecard:repriced",
            "b": rival,
            "handoffs": 400.0,
            "conversions_a": 105.0,
            "conversions_b": 100.0,
            "difference": 5.0,
            "ci95": [-13.0, 22.0],
            "verdict": "no difference",
            "n_windows": 4,
            "n_refitted": 4,
        }
        if rival
        else None,
    }


def summary(headline=MODEL_WINS):
    contenders = {
        "base_rate": metrics(precision=0.08),
        "champion": metrics(precision=0.2),
        "lightgbm": metrics(precision=0.19),
        "logistic": metrics(precision=0.2),
    }
    if headline is not None:
        contenders[headline["b"]] = metrics(has_probability=False, precision=0.18)
    fold_contenders = {name: {"auc": 0.8, "average_precision": 0.3} for name in contenders}
    return copy.deepcopy(
        {
            "dataset": {
                "name": "acme",
                "data_cutoff": "2025-12-31T23:59:59.000001+00:00",
                "n_leads": 40000,
                "n_events": 112437,
                "n_outcomes": 3412,
                "quarantined": {"leads": 1200, "events": 34},
                "handoffs_per_week": 10,
                "every_days": 7,
            },
            "primary_horizon_days": 90,
            "n_snapshots": 4650,
            "n_leads": 24100,
            "n_accounts": 13740,
            "n_converted": 312,
            "base_rate": 312 / 4650,
            "contenders": contenders,
            "horizons": {"90": contenders},
            "folds": [
                {
                    "fold": 1,
                    "train_from": "2024-07-01T00:00:00+00:00",
                    "train_to": "2024-10-07T00:00:00+00:00",
                    "test_from": "2025-01-06T00:00:00+00:00",
                    "test_to": "2025-03-31T00:00:00+00:00",
                    "n_train": 14340,
                    "n_train_converted": 774,
                    "n_test": 4650,
                    "n_test_converted": 312,
                    "step": "logistic",
                    "hot_threshold": 0.08,
                    "contenders": fold_contenders,
                }
            ],
            "paired": [headline] if headline else [],
            "headline": headline,
            "champion": {
                "contender": "champion",
                "steps": ["logistic"],
                "step": "logistic",
                "reason": "logistic had the lower log loss out of sample (0.1 v 0.2 for lightgbm; "
                "later slice, 4,692 snapshots)",
                "calibration": {"90": "isotonic"},
            },
            "gains": {
                name: [[0.0, 0.0], [0.2, 0.655], [1.0, 1.0]]
                for name in contenders
                if name != "base_rate"
            },
            "reliability": [
                {
                    "mean_probability": 0.021,
                    "share_converted": 0.0181,
                    "n_leads": 2325,
                    "n_converted": 42,
                    "low": 0.013,
                    "high": 0.024,
                },
                {
                    "mean_probability": 0.12,
                    "share_converted": 0.1161,
                    "n_leads": 2325,
                    "n_converted": 270,
                    "low": 0.104,
                    "high": 0.13,
                },
            ],
            "tiers": [
                {
                    "tier": name,
                    "n_snapshots": 1550,
                    "n_leads": 400,
                    "leads_per_week": 10.0,
                    "n_converted": 104,
                    "share_converted": 104 / 1550,
                    "mean_probability": 0.07,
                    "share_of_conversions": 1 / 3,
                }
                for name in ("hot", "warm", "cold")
            ],
            "segments": [
                {
                    "attribute": "job_title",
                    "level": level,
                    "n_snapshots": 2325,
                    "n_converted": n,
                    "share_converted": n / 2325,
                    "mean_probability": 0.07,
                    "auc": 0.8,
                    "handed_over": 195.0,
                    "n_accounts": 400,
                    "difference": n / 2325 - 0.07,
                    "ci95": [n / 2325 - 0.09, n / 2325 - 0.05],
                    "p_value": 1e-8 if n > 10 else None,
                    "p_adjusted": 2e-8 if n > 10 else None,
                    "verdict": "too low" if n > 10 else "too few",
                }
                for level, n in [("Head of IT", 305), ("Student", 7)]
            ],
            "revops": revops(headline["b"] if headline else None),
            "drivers": [
                ["fit.is.job_title_head_of_it.flag", 0.2],
                ["theme.recency_weighted.pricing.14d_halflife", 0.1],
                ["engagement.active_days.any.30d", 0.05],
            ],
        }
    )


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags = Counter()
        self.attributes = []
        self.words = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def page():
    return Page(render_report(summary()))


def assert_loads_nothing(html):
    found = Page(html)
    assert not LOADS & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "src"]
    assert not [value for name, value in found.attributes if "href" in name]
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_a_win_of_the_model_is_said_with_its_numbers():
    assert state_verdict(summary(MODEL_WINS)).sentence == (
        "At 10 hand-offs a week, the model found 276 conversions where the playbook points table "
        "found 255: 21 more (95 % interval 4 to 37). The model wins."
    )


def test_a_win_of_the_rules_is_said_just_as_plainly():
    verdict = state_verdict(summary(RULES_WIN))
    assert verdict.sentence == (
        "At 10 hand-offs a week, the model found 230 conversions where the playbook points table "
        "found 255: 25 fewer (95 % interval 10 to 40 fewer). The rules win."
    )
    assert verdict.advice.startswith("Keep the points table")


def test_no_difference_advises_against_switching():
    assert state_verdict(summary(NO_DIFFERENCE)).sentence == (
        "At 10 hand-offs a week, the model found 269 conversions where the playbook points table "
        "found 255: 14 more (95 % interval from 1 fewer to 29 more). No difference: do not switch "
        "on this evidence."
    )


def test_without_a_points_table_nothing_is_claimed():
    verdict = state_verdict(summary(None))
    assert verdict.sentence == (
        "At 10 hand-offs a week, the model found 78 conversions in 390 hand-offs (20.0 %). "
        "There is no points table to compare with."
    )
    assert "cannot say" in verdict.advice


def test_as_many_is_said_when_the_counts_are_equal():
    sentence = state_verdict(
        summary(pair("scorecard:signals", 5.0, 5.0, (0.0, 0.0), "no difference"))
    ).sentence
    assert "found 5: as many (95 % interval from no more to no more)" in sentence


@pytest.mark.parametrize(
    ("a", "b", "ci95", "verdict", "expected"),
    [
        # In whole numbers, 12 and 10 with a difference of 3.
        (12.4, 9.6, (1.3, 4.4), "model wins", "12.4 conversions where"),
        (12.0, 10.0, (0.3, 4.4), "model wins", "2.0 more (95 % interval 0.3 to 4.4)"),
        (10.0, 12.0, (-4.4, -0.2), "rules win", "2.0 fewer (95 % interval 0.2 to 4.4 fewer)"),
    ],
)
def test_rounding_never_contradicts_the_verdict(a, b, ci95, verdict, expected):
    assert expected in state_verdict(summary(pair("scorecard:x", a, b, ci95, verdict))).sentence


@pytest.mark.parametrize("headline", [MODEL_WINS, RULES_WIN, NO_DIFFERENCE, None])
def test_the_page_opens_with_the_verdict_and_loads_nothing(headline):
    html = render_report(summary(headline))
    verdict = state_verdict(summary(headline))
    text = Page(html).text
    assert text.index(verdict.sentence) < text.index("Base rate")
    assert_loads_nothing(html)


def test_every_figure_has_its_denominator(page):
    for expected in [
        "312 of 4,650 scorings converted",
        "at 13,740 accounts, of 40,000 in the data",
        "40 weeks",
        "19.9 % v 18.3 %",
        "276 v 255 conversions of 1,390 hand-offs each",
        "90 days",
        "1,234 rows were set aside",
    ]:
        assert expected in page.text


def test_sentences_read_a_point_off_the_charts(page):
    assert "Contacting the 20 % with the highest scores reaches 65.5 %" in page.text
    assert "given about 12.0 %, 11.6 % did (270 of 2,325)" in page.text


def test_the_choice_of_the_learner_is_in_words(page):
    assert "The latest model is logistic regression" in page.text
    assert "for LightGBM; judged on a later slice of the training time, 4,692 scorings" in page.text
    assert "corrected by an isotonic curve" in page.text


def test_no_identifier_of_a_contender_reaches_the_reader(page):
    for name in ["scorecard:", "base_rate", "champion_", "crm_linear", "lightgbm"]:
        assert name not in page.text


def test_charts_have_names_counts_and_no_shared_identifiers(page):
    assert page.tags["figure"] == page.tags["figcaption"] == 6
    # The volumes are two panels in one picture.
    assert page.tags["svg"] == 9
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert any("12.0 % said, 11.6 % converted of 2,325" in label for label in labels)
    assert ("role", "img") in page.attributes
    identifiers = Counter(value for name, value in page.attributes if name == "id")
    assert not [name for name, n in identifiers.items() if n > 1]


def test_groups_that_read_the_same_are_drawn_apart():
    raw = summary()
    rare = {"mean_probability": 0.0001, "share_converted": 0.0, "n_leads": 465, "n_converted": 0}
    raw["reliability"] = [rare | {"low": 0.0, "high": 0.008}] * 3 + raw["reliability"]
    assert render_report(raw).count(">465</tspan>") == 3


def test_every_table_has_a_caption_and_the_page_its_language(page):
    assert page.tags["caption"] == page.tags["table"]
    assert page.tags["h1"] == 1
    assert ("lang", "en") in page.attributes


def test_small_segments_are_greyed_and_said_to_be_small():
    html = render_report(summary())
    assert re.search(r'<tr class="few">.*Student \(under 10 conversions\)', html)
    assert not re.search(r'<tr class="few">.*Head of IT', html)


def test_a_window_that_is_not_over_does_not_count():
    raw = summary()
    raw["folds"].append(raw["folds"][0] | {"fold": 2, "n_test": 0, "n_test_converted": 0})
    raw["folds"][1]["contenders"] = {
        name: {"auc": None, "average_precision": None} for name in raw["contenders"]
    }
    text = Page(render_report(raw)).text
    assert "in 1 test window" in text
    assert "2 (not over yet)" in text


def test_a_capacity_that_takes_nearly_everyone_is_pointed_out():
    raw = summary()
    assert "Read the verdict with care" not in render_report(raw)
    raw["n_leads"] = 1700
    assert "the hand-offs are 81.8 % of all leads tested" in Page(render_report(raw)).text


def test_a_known_truth_is_compared_with():
    raw = summary()
    assert "simulated" not in render_report(raw)
    raw["truth"] = {
        "n_snapshots": 4600,
        "auc": 0.81,
        "auc_truth": 0.85,
        "mean_absolute_gap": 0.0213,
        "mean_predicted": 0.077,
        "mean_true": 0.066,
    }
    text = Page(render_report(raw)).text
    assert "off by 2.1 percentage points on average (7.7 % said, 6.6 % true)" in text


def test_what_sales_should_do_comes_after_the_verdict(page):
    verdict, todo, evidence = (
        page.text.index(words)
        for words in (
            state_verdict(summary()).sentence,
            "What sales should do",
            "The model against each points table",
        )
    )
    assert verdict < todo < evidence


def test_limits_are_told_with_their_bands(page):
    for expected in [
        "Hand over leads as they reach 31.0 %. In the next 13 weeks, expect 9.1 (4.2 to 15.3) "
        "hand-offs a week, of which 2.7 (0.8 to 5.9) convert within 90 days.",
        "hot 31.0 % 28.0 % 10.0 9.1 (4.2 to 15.3) 3.0 2.7 (0.8 to 5.9) 24.0 % (10.0 % to 42.0 %)",
        "warm or hot 8.0 % – 40.0 38.0 (27.0 to 49.0)",
    ]:
        assert expected in page.text


def test_each_tier_is_told_with_what_it_converted(page):
    assert "hot 31.0 % 20 800 240 30.0 % (15.0 % to 60.0 %) 72.1 %" in page.text
    assert "deprioritised – 20 800 1 0.1 % (0.1 % to 0.2 %) 0.3 %" in page.text


def test_the_list_is_told_with_its_bound(page):
    assert (
        "Leave alone leads below 0.6 %: 35.0 % of all scorings, with 0.9 % of the conversions, at "
        "most 4.3 % (95 % bound)." in page.text
    )
    assert "The bound rests on 141 accounts with a conversion." in page.text


def test_without_a_list_nobody_is_to_be_left_alone():
    raw = summary()
    raw["revops"]["thresholds"]["lost"] = None
    del raw["revops"]["thresholds"]["tiers"]["deprioritise"]
    text = Page(render_report(raw)).text
    assert "Leave alone nobody: no list is sure to lose at most 5.0 % of the conversions" in text


def test_twice_the_capacity_is_told_by_what_is_added(page):
    assert (
        "10.0 more hand-offs a week would have brought 1.1 more conversions a week: 11.0 % of the "
        "added hand-offs convert, beside 31.0 % of the present ones." in page.text
    )


def test_seats_that_would_bring_nothing_are_not_told_as_a_gain():
    raw = summary()
    raw["revops"]["curve"]["points"][2] = found_at(2.0, 3.0, 3.0)
    text = Page(render_report(raw)).text
    assert "10.0 more hand-offs a week would have brought no more conversions." in text


def test_where_the_model_did_not_win_its_limits_are_said_to_be_the_models():
    text = Page(render_report(summary(RULES_WIN))).text
    assert "By the model, hand over leads as they reach 31.0 %." in text


def test_a_refusal_is_told_and_no_limit_is_given():
    raw = summary()
    raw["revops"]["thresholds"] = {
        "refused": {
            "found": "12 accounts with a conversion",
            "expected": "at least 30, 18 more",
            "next_step": "wait for more outcomes",
        }
    }
    text = Page(render_report(raw)).text
    assert (
        "No limits can be set for 10 hand-offs a week. Found: 12 accounts with a conversion. "
        "Needed: at least 30, 18 more. Next: wait for more outcomes." in text
    )
    assert "leads as they reach" not in text
    assert "limits below" not in text
    assert "Leave alone" not in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("ci95", "verdict", "advice"),
    [
        ((2.0, 17.0), "new points win", "Use the new points."),
        ((-17.0, -2.0), "old points win", "Keep the points as they are."),
        ((-13.0, 22.0), "no difference", "chance alone can explain the gap"),
    ],
)
def test_refitted_points_are_advised_only_where_they_won(ci95, verdict, advice):
    raw = summary()
    raw["revops"]["repriced"] |= {"ci95": list(ci95), "verdict": verdict}
    text = Page(render_report(raw)).text
    assert advice in text
    assert ("use the new points" in text) == (verdict == "new points win")


def test_points_that_could_not_be_refitted_stay_as_they_are():
    raw = summary()
    raw["revops"]["repriced"] = None
    assert "The points could not be refitted" in Page(render_report(raw)).text
    assert "no points to refit" in Page(render_report(summary(None))).text


@pytest.mark.parametrize(
    ("headline", "who"),
    [
        (MODEL_WINS, "the model. It found more than the playbook points table did."),
        (RULES_WIN, "the playbook points table. It found more than the model did"),
        (NO_DIFFERENCE, "nothing here says to change it."),
        (None, "there is no points table to compare with."),
    ],
)
def test_who_decides_the_order_follows_the_verdict(headline, who):
    text = Page(render_report(summary(headline))).text
    assert f"Who decides the order: {who}" in text


def test_the_commands_that_the_page_names_exist_with_their_options():
    from typer.main import get_command

    from intentcast.cli.main import app

    known = get_command(app).commands
    for command, _ in COMMANDS:
        name, *words = command.split()
        options = {flag for parameter in known[name].params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_a_report_of_before_there_was_such_a_part_is_still_drawn():
    raw = summary()
    del raw["revops"]
    assert "What sales should do" not in render_report(raw)


def test_hostile_names_are_text_everywhere():
    raw = summary(pair(f"scorecard:{HOSTILE}", 9.0, 5.0, (1.0, 7.0), "model wins"))
    raw["dataset"]["name"] = f'{HOSTILE}"onload="x'
    raw["segments"][0] |= {"attribute": f"a_{HOSTILE}", "level": HOSTILE}
    raw["drivers"].insert(0, [f"theme.count.{HOSTILE}.30d", 0.5])
    raw["drivers"].insert(0, ["fit.is.a_script_alert_1_script_script_alert_1_script.flag", 0.4])
    raw["drivers"].insert(0, [f'"/>{HOSTILE}', 0.6])
    raw["champion"] |= {"reason": HOSTILE, "step": HOSTILE, "steps": [HOSTILE]}
    raw["folds"][0]["step"] = HOSTILE
    raw["revops"]["thresholds"] = {
        "refused": dict.fromkeys(["found", "expected", "next_step"], HOSTILE)
    }
    html = render_report(raw)
    assert_loads_nothing(html)
    assert f"the {HOSTILE} points table found 5" in Page(html).text
    assert html.count("&lt;script&gt;") + html.count("&lt;script>") > 8


def test_missing_values_are_dashes():
    raw = summary(NO_DIFFERENCE)
    for contender in raw["contenders"].values():
        nothing = dict.fromkeys(["expected", "worst", "best", "lift"])
        contender["precision_at_capacity"] |= nothing
    for horizon in raw["horizons"].values():
        for contender in horizon.values():
            contender |= {k: None for k in contender if k not in ("precision_at_capacity",)}
    for tier in raw["tiers"]:
        tier |= {"n_leads": 0, "leads_per_week": 0.0, "share_converted": None}
        tier |= {"mean_probability": None}
    raw |= {"base_rate": None, "reliability": [], "segments": [], "drivers": []}
    html = render_report(raw)
    text = Page(html).text
    assert "None" not in text
    assert "nan" not in text
    assert "The calibration slope is –" in text
    assert "– weeks" in text
    assert "too few outcomes to draw this" in text
    assert_loads_nothing(html)


def test_without_drivers_or_a_points_table_the_page_says_so():
    raw = summary(None)
    raw["drivers"] = [["lifecycle.age.lead.days", 0.0]]
    text = Page(render_report(raw)).text
    assert "No points table was given" in text
    assert "leans on no feature" in text


def test_contenders_are_named_in_words():
    assert contender_in_words("scorecard:crm_linear") == "CRM linear points table"
    assert contender_in_words("champion") == "the model"
    assert contender_in_words("some_new_learner") == "some new learner"


def test_numbers_are_written_for_people():
    assert format_number(1234567.0) == "1,234,567"
    assert format_number(-1234.56, places=1) == "−1,234.6"
    assert format_number(-0.04, places=1) == "0.0"
    assert format_number(float("nan")) == format_number(None) == "–"
    assert format_percent(0.1234) == "12.3 %"
    assert format_percent(None) == "–"
    assert format_day("2025-03-01T23:00:00+00:00") == "1 Mar 2025"
    assert format_day(None) == "–"


def test_a_browser_shows_the_verdict_and_runs_nothing(tmp_path):
    browser = next(
        filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
    )
    if browser is None:
        pytest.skip("no Chromium or Chrome on the path")
    raw = summary()
    raw["segments"][0]["level"] = HOSTILE
    raw["drivers"].insert(0, [f"theme.count.{HOSTILE}.30d", 0.5])
    path = tmp_path / "report.html"
    path.write_text(render_report(raw), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    dom = Page(done.stdout)
    assert state_verdict(raw).sentence in dom.text
    assert dom.tags["svg"] == 9
    assert not LOADS & set(dom.tags)
