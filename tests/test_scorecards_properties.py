"""What holds for every points table and every history, and the truth by a slow, plain program."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from random import Random
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intentcast.scorecards import BehaviourRule, Scorecard, ledger, parse_scorecard, score_snapshots
from intentcast.sources import Dataset
from tests.test_scorecards import CARDS, NOW, at, event, world

Rows = list[dict[str, Any]]
ACCOUNT = {"L1": "A1", "L2": "A1", "L3": "A1", "X": "A2"}
EVERYTHING = parse_scorecard(
    {
        "name": "everything",
        "attributes_cap": 12,
        "behaviours_cap": 40.5,
        "total_cap": 45,
        "axis_caps": {"size": 6.25},
        "immediate": ["demo_request"],
        "opt_out": ["unsubscribe"],
        "attributes": [
            {"axis": "size", "item": "big", "column": "employee_count", "at_least": 50,
             "points": 7},
            {"axis": "size", "item": "any", "column": "employee_count", "at_most": 9e9,
             "points": 2},
            {"axis": "role", "item": "x", "column": "job_title", "equals": ["CEO"],
             "points": 9.001},
        ],
        "behaviours": [
            {"item": "open", "event_type": "email_open", "points": 0.1, "channel": "email"},
            {"item": "first", "event_type": "email_open", "points": 2, "per": "lead"},
            {"item": "price", "event_type": "page_view", "content": "PRICING", "points": 7.777,
             "group": "view"},
            {"item": "page", "event_type": ["page_view", "document_view"], "points": 1.5,
             "group": "view", "per": "content"},
            {"item": "third", "event_type": "page_view", "points": 11, "nth": 3},
            {"item": "again", "event_type": "document_view", "points": 3, "nth": 2,
             "per": "content"},
            {"item": "two", "event_type": "document_view", "points": 5, "distinct_people": 2},
            {"item": "three", "event_type": "document_view", "points": 6, "distinct_people": 3},
            {"item": "form", "event_type": "form_reached", "points": 10, "until": "form_submit"},
        ],
        "decay": {"kind": "silence", "steps": [{"days": 14, "factor": 0.8},
                  {"days": 30, "factor": 0.333}], "reset_days": 60},
        "classes": {"warm": 10, "hot": 20, "hot_needs_attributes": 6.25},
    },
    source="test",
)  # fmt: skip
ALL_CARDS = [*CARDS.values(), EVERYTHING]
TYPES = (
    "email_open", "page_view", "page_view", "document_view", "document_view", "document_view",
    "form_reached", "form_reached", "form_submit", "content_download", "demo_request",
    "unsubscribe",
)  # fmt: skip
START = NOW - timedelta(days=300)
QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def events(draw: st.DrawFn) -> Rows:
    """Up to 30 events whose times often coincide, some known much later than they occurred."""
    rows = []
    for _ in range(draw(st.integers(0, 30))):
        occurred = START + timedelta(days=draw(st.integers(0, 24)) * 10)
        delay = timedelta(days=draw(st.sampled_from([0, 0, 0, 0, 0, 10, 40, 130])))
        rows.append(
            event(
                draw(st.sampled_from(["L1", "L1", "L1", "L2", "L3", "X"])),
                draw(st.sampled_from(TYPES)),
                occurred,
                recorded_at=occurred + delay,
                content=draw(st.sampled_from([None, "/pricing", "Plan", "/product/a", "/demo"])),
                channel=draw(st.sampled_from([None, "email", "web"])),
                is_machine=draw(st.sampled_from([None, False, False, True])),
            )
        )
    return rows


def dataset_of(rows: Rows) -> Dataset:
    return world(
        rows,
        leads={k: {"account_id": v, "job_title": "ceo"} for k, v in ACCOUNT.items()},
        accounts={"A1": {"employee_count": 120, "industry": "software"}, "A2": {}},
    )


AS_OF = [
    START + timedelta(days=d, microseconds=us)
    for d in (0, 40, 95, 100, 130, 160, 200, 244, 254, 270, 330)
    for us in (0, 1)
]
SNAPSHOTS = pl.concat([at(*AS_OF, lead=k, account=v) for k, v in ACCOUNT.items()])


def remembered(card: Scorecard, rows: Rows) -> Rows:
    """One lead's events, known in their order, without those that a silence made forgotten."""
    days = card.decay.forgets_after_days
    kept: Rows = []
    last = wiped = None
    rows = sorted(
        rows, key=lambda e: (e["known_at"], e["event_type"] in card.opt_out, e["occurred_at"])
    )
    for known_at, together in groupby(rows, key=lambda e: e["known_at"]):
        is_news = True
        for e in together:
            if e["event_type"] not in card.opt_out:
                moment = known_at if is_news else e["occurred_at"]
                if days and last and moment - last >= timedelta(days=days):
                    kept, wiped = [], last
                last = max(last or e["occurred_at"], e["occurred_at"])
                is_news = False
            if not wiped or e["occurred_at"] > wiped:
                kept.append(e)
    return kept


def fits(rule: BehaviourRule, e: dict[str, Any]) -> bool:
    return (
        e["event_type"] in rule.event_type
        and (rule.content is None or bool(re.search(rule.content, e["content"] or "", re.I)))
        and (rule.channel is None or e["channel"] in rule.channel)
    )


def n_earned(card: Scorecard, rule: BehaviourRule, own: Rows, known: Rows) -> int:
    """How often the rule is met by one lead's remembered events, given all that is known."""
    earlier = card.behaviours[: card.behaviours.index(rule)]
    rivals = [r for r in earlier if rule.group is not None and r.group == rule.group]

    def met(rows: Rows) -> Rows:
        return [e for e in rows if fits(rule, e) and not any(fits(r, e) for r in rivals)]

    contents = {e["content"] for e in met(own)}
    if rule.distinct_people:
        viewers = [(e["content"], e["lead_id"]) for e in met(known)]
        counts = [len({v for c, v in viewers if c == content}) for content in contents - {None}]
        return sum(n >= rule.distinct_people for n in counts)
    if rule.until:
        n_open = 0
        for content in contents:
            asked = max(e["occurred_at"] for e in met(own) if e["content"] == content)
            n_open += not any(
                e["event_type"] in rule.until and e["content"] == content
                and e["occurred_at"] >= asked for e in own
            )  # fmt: skip
        return n_open
    if rule.per == "event":
        return len(met(own))
    if rule.per == "lead":
        return int(len(met(own)) >= rule.nth)
    return sum(sum(e["content"] == c for e in met(own)) >= rule.nth for c in contents)


def truth(card: Scorecard, rows: Rows, *, lead: str, as_of: datetime, fit: Decimal) -> Any:
    """Behaviour points, score and class, event by event in decimal arithmetic."""
    known = [
        e for e in rows
        if not e["is_machine"] and e["known_at"] < as_of
        and ACCOUNT[e["lead_id"]] == ACCOUNT[lead]
    ]  # fmt: skip
    mine = [e for e in known if e["lead_id"] == lead]
    own = remembered(card, mine)
    points = sum((r.points * n_earned(card, r, own, known) for r in card.behaviours), Decimal(0))
    points = min(points, card.behaviours_cap or points)
    active = [e["occurred_at"] for e in mine if e["event_type"] not in card.opt_out]
    factor = Decimal(1)
    if card.decay.kind == "silence" and active:
        silence = as_of - max(active)
        for step in card.decay.steps:
            factor = step.factor if silence >= timedelta(days=step.days) else factor
        factor = Decimal(0) if silence >= timedelta(days=card.decay.reset_days) else factor
    points = (points * factor).quantize(Decimal("0.001"), ROUND_HALF_UP)
    score = min(fit + points, card.total_cap or fit + points)
    hot = score >= card.classes.hot and fit >= card.classes.hot_needs_attributes
    hot = hot or (factor > 0 and any(e["event_type"] in card.immediate for e in own))
    warm = card.classes.warm is not None and score >= card.classes.warm
    tier = "hot" if hot else "warm" if warm else "cold"
    tier = "out" if any(e["event_type"] in card.opt_out for e in mine) else tier
    return float(points), float(score), tier


@QUICK
@given(events(), st.sampled_from(ALL_CARDS))
def test_scores_are_those_of_the_slow_program(rows: Rows, card: Scorecard) -> None:
    got = score_snapshots(card, dataset_of(rows), SNAPSHOTS)
    assert got.select("lead_id", "as_of").equals(SNAPSHOTS.select("lead_id", "as_of"))
    for row in got.iter_rows(named=True):
        fit = Decimal(str(row["attribute_points"]))
        expected = truth(card, rows, lead=row["lead_id"], as_of=row["as_of"], fit=fit)
        assert (row["behaviour_points"], row["score"], row["tier"]) == expected, row


@QUICK
@given(events(), st.sampled_from(ALL_CARDS), st.sampled_from(AS_OF), st.sampled_from(list(ACCOUNT)))
def test_the_ledger_adds_up_to_the_score_of_the_snapshot(
    rows: Rows, card: Scorecard, as_of: datetime, lead: str
) -> None:
    dataset = dataset_of(rows)
    got = ledger(card, dataset, lead, as_of)
    assert sum((line.points for line in got.lines), Decimal(0)) == got.score
    row = score_snapshots(card, dataset, SNAPSHOTS).filter(lead_id=lead, as_of=as_of).row(0)
    expected = (got.attribute_points, got.behaviour_points, got.score)
    assert row == (lead, as_of, *map(float, expected), got.tier)
    assert all(line.points < 0 for line in got.lines if line.kind in ("cap", "decay"))


@QUICK
@given(events(), st.sampled_from(ALL_CARDS), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: Rows, card: Scorecard, random: Random) -> None:
    expected = score_snapshots(card, dataset_of(rows), SNAPSHOTS)
    shuffled = random.sample(rows, len(rows))
    order = random.sample(range(len(SNAPSHOTS)), len(SNAPSHOTS))
    dataset = dataset_of(shuffled)
    dataset = replace(dataset, leads=dataset.leads.reverse(), accounts=dataset.accounts.reverse())
    assert score_snapshots(card, dataset, SNAPSHOTS[order]).equals(expected[order])


@QUICK
@given(events(), events(), st.sampled_from(ALL_CARDS), st.sampled_from(AS_OF))
def test_what_becomes_known_at_or_after_the_as_of_time_changes_nothing(
    rows: Rows, more: Rows, card: Scorecard, as_of: datetime
) -> None:
    later = [{**e, "known_at": max(e["known_at"], as_of)} for e in more]
    # Later snapshots ride along, so that the program holds the later rows while it scores.
    before, after = (
        score_snapshots(card, dataset_of(r), SNAPSHOTS).filter(pl.col("as_of") <= as_of)
        for r in (rows, rows + later)
    )
    assert after.equals(before)


@QUICK
@given(events(), st.sampled_from(ALL_CARDS))
def test_points_never_rise_with_silence(rows: Rows, card: Scorecard) -> None:
    end = max((e["known_at"] for e in rows), default=START)
    times = [
        end + timedelta(days=d, microseconds=1) for d in (0, 3, 13, 14, 29, 30, 60, 89, 90, 99)
    ]
    got = score_snapshots(card, dataset_of(rows), at(*times))
    for column in ("behaviour_points", "score"):
        assert (got[column].diff().drop_nulls() <= 0).all()


@QUICK
@given(events())
def test_caps_hold(rows: Rows) -> None:
    got = score_snapshots(EVERYTHING, dataset_of(rows * 3), SNAPSHOTS)
    assert got["attribute_points"].is_between(0, 12).all()
    assert got["behaviour_points"].is_between(0, 40.5).all()
    assert got["score"].is_between(0, 45).all()


@QUICK
@given(events(), st.sampled_from(ALL_CARDS))
def test_an_account_alone_scores_as_among_others(rows: Rows, card: Scorecard) -> None:
    others = SNAPSHOTS.filter(account_id="A1")
    everyone = score_snapshots(card, dataset_of(rows), SNAPSHOTS).filter(
        pl.col("lead_id").is_in(others["lead_id"].implode())
    )
    assert score_snapshots(card, dataset_of(rows), others).equals(everyone)
