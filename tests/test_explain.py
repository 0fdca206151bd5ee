import re
from dataclasses import replace

import numpy as np
import pytest

from intentcast import explain
from intentcast.explain import reasons
from intentcast.features import FAMILIES, FeatureSpec
from tests.fixtures_world import HORIZONS, bundle, trained, world, world_snapshots

SPEC = FeatureSpec(
    half_lives_days=(7.0, 30.0),
    windows_days=(7, 14, 30),
    event_types=("page_view", "email_click"),
    channels=("web",),
    themes=("pricing", "Case Studies"),
    core_themes=("pricing",),
    has_accounts=True,
    has_values=True,
    has_durations=True,
    numeric=("Employee count",),
    levels=(
        ("job", ("title cto", "x")),
        ("job_title", ("CTO", "Head of IT")),
        ("Industry Sector", ("Food & Drink", "steel")),
    ),
    seniority="job_title",
)
RAW_NAME = re.compile(r"[a-z0-9]_[a-z0-9]|[a-z_]+\.[a-z_]+\.[a-z_]+|halflife")


def lead(spec=SPEC, **values):
    """Features of a lead that never did anything, but for those named with __ for dots."""
    named = {column.name: np.nan if column.unknown else 0.0 for column in spec.columns}
    for key, value in values.items():
        name = key.replace("__", ".")
        assert name in named, name
        named[name] = value
    return named


def pushed(name, by=1.0, *, spec=SPEC):
    """Contributions where one feature alone matters."""
    parts = np.zeros(len(spec.names) + 1)
    parts[spec.names.index(name)] = by
    return parts


def told(named, parts, spec=SPEC):
    """The reasons of a model that has every feature."""
    return reasons(spec, named, spec.names, parts)


def text(name, *, spec=SPEC, **values):
    [reason] = told(lead(spec, **values), pushed(name, spec=spec), spec)
    return reason.text


@pytest.fixture
def show_all(monkeypatch):
    """Show every group, however small."""
    monkeypatch.setattr(explain, "MOST_SHOWN", 10_000)
    monkeypatch.setattr(explain, "SMALLEST_SHOWN", 0.0)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "engagement.recency_weighted.any.7d_halflife",
            {"engagement__active_days__any__30d": 4, "engagement__days_since_last__any__days": 1.5},
            "active on 4 of the last 30 days, last yesterday",
        ),
        ("engagement.count.any.7d", {}, "never active"),
        (
            "theme.count.pricing.7d",
            {"theme__count__pricing__30d": 1, "theme__days_since_last__pricing__days": 0.2},
            "pricing content: once in the last 30 days, last today",
        ),
        ("theme.count.case_studies.7d", {}, "case studies content: never"),
        (
            "theme.count.other.7d",
            {"theme__days_since_last__other__days": 44.4},
            "other content: not in the last 30 days, last 44 days ago",
        ),
        (
            "activity.count.email_click.7d",
            {
                "activity__count__email_click__30d": 3,
                "activity__days_since_last__email_click__days": 9.6,
            },
            "email click: 3 times in the last 30 days, last 10 days ago",
        ),
        ("channel.count.web.14d", {}, "activity by web: never"),
        (
            "account.people_engaged.any.7d",
            {"account__people_engaged__any__14d": 3},
            "3 people of the account active in the last 14 days",
        ),
        (
            "account.people_engaged.any.7d",
            {"account__people_engaged__any__14d": 1},
            "1 person of the account active in the last 14 days",
        ),
        (
            "account.colleagues_recency_weighted.pricing.7d_halflife",
            {"account__colleagues_recency_weighted__pricing__30d_halflife": 0.6},
            "colleagues recently engaged with pricing content",
        ),
        (
            "account.colleagues_recency_weighted.any.7d_halflife",
            {},
            "colleagues not engaged",
        ),
        (
            "value.recency_weighted.any.7d_halflife",
            {"value__recency_weighted__any__30d_halflife": 1234.5},
            "value of recent events, recency-weighted: 1,234",
        ),
        (
            "lifecycle.age.lead.days",
            {"lifecycle__age__lead__days": 40},
            "became a lead 40 days ago",
        ),
        ("lifecycle.age.first_event.days", {}, "never engaged"),
        (
            "lifecycle.age.first_event.days",
            {"lifecycle__age__first_event__days": 3},
            "first engaged 3 days ago",
        ),
        ("fit.value.employee_count.number", {}, "employee count: unknown"),
        (
            "fit.value.employee_count.number",
            {"fit__value__employee_count__number": 12000},
            "employee count: 12,000",
        ),
        ("fit.is.job_title_head_of_it.flag", {}, "job title: unknown"),
        (
            "fit.is.job_title_head_of_it.flag",
            {"fit__is__job_title_head_of_it__flag": 1},
            "job title: Head of IT",
        ),
        (
            "fit.is.industry_sector_steel.flag",
            {"fit__is__industry_sector_food_drink__flag": 1},
            "Industry Sector: Food & Drink",
        ),
    ],
)
def test_each_kind_of_feature_is_said_in_words(name, values, expected):
    assert text(name, **values) == expected


COHERENCE = "coherence.entropy.any.7d_halflife"
REPEATED = "escalation.revisits.any.7d"
SILENCE = "dormancy.silence_broken.any.gap"
SHARED, SHARED_OWN = "account.shared_content.any.14d", "account.shared_content.own.14d"
SENIORS = "account.senior_people.any.30d"
THEIR_OUTCOMES = "account.colleagues_won.any.count"
CONVERSIONS, RETURNS = (
    f"lifecycle.earlier_{kind}.lead.count" for kind in ("conversions", "returns")
)
REGULARITY = "lifecycle.hour_regularity.any.ratio"
DURATION = "duration.recency_weighted.any.7d_halflife"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            COHERENCE,
            {
                "coherence__breadth__any__30d": 2,
                "coherence__core_share__any__7d_halflife": 0.456,
            },
            "2 themes in the last 30 days, 46% of recent attention on core themes",
        ),
        (COHERENCE, {"coherence__breadth__any__30d": 1}, "1 theme in the last 30 days"),
        (
            REPEATED,
            {"escalation__most_repeated__any__30d": 4, "escalation__revisits__any__30d": 3},
            "the same content up to 4 times in the last 30 days, 3 revisits within a week",
        ),
        (
            REPEATED,
            {"escalation__most_repeated__any__30d": 2, "escalation__revisits__any__30d": 1},
            "the same content up to 2 times in the last 30 days, 1 revisit within a week",
        ),
        (REPEATED, {}, "no content in the last 30 days"),
        (
            SILENCE,
            {
                "dormancy__silence_broken__any__gap": 41.6,
                "dormancy__since_restart__any__days": 0.4,
            },
            "came back today after 42 silent days",
        ),
        (
            SHARED,
            {"account__shared_content__any__14d": 3},
            "3 contents seen by several people of the account in the last 14 days",
        ),
        (
            SHARED_OWN,
            {"account__shared_content__own__14d": 1},
            "1 content seen by both the lead and colleagues in the last 14 days",
        ),
        (
            SENIORS,
            {"account__senior_people__any__30d": 1},
            "1 senior person of the account active in the last 30 days",
        ),
        (
            "account.top_rank.any.90d",
            {"account__senior_people__any__30d": 2},
            "2 senior people of the account active in the last 30 days",
        ),
        (
            THEIR_OUTCOMES,
            {"account__colleagues_won__any__count": 2, "account__colleagues_lost__any__count": 1},
            "colleagues' earlier outcomes: 2 won, 1 lost",
        ),
        (
            CONVERSIONS,
            {
                "lifecycle__earlier_conversions__lead__count": 1,
                "lifecycle__since_conversion__lead__days": 12.2,
            },
            "converted once before, last 12 days ago",
        ),
        (CONVERSIONS, {}, "never converted before"),
        (REGULARITY, {}, "too few events to tell usual hours"),
        (
            DURATION,
            {"duration__sum__any__30d": 7260.0},
            "121 minutes of activity in the last 30 days",
        ),
    ],
)
def test_each_kind_of_pattern_is_said_in_words(name, values, expected):
    assert text(name, **values) == expected


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("consistency.streak_longest.any.run", "engagement.count.any.7d"),
        ("acceleration.short_over_long.any.7d_over_30d", "engagement.count.any.7d"),
        ("escalation.engagement_visits.any.visits", "engagement.count.any.7d"),
        ("engagement.distinct_content.any.7d", "engagement.count.any.7d"),
        ("escalation.theme_visits.case_studies.visits", "theme.count.case_studies.7d"),
        ("acceleration.theme_short_over_long.pricing.7d_over_30d", "theme.count.pricing.7d"),
        ("coherence.share.pricing.7d_halflife", "theme.count.pricing.7d"),
        ("escalation.activity_visits.page_view.visits", "activity.count.page_view.7d"),
        ("account.since_colleague_won.any.days", THEIR_OUTCOMES),
        ("account.top_rank.any.90d", SENIORS),
        ("lifecycle.since_return.lead.days", RETURNS),
        ("lifecycle.weekday_regularity.any.ratio", REGULARITY),
        ("duration.sum.any.30d", DURATION),
    ],
)
def test_a_pattern_speaks_with_the_voice_of_its_subject(name, subject):
    parts = pushed(name, 0.4) + pushed(subject, 0.2)
    [reason] = told(lead(), parts)
    assert reason.contribution == pytest.approx(0.6)


# What a salesperson would read wrongly, or stumble over, said otherwise.


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (SILENCE, {}, "no comeback after a silence of 14 days or more"),
        (
            REPEATED,
            {"escalation__most_repeated__any__30d": 1},
            "no content seen twice in the last 30 days",
        ),
        (SHARED, {}, "no content seen by several people of the account in the last 14 days"),
        (SHARED_OWN, {}, "no content seen by both the lead and colleagues in the last 14 days"),
        (SENIORS, {}, "no senior person of the account active in the last 30 days"),
        (THEIR_OUTCOMES, {}, "no earlier outcomes of colleagues"),
        (COHERENCE, {}, "no known theme in the last 30 days"),
        (DURATION, {"duration__sum__any__30d": 55.0}, "1 minute of activity in the last 30 days"),
        (
            RETURNS,
            {
                "lifecycle__earlier_returns__lead__count": 2,
                "lifecycle__since_return__lead__days": 30.0,
            },
            "handed back 2 times before, last 30 days ago",
        ),
        (RETURNS, {}, "never handed back before"),
        (
            REGULARITY,
            {
                "lifecycle__hour_regularity__any__ratio": 0.9,
                "lifecycle__weekday_regularity__any__ratio": 0.2,
            },
            "active at regular hours, on changing days of the week",
        ),
    ],
)
def test_what_is_rare_or_absent_is_said_as_people_say_it(name, values, expected):
    assert text(name, **values) == expected


def test_attributes_whose_names_run_into_one_another_are_told_apart():
    """`job` with level `title cto` and `job_title` with level `CTO` read alike as feature names."""
    flags = [name for name in SPEC.names if "title_cto" in name]
    assert flags == ["fit.is.job_title_cto.flag", "fit.is.job_title_cto_2.flag"]
    assert text(flags[0], **{"fit__is__job_title_cto__flag": 1}) == "job: title cto"
    assert text(flags[1], **{"fit__is__job_title_cto_2__flag": 1}) == "job title: CTO"


def test_all_measures_of_one_subject_speak_with_one_voice():
    parts = np.zeros(len(SPEC.names) + 1)
    for name, by in (
        ("theme.count.pricing.7d", 0.5),
        ("theme.recency_weighted.pricing.30d_halflife", 0.2),
        ("theme.days_since_last.pricing.days", -0.1),
    ):
        parts[SPEC.names.index(name)] = by
    [reason] = told(lead(), parts)
    assert reason.contribution == pytest.approx(0.6)
    assert reason.direction == "raises"


def test_what_lowers_is_said_to_lower():
    [reason] = told(lead(), pushed("lifecycle.age.lead.days", -0.3))
    assert (reason.direction, reason.contribution) == ("lowers", -0.3)


def test_the_strongest_come_first_and_small_ones_are_left_out():
    parts = np.zeros(len(SPEC.names) + 1)
    subjects = ["theme.count.pricing.7d", "channel.count.web.7d", "lifecycle.age.lead.days"]
    for name, by in zip(subjects, (0.2, -0.7, 0.049), strict=True):
        parts[SPEC.names.index(name)] = by
    found = told(lead(), parts)
    assert [round(reason.contribution, 3) for reason in found] == [-0.7, 0.2]


def test_at_most_six_are_said():
    parts = np.arange(len(SPEC.names) + 1) / 10 + 1
    assert len(told(lead(), parts)) == 6


def test_the_average_leads_log_odds_are_no_reason():
    parts = np.zeros(len(SPEC.names) + 1)
    parts[-1] = -3.0
    assert told(lead(), parts) == ()


@pytest.mark.usefixtures("show_all")
@pytest.mark.parametrize("step", ["logistic", "lightgbm", "hazard", "blend"])
def test_contributions_of_all_groups_and_the_base_sum_to_the_log_odds(step):
    loaded = bundle(step)
    snapshots = world_snapshots().head(40)
    spec = loaded.featurizer.spec
    features = loaded.featurizer.transform(world(), snapshots).doubles
    for days in HORIZONS:
        learner = loaded.models[days].learner
        parts, margins = learner.contributions(features), learner.margins(features)
        for row, values in enumerate(features.tolist()):
            said = reasons(spec, dict(zip(spec.names, values, strict=True)), spec.names, parts[row])
            total = sum(reason.contribution for reason in said) + parts[row, -1]
            assert total == pytest.approx(margins[row], abs=1e-9)


@pytest.mark.usefixtures("show_all")
def test_reasons_are_words_without_nan_none_or_feature_names():
    spec = trained().featurizer.spec
    features = trained().featurizer.transform(world(), world_snapshots().head(60)).values
    rows = [dict(zip(spec.names, row, strict=True)) for row in features.tolist()]
    for named in [*rows, lead(spec)]:
        for reason in told(named, np.ones(len(spec.names) + 1), spec):
            assert reason.text
            assert "nan" not in re.findall(r"\w+", reason.text.lower())
            assert "None" not in reason.text
            assert not RAW_NAME.search(reason.text), reason.text


@pytest.mark.usefixtures("show_all")
@pytest.mark.parametrize(
    "change",
    [
        {"has_accounts": False},
        {"has_values": False},
        {"has_durations": False},
        {"seniority": ""},
        {"core_themes": ()},
        {"half_lives_days": (14.0,)},
        {"windows_days": (365,)},
        {"levels": ()},
    ],
)
def test_a_model_that_lacks_something_has_reasons_too(change):
    spec = replace(SPEC, **change)
    found = told(lead(spec), np.ones(len(spec.names) + 1), spec)
    assert sum(reason.contribution for reason in found) == len(spec.names)


@pytest.mark.usefixtures("show_all")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_a_family_has_reasons_from_the_others(family):
    """Words may speak of features that the model does not have, contributions not."""
    names = [column.name for column in SPEC.columns if column.family != family]
    found = reasons(SPEC, lead(), names, np.ones(len(names) + 1))
    assert sum(reason.contribution for reason in found) == len(names)
    assert len({reason.text for reason in found}) > 10
