from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import Conversion, DatasetConfig
from intentcast.explain import Reason
from intentcast.features import FeatureSpec
from intentcast.handoff import CriterionResult, Handoff, HandoffSettings, PacketSettings
from intentcast.histories import EngagementEvent, LeadHistory
from intentcast.packet import PacketRequest, make_packet, packet_lines, told_attributes
from intentcast.seen import see
from intentcast.stages import StageSignal

AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
CONFIG = DatasetConfig(conversion=Conversion(outcomes=("won",), horizons_days=(90,)))
SPEC = FeatureSpec(
    half_lives_days=(14.0,),
    windows_days=(14,),
    event_types=(),
    channels=(),
    themes=("pricing", "Case Studies", "careers"),
    core_themes=(),
    has_accounts=False,
    has_values=False,
    has_durations=False,
    numeric=(),
    levels=(),
)
SETTINGS = HandoffSettings(
    packet=PacketSettings(key_event_types=("demo_request",), most_events=3, most_reasons=3),
    signals=(StageSignal(stage="evaluation", content="(?i)pric", within_days=30),),
)
BY_CRITERIA = Handoff(ready=True, route="criteria", criteria=())
ASKED = CriterionResult("at once", met=True, needed=True, detail="demo request on 2026-03-01")
AT_ONCE = Handoff(ready=True, route="at once", criteria=(ASKED,))


def event(days, event_type="page_view", content="/pricing", **more):
    row = {"lead_id": "L1", "event_type": event_type, "content": content}
    return EngagementEvent(**row | {"occurred_at": AS_OF - timedelta(days=days)} | more)


def features(**values):
    named = dict.fromkeys(SPEC.names, 0.0)
    named["dormancy.since_restart.any.days"] = float("nan")
    return named | values


def attention(**themes):
    return {f"theme.recency_weighted.{name}.14d_halflife": n for name, n in themes.items()}


def packet(events=(), *, handoff=BY_CRITERIA, settings=SETTINGS, named=None, reasons=(), **lead):
    history = LeadHistory("L1", AS_OF - timedelta(days=400), AS_OF, events=tuple(events), **lead)
    seen = see(history, CONFIG)
    told = features(**(named or {}))
    return make_packet(PacketRequest(settings, seen, handoff, told, SPEC, reasons))


def test_a_packet_says_who_the_lead_is_in_the_words_that_were_given():
    found = packet(
        account_id="A9",
        attributes={"job_title": " CTO\n", "source": "webinar", "secret": "no"},
        account_attributes={"company": "Northwind", "employee_count": 120.0, "industry": None},
    )
    assert (found["company"], found["account_id"]) == ("Northwind", "A9")
    assert (found["role"], found["source"]) == ("CTO", "webinar")
    assert found["about"] == {"employee_count": "120"}
    assert "secret" not in str(found)
    assert "no" not in found["about"].values()


def test_columns_that_no_model_looks_at_are_told_as_they_were_known(make_dataset):
    data = make_dataset(
        leads=[{"lead_id": "L1", "created_at": "2024-01-01", "account_id": "A1", "role": "CFO"}],
        events=[{"lead_id": "L1", "occurred_at": "2024-01-02", "event_type": "page_view"}],
        outcomes=[{"lead_id": "L1", "occurred_at": "2024-06-01", "outcome": "won"}],
        accounts=[{"account_id": "A1", "company_name": "Northwind", "industry": "steel"}],
        attribute_changes=[
            {
                "entity": "account", "entity_id": "A1", "attribute": "industry",
                "value": "mining", "recorded_at": recorded,
            }
            for recorded in ("2024-02-01", "2024-05-01")
        ],
    )  # fmt: skip
    snapshot = data.leads.select(
        "lead_id",
        "account_id",
        as_of=pl.lit(datetime(2024, 3, 1, tzinfo=UTC)).dt.cast_time_unit("us"),
    )
    told = told_attributes(SETTINGS.packet, data, snapshot)
    assert told == {
        "company_name": "Northwind", "role": "CFO", "industry": "mining", "source": None,
    }  # fmt: skip
    history = LeadHistory("L1", AS_OF, AS_OF, "lead:L1", {"role": "CTO"})
    request = PacketRequest(SETTINGS, see(history, CONFIG), BY_CRITERIA, features(), SPEC, (), told)
    found = make_packet(request)
    assert (found["company"], found["role"], found["account_id"]) == ("Northwind", "CTO", None)
    assert found["about"] == {"industry": "mining"}


def test_what_is_not_known_of_a_lead_is_absent():
    found = packet()
    assert [found[key] for key in ("company", "account_id", "role", "source")] == [None] * 4
    assert found["about"] == {}
    assert found["history"] == []
    assert found["last_key_action"] is None
    assert found["why_now"] == []
    assert found["problem"] == {"text": "not clear from what was read", "themes": []}


def test_the_history_is_the_accounts_key_events_latest_first_and_bounded():
    events = [
        event(5),
        event(2),
        event(3, content="/blog"),
        event(1, content="/Price-list", lead_id="L2"),
        event(9, "demo_request", None),
        event(20, content="/prices"),
    ]
    found = packet(events)["history"]
    assert [(e["by"], e["event_type"], e["content"], e["times"]) for e in found] == [
        ("colleague", "page_view", "/Price-list", 1),
        ("lead", "page_view", "/pricing", 2),
        ("lead", "demo_request", None, 1),
    ]
    assert found[1]["occurred_at"] == "2026-02-28T09:00:00Z"
    everything = SETTINGS.model_copy(update={"packet": PacketSettings(most_events=50)})
    assert [e["content"] for e in packet(events, settings=everything)["history"]][-1] == "/prices"


def test_colleagues_leave_at_least_half_of_the_history_to_the_lead():
    own = [event(40 + n, content=f"/pricing/{n}") for n in range(6)]
    others = [event(1 + n, content=f"/prices/{n}", lead_id="L2") for n in range(6)]
    assert [e["by"] for e in packet([*own, *others])["history"]] == ["colleague", "lead", "lead"]
    assert [e["by"] for e in packet([*own[:1], *others])["history"]] == [
        "colleague", "colleague", "lead",
    ]  # fmt: skip
    assert [e["by"] for e in packet(others)["history"]] == ["colleague"] * 3
    assert [e["by"] for e in packet(own)["history"]] == ["lead"] * 3


def test_an_act_that_counts_by_itself_is_a_later_key_action_than_a_page_view():
    found = packet([event(2), event(5, "demo_request", None)])
    assert found["last_key_action"]["event_type"] == "demo_request"
    assert packet([event(2), event(5)])["last_key_action"]["event_type"] == "page_view"


def test_the_last_key_action_is_the_leads_own():
    found = packet([event(1, lead_id="L2"), event(4)])
    assert found["history"][0]["lead_id"] == "L2"
    assert found["last_key_action"]["lead_id"] == "L1"


@pytest.mark.parametrize(
    "change",
    [
        {"is_machine": True},
        {"event_type": "email_open"},
        {"event_type": "unsubscribe"},
        {"recorded_at": AS_OF},
        {"occurred_at": AS_OF},
    ],
)
def test_machines_opens_and_what_is_not_known_yet_are_no_key_events(change):
    assert packet([replace(event(1), **change)])["history"] == []


def test_the_problem_is_inferred_from_the_themes_of_recent_attention():
    found = packet(named=attention(pricing=3.0, case_studies=5.0, careers=0.5, other=1.5))
    assert found["problem"]["text"] == "recent attention on Case Studies (50%), pricing (30%)"
    assert [t["theme"] for t in found["problem"]["themes"]] == ["Case Studies", "pricing"]
    assert [t["share"] for t in found["problem"]["themes"]] == pytest.approx([0.5, 0.3])


def test_sales_has_a_day_after_a_request_and_two_otherwise():
    asked, found = packet(handoff=AT_ONCE), packet()
    assert (asked["contact_within_hours"], found["contact_within_hours"]) == (24, 48)
    assert asked["contact_by"] == "2026-03-03T09:00:00Z"
    assert found["contact_by"] == "2026-03-04T09:00:00Z"


# Why now.


def test_a_request_is_the_first_reason():
    named = {"dormancy.silence_broken.any.gap": 90.0, "dormancy.since_restart.any.days": 1.5}
    assert packet(handoff=AT_ONCE, named=named)["why_now"] == [
        "asked for sales: demo request on 2026-03-01",
        "came back yesterday after 90 silent days",
    ]


@pytest.mark.parametrize(("since", "told"), [(0.2, "today"), (29.9, "29 days ago")])
def test_a_comeback_is_news_for_some_days(since, told):
    named = {"dormancy.silence_broken.any.gap": 41.0, "dormancy.since_restart.any.days": since}
    assert packet(named=named)["why_now"] == [f"came back {told} after 41 silent days"]
    late = named | {"dormancy.since_restart.any.days": 30.0}
    assert packet(named=late)["why_now"] == []


def test_more_events_than_usual_are_a_reason():
    quiet, busy = [event(10 + n) for n in range(4)], [event(n + 0.5) for n in range(3)]
    assert packet([*quiet, *busy])["why_now"] == [
        "3 events in the last 7 days, 1.0 a week in the four weeks before"
    ]
    assert packet(busy)["why_now"] == ["3 events in the last 7 days, none in the four weeks before"]
    assert packet([*quiet, *(event(10 + n) for n in range(4)), *busy])["why_now"] == []
    assert packet(busy[:2])["why_now"] == []


def test_several_people_of_the_account_are_a_reason():
    two = [event(3), event(13, lead_id="L2", content=None)]
    assert packet(two)["why_now"] == ["2 people of the account active in the last 14 days"]
    assert packet([event(3), event(15, lead_id="L2")])["why_now"] == []
    assert packet([event(3), event(1, "email_open", lead_id="L2")])["why_now"] == []


def test_what_raises_the_probability_fills_up_and_is_said_once():
    reasons = [
        Reason("2 people of the account active in the last 14 days", "raises", 0.9),
        Reason("job title: Student", "lowers", -0.8),
        Reason("pricing content: 3 times", "raises", 0.5),
        Reason("became a lead today", "raises", 0.4),
        Reason("one too many", "raises", 0.3),
    ]
    assert packet([event(3), event(4, lead_id="L2")], reasons=reasons)["why_now"] == [
        "2 people of the account active in the last 14 days",
        "pricing content: 3 times",
        "became a lead today",
    ]


# Properties, and how it looks.

rows = st.builds(
    event,
    st.floats(0.01, 60),
    st.sampled_from(("page_view", "email_open", "demo_request")),
    st.sampled_from(("/pricing", "/prices", "/blog", None)),
    lead_id=st.sampled_from(("L1", "L2")),
    event_id=st.sampled_from((None, None, "e1")),
)


@given(st.lists(rows, max_size=8), st.randoms())
def test_the_order_of_events_changes_nothing(events, random):
    plain = packet(events)
    random.shuffle(events)
    assert packet(events) == plain


@given(st.lists(rows, max_size=6), st.lists(rows, max_size=3))
def test_what_becomes_known_at_or_after_the_as_of_time_changes_nothing(events, late):
    later = [replace(row, event_id=None, recorded_at=AS_OF) for row in late]
    assert packet([*later, *events]) == packet(events)


def test_a_packet_as_lines_fits_a_terminal():
    named = attention(pricing=3.0, careers=1.0)
    found = packet(
        [
            event(0.5, "demo_request", None),
            event(1, content="/pricing/" + "very-long-name-of-a-page-" * 9),
            event(2, lead_id="L2"),
        ],
        handoff=AT_ONCE,
        named=named,
        account_id="A9",
        attributes={"job_title": "CTO\x1b[31m"},
        account_attributes={"employee_count": 120, "industry": "software"},
    )
    lines = packet_lines(found)
    assert max(map(len, lines)) <= 80
    assert lines[:6] == [
        "  Contact         within 24 h, by 2026-03-03 09:00 UTC",
        "  Company         A9 (industry software, employee count 120)",
        "  Role            CTO[31m",
        "  Source          unknown",
        "  Problem         recent attention on pricing (75%), careers (25%)",
        "  Last key action 2026-03-01 demo request",
    ]
    assert lines[-1] == "                  2026-02-28 page view, /pricing (colleague L2)"


def test_a_packet_of_nothing_is_whole_as_well():
    lines = packet_lines(packet())
    assert lines[1] == "  Company         unknown"
    assert len(lines) == 5
