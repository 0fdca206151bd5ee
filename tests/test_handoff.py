import pytest

from intentcast.config import parse_settings
from intentcast.errors import ConfigError
from intentcast.features import FeatureSpec
from intentcast.handoff import Criteria, HandoffSettings, judge_handoff
from intentcast.tiers import TierPolicy
from tests.fixtures_world import handoff_settings

SPEC = FeatureSpec(
    half_lives_days=(3.0, 14.0),
    windows_days=(7, 14),
    event_types=(),
    channels=(),
    themes=("pricing", "Case Studies", "careers"),
    core_themes=("pricing", "Case Studies"),
    has_accounts=False,
    has_values=False,
    has_durations=False,
    numeric=(),
    levels=(),
)
TIERS = TierPolicy(90, hot=0.3, warm=0.1, handoffs_per_week=5, n_leads=100, n_weeks=4)
CRITERIA = Criteria(active_days=3, within_days=14, core_share=0.5, attribute_points=20)


def features(spec=SPEC, **values):
    """All features zero but those named by their last parts: active_14d, theme_pricing."""
    named = dict.fromkeys(spec.names, 0.0)
    for key, value in values.items():
        kind, what = key.split("_", 1)
        if kind == "active":
            named[f"engagement.active_days.any.{what}"] = value
        else:
            named[f"theme.recency_weighted.{what}.14d_halflife"] = value
    return named


READY = {"active_14d": 3, "theme_pricing": 1.0, "theme_careers": 1.0}


def judged(values=None, *, spec=SPEC, criteria=CRITERIA, probability=0.3, points=20.0):
    return judge_handoff(
        criteria,
        features(spec, **(READY if values is None else values)),
        spec,
        probability=probability,
        tiers=TIERS,
        attribute_points=points,
    )


def criterion(handoff, name):
    return next(result for result in handoff.criteria if result.name == name)


def test_a_lead_exactly_at_every_threshold_is_ready():
    handoff = judged()
    assert handoff.ready
    assert [c.name for c in handoff.criteria] == ["consistency", "focus", "intent", "fit"]
    assert all(c.met for c in handoff.criteria)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("consistency", {"values": READY | {"active_14d": 2}}),
        ("focus", {"values": READY | {"theme_careers": 1.001}}),
        ("intent", {"probability": 0.2999}),
        ("fit", {"points": 19.5}),
    ],
)
def test_one_criterion_just_missed_is_enough_to_wait(name, change):
    handoff = judged(**change)
    assert not handoff.ready
    assert [c.name for c in handoff.criteria if not c.met] == [name]


def test_the_evidence_is_in_words():
    assert criterion(judged(), "consistency").detail == "active on 3 of the last 14 days, 3 needed"
    focus = criterion(judged(), "focus").detail
    assert focus == "50% of recent attention on the core themes, 50% needed"
    assert criterion(judged(), "intent").detail == "30.0% within 90 days, hot from 30.0%"
    assert criterion(judged(), "fit").detail == "20 attribute points, 20 needed"


def test_a_lead_without_attention_has_no_focus():
    focus = criterion(judged({"active_14d": 9}), "focus")
    assert not focus.met
    assert focus.detail.startswith("0%")


def test_a_core_theme_is_recognised_whatever_its_name_is_made_of():
    focus = criterion(judged({"theme_case_studies": 3.0, "theme_careers": 1.0}), "focus")
    assert focus.detail.startswith("75%")


def test_of_two_themes_whose_names_read_alike_only_the_core_one_counts():
    alike = FeatureSpec(
        **{
            **{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__},
            "themes": ("case-studies", "case studies"),
            "core_themes": ("case studies",),
        }
    )
    assert alike.theme_names == ("case_studies", "case_studies_2", "other")
    first = judged({"theme_case_studies": 1.0}, spec=alike)
    second = judged({"theme_case_studies_2": 1.0}, spec=alike)
    assert not criterion(first, "focus").met
    assert criterion(second, "focus").met


def test_a_team_without_core_themes_has_no_focus_criterion():
    spec = FeatureSpec(
        **{
            **{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__},
            "core_themes": (),
        }
    )
    assert [c.name for c in judged(spec=spec).criteria] == ["consistency", "intent", "fit"]


def test_without_a_points_table_there_is_no_fit_criterion():
    handoff = judged(points=None)
    assert [c.name for c in handoff.criteria] == ["consistency", "focus", "intent"]
    assert handoff.ready


def test_a_window_that_the_model_lacks_is_replaced_by_the_nearest():
    criteria = Criteria(active_days=3, within_days=10, core_half_life_days=20)
    handoff = judged({"active_7d": 0, "active_14d": 5}, criteria=criteria)
    assert criterion(handoff, "consistency").detail.startswith("active on 0 of the last 7 days")
    criteria = Criteria(active_days=3, within_days=30)
    handoff = judged({"active_7d": 0, "active_14d": 5}, criteria=criteria)
    assert criterion(handoff, "consistency").met


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"unknown key criteria\.active_day"):
        parse_settings({"criteria": {"active_day": 3}}, HandoffSettings, source="handoff.toml")


def test_the_shipped_settings_have_a_signal_for_each_stage_but_the_first():
    stages = {signal.stage for signal in handoff_settings().signals}
    assert stages == {"interest", "evaluation", "pre-deal"}
