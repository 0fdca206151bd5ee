import re
from dataclasses import replace

import numpy as np
import pytest

from intentcast import explain
from intentcast.explain import reasons
from intentcast.features import FeatureSpec
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
    numeric=("Employee count",),
    levels=(
        ("job", ("title cto", "x")),
        ("job_title", ("CTO", "Head of IT")),
        ("Industry Sector", ("Food & Drink", "steel")),
    ),
)
RAW_NAME = re.compile(r"[a-z0-9]_[a-z0-9]|[a-z_]+\.[a-z_]+\.[a-z_]+|halflife")


def lead(spec=SPEC, **values):
    """Features of a lead that never did anything, but for those named with __ for dots."""
    named = {name: np.nan if name.endswith((".days", ".number")) else 0.0 for name in spec.names}
    for key, value in values.items():
        name = key.replace("__", ".")
        assert name in named, name
        named[name] = value
    return list(named.values())


def pushed(name, by=1.0, *, spec=SPEC):
    """Contributions where one feature alone matters."""
    parts = np.zeros(len(spec.names) + 1)
    parts[spec.names.index(name)] = by
    return parts


def text(name, *, spec=SPEC, **values):
    [reason] = reasons(spec, lead(spec, **values), pushed(name, spec=spec))
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
    [reason] = reasons(SPEC, lead(), parts)
    assert reason.contribution == pytest.approx(0.6)
    assert reason.direction == "raises"


def test_what_lowers_is_said_to_lower():
    [reason] = reasons(SPEC, lead(), pushed("lifecycle.age.lead.days", -0.3))
    assert (reason.direction, reason.contribution) == ("lowers", -0.3)


def test_the_strongest_come_first_and_small_ones_are_left_out():
    parts = np.zeros(len(SPEC.names) + 1)
    subjects = ["theme.count.pricing.7d", "channel.count.web.7d", "lifecycle.age.lead.days"]
    for name, by in zip(subjects, (0.2, -0.7, 0.049), strict=True):
        parts[SPEC.names.index(name)] = by
    found = reasons(SPEC, lead(), parts)
    assert [round(reason.contribution, 3) for reason in found] == [-0.7, 0.2]


def test_at_most_six_are_said():
    parts = np.arange(len(SPEC.names) + 1) / 10 + 1
    assert len(reasons(SPEC, lead(), parts)) == 6


def test_the_average_leads_log_odds_are_no_reason():
    parts = np.zeros(len(SPEC.names) + 1)
    parts[-1] = -3.0
    assert reasons(SPEC, lead(), parts) == ()


@pytest.mark.usefixtures("show_all")
@pytest.mark.parametrize("step", ["logistic", "lightgbm"])
def test_contributions_of_all_groups_and_the_base_sum_to_the_log_odds(step):
    loaded = bundle(step)
    snapshots = world_snapshots().head(40)
    spec = loaded.featurizer.spec
    features = loaded.featurizer.transform(world(), snapshots).values
    for days in HORIZONS:
        learner = loaded.models[days].learner
        parts, margins = learner.contributions(features), learner.margins(features)
        for row, values in enumerate(features.tolist()):
            said = reasons(spec, values, parts[row])
            total = sum(reason.contribution for reason in said) + parts[row, -1]
            assert total == pytest.approx(margins[row], abs=1e-9)


@pytest.mark.usefixtures("show_all")
def test_reasons_are_words_without_nan_none_or_feature_names():
    spec = trained().featurizer.spec
    features = trained().featurizer.transform(world(), world_snapshots().head(60)).values
    nothing = lead(spec)
    for values in [*features.tolist(), nothing]:
        for reason in reasons(spec, values, np.ones(len(spec.names) + 1)):
            assert reason.text
            assert "nan" not in re.findall(r"\w+", reason.text.lower())
            assert "None" not in reason.text
            assert not RAW_NAME.search(reason.text), reason.text


@pytest.mark.usefixtures("show_all")
@pytest.mark.parametrize("drop", ["has_accounts", "has_values"])
def test_a_model_without_accounts_or_values_has_reasons_too(drop):
    spec = replace(SPEC, **{drop: False})
    found = reasons(spec, lead(spec), np.ones(len(spec.names) + 1))
    assert sum(reason.contribution for reason in found) == len(spec.names)
