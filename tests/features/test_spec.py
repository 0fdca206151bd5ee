"""Feature names: one form, no two alike, and the same after a trip through JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from intentcast.features import FAMILIES, FeatureSpec, columns
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
    "has_durations": True,
    "numeric": ("employee_count",),
    "levels": (("industry", ("software",)),),
    "seniority": "job_title",
}


def spec(**changes):
    return FeatureSpec(**{**PLAIN, **changes})


def test_names_say_area_measure_subject_and_unit():
    names = spec().names
    for name in (
        "engagement.recency_weighted.any.14d_halflife",
        "activity.recency_weighted.page_view.3d_halflife",
        "theme.count.pricing.30d",
        "channel.days_since_last.other.days",
        "value.recency_weighted.any.3d_halflife",
        "duration.sum.any.30d",
        "engagement.active_days.any.7d",
        "consistency.active_weeks.any.8w",
        "consistency.overdue.any.ratio",
        "coherence.core_share.any.14d_halflife",
        "coherence.share.pricing.14d_halflife",
        "acceleration.short_over_long.any.3d_over_14d",
        "escalation.theme_visits.pricing.visits",
        "escalation.revisits.any.7d",
        "dormancy.silence_broken.any.gap",
        "account.people_engaged.any.30d",
        "account.colleagues_recency_weighted.pricing.14d_halflife",
        "account.shared_content.own.14d",
        "account.top_rank.any.90d",
        "account.since_colleague_won.any.days",
        "lifecycle.age.lead.days",
        "lifecycle.earlier_returns.lead.count",
        "fit.value.employee_count.number",
        "fit.is.industry_software.flag",
        "fit.is.industry_other.flag",
    ):
        assert name in names
    assert "value.count.any.7d" not in names


def areas(**changes):
    return {name.split(".")[0] for name in spec(**changes).names}


def test_what_the_data_does_not_have_has_no_columns():
    assert areas() - areas(has_accounts=False) == {"account"}
    assert areas() - areas(has_values=False) == {"value"}
    assert areas() - areas(has_durations=False) == {"duration"}
    assert areas() - areas(numeric=(), levels=()) == {"fit"}
    ranks = set(spec().names) - set(spec(seniority="").names)
    assert ranks == {
        "account.senior_people.any.30d", "account.senior_people.any.90d",
        "account.top_rank.any.90d",
    }  # fmt: skip
    core = set(spec().names) - set(spec(core_themes=()).names)
    assert core == {"coherence.core_share.any.14d_halflife"}


def test_a_ladder_of_one_half_life_has_no_acceleration():
    assert "acceleration" not in areas(half_lives_days=(14.0,))


def test_the_half_life_nearest_to_two_weeks_is_the_short_memory():
    shape = spec(half_lives_days=(1.0, 7.0, 20.0, 45.0)).shape
    assert (shape.middle, shape.coherent) == (2, [2, 3])
    assert spec(half_lives_days=(3.0, 14.0)).shape.coherent == [1]


def test_every_column_says_how_it_is_computed_and_in_what_unit():
    for column in spec().columns:
        assert column.formula
        assert column.unit
        assert column.family in FAMILIES


def test_columns_of_a_family_are_neighbours_in_the_order_of_families():
    whole = spec()
    found = [column.family for column in whole.columns]
    assert found == sorted(found, key=FAMILIES.index)
    assert set(found) == set(FAMILIES)
    for family, first in whole.first_column.items():
        assert found.index(family) == first


def test_a_family_that_is_off_begins_nowhere_and_those_after_it_move_up():
    families = tuple(family for family in FAMILIES if family != "last")
    part, whole = spec(families=families), spec()
    assert part.first_column["last"] == -1
    n = whole.first_column["counts"] - whole.first_column["last"]
    assert part.first_column["counts"] == whole.first_column["counts"] - n
    assert "last" not in {column.family for column in part.columns}


def test_families_are_the_same_in_any_order():
    assert spec(families=FAMILIES[::-1]).names == spec().names


def test_slugs_that_collide_get_numbers():
    types = spec(event_types=("Page View", "page view 2", "page-view", "日本", "中国")).type_names
    assert types == ("page_view", "page_view_2", "page_view_3", "日本", "中国", "other")
    assert spec(event_types=("Other",)).type_names == ("other", "other_2")


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
    has_durations=st.booleans(),
    numeric=texts,
    levels=st.lists(st.tuples(st.text(max_size=4), texts), max_size=3).map(tuple),
    seniority=st.sampled_from(["", "job_title"]),
    families=st.sets(st.sampled_from(FAMILIES)).map(tuple),
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
        spec(families=FAMILIES[1:]).hash,
        spec(seniority="").hash,
    }
    assert len(hashes) == 7


def test_the_hash_changes_with_a_formula(monkeypatch):
    before = spec().hash
    monkeypatch.setattr(columns, "REVISIT_DAYS", 8)
    assert spec().hash != before
