"""What training time teaches about features, and what it refuses."""

import numpy as np
import pytest

from intentcast.errors import ConfigError
from tests.conftest import DAY, LEADS, at, event
from tests.features.worlds import AS_OF, features, fit, look


def test_unseen_types_channels_contents_and_levels_count_as_other(make_dataset):
    settings = {"attributes": {"categorical": ["job_title"]}}
    known = make_dataset(
        events=[event("L1", "2024-02-01", "page_view", channel="web", content="/a")],
        settings=settings,
    )
    later = make_dataset(
        leads=[{**LEADS[0], "job_title": "Wizard"}],
        events=[event("L1", "2024-03-01", "hologram", channel="ether", content="/zzz")],
        outcomes=[],
        settings=settings,
    )
    got = features(fit(known), later, look())
    ones = [n for n, value in got.items() if value == 1.0 and n.split(".")[1] in ("count", "is")]
    assert ones == [
        "engagement.count.any.7d", "engagement.count.any.30d",
        "activity.count.other.7d", "activity.count.other.30d",
        "theme.count.other.7d", "theme.count.other.30d",
        "channel.count.other.7d", "channel.count.other.30d",
        "fit.is.job_title_other.flag",
    ]  # fmt: skip


def test_an_unknown_attribute_sets_no_flag_and_no_number(make_dataset):
    settings = {"attributes": {"categorical": ["job_title"], "numeric": ["employee_count"]}}
    others = [{**row, "employee_count": "12"} for row in LEADS[1:]]
    leads = [{**LEADS[0], "job_title": None, "employee_count": "a few"}, *others]
    dataset = make_dataset(leads=leads, settings=settings)
    got = features(fit(dataset), dataset, look())
    assert [n for n, value in got.items() if n.startswith("fit.is.") and value] == []
    assert np.isnan(got["fit.value.employee_count.number"])


@pytest.mark.parametrize("size", ["inf", "-inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_unknown(make_dataset, size):
    settings = {"attributes": {"numeric": ["employee_count"]}}
    others = [{**row, "employee_count": "12"} for row in LEADS[1:]]
    dataset = make_dataset(leads=[{**LEADS[0], "employee_count": size}, *others], settings=settings)
    assert np.isnan(features(fit(dataset), dataset, look())["fit.value.employee_count.number"])


def test_a_numeric_attribute_without_any_number_is_refused(make_dataset):
    settings = {"attributes": {"numeric": ["employee_count"]}}
    leads = [{**row, "employee_count": "51-200"} for row in LEADS]
    dataset = make_dataset(leads=leads, settings=settings)
    with pytest.raises(ConfigError, match=r"employee_count holds no number"):
        fit(dataset)


def test_a_core_theme_that_is_no_theme_is_refused(make_dataset):
    dataset = make_dataset(settings={"themes": {"core": ["price"], "seeds": {"pricing": "plans"}}})
    with pytest.raises(ConfigError, match=r"core theme price .* pricing"):
        fit(dataset)


def test_an_attribute_called_position_is_the_attribute(make_dataset):
    settings = {"attributes": {"numeric": ["position"]}}
    dataset = make_dataset(leads=[{**row, "position": 5} for row in LEADS], settings=settings)
    assert features(fit(dataset), dataset, look())["fit.value.position.number"] == 5.0


def test_a_level_that_only_changes_name_is_learnt(make_dataset):
    settings = {"attributes": {"categorical": ["industry"]}}
    changes = [
        {
            "entity": "lead",
            "entity_id": "L1",
            "attribute": "industry",
            "value": "bank",
            "recorded_at": AS_OF - DAY,
        }
    ]
    leads = [{**row, "industry": None} for row in LEADS]
    dataset = make_dataset(leads=leads, attribute_changes=changes, settings=settings)
    assert fit(dataset).spec.levels == (("industry", ("bank",)),)


def test_the_vocabulary_is_what_was_known_by_training_time(make_dataset):
    late = [event("L1", AS_OF, "late"), event("L2", AS_OF - DAY, "later", recorded_at=AS_OF)]
    early = [event("L1", AS_OF - DAY, "early", recorded_at=AS_OF - DAY, is_machine=False)]
    machine = [event("L1", AS_OF - DAY, "robot", recorded_at=AS_OF - DAY, is_machine=True)]
    newcomer = {"lead_id": "L9", "created_at": AS_OF, "account_id": "A1", "job_title": "Queen"}
    dataset = make_dataset(
        leads=[*({**row, "created_at": at(row["created_at"])} for row in LEADS), newcomer],
        events=[*late, *early, *machine],
        settings={"attributes": {"categorical": ["job_title"]}},
    )
    spec = fit(dataset).spec
    assert spec.event_types == ("early",)
    assert spec.levels == (("job_title", ("CFO", "CTO", "Engineer")),)


def test_only_the_most_frequent_levels_get_their_own_ties_by_name(make_dataset):
    kinds = ["c"] * 3 + ["b"] * 2 + ["a"] * 2 + ["d"]
    events = [event("L1", f"2024-02-{i + 1:02d}", kind) for i, kind in enumerate(kinds)]
    dataset = make_dataset(events=events)
    assert fit(dataset, max_event_types=2).spec.event_types == ("a", "c")
    assert fit(dataset, min_share=0.2).spec.event_types == ("a", "b", "c")
    assert fit(dataset).spec.event_types == ("a", "b", "c", "d")


def test_account_features_need_an_account_of_two(make_dataset):
    dataset = make_dataset()
    assert fit(dataset).spec.has_accounts
    alone = make_dataset(leads=[{**row, "account_id": row["lead_id"]} for row in LEADS])
    assert not fit(alone).spec.has_accounts


def test_values_and_durations_are_learnt_where_events_carry_them(make_dataset):
    plain = fit(make_dataset()).spec
    assert (plain.has_values, plain.has_durations) == (False, False)
    valued = event("L1", "2024-02-01", value=2.0)
    timed = event("L2", "2024-02-01", duration_seconds=30.0, recorded_at=None)
    spec = fit(make_dataset(events=[valued, timed])).spec
    assert (spec.has_values, spec.has_durations) == (True, True)
    # Carried only by what became known too late, they are not learnt.
    late = fit(make_dataset(events=[{**valued, "occurred_at": AS_OF}])).spec
    assert (late.has_values, late.has_durations) == (False, False)


def test_ranks_are_learnt_from_the_column_that_the_settings_name(make_dataset):
    assert fit(make_dataset()).spec.seniority == ""
    named = make_dataset(settings={"attributes": {"seniority": "job_title"}})
    assert fit(named).spec.seniority == "job_title"
    # A categorical job title is one too, and people without accounts need none.
    usual = make_dataset(settings={"attributes": {"categorical": ["job_title"]}})
    assert fit(usual).spec.seniority == "job_title"
    alone = [{**row, "account_id": row["lead_id"]} for row in LEADS]
    named = make_dataset(leads=alone, settings={"attributes": {"seniority": "job_title"}})
    assert fit(named).spec.seniority == ""


def test_a_column_of_ranks_that_is_not_there_is_refused(make_dataset):
    dataset = make_dataset(settings={"attributes": {"seniority": "role"}})
    with pytest.raises(ConfigError, match=r"attributes\.seniority = 'role'"):
        fit(dataset)


def test_families_that_are_left_out_are_not_among_the_columns(make_dataset):
    spec = fit(make_dataset(), without=("recency", "account")).spec
    assert {column.family for column in spec.columns} == {
        "last", "counts", "consistency", "coherence", "acceleration", "escalation", "dormancy",
        "lifecycle",
    }  # fmt: skip
