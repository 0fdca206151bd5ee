"""Feature names: one form, no two alike, and the same after a trip through JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from intentcast.features import FeatureSpec
from intentcast.features.spec import NAME_PATTERN, slug

PLAIN = {
    "half_lives_days": (3.0, 14.0),
    "windows_days": (7, 30),
    "event_types": ("demo_request", "page_view"),
    "channels": ("email",),
    "themes": ("pricing",),
    "core_themes": ("pricing",),
    "has_accounts": True,
    "has_values": True,
    "numeric": ("employee_count",),
    "levels": (("industry", ("software",)),),
}


def spec(**changes):
    return FeatureSpec(**{**PLAIN, **changes})


def test_names_say_family_measure_subject_and_unit():
    names = spec().names
    for name in (
        "engagement.recency_weighted.any.14d_halflife",
        "activity.recency_weighted.page_view.3d_halflife",
        "theme.count.pricing.30d",
        "channel.days_since_last.other.days",
        "value.recency_weighted.any.3d_halflife",
        "engagement.active_days.any.7d",
        "account.people_engaged.any.30d",
        "account.colleagues_recency_weighted.pricing.14d_halflife",
        "lifecycle.age.lead.days",
        "fit.value.employee_count.number",
        "fit.is.industry_software.flag",
        "fit.is.industry_other.flag",
    ):
        assert name in names
    assert "value.count.any.7d" not in names


def test_without_accounts_or_values_their_names_are_absent():
    names = spec(has_accounts=False, has_values=False).names
    assert not [name for name in names if name.startswith(("account.", "value."))]


def test_slugs_that_collide_get_numbers():
    types = spec(event_types=("Page View", "page view 2", "page-view", "日本", "中国")).type_names
    assert types == ["page_view", "page_view_2", "page_view_3", "blank", "blank_2", "other"]
    assert spec(event_types=("Other",)).type_names == ["other", "other_2"]


def test_a_theme_named_any_is_not_all_engagement():
    assert len(set(spec(themes=("any",)).names)) == len(spec(themes=("any",)).names)


def test_levels_of_different_attributes_do_not_collide():
    names = spec(levels=(("a", ("b_c",)), ("a_b", ("c",)))).names
    assert len(set(names)) == len(names)


def test_a_slug_is_never_empty():
    assert slug("!") == slug("") == "blank"
    assert slug("Case Study: Q3/2024") == "case_study_q3_2024"


texts = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["any", "other", "other_2", "Any", "a", "a b", "a_b", "a_2", "A", "_"]),
    ),
    max_size=4,
    unique=True,
).map(tuple)
specs = st.builds(
    FeatureSpec,
    half_lives_days=st.sampled_from([(3.0,), (0.5, 14.0), (0.01, 3650.0)]),
    windows_days=st.sampled_from([(7,), (7, 3650)]),
    event_types=texts,
    channels=texts,
    themes=texts,
    core_themes=st.just(()),
    has_accounts=st.booleans(),
    has_values=st.booleans(),
    numeric=texts,
    levels=st.lists(st.tuples(st.text(max_size=4), texts), max_size=3).map(tuple),
)


@given(specs)
def test_names_match_the_pattern_and_are_unique(any_spec):
    names = any_spec.names
    assert [name for name in names if not NAME_PATTERN.match(name)] == []
    assert len(set(names)) == len(names)


@given(specs)
def test_a_trip_through_json_changes_nothing(any_spec):
    again = FeatureSpec.from_json(json.loads(json.dumps(any_spec.to_json())))
    assert again == any_spec
    assert again.hash == any_spec.hash == any_spec.to_json()["hash"]
    assert again.names == any_spec.to_json()["names"]


def test_the_hash_changes_with_any_name_and_with_their_order():
    hashes = {
        spec().hash,
        spec(windows_days=(7, 31)).hash,
        spec(event_types=("demo_request",)).hash,
        spec(event_types=("page_view", "demo_request")).hash,
        spec(levels=(("industry", ("steel",)),)).hash,
    }
    assert len(hashes) == 5
