from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import Conversion, DatasetConfig, parse_settings
from intentcast.errors import ConfigError
from intentcast.features import FeatureSpec
from intentcast.handoff import (
    AtOnce,
    Consistency,
    Criteria,
    Fit,
    Focus,
    HandoffSettings,
    Intent,
    OptOut,
    judge_handoff,
)
from intentcast.histories import EngagementEvent, KnownOutcome, LeadHistory
from intentcast.returns import Renurture
from intentcast.seen import see
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
SETTINGS = HandoffSettings()
CONFIG = DatasetConfig(conversion=Conversion(outcomes=("won",), horizons_days=(90,)))
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
THREE_DAYS = (1, 2, 13)


def event(when, event_type="page_view", **more):
    """One event; `when` in days before the as-of time, or an instant."""
    occurred = when if isinstance(when, datetime) else AS_OF - timedelta(days=when)
    return EngagementEvent(
        **{"lead_id": "L1", "occurred_at": occurred, "event_type": event_type} | more
    )


def history(*events, outcomes=()):
    return LeadHistory(
        "L1",
        datetime(2023, 6, 1, tzinfo=UTC),
        AS_OF,
        events=tuple(events),
        outcomes=tuple(outcomes),
    )


def features(spec=SPEC, **values):
    """All features zero but the attention to some themes: theme_pricing."""
    named = dict.fromkeys(spec.names, 0.0)
    for key, value in values.items():
        named[f"theme.recency_weighted.{key.removeprefix('theme_')}.14d_halflife"] = value
    return named


READY = {"theme_pricing": 1.0, "theme_careers": 1.0}


def judged(
    events=None,
    values=None,
    *,
    outcomes=(),
    spec=SPEC,
    probability=0.3,
    points=20.0,
    sales=CONFIG.sales,
    settings=SETTINGS,
    **criteria,
):
    """Judge L1, by default exactly at every threshold; `criteria` replace some of the settings."""
    events = [event(days) for days in THREE_DAYS] if events is None else events
    return judge_handoff(
        settings.model_copy(update={"criteria": Criteria(**criteria)}) if criteria else settings,
        see(history(*events, outcomes=outcomes), CONFIG),
        features(spec, **(READY if values is None else values)),
        spec,
        probability=probability,
        tiers=TIERS,
        sales=sales,
        attribute_points=points,
    )


def criterion(handoff, name):
    return next(result for result in handoff.criteria if result.name == name)


def names(handoff):
    return [result.name for result in handoff.criteria]


ALL = ["opt-out", "re-nurture", "at once", "consistency", "focus", "intent", "fit"]


def test_a_lead_exactly_at_every_threshold_is_ready_by_the_criteria():
    handoff = judged()
    assert handoff.ready
    assert handoff.route == "criteria"
    assert names(handoff) == ALL
    assert [c.name for c in handoff.criteria if not c.met] == ["at once"]
    assert [c.name for c in handoff.criteria if not c.needed] == ["at once"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("consistency", {"events": [event(1), event(2), event(1.1)]}),
        ("focus", {"values": READY | {"theme_careers": 1.001}}),
        ("intent", {"probability": 0.2999}),
        ("fit", {"points": 19.5}),
        ("opt-out", {"events": [*map(event, THREE_DAYS), event(300, "unsubscribe")]}),
        (
            "re-nurture",
            {"outcomes": [KnownOutcome("L1", AS_OF - timedelta(days=1), "mql_rejected")]},
        ),
    ],
)
def test_one_criterion_just_missed_is_enough_to_wait(name, change):
    handoff = judged(**change)
    assert not handoff.ready
    assert handoff.route is None
    assert [c.name for c in handoff.criteria if c.needed and not c.met] == [name]


def test_the_evidence_is_in_words():
    told = {result.name: result.detail for result in judged().criteria}
    assert told == {
        "opt-out": "no opt-out known",
        "re-nurture": "never sent back by sales",
        "at once": "no demo request in the last 14 days",
        "consistency": "active on 3 of the last 14 days, 3 needed",
        "focus": "50% of recent attention on the core themes, 50% needed",
        "intent": "30.0% within 90 days, hot from 30.0%",
        "fit": "20 attribute points, 20 needed",
    }


@pytest.mark.parametrize(
    "name", ["consistency", "focus", "intent", "fit", "at_once", "opt_out", "renurture"]
)
def test_a_criterion_that_is_switched_off_is_not_asked_for(name):
    off = type(getattr(Criteria(), name))(on=False)
    told = {"opt_out": "opt-out", "renurture": "re-nurture", "at_once": "at once"}.get(name, name)
    assert names(judged(**{name: off})) == [other for other in ALL if other != told]


def test_with_every_criterion_switched_off_nothing_speaks_for_a_lead():
    off = {"consistency": Consistency(on=False), "focus": Focus(on=False)}
    assert not judged(**off, intent=Intent(on=False), fit=Fit(on=False)).ready


# Consistency.


@pytest.mark.parametrize(
    ("last", "met"),
    [
        (AS_OF - timedelta(days=14), True),
        (AS_OF - timedelta(days=14) - SECOND, False),
    ],
)
def test_the_window_of_consistency_is_its_own_and_half_open(last, met):
    assert criterion(judged([event(1), event(2), event(last)]), "consistency").met == met
    shorter = Consistency(active_days=2, within_days=5)
    found = criterion(judged([event(1), event(5.001)], consistency=shorter), "consistency")
    assert not found.met
    assert found.detail == "active on 1 of the last 5 days, 2 needed"


def test_opens_machines_colleagues_and_what_is_not_known_yet_do_not_make_a_lead_consistent():
    others = [
        event(1, "email_open"),
        event(2, is_machine=True),
        event(3, lead_id="L2"),
        event(4, recorded_at=AS_OF),
    ]
    assert criterion(judged(others), "consistency").detail.startswith("active on 0 of")


# Focus, intent and fit.


def test_a_lead_without_attention_has_no_focus():
    focus = criterion(judged(values={}), "focus")
    assert not focus.met
    assert focus.detail.startswith("0%")


def test_a_core_theme_is_recognised_whatever_its_name_is_made_of():
    focus = criterion(judged(values={"theme_case_studies": 3.0, "theme_careers": 1.0}), "focus")
    assert focus.detail.startswith("75%")


def with_spec(**changes):
    return FeatureSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__} | changes
    )


def test_of_two_themes_whose_names_read_alike_only_the_core_one_counts():
    alike = with_spec(themes=("case-studies", "case studies"), core_themes=("case studies",))
    assert alike.theme_names == ("case_studies", "case_studies_2", "other")
    first = judged(values={"theme_case_studies": 1.0}, spec=alike)
    second = judged(values={"theme_case_studies_2": 1.0}, spec=alike)
    assert not criterion(first, "focus").met
    assert criterion(second, "focus").met


def test_a_team_without_core_themes_has_no_focus_criterion():
    assert "focus" not in names(judged(spec=with_spec(core_themes=())))


def test_a_half_life_that_the_model_lacks_is_replaced_by_the_nearest():
    handoff = judged(focus=Focus(half_life_days=90))
    assert criterion(handoff, "focus").detail.startswith("50%")


def test_intent_has_the_threshold_of_the_file_where_it_sets_one():
    stricter = criterion(judged(intent=Intent(at_least=0.301)), "intent")
    assert not stricter.met
    assert stricter.detail == "30.0% within 90 days, 30.1% needed"
    assert criterion(judged(intent=Intent(at_least=0.3)), "intent").met


def test_without_a_points_table_there_is_no_fit_criterion():
    handoff = judged(points=None)
    assert "fit" not in names(handoff)
    assert handoff.ready


# A request for sales.

NOTHING = {"probability": 0.0, "points": 0.0, "values": {}}


def test_a_demo_request_is_routed_at_once_without_any_other_criterion():
    handoff = judged([event(3, "demo_request")], **NOTHING)
    assert handoff.ready
    assert handoff.route == "at once"
    assert criterion(handoff, "at once").detail == "demo request on 2024-02-27"
    waived = {c.name for c in handoff.criteria if not c.needed}
    assert waived == {"consistency", "focus", "intent", "fit"}
    assert not any(c.met for c in handoff.criteria if not c.needed)


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": AS_OF - timedelta(days=14) - SECOND},
        {"recorded_at": AS_OF},
        {"is_machine": True},
        {"lead_id": "L2"},
        {"event_type": "form_submit"},
    ],
)
def test_a_request_that_is_old_unknown_a_machines_or_a_colleagues_routes_nobody(change):
    asked = replace(event(14, "demo_request"), **change)
    assert not judged([asked], **NOTHING).ready


def test_which_events_ask_for_sales_is_editable():
    asked = AtOnce(event_types=("form_submit", "call_me"), within_days=2)
    found = judged([event(2, "call_me")], at_once=asked, **NOTHING)
    assert found.route == "at once"
    nobody = criterion(judged([event(2.1, "call_me")], at_once=asked), "at once")
    assert nobody.detail == "no form submit or call me in the last 2 days"


def test_a_request_can_be_made_to_need_fit():
    asked = [event(3, "demo_request")]
    assert not judged(asked, at_once=AtOnce(needs_fit=True), **NOTHING).ready
    assert judged(asked, at_once=AtOnce(needs_fit=True), **NOTHING | {"points": 20}).ready


@pytest.mark.parametrize("is_machine", [None, True])
@pytest.mark.parametrize("opted_out", [1, 3, 500])
def test_who_opted_out_is_never_routed_whether_before_or_after_the_request(opted_out, is_machine):
    out = event(opted_out, "unsubscribe", is_machine=is_machine)
    handoff = judged([event(2, "demo_request"), out], **NOTHING)
    assert not handoff.ready
    assert criterion(handoff, "opt-out").detail.startswith("opted out on 202")


def test_a_colleagues_opt_out_is_not_the_leads():
    assert judged([event(2, "demo_request"), event(1, "unsubscribe", lead_id="L2")]).ready


def test_an_opt_out_can_be_taken_back_later():
    settings = OptOut(revoked_by=("resubscribe",))
    events = [event(2, "demo_request"), event(9, "unsubscribe")]
    back = judged([*events, event(8, "resubscribe")], opt_out=settings)
    assert back.ready
    assert criterion(back, "opt-out").detail == "opt-out taken back on 2024-02-22"
    assert not judged([*events, event(10, "resubscribe")], opt_out=settings).ready
    assert not judged([*events, event(9, "resubscribe")], opt_out=settings).ready


def test_a_request_that_sales_answered_by_sending_the_lead_back_routes_it_no_more():
    asked = event(9, "demo_request")
    back = KnownOutcome("L1", AS_OF - timedelta(days=8), "mql_rejected")
    assert not judged([asked], outcomes=[back]).ready
    # New behaviour ends the re-nurture, but the request before it stays answered.
    again = [asked, event(1), event(2)]
    found = judged(again, outcomes=[back], **NOTHING)
    assert criterion(found, "re-nurture").met
    assert not criterion(found, "at once").met
    assert (
        judged(
            [asked, event(1, "demo_request")],
            outcomes=[back],
            renurture=Renurture(key_event_types=("demo_request",)),
        ).route
        == "at once"
    )


# What is not known yet, and the order of rows.

TYPES = ("page_view", "email_open", "demo_request", "unsubscribe", "resubscribe")
rows = st.builds(
    event,
    st.floats(0.01, 60),
    st.sampled_from(TYPES),
    lead_id=st.sampled_from(("L1", "L1", "L2")),
    is_machine=st.sampled_from((None, False, True)),
    event_id=st.sampled_from((None, "e1", "e2")),
)
endings = st.builds(
    KnownOutcome,
    st.sampled_from(("L1", "L1", "L2")),
    st.floats(0.01, 120).map(lambda days: AS_OF - timedelta(days=days)),
    st.sampled_from(("mql_rejected", "opportunity_created", "won")),
    reason=st.sampled_from((None, "too early", "no budget")),
)
EDITED = HandoffSettings(
    criteria=Criteria(
        opt_out=OptOut(revoked_by=("resubscribe",)),
        renurture=Renurture(key_event_types=("demo_request",)),
    )
)


@given(st.lists(rows, max_size=8), st.lists(endings, max_size=3), st.randoms())
def test_the_order_of_rows_changes_nothing(events, outcomes, random):
    plain = judged(events, outcomes=outcomes, settings=EDITED)
    random.shuffle(events)
    random.shuffle(outcomes)
    assert judged(events, outcomes=outcomes, settings=EDITED) == plain


@given(
    st.lists(rows, max_size=6),
    st.lists(endings, max_size=2),
    st.lists(rows, min_size=1, max_size=4),
)
def test_what_becomes_known_at_or_after_the_as_of_time_changes_nothing(events, outcomes, late):
    plain = judged(events, outcomes=outcomes, settings=EDITED)
    later = [replace(row, event_id=None, recorded_at=AS_OF) for row in late]
    future = [replace(row, event_id=None, occurred_at=AS_OF) for row in late]
    told = [
        KnownOutcome("L1", AS_OF - timedelta(days=1), kind, AS_OF, "late")
        for kind in ("mql_rejected", "opportunity_created")
    ]
    found = judged([*later, *events, *future], outcomes=[*told, *outcomes], settings=EDITED)
    assert found == plain


@given(st.lists(rows, max_size=8), st.lists(endings, max_size=2), st.floats(0, 1))
def test_ready_means_that_all_that_is_needed_is_met(events, outcomes, probability):
    found = judged(events, outcomes=outcomes, probability=probability, settings=EDITED)
    assert found.ready == all(c.met for c in found.criteria if c.needed)
    assert (found.route is not None) == found.ready
    if not criterion(found, "opt-out").met or not criterion(found, "re-nurture").met:
        assert not found.ready


# The file.


@pytest.mark.parametrize("key", ["active_day", "in_days"])
def test_an_unknown_setting_is_refused_by_name(key):
    raw = {"criteria": {"consistency": {key: 3}}}
    with pytest.raises(ConfigError, match=rf"unknown key criteria\.consistency\.{key}"):
        parse_settings(raw, HandoffSettings, source="handoff.toml")


def test_the_shipped_settings_have_a_signal_for_each_stage_but_the_first():
    stages = {signal.stage for signal in handoff_settings().signals}
    assert stages == {"interest", "evaluation", "pre-deal"}


def test_the_shipped_thresholds_are_those_of_the_program():
    shipped, own = handoff_settings().criteria, Criteria()
    for name in ("consistency", "focus", "intent", "fit", "at_once"):
        assert getattr(shipped, name) == getattr(own, name)


def test_what_is_shipped_as_passive_is_never_a_signal_of_a_stage():
    settings = handoff_settings()
    for signal in settings.signals:
        assert signal.event_types
        assert not set(signal.event_types) & set(settings.passive_event_types)
