"""Points tables over time: what counts from when on, what is forgotten, what a ledger says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from intentcast.config import DatasetConfig
from intentcast.contracts import INSTANT, TABLES
from intentcast.errors import InputError
from intentcast.scorecards import (
    builtin_scorecards,
    dataset_scorecards,
    ledger,
    parse_scorecard,
    read_scorecard,
    score_snapshots,
)
from intentcast.sources import Dataset

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CARDS = {path.stem: read_scorecard(path) for path in builtin_scorecards()}
CONFIG = DatasetConfig.model_validate({"conversion": {"outcomes": ["won"], "horizons_days": [30]}})


def table(name: str, rows: list[dict[str, Any]], **extra: Any) -> pl.DataFrame:
    """Rows with the contract's types; absent columns are null."""
    schema = {**TABLES[name].create_empty().schema, **extra}
    schema.pop("row_number")
    return pl.DataFrame(rows, schema=schema)


def event(
    lead: str, event_type: str, at: datetime = NOW - timedelta(days=1), **more: Any
) -> dict[str, Any]:
    recorded = more.pop("recorded_at", at)
    return {
        "lead_id": lead, "event_type": event_type, "occurred_at": at, "recorded_at": recorded,
        "known_at": max(recorded, at), **more,
    }  # fmt: skip


def world(
    events: list[dict[str, Any]],
    *,
    leads: dict[str, dict[str, Any]] | None = None,
    accounts: dict[str, dict[str, Any]] | None = None,
    changes: list[dict[str, Any]] | None = None,
) -> Dataset:
    """A data set of the given rows, in the given order. Leads default to L1 alone at A1."""
    leads = leads or {"L1": {}}
    lead_rows = [
        {"lead_id": k, "account_id": "A1", "created_at": NOW - timedelta(days=900), **v}
        for k, v in leads.items()
    ]
    account_rows = [{"account_id": k, **v} for k, v in (accounts or {}).items()]
    return Dataset(
        config=CONFIG,
        leads=table("leads", lead_rows, job_title=pl.String),
        accounts=table("accounts", account_rows, employee_count=pl.Int64, industry=pl.String),
        events=table("events", events, known_at=INSTANT),
        outcomes=table("outcomes", [], known_at=INSTANT),
        attribute_changes=table("attribute_changes", changes or []),
        quarantined=(),
        data_cutoff=NOW,
        folder=Path("nowhere"),
    )


def at(*times: datetime, lead: str = "L1", account: str = "A1") -> pl.DataFrame:
    return pl.DataFrame(
        {"lead_id": [lead] * len(times), "as_of": times, "account_id": [account] * len(times)},
        schema={"lead_id": pl.String, "as_of": INSTANT, "account_id": pl.String},
    )


def stands(card: str, dataset: Dataset, as_of: datetime = NOW) -> dict[str, Any]:
    return score_snapshots(CARDS[card], dataset, at(as_of)).row(0, named=True)


def test_the_third_product_page_visit_earns_25_once() -> None:
    visits = [
        event("L1", "page_view", NOW - timedelta(days=9 - i), content=f"/product/{i}")
        for i in range(5)
    ]
    scores = [stands("signals", world(visits[:n]))["score"] for n in range(6)]
    assert scores == [0, 0, 0, 25, 25, 25]


def test_several_people_on_one_document_earn_each_viewer_15_once_it_is_known() -> None:
    leads = {"L1": {}, "L2": {}, "L3": {}, "X": {"account_id": "A2"}}
    first = event("L1", "document_view", NOW - timedelta(days=3), content="Plan")
    dataset = world(
        [
            first,
            event("L1", "document_view", NOW - timedelta(days=3), content="Plan"),
            event("X", "document_view", NOW - timedelta(days=3), content="Plan"),
            event("L2", "document_view", NOW - timedelta(days=2), content="Plan"),
            event("L2", "document_view", NOW - timedelta(days=2), content="Other plan"),
        ],
        leads=leads,
    )

    def points(lead: str) -> list[float]:
        times = (NOW - timedelta(days=2), NOW)  # at the first, the second view is not yet known
        snapshots = at(*times, lead=lead, account="A2" if lead == "X" else "A1")
        return score_snapshots(CARDS["playbook"], dataset, snapshots)["score"].to_list()

    assert points("L1") == points("L2") == [0, 15]
    assert points("L3") == points("X") == [0, 0]


def test_a_colleague_who_comes_after_the_reset_does_not_revive_a_forgotten_view() -> None:
    later = NOW - timedelta(hours=12)
    back = [event("L1", "email_click"), event("L2", "document_view", later, content="Plan")]
    for days, points in ((60, 3 + 15), (120, 3)):
        view = event("L1", "document_view", NOW - timedelta(days=days), content="Plan")
        dataset = world([view, *back], leads={"L1": {}, "L2": {}})
        assert stands("playbook", dataset)["score"] == points


@pytest.mark.parametrize(
    ("sent", "points"),
    [
        ([], 10),
        ([("form_submit", "/demo", 1)], 0),
        ([("demo_request", "/demo", 1)], 0),
        ([("form_submit", "/contact", 1)], 10),
        ([("form_submit", "/demo", -1)], 10),
        ([("form_submit", "/demo", 0)], 0),
    ],
)
def test_a_form_reached_earns_10_until_the_same_form_is_sent(
    sent: list[tuple[str, str, int]], points: int
) -> None:
    reached = NOW - timedelta(days=2)
    events = [event("L1", "form_reached", reached, content="/demo")]
    events += [
        event("L1", kind, reached + timedelta(minutes=minutes), content=content)
        for kind, content, minutes in sent
    ]
    assert stands("playbook", world(events))["score"] == points


def test_behaviours_stop_at_60_and_attributes_at_40() -> None:
    best = {
        "leads": {"L1": {"job_title": "CEO"}},
        "accounts": {"A1": {"employee_count": 100, "industry": "software"}},
    }
    dataset = world([event("L1", "page_view", content="/pricing")] * 5, **best)
    got = stands("playbook", dataset)
    assert (got["attribute_points"], got["behaviour_points"], got["score"]) == (40, 60, 100)
    lines = ledger(CARDS["playbook"], dataset, "L1", NOW).lines
    assert [(x.item, x.points, x.n) for x in lines if x.kind == "cap"] == [
        ("behaviours capped at 60", -15, 0)
    ]


@pytest.mark.parametrize(
    ("silent", "points"),
    [
        (timedelta(days=14) - timedelta(microseconds=1), 15),
        (timedelta(days=14), 12),
        (timedelta(days=30) - timedelta(microseconds=1), 12),
        (timedelta(days=30), 7.5),
        (timedelta(days=90) - timedelta(microseconds=1), 7.5),
        (timedelta(days=90), 0),
    ],
)
def test_the_playbook_decays_at_exactly_14_30_and_90_days(silent: timedelta, points: float) -> None:
    dataset = world(
        [event("L1", "page_view", NOW - silent, content="/pricing")],
        leads={"L1": {"job_title": "CEO"}},
    )
    got = stands("playbook", dataset)
    assert (got["attribute_points"], got["behaviour_points"]) == (15, points)


def test_a_return_before_90_days_restores_the_points_and_after_them_starts_anew() -> None:
    pricing = event("L1", "page_view", NOW - timedelta(days=100), content="/pricing")
    back = [event("L1", "email_click", NOW - timedelta(days=d)) for d in (11, 10)]
    assert stands("playbook", world([pricing, back[0]]))["score"] == 15 + 3
    assert stands("playbook", world([pricing, back[1]]))["score"] == 3


def test_what_happened_before_a_silence_stays_forgotten_when_it_becomes_known_later() -> None:
    # The example of the module `history`.
    day = lambda month, day: datetime(2026, month, day, tzinfo=UTC)  # noqa: E731
    view = {"content": "/pricing", "recorded_at": day(5, 11)}
    dataset = world(
        [
            event("L1", "page_view", day(1, 1), content="/pricing"),
            event("L1", "email_click", day(5, 10)),
            event("L1", "page_view", datetime(2025, 12, 20, tzinfo=UTC), **view),
        ]
    )
    at_once = event("L1", "email_click", day(1, 1), recorded_at=day(5, 11))  # not after 1 January
    together = world([*dataset.events.to_dicts(), at_once])
    assert stands("playbook", together, day(5, 12))["score"] == 3
    times = [day(1, 2), day(3, 31), day(4, 1), day(5, 10), day(5, 11), day(5, 12)]
    scores = score_snapshots(CARDS["playbook"], dataset, at(*times))["score"]
    assert scores.to_list() == [15, 7.5, 0, 0, 3, 3]


def test_what_becomes_known_together_counts_by_when_it_occurred() -> None:
    imported = [
        event("L1", "email_click", NOW - timedelta(days=d), recorded_at=NOW - timedelta(hours=1))
        for d in range(1, 40)
    ]
    assert stands("playbook", world(imported))["score"] == 60  # one day silent, not 39
    years_ago = [
        event("L1", "email_click", NOW - timedelta(days=d), recorded_at=NOW - timedelta(hours=1))
        for d in (900, 92, 2)
    ]
    assert stands("playbook", world(years_ago))["score"] == 3


def test_an_event_known_at_exactly_the_as_of_time_is_not_counted() -> None:
    moment = timedelta(microseconds=1)
    late = world([event("L1", "email_click", NOW - timedelta(days=1), recorded_at=NOW)])
    assert stands("playbook", world([event("L1", "email_click", NOW)]))["score"] == 0
    assert stands("playbook", world([event("L1", "email_click", NOW - moment)]))["score"] == 3
    assert stands("playbook", late)["score"] == 0
    assert stands("playbook", late, NOW + moment)["score"] == 3


def test_a_machine_event_neither_earns_points_nor_ends_a_silence() -> None:
    events = [
        event("L1", "page_view", NOW - timedelta(days=20), content="/pricing", is_machine=False),
        event("L1", "email_open", is_machine=True),
    ]
    assert stands("playbook", world(events))["score"] == 12


def test_a_demo_request_is_hot_at_once_until_the_behaviour_is_reset() -> None:
    raw = {
        "name": "urgent",
        "behaviours": [{"item": "click", "event_type": "email_click", "points": 1}],
        "immediate": ["demo_request"],
        "classes": {"warm": 40, "hot": 70, "hot_needs_attributes": 20},
        "decay": {"kind": "silence", "reset_days": 90},
    }
    card = parse_scorecard(raw, source="test")
    asked = NOW - timedelta(days=100)
    dataset = world([event("L1", "demo_request", asked), event("L1", "email_click", NOW)])
    times = [asked, asked + timedelta(days=89), asked + timedelta(days=90), NOW + timedelta(1)]
    tiers = score_snapshots(card, dataset, at(*times))["tier"]
    assert tiers.to_list() == ["cold", "hot", "cold", "cold"]


@pytest.mark.parametrize("card", CARDS)
def test_a_lead_that_unsubscribed_is_out_for_good(card: str) -> None:
    left = NOW - timedelta(days=200)
    events = [event("L1", kind) for kind in ("demo_request", "form_submit", "email_click")] * 20
    dataset = world([*events, event("L1", "unsubscribe", left)])
    tiers = score_snapshots(CARDS[card], dataset, at(left, left + timedelta(1), NOW))["tier"]
    assert tiers.to_list() == ["cold", "out", "out"]
    assert ledger(CARDS[card], dataset, "L1", NOW).tier == "out"


def test_attributes_are_those_known_at_the_as_of_time() -> None:
    changes = [
        {
            "entity": "lead", "entity_id": "L1", "attribute": "job_title", "value": title,
            "recorded_at": NOW + timedelta(days=day),
        }
        for day, title in ((0, "Analyst"), (10, "Director"))
    ]  # fmt: skip
    dataset = world([], leads={"L1": {"job_title": "Director"}}, changes=changes)
    times = [NOW + timedelta(days=d) for d in (1, 10, 11)]
    scores = score_snapshots(CARDS["playbook"], dataset, at(*times))
    assert scores["attribute_points"].to_list() == [5, 5, 15]


def test_the_ledger_says_what_was_earned_and_what_was_taken() -> None:
    events = [
        *[event("L1", "page_view", NOW - timedelta(days=16), content="/pricing")] * 3,
        *[event("L1", "document_view", NOW - timedelta(days=16), content="Case study: A")] * 2,
    ]
    dataset = world(events, leads={"L1": {"job_title": "Head of IT"}})
    got = ledger(CARDS["playbook"], dataset, "L1", NOW)
    assert [(line.item, line.points, line.n, line.kind) for line in got.lines] == [
        ("director or above", 15, 1, "attribute"),
        ("pricing page or document view", 45, 3, "behaviour"),
        ("case-study view", 20, 2, "behaviour"),
        ("behaviours capped at 60", -5, 0, "cap"),
        ("behaviours times 0.8 after 16 days without activity", -12, 0, "decay"),
    ]
    assert (got.attribute_points, got.behaviour_points, got.score) == (15, 48, 63)
    assert (got.tier, got.label, got.scorecard) == ("warm", "warm", "playbook")


def test_the_ledger_of_a_lead_without_any_event_is_its_attributes() -> None:
    got = ledger(CARDS["playbook"], world([], leads={"L1": {"job_title": "CEO"}}), "L1", NOW)
    assert [(line.item, line.points) for line in got.lines] == [("director or above", 15)]
    assert (got.score, got.tier) == (15, "cold")
    assert ledger(CARDS["crm_linear"], world([]), "L1", NOW).lines == ()


def test_the_ledger_refuses_an_unknown_lead_and_a_time_without_a_zone() -> None:
    with pytest.raises(InputError, match="a lead that is not in the data set"):
        ledger(CARDS["signals"], world([]), "L9", NOW)
    with pytest.raises(InputError, match="as_of 2026-06-01T00:00:00 without a time zone"):
        ledger(CARDS["signals"], world([]), "L1", NOW.replace(tzinfo=None))


def test_a_card_may_have_attributes_only() -> None:
    band = {"axis": "role", "item": "known", "column": "job_title", "otherwise": True, "points": 2}
    raw = {"name": "fit", "attributes": [band], "classes": {"hot": 2}}
    card = parse_scorecard(raw, source="test")
    dataset = world([event("L1", "email_click")], leads={"L1": {"job_title": "CEO"}})
    assert score_snapshots(card, dataset, at(NOW)).row(0)[2:] == (2, 0, 2, "hot")
    assert [line.points for line in ledger(card, dataset, "L1", NOW).lines] == [2]


def test_no_snapshots_give_no_scores() -> None:
    assert score_snapshots(CARDS["playbook"], world([event("L1", "x")]), at()).shape == (0, 6)


def test_a_data_set_gets_its_own_scorecard_first_and_only_those_that_can_score_it(
    tmp_path: Path,
) -> None:
    def names(dataset: Dataset, folder: Path) -> list[str]:
        object.__setattr__(dataset, "folder", folder)
        return [path.stem for path in dataset_scorecards(dataset)]

    assert names(world([event("L1", "webinar_signup")]), tmp_path) == ["playbook"]
    (tmp_path / "scorecard.toml").touch()
    opened = world([event("L1", "email_open")])
    assert names(opened, tmp_path) == ["scorecard", "playbook", "signals", "crm_linear"]
    assert names(world([event("L1", "order_line")]), tmp_path) == ["scorecard"]
