"""Phrases: each feature has one of its own, short enough to stand beside a bar."""

import pytest

from intentcast.evaluation.phrases import PHRASES, feature_in_words, name_in_words, phrase_of
from intentcast.features import FAMILIES, FeatureSpec

LONGEST = 72
# Of everything something, and what could run into one another.
SPEC = FeatureSpec(
    half_lives_days=(0.5, 3, 14, 45.5, 120),
    windows_days=(7, 14, 30, 90),
    event_types=("email_click", "page view", "webinar attended", "any", "lead"),
    channels=("pricing", "web"),
    themes=("pricing", "roi", "implementation", "any", "lead", "own"),
    core_themes=("pricing",),
    has_accounts=True,
    has_values=True,
    has_durations=True,
    numeric=("employee_count", "lead"),
    levels=(("industry", ("software", "public sector")), ("job_title", ("Head of IT",))),
    seniority="job_title",
)
LEVELS = {
    "industry": {"software": "software", "public_sector": "public sector"},
    "job_title": {"head_of_it": "Head of IT"},
}


def test_every_feature_has_a_phrase_written_for_it():
    assert SPEC.families == FAMILIES
    assert [name for name in SPEC.names if phrase_of(name) is None] == []


def test_no_phrase_is_written_for_a_feature_that_is_not():
    assert {phrase_of(name) for name in SPEC.names} == set(PHRASES)


def test_no_two_features_read_the_same():
    phrases = [feature_in_words(name, LEVELS) for name in SPEC.names]
    assert len(set(phrases)) == len(phrases)


def test_a_phrase_is_short_whole_and_without_notation():
    for name in SPEC.names:
        phrase = feature_in_words(name, LEVELS)
        assert len(phrase) <= LONGEST, phrase
        assert phrase == " ".join(phrase.split()), phrase
        assert phrase[0] in "“" or phrase[0].isupper(), phrase
        assert not set("{}_") & set(phrase), phrase
        assert " -" not in phrase, phrase


def test_every_number_of_a_unit_is_in_the_phrase():
    for name in SPEC.names:
        unit = name.split(".")[-1].removesuffix("_halflife")
        numbers = unit.replace("d", "").replace("w", "").split("_over_")
        if numbers[0].replace("_", "").isdigit():
            phrase = feature_in_words(name, LEVELS)
            assert all(number.replace("_", ".") in phrase for number in numbers), phrase


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("engagement.recency_weighted.any.3d_halflife", "Recent events (3-day half-life)"),
        (
            "theme.recency_weighted.crm_pricing.0_5d_halflife",
            "Recent events on theme “CRM pricing” (0.5-day half-life)",
        ),
        (
            "activity.days_since_last.document_view.days",
            "Days since the last “document view” event",
        ),
        ("channel.count.offer.7d", "Events over “offer” in 7 days"),
        ("value.recency_weighted.any.45d_halflife", "Recent value of events (45-day half-life)"),
        ("engagement.distinct_content.any.14d", "Different content seen in 14 days"),
        ("account.people_engaged.any.14d", "People of the account active in 14 days"),
        (
            "account.colleagues_recency_weighted.roi.3d_halflife",
            "Colleagues’ recent events on theme “ROI” (3-day half-life)",
        ),
        ("duration.sum.any.30d", "Time spent in 30 days"),
        ("consistency.active_weeks.any.8w", "Active weeks of the last 8"),
        ("coherence.share.roi.14d_halflife", "Share of theme “ROI” (14-day half-life)"),
        (
            "acceleration.theme_short_over_long.roi.0_5d_over_45d",
            "Theme “ROI” picking up (0.5- v 45-day half-life)",
        ),
        ("escalation.activity_visits.page_view.visits", "Visits with “page view” events so far"),
        (
            "escalation.revisits.any.30d",
            "Events on content seen up to 7 days before, in 30 days",
        ),
        ("dormancy.silence_broken.any.gap", "Days of the silence broken last"),
        (
            "account.shared_content.own.14d",
            "Content seen by the lead and a colleague in 14 days",
        ),
        ("lifecycle.age.lead.days", "Days since the lead came in"),
        ("lifecycle.age.first_event.days", "Days since the first event"),
        ("fit.value.employee_count.number", "Employee count"),
        ("fit.is.job_title_head_of_it.flag", "Job title: Head of IT"),
        ("fit.is.job_title_other.flag", "Job title: none of the common ones"),
        ("fit.is.country_ch.flag", "Country ch"),
        ("something.new.of_a_kind.30d", "Something new of a kind 30d"),
        ("not a feature", "Not a feature"),
    ],
)
def test_features_are_named_in_words(name, expected):
    levels = {"job": {"x": "X"}, "job_title": {"head_of_it": "Head of IT"}}
    assert feature_in_words(name, levels) == expected


def test_braces_in_the_data_are_text():
    levels = {"job_title": {"x": "{n} {0} {x.y}"}}
    assert feature_in_words("fit.is.job_title_x.flag", levels) == "Job title: {n} {0} {x.y}"
    assert feature_in_words("theme.count.{n}{0}.7d") == "Events on theme “{n}{0}” in 7 days"


def test_identifiers_become_words():
    assert name_in_words("b2b_page__views") == "B2B page views"
