"""Every option of the scorecard format against a slow, plain program, on random cards."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from random import Random
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intentcast.histories import history_from_dataset
from intentcast.scorecards import (
    BehaviourRule,
    Scorecard,
    change_ledger,
    ledger,
    ledger_of_history,
    parse_scorecard,
    score_snapshots,
)
from intentcast.sources import Dataset
from tests.test_scorecards import CONFIG, at, event, world
from tests.test_scorecards_properties import ACCOUNT, START, TYPES, fits, remembered

Rows = list[dict[str, Any]]
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
TITLES = {"L1": "ceo", "L2": "analyst", "L3": "ceo", "X": "ceo"}
CHANGED = START + timedelta(days=100)  # L1's title, to analyst
AS_OF = [START + timedelta(days=d, hours=7) for d in (3, 35, 70, 99, 101, 120, 180)]
SECOND, MONTH = 86_400, 30
READ = CONFIG.model_copy(
    update={"attributes": CONFIG.attributes.model_copy(update={"categorical": ("job_title",)})}
)


def days(*choices: int | None) -> st.SearchStrategy[int | None]:
    return st.sampled_from(choices)


@st.composite
def decays(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["none", "lifespan", "monthly", "half_life"]))
    if kind == "monthly":
        return {"kind": kind, "share": draw(st.sampled_from(["0.5", "0.333", "1"]))}
    return {"kind": kind} if kind == "none" else {"kind": kind, "days": draw(days(9, 30, 90))}


@st.composite
def rules(draw: st.DrawFn, number: int, *, lowest: int) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "item": f"rule {number}",
        "event_type": draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True)),
        "weight": draw(st.sampled_from(["1", "1", "0.35", "2.5"])),
    }
    options = {
        "content": st.sampled_from(["PRICING", "plan|demo"]),
        "channel": st.just("email"),
        "group": st.sampled_from(["g", "h"]),
        "window_days": days(7, 30, 60),
        "where": st.just({"value": {"at_least": 5}}),
        "lead": st.sampled_from(
            [{"job_title": {"equals": "CEO"}}, {"industry": {"matches": "so"}}]
        ),
    }
    for name in draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)):
        rule[name] = draw(options[name])
    points = st.sampled_from(["1", "2.5", "7.777", "20", "0.001", *(["-3"] if lowest < 0 else [])])
    way = draw(st.sampled_from(["every", "every", "nth", "content", "people", "until", "bands"]))
    if way == "bands":
        rule["bands"] = [
            {"within_days": 7, "at_least": 3, "points": "90"},
            {"within_days": 7, "points": "40.5"},
            {"within_days": 60, "at_least": 2, "points": "12"},
        ]
        return rule
    rule["points"] = draw(points)
    if draw(st.booleans()):
        rule["decay"] = draw(decays())
    if way in ("nth", "content"):
        rule["nth"] = draw(st.integers(1, 3))
        rule["per"] = "lead" if way == "nth" else "content"
    if way == "people":
        rule["distinct_people"] = draw(st.integers(2, 3))
    if way == "until":
        rule["until"] = ["form_submit"]
    return rule


@st.composite
def cards(draw: st.DrawFn, *, lowest: int = -1) -> Scorecard:
    behaviours = [draw(rules(number, lowest=lowest)) for number in range(draw(st.integers(1, 6)))]
    groups = sorted({rule["group"] for rule in behaviours if "group" in rule})
    types = sorted({name for rule in behaviours for name in rule["event_type"]})
    raw: dict[str, Any] = {
        "name": "random",
        "behaviours": behaviours,
        "attributes": [
            {"axis": "role", "item": "ceo", "column": "job_title", "equals": "ceo", "points": 9.5},
            {"axis": "role", "item": "other", "column": "job_title", "otherwise": True,
             "points": lowest},
        ],
        "axis_caps": {"role": 8},
        "opt_out": ["unsubscribe"],
        "immediate": draw(st.sampled_from([[], ["demo_request"]])),
        "classes": {"warm": 10, "hot": 30, "hot_needs_attributes": draw(days(0, 5))},
        "decay": draw(
            st.one_of(
                decays(),
                st.just({"kind": "silence", "steps": [{"days": 14, "factor": "0.333"}],
                         "reset_days": 60}),
            )
        ),
    }  # fmt: skip
    if draw(st.booleans()):
        raw["group_caps"] = dict.fromkeys(groups, "11.5")
    if draw(st.booleans()):
        raw["daily_cap"] = draw(st.sampled_from(["3", "20"]))
        raw["daily_caps"] = {types[0]: "1.5"}
    if draw(st.booleans()):
        raw["window_days"] = draw(days(20, 90))
    if draw(st.booleans()):
        raw["behaviours_cap"] = 60
    if draw(st.booleans()):
        raw["total_cap"] = 50
    return parse_scorecard(raw, source="test")


@st.composite
def events(draw: st.DrawFn) -> Rows:
    """Up to 30 events, several on a day, some known much later than they occurred."""
    rows = []
    for _ in range(draw(st.integers(0, 30))):
        hours = draw(st.sampled_from([0, 6, 12, 30, 75]))
        occurred = START + timedelta(days=draw(st.integers(0, 11)) * 10, hours=hours)
        delay = timedelta(days=draw(st.sampled_from([0, 0, 0, 0, 1, 25, 70])))
        rows.append(
            event(
                draw(st.sampled_from(["L1", "L1", "L1", "L2", "L3", "X"])),
                draw(st.sampled_from(TYPES)),
                occurred,
                recorded_at=occurred + delay,
                content=draw(st.sampled_from([None, "/pricing", "Plan", "/demo"])),
                channel=draw(st.sampled_from([None, "email", "web"])),
                value=draw(st.sampled_from([None, 3.0, 5.0, 12.5])),
                is_machine=draw(st.sampled_from([None, False, False, True])),
            )
        )
    return rows


def dataset_of(rows: Rows) -> Dataset:
    change = {
        "entity": "lead", "entity_id": "L1", "attribute": "job_title", "value": "analyst",
        "recorded_at": CHANGED,
    }  # fmt: skip
    leads = {k: {"account_id": v, "job_title": TITLES[k]} for k, v in ACCOUNT.items()}
    accounts = {"A1": {"employee_count": 120, "industry": "software"}, "A2": {}}
    return replace(world(rows, leads=leads, accounts=accounts, changes=[change]), config=READ)


def title_of(lead: str, as_of: datetime) -> str:
    return "analyst" if lead == "L1" and as_of > CHANGED else TITLES[lead]


def snapshots(*times: datetime) -> pl.DataFrame:
    return pl.concat([at(*times, lead=lead, account=account) for lead, account in ACCOUNT.items()])


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def thousandths(points: Decimal) -> int:
    return half_up(Fraction(points) * 1000) if points >= 0 else -half_up(-Fraction(points) * 1000)


def faded(card: Scorecard, rule: BehaviourRule, points: int, age: timedelta) -> int:
    decay = rule.decay or card.decay
    seconds = age // timedelta(seconds=1)
    if decay.kind == "lifespan":
        return half_up(points * max(Fraction(0), 1 - Fraction(seconds, decay.days * SECOND)))
    if decay.kind == "monthly":
        lost = Fraction(decay.share) * Fraction(seconds, MONTH * SECOND)
        return half_up(points * max(Fraction(0), 1 - lost))
    if decay.kind == "half_life":
        return floor(points * 2.0 ** (-seconds / (decay.days * SECOND)) + 0.5)
    return points


def matches(rule: BehaviourRule, e: dict[str, Any]) -> bool:
    is_large = not rule.where or (e["value"] is not None and e["value"] >= 5)
    return fits(rule, e) and is_large


def is_there(rule: BehaviourRule, lead: str, title: str) -> bool:
    holds = {"job_title": title == "ceo", "industry": ACCOUNT[lead] == "A1"}
    return all(holds[column] for column in rule.lead)


def slow_rules(
    card: Scorecard, rows: Rows, *, lead: str, as_of: datetime, title: str
) -> list[tuple[int, int, int, int]]:
    """Per rule: how often met, its points, what a daily cap took, what decay took."""
    known = [e for e in rows if not e["is_machine"] and e["known_at"] < as_of
             and ACCOUNT[e["lead_id"]] == ACCOUNT[lead]]  # fmt: skip
    own = remembered(card, [e for e in known if e["lead_id"] == lead])

    def rank(e: dict[str, Any]) -> Fraction:
        return sum(
            (Fraction(1, 2 ** (k + 1)) for k, r in enumerate(card.behaviours) if matches(r, e)),
            Fraction(0),
        )

    own.sort(key=lambda e: (e["known_at"], e["event_type"] in card.opt_out, e["occurred_at"],
                            rank(e)))  # fmt: skip
    room: dict[tuple[str, Any], int] = {}
    found = [[0, 0, 0, 0] for _ in card.behaviours]

    def counts(k: int, e: dict[str, Any], *, alone: bool) -> bool:
        rule = card.behaviours[k]
        rivals = [r for r in card.behaviours[:k] if rule.group and r.group == rule.group]
        there = [r for r in rivals if not alone or is_there(r, lead, title)]
        return matches(rule, e) and not any(matches(r, e) for r in there)

    def award(k: int, points: int, since: datetime, cut: int = 0) -> None:
        left = faded(card, card.behaviours[k], points + cut, as_of - since)
        for i, value in enumerate((1, points, cut, left - points - cut)):
            found[k][i] += value

    windows = [
        timedelta(days=rule.window_days or card.window_days or 10**5) for rule in card.behaviours
    ]
    for e in own:
        for k, rule in enumerate(card.behaviours):
            is_every = rule.per == "event"
            if not is_every or not is_there(rule, lead, title) or not counts(k, e, alone=True):
                continue
            points, kind = thousandths(rule.points * rule.weight), e["event_type"]
            granted = points
            cap = card.daily_caps.get(kind, card.daily_cap)
            if cap is not None and points > 0:
                day = (kind, e["occurred_at"].date())
                granted = min(points, room.setdefault(day, thousandths(cap)))
                room[day] -= granted
            if as_of - e["occurred_at"] <= windows[k]:
                award(k, points, e["occurred_at"], granted - points)
    for k, rule in enumerate(card.behaviours):
        if rule.per == "event" or not is_there(rule, lead, title):
            continue
        met = [e for e in own if counts(k, e, alone=True)]
        met = [e for e in met if as_of - e["occurred_at"] <= windows[k]]
        points = thousandths(rule.points * rule.weight)
        is_windowed = windows[k].days < 10**5
        if rule.bands:
            for band in rule.bands:
                within = [e for e in met if as_of - e["occurred_at"]
                          <= timedelta(days=band.within_days)]  # fmt: skip
                if len(within) >= band.at_least:
                    found[k] = [1, thousandths(band.points * rule.weight), 0, 0]
                    break
            continue
        for content in {e["content"] for e in met} if rule.per == "content" else {"any"}:
            mine = [e for e in met if rule.per == "lead" or e["content"] == content]
            times = [e["occurred_at"] for e in mine]
            if rule.until:
                ends = [e for e in own if e["event_type"] in rule.until]
                answers = [e["occurred_at"] for e in ends if e["content"] == content]
                if max(times) > max(answers, default=START - timedelta(days=9)):
                    award(k, points, max(times))
            elif rule.distinct_people:
                views: dict[str, Any] = {}
                for e in sorted(known, key=lambda e: (e["known_at"], e["occurred_at"])):
                    if (
                        content is not None
                        and e["content"] == content
                        and counts(k, e, alone=False)
                    ):
                        views.setdefault(e["lead_id"], (e["known_at"], e["lead_id"],
                                                        e["occurred_at"]))  # fmt: skip
                first = sorted(views.values())
                if len(first) >= rule.distinct_people:
                    enough = first[rule.distinct_people - 1][2]
                    award(k, points, max(max(times) if is_windowed else times[0], enough))
            elif len(times) >= rule.nth:
                award(k, points, max(times) if is_windowed else times[rule.nth - 1])
    return [tuple(row) for row in found]  # type: ignore[misc]


def slow_score(card: Scorecard, rows: Rows, *, lead: str, as_of: datetime) -> tuple[int, int, str]:
    """Behaviour points, score and class in thousandths."""
    title = title_of(lead, as_of)
    role = 9500 if title == "ceo" else thousandths(card.attributes[1].points)
    fit = min(role, 8000)
    each = [sum(row[1:]) for row in slow_rules(card, rows, lead=lead, as_of=as_of, title=title)]
    points = sum(p for p, rule in zip(each, card.behaviours, strict=True) if not rule.group)
    for group in card.groups:
        of_group = sum(p for p, r in zip(each, card.behaviours, strict=True) if r.group == group)
        cap = card.group_caps.get(group)
        points += of_group if cap is None else min(of_group, thousandths(cap))
    if card.behaviours_cap is not None:
        points = min(points, thousandths(card.behaviours_cap))
    mine = [e for e in rows if e["lead_id"] == lead and not e["is_machine"]
            and e["known_at"] < as_of]  # fmt: skip
    active = [e["occurred_at"] for e in mine if e["event_type"] not in card.opt_out]
    factor = Fraction(1)
    if card.decay.kind == "silence" and active:
        silence = as_of - max(active)
        factor = Fraction(333, 1000) if silence >= timedelta(days=14) else factor
        factor = Fraction(0) if silence >= timedelta(days=60) else factor
    points = half_up(points * factor)
    score = fit + points
    if card.total_cap is not None:
        score = min(score, thousandths(card.total_cap))
    hot = score >= 30_000 and fit >= thousandths(card.classes.hot_needs_attributes)
    urgent = any(e["event_type"] in card.immediate for e in remembered(card, mine)) and factor > 0
    tier = "hot" if hot or urgent else "warm" if score >= 10_000 else "cold"
    return points, score, "out" if any(e["event_type"] in card.opt_out for e in mine) else tier


@QUICK
@given(events(), cards())
def test_scores_are_those_of_the_slow_program(rows: Rows, card: Scorecard) -> None:
    for row in score_snapshots(card, dataset_of(rows), snapshots(*AS_OF)).iter_rows(named=True):
        points, score, tier = slow_score(card, rows, lead=row["lead_id"], as_of=row["as_of"])
        found = (row["behaviour_points"], row["score"], row["tier"])
        assert found == (points / 1000, score / 1000, tier), row


@QUICK
@given(events(), cards(), st.sampled_from(AS_OF), st.sampled_from(list(ACCOUNT)))
def test_ledger_lines_add_up_to_the_score_and_say_what_the_slow_program_says(
    rows: Rows, card: Scorecard, as_of: datetime, lead: str
) -> None:
    dataset = dataset_of(rows)
    got = ledger(card, dataset, lead, as_of)
    assert sum((line.points for line in got.lines), Decimal(0)) == got.score
    row = score_snapshots(card, dataset, at(as_of, lead=lead, account=ACCOUNT[lead])).row(0)
    assert row[2:] == (float(got.attribute_points), float(got.behaviour_points), float(got.score),
                       got.tier)  # fmt: skip
    slow = slow_rules(card, rows, lead=lead, as_of=as_of, title=title_of(lead, as_of))
    said = {line.subject: line for line in got.lines if line.kind == "behaviour"}
    fading = {line.subject: line.points for line in got.lines if line.kind == "decay"}
    for rule, (n, points, _, lost) in zip(card.behaviours, slow, strict=True):
        assert (n > 0) == (rule.item in said)
        if n:
            assert (said[rule.item].n, said[rule.item].points) == (n, Decimal(points) / 1000)
            assert fading.get(rule.item, 0) == Decimal(lost) / 1000


@QUICK
@given(events(), cards(), st.sampled_from(AS_OF), st.sampled_from(list(ACCOUNT)), st.booleans())
def test_one_lead_as_a_service_sends_it_has_the_ledger_of_the_batch(
    rows: Rows,
    card: Scorecard,
    as_of: datetime,
    lead: str,
    sticky: bool,  # noqa: FBT001
) -> None:
    classes = card.classes.model_copy(update={"sticky": sticky})
    card = card.model_copy(update={"classes": classes})
    # A history knows the present attributes only, so an earlier class must not hang on another.
    rows = [e for e in rows if not sticky or e["known_at"] > CHANGED]
    dataset = dataset_of(rows)
    snapshot = at(as_of, lead=lead, account=ACCOUNT[lead])
    history = history_from_dataset(dataset, snapshot)
    industry = {"industry": "software"} if ACCOUNT[lead] == "A1" else {}
    history = replace(history, account_attributes=industry)
    assert ledger_of_history(card, history, READ) == ledger(card, dataset, lead, as_of)


@QUICK
@given(events(), cards(), cards(), st.sampled_from(AS_OF), st.sampled_from(AS_OF))
def test_a_change_ledger_adds_up_to_the_difference_of_the_scores(
    rows: Rows, before: Scorecard, after: Scorecard, one: datetime, other: datetime
) -> None:
    dataset = dataset_of(rows)
    since, as_of = min(one, other), max(one, other)
    for later in (before, after):
        got = change_ledger(before, later, dataset, "L1", since=since, as_of=as_of)
        assert got.before == ledger(before, dataset, "L1", since)
        assert got.after == ledger(later, dataset, "L1", as_of)
        total = sum((line.points for line in got.lines), Decimal(0))
        assert total == got.points == got.after.score - got.before.score
        assert later != before or not {"rules", "caps"} & {line.cause for line in got.lines}


@QUICK
@given(events(), cards(lowest=0))
def test_points_never_rise_with_silence(rows: Rows, card: Scorecard) -> None:
    end = max((e["known_at"] for e in rows), default=START) + timedelta(microseconds=1)
    end = max(end, CHANGED + timedelta(days=1))
    hours = (0, 5, 18, 24, 100, 168, 170, 300, 500, 720, 730, 1000, 1440, 1500, 2160, 2200, 9000)
    times = [end + timedelta(hours=h) for h in hours]
    got = score_snapshots(card, dataset_of(rows), at(*times))
    for column in ("behaviour_points", "score"):
        assert (got[column].diff().drop_nulls() <= 0).all(), got


@QUICK
@given(events(), cards(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: Rows, card: Scorecard, random: Random) -> None:
    sticky = card.classes.model_copy(update={"sticky": True})
    for each in (card, card.model_copy(update={"classes": sticky})):
        expected = score_snapshots(each, dataset_of(rows), snapshots(*AS_OF))
        order = random.sample(range(len(expected)), len(expected))
        dataset = dataset_of(random.sample(rows, len(rows)))
        dataset = replace(dataset, leads=dataset.leads.reverse())
        assert score_snapshots(each, dataset, snapshots(*AS_OF)[order]).equals(expected[order])


@QUICK
@given(events(), events(), cards(), st.sampled_from(AS_OF))
def test_what_becomes_known_later_changes_nothing(
    rows: Rows, more: Rows, card: Scorecard, as_of: datetime
) -> None:
    sticky = card.classes.model_copy(update={"sticky": True})
    later = [{**e, "known_at": max(e["known_at"], as_of)} for e in more]
    for each in (card, card.model_copy(update={"classes": sticky})):
        before, after = (
            score_snapshots(each, dataset_of(r), snapshots(*AS_OF)).filter(pl.col("as_of") <= as_of)
            for r in (rows, rows + later)
        )
        assert after.equals(before)


@QUICK
@given(events(), cards())
def test_caps_hold(rows: Rows, card: Scorecard) -> None:
    dataset = dataset_of(rows * 3)
    got = score_snapshots(card, dataset, snapshots(*AS_OF))
    assert (got["attribute_points"] <= 8).all()
    assert card.behaviours_cap is None or (got["behaviour_points"] <= 60).all()
    assert card.total_cap is None or (got["score"] <= 50).all()
    for group, cap in card.group_caps.items():
        lines = ledger(card, dataset, "L1", AS_OF[-1]).lines
        items = {rule.item for rule in card.behaviours if rule.group == group}
        subjects = items | {f"day {item}" for item in items} | {f"group {group}"}
        assert sum(line.points for line in lines if line.subject in subjects) <= cap


@QUICK
@given(events(), cards(lowest=0))
def test_a_class_that_sticks_is_hot_from_the_first_time_on(rows: Rows, card: Scorecard) -> None:
    sticky = card.classes.model_copy(update={"sticky": True})
    card = card.model_copy(update={"classes": sticky})
    as_of = AS_OF[-1]
    got = score_snapshots(card, dataset_of(rows), snapshots(as_of))
    for lead, tier in got.select("lead_id", "tier").iter_rows():
        looks = {e["known_at"] + timedelta(microseconds=1) for e in rows
                 if ACCOUNT[e["lead_id"]] == ACCOUNT[lead] and not e["is_machine"]}  # fmt: skip
        looks |= {as_of, CHANGED + timedelta(microseconds=1)}
        tiers = {slow_score(card, rows, lead=lead, as_of=t)[2] for t in looks if t <= as_of}
        if slow_score(card, rows, lead=lead, as_of=as_of)[2] == "out":
            assert tier == "out"
        else:
            assert (tier == "hot") == ("hot" in tiers)
