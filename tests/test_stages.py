from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import parse_settings
from intentcast.errors import ConfigError
from intentcast.handoff import HandoffSettings
from intentcast.histories import EngagementEvent, LeadHistory, dataset_of, snapshot_of
from intentcast.histories import history_from_dataset as history_of
from intentcast.seen import see
from intentcast.snapshots import build_snapshots
from intentcast.stages import (
    MOST_SIGNALS,
    STAGES,
    StageSignal,
    matching,
    stage_of,
    stage_snapshots,
)
from tests.fixtures_world import handoff_settings, world, world_snapshots

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PEOPLE = (("L1", "A1"), ("L2", "A1"), ("L3", "A2"), ("L4", None), ("L5", "A1"))


def visit(when, lead="L1", **more):
    """One page view; `when` in days before the as-of time, or an instant."""
    occurred = when if isinstance(when, datetime) else AS_OF - timedelta(days=when)
    return {"lead_id": lead, "occurred_at": occurred, "event_type": "page_view"} | more


@pytest.fixture(scope="session")
def told_stage(make_dataset):
    """Return a function: the stage of L1 (or another lead) on 2024-03-01 under some signals."""

    def stage(events, *signals, lead="L1", as_of=AS_OF):
        leads = [
            {"lead_id": name, "created_at": "2024-01-01", "account_id": account}
            for name, account in PEOPLE
        ]
        columns = {"content": None, "is_machine": None, "recorded_at": None, "event_id": None}
        columns["duration_seconds"] = None
        data = make_dataset(leads=leads, events=[columns | event for event in events])
        account = data.leads.filter(pl.col("lead_id") == lead)["account_id"][0]
        snapshot = pl.DataFrame(
            {"lead_id": [lead], "as_of": [as_of], "account_id": [account]},
            schema_overrides={"as_of": pl.Datetime("us", "UTC")},
        )
        found = stage_snapshots(signals, data, snapshot)[0]
        alone = see(history_of(data, snapshot), data.config)
        assert stage_of(signals, alone) == found
        return found

    return stage


def signal(stage="evaluation", **more):
    return StageSignal(**({"stage": stage, "within_days": 30} | more))


def test_a_lead_without_a_signal_is_aware(told_stage):
    assert told_stage([visit(1)], signal(event_types=("demo_request",))) == "awareness"
    assert told_stage([visit(1)]) == "awareness"


def test_the_furthest_stage_with_a_signal_wins_in_any_order_of_signals(told_stage):
    signals = [signal(stage) for stage in ("interest", "pre-deal", "evaluation")]
    assert told_stage([visit(1)], *signals) == "pre-deal"
    assert told_stage([visit(1)], *reversed(signals)) == "pre-deal"


@pytest.mark.parametrize(("n", "stage"), [(2, "awareness"), (3, "evaluation"), (4, "evaluation")])
def test_a_signal_needs_its_number_of_events(told_stage, n, stage):
    assert told_stage([visit(i + 1) for i in range(n)], signal(at_least=3)) == stage


@pytest.mark.parametrize(
    ("occurred", "stage"),
    [
        (AS_OF - timedelta(days=30), "evaluation"),
        (AS_OF - timedelta(days=30) - SECOND, "awareness"),
        (AS_OF - SECOND, "evaluation"),
        (AS_OF, "awareness"),
    ],
)
def test_the_window_is_half_open(told_stage, occurred, stage):
    assert told_stage([visit(occurred)], signal(within_days=30)) == stage


def test_an_event_that_was_recorded_at_the_as_of_time_is_not_yet_known(told_stage):
    assert told_stage([visit(3, recorded_at=AS_OF)], signal()) == "awareness"
    assert told_stage([visit(3, recorded_at=AS_OF - SECOND)], signal()) == "evaluation"


def test_machine_events_are_ignored(told_stage):
    events = [visit(1, is_machine=True), visit(2, is_machine=True)]
    assert told_stage(events, signal()) == "awareness"
    assert told_stage([*events, visit(3, is_machine=False)], signal()) == "evaluation"


def test_only_the_named_event_types_and_contents_count(told_stage):
    pricing = signal(event_types=("page_view",), content="(?i)pric")
    assert told_stage([visit(1, content="/Pricing")], pricing) == "evaluation"
    assert told_stage([visit(1, content="/blog")], pricing) == "awareness"
    assert told_stage([visit(1, content=None)], pricing) == "awareness"
    other = [visit(1, content="/pricing", event_type="email_open")]
    assert told_stage(other, pricing) == "awareness"


def test_what_a_colleague_does_is_not_the_leads_own_signal(told_stage):
    assert told_stage([visit(1, lead="L2")], signal()) == "awareness"


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([visit(1, content="spec"), visit(2, lead="L2", content="spec")], "pre-deal"),
        ([visit(1, content="spec"), visit(2, content="spec")], "awareness"),
        ([visit(1, content="spec"), visit(2, lead="L2", content="faq")], "awareness"),
        ([visit(1, content=None), visit(2, lead="L2", content=None)], "awareness"),
        ([visit(1, content="spec"), visit(2, lead="L3", content="spec")], "awareness"),
        ([visit(1, content="spec"), visit(40, lead="L2", content="spec")], "awareness"),
    ],
)
def test_people_means_so_many_of_the_account_on_the_same_content(told_stage, events, stage):
    assert told_stage(events, signal("pre-deal", people=2)) == stage


def test_a_lead_that_did_not_see_the_shared_content_is_not_among_its_people(told_stage):
    events = [visit(1, content="spec"), visit(2, lead="L2", content="spec")]
    assert told_stage(events, signal("pre-deal", people=2), lead="L2") == "pre-deal"
    shared = signal("pre-deal", people=2)
    assert (
        told_stage([*events, visit(1, lead="L5", content="faq")], shared, lead="L5") == "awareness"
    )


def test_leads_without_an_account_are_nobodys_colleagues(told_stage):
    events = [visit(1, content="spec"), visit(2, lead="L4", content="spec")]
    assert told_stage(events, signal(people=2), lead="L4") == "awareness"


@pytest.mark.parametrize(
    ("seconds", "stage"), [(300, "evaluation"), (299.9, "awareness"), (None, "awareness")]
)
def test_a_signal_can_ask_how_long_an_event_lasted(told_stage, seconds, stage):
    assert told_stage([visit(1, duration_seconds=seconds)], signal(seconds=300)) == stage
    other = signal("interest", event_types=("page_view",))
    expected = stage if stage == "evaluation" else "interest"
    assert told_stage([visit(1, duration_seconds=seconds)], signal(seconds=300), other) == expected


def test_a_repeated_event_counts_once(told_stage):
    twice = [visit(1, event_id="e"), visit(1, event_id="e")]
    assert told_stage(twice, signal(at_least=2)) == "awareness"
    assert told_stage([*twice, visit(2)], signal(at_least=2)) == "evaluation"


def test_events_match_signals_whenever_they_occurred_and_however_few_they_are():
    signals = (signal(content="(?i)pric", at_least=5), signal(event_types=("demo_request",)))
    events = [
        EngagementEvent("L1", AS_OF - timedelta(days=900), kind, content)
        for kind, content in (
            ("page_view", "/Prices"),
            ("page_view", "/blog"),
            ("page_view", None),
            ("demo_request", None),
        )
    ]
    seen = see(LeadHistory("L1", AS_OF, AS_OF, events=events), world().config)
    assert matching(signals, seen).tolist() == [True, False, False, True]


def test_more_signals_than_an_integer_has_bits_are_refused():
    raw = {"signals": [{"stage": "interest", "within_days": 9}] * MOST_SIGNALS}
    many = parse_settings(raw, HandoffSettings, source="handoff.toml").signals
    assert len(many) == MOST_SIGNALS
    raw["signals"].append(raw["signals"][0])
    with pytest.raises(ConfigError, match="signals"):
        parse_settings(raw, HandoffSettings, source="handoff.toml")


# Properties.

SIGNALS = (
    signal("interest", event_types=("email_click", "page_view"), within_days=20),
    signal("evaluation", content="pric", at_least=2),
    signal("pre-deal", people=2, within_days=40),
    signal("pre-deal", content="doc", seconds=60),
    signal("pre-deal", at_least=5),
)
rows = st.builds(
    lambda days, **more: EngagementEvent(occurred_at=AS_OF - timedelta(days=days), **more),
    st.floats(0.01, 60),
    lead_id=st.sampled_from(("L1", "L1", "L2", "L3")),
    event_type=st.sampled_from(("page_view", "email_open", "email_click")),
    content=st.sampled_from((None, "prices", "doc", "blog")),
    duration_seconds=st.sampled_from((None, 10.0, 60.0)),
    is_machine=st.sampled_from((None, False, True)),
    event_id=st.sampled_from((None, "e1", "e2")),
)


def told(events):
    """The stage of L1 alone; as the only lead of a table it must be the same."""
    history = LeadHistory("L1", AS_OF - timedelta(days=200), AS_OF, "A1", events=tuple(events))
    config = world().config
    table = dataset_of(history, config)
    alone = stage_of(SIGNALS, see(history, config))
    assert stage_snapshots(SIGNALS, table, snapshot_of(history)).to_list() == [alone]
    return alone


def plainly(events):
    """The same by the definition, event by event."""
    events = [e for e in events if not e.is_machine]
    level = 0
    for one in SIGNALS:
        start = AS_OF - timedelta(days=one.within_days)
        hits = [
            e
            for e in events
            if e.occurred_at >= start
            and (not one.event_types or e.event_type in one.event_types)
            and (one.content is None or (e.content and one.content in e.content))
            and (e.duration_seconds or 0) >= one.seconds
        ]
        own = [e for e in hits if e.lead_id == "L1"]
        shared = any(
            e.content and len({h.lead_id for h in hits if h.content == e.content}) >= one.people
            for e in own
        )
        if shared if one.people > 1 else len(own) >= one.at_least:
            level = max(level, STAGES.index(one.stage))
    return STAGES[level]


@given(st.lists(rows, max_size=14))
def test_a_stage_is_what_its_definition_says(events):
    once = [replace(e, event_id=None) for e in events]
    assert told(once) == plainly(once)


@given(st.lists(rows, max_size=10), st.randoms())
def test_the_order_of_events_changes_nothing(events, random):
    plain = told(events)
    random.shuffle(events)
    assert told(events) == plain


@given(st.lists(rows, max_size=8), st.lists(rows, min_size=1, max_size=5))
def test_what_becomes_known_at_or_after_the_as_of_time_changes_nothing(events, late):
    later = [replace(e, event_id=None, recorded_at=AS_OF) for e in late]
    future = [replace(e, event_id=None, occurred_at=AS_OF) for e in late]
    assert told([*later, *events, *future]) == told(events)


def test_every_lead_alone_has_the_stage_that_it_has_in_a_table():
    data, signals = world(), handoff_settings().signals
    several = build_snapshots(data, [datetime(2025, m, 2, tzinfo=UTC) for m in (4, 9)])
    mixed = several.sample(150, seed=4)
    together = stage_snapshots(signals, data, mixed).to_list()
    alone = [
        stage_of(signals, see(history_of(data, row), data.config))
        for row in (mixed[n] for n in range(len(mixed)))
    ]
    assert alone == together
    assert len(set(alone)) == len(STAGES)


def test_no_snapshots_have_no_stages():
    assert stage_snapshots(SIGNALS, world(), world_snapshots().head(0)).to_list() == []
    assert set(stage_snapshots((), world(), world_snapshots())) == {"awareness"}


def test_stages_come_in_the_order_of_the_snapshots():
    data, signals = world(), handoff_settings().signals
    snapshots = world_snapshots()
    stages = stage_snapshots(signals, data, snapshots)
    assert len(stages) == len(snapshots)
    assert set(stages.to_list()) <= set(STAGES)
    assert stages.n_unique() > 2
    backwards = stage_snapshots(signals, data, snapshots.reverse())
    assert backwards.reverse().to_list() == stages.to_list()


def test_each_snapshot_has_the_stage_of_its_own_time():
    data, signals = world(), handoff_settings().signals
    times = [datetime(2025, 6, 2, tzinfo=UTC), datetime(2025, 12, 15, tzinfo=UTC)]
    both = build_snapshots(data, times)
    together = both.with_columns(stage_snapshots(signals, data, both))
    for moment in times:
        at = together.filter(pl.col("as_of") == moment)
        assert stage_snapshots(signals, data, at).to_list() == at["stage"].to_list()


def test_a_pattern_that_is_not_a_regular_expression_is_refused():
    raw = {"signals": [{"stage": "interest", "within_days": 9, "content": "pric("}]}
    with pytest.raises(ConfigError, match="not a regular expression"):
        parse_settings(raw, HandoffSettings, source="handoff.toml")


def test_an_unknown_stage_is_refused():
    raw = {"signals": [{"stage": "awake", "within_days": 9}]}
    with pytest.raises(ConfigError, match=r"signals\.0\.stage"):
        parse_settings(raw, HandoffSettings, source="handoff.toml")
