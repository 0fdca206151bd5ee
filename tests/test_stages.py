from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from intentcast.config import parse_settings
from intentcast.errors import ConfigError
from intentcast.handoff import HandoffSettings
from intentcast.snapshots import build_snapshots
from intentcast.stages import STAGES, StageSignal, stage_snapshots
from tests.fixtures_world import handoff_settings, world, world_snapshots

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PEOPLE = (("L1", "A1"), ("L2", "A1"), ("L3", "A2"), ("L4", None), ("L5", "A1"))


def visit(when, lead="L1", **more):
    """One page view; `when` in days before the as-of time, or an instant."""
    occurred = when if isinstance(when, datetime) else AS_OF - timedelta(days=when)
    return {"lead_id": lead, "occurred_at": occurred, "event_type": "page_view"} | more


@pytest.fixture(scope="session")
def stage_of(make_dataset):
    """Return a function: the stage of L1 (or another lead) on 2024-03-01 under some signals."""

    def stage(events, *signals, lead="L1", as_of=AS_OF):
        leads = [
            {"lead_id": name, "created_at": "2024-01-01", "account_id": account}
            for name, account in PEOPLE
        ]
        columns = {"content": None, "is_machine": None, "recorded_at": None}
        data = make_dataset(leads=leads, events=[columns | event for event in events])
        account = data.leads.filter(pl.col("lead_id") == lead)["account_id"][0]
        snapshot = pl.DataFrame(
            {"lead_id": [lead], "as_of": [as_of], "account_id": [account]},
            schema_overrides={"as_of": pl.Datetime("us", "UTC")},
        )
        return stage_snapshots(signals, data, snapshot)[0]

    return stage


def signal(stage="evaluation", **more):
    return StageSignal(**({"stage": stage, "within_days": 30} | more))


def test_a_lead_without_a_signal_is_aware(stage_of):
    assert stage_of([visit(1)], signal(event_types=("demo_request",))) == "awareness"
    assert stage_of([visit(1)]) == "awareness"


def test_the_furthest_stage_with_a_signal_wins_in_any_order_of_signals(stage_of):
    signals = [signal(stage) for stage in ("interest", "pre-deal", "evaluation")]
    assert stage_of([visit(1)], *signals) == "pre-deal"
    assert stage_of([visit(1)], *reversed(signals)) == "pre-deal"


@pytest.mark.parametrize(("n", "stage"), [(2, "awareness"), (3, "evaluation"), (4, "evaluation")])
def test_a_signal_needs_its_number_of_events(stage_of, n, stage):
    assert stage_of([visit(i + 1) for i in range(n)], signal(at_least=3)) == stage


@pytest.mark.parametrize(
    ("occurred", "stage"),
    [
        (AS_OF - timedelta(days=30), "evaluation"),
        (AS_OF - timedelta(days=30) - SECOND, "awareness"),
        (AS_OF - SECOND, "evaluation"),
        (AS_OF, "awareness"),
    ],
)
def test_the_window_is_half_open(stage_of, occurred, stage):
    assert stage_of([visit(occurred)], signal(within_days=30)) == stage


def test_an_event_that_was_recorded_at_the_as_of_time_is_not_yet_known(stage_of):
    assert stage_of([visit(3, recorded_at=AS_OF)], signal()) == "awareness"
    assert stage_of([visit(3, recorded_at=AS_OF - SECOND)], signal()) == "evaluation"


def test_machine_events_are_ignored(stage_of):
    events = [visit(1, is_machine=True), visit(2, is_machine=True)]
    assert stage_of(events, signal()) == "awareness"
    assert stage_of([*events, visit(3, is_machine=False)], signal()) == "evaluation"


def test_only_the_named_event_types_and_contents_count(stage_of):
    pricing = signal(event_types=("page_view",), content="(?i)pric")
    assert stage_of([visit(1, content="/Pricing")], pricing) == "evaluation"
    assert stage_of([visit(1, content="/blog")], pricing) == "awareness"
    assert stage_of([visit(1, content=None)], pricing) == "awareness"
    other = [visit(1, content="/pricing", event_type="email_open")]
    assert stage_of(other, pricing) == "awareness"


def test_what_a_colleague_does_is_not_the_leads_own_signal(stage_of):
    assert stage_of([visit(1, lead="L2")], signal()) == "awareness"


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
def test_people_means_so_many_of_the_account_on_the_same_content(stage_of, events, stage):
    assert stage_of(events, signal("pre-deal", people=2)) == stage


def test_a_lead_that_did_not_see_the_shared_content_is_not_among_its_people(stage_of):
    events = [visit(1, content="spec"), visit(2, lead="L2", content="spec")]
    assert stage_of(events, signal("pre-deal", people=2), lead="L2") == "pre-deal"
    shared = signal("pre-deal", people=2)
    assert stage_of([*events, visit(1, lead="L5", content="faq")], shared, lead="L5") == "awareness"


def test_leads_without_an_account_are_nobodys_colleagues(stage_of):
    events = [visit(1, content="spec"), visit(2, lead="L4", content="spec")]
    assert stage_of(events, signal(people=2), lead="L4") == "awareness"


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
