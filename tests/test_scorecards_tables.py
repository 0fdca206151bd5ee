"""The built-in points tables, number by number."""

from decimal import Decimal
from typing import Any

import pytest

from intentcast.scorecards import builtin_scorecards, parse_scorecard, score_snapshots
from tests.test_scorecards import CARDS, NOW, at, event, stands, world

BEHAVIOURS = [
    ("playbook", "email_open", "Newsletter: five links", 1),
    ("playbook", "email_click", None, 3),
    ("playbook", "content_download", "Whitepaper: the state of handovers", 5),
    ("playbook", "webinar_signup", "Webinar: rollout", 7),
    ("playbook", "webinar_attend", "Webinar: rollout", 5),
    ("playbook", "document_view", "Case study: Northwind cuts onboarding by half", 10),
    ("playbook", "page_view", "/case-studies/harbor-logistics", 10),
    ("playbook", "content_download", "Case study: Cobalt Software", 10),
    ("playbook", "page_view", "/pricing", 15),
    ("playbook", "page_view", "https://example.com/pricing/faq", 15),
    ("playbook", "page_view", "/en/pricing?plan=team", 15),
    ("playbook", "page_view", "/blog/how-pricing-works", 0),
    ("playbook", "document_view", "Pricing and plans overview", 15),
    ("playbook", "document_view", "Licence options and price list", 15),
    ("playbook", "document_view", "Your quote and contract terms", 15),
    ("playbook", "content_download", "Pricing guide: plans, seats and discounts", 15),
    ("playbook", "form_reached", "/demo", 10),
    ("playbook", "page_view", "/blog/trends-in-customer-success", 0),
    ("playbook", "page_view", "/careers", 0),
    ("playbook", "page_view", None, 0),
    ("signals", "page_view", "/pricing", 30),
    ("signals", "page_view", "Pricing", 30),
    ("signals", "content_download", "Case study: Meridian Steel", 20),
    ("signals", "content_download", "Customer story collection: logistics", 20),
    ("signals", "content_download", "Whitepaper: the state of handovers", 0),
    ("signals", "page_view", "/blog/why-handovers-fail", 5),
    ("signals", "page_view", "/blog/what-pricing-tells", 5),
    ("signals", "page_view", "/blog", 0),
    ("signals", "page_view", "/product/reporting", 0),
    ("signals", "demo_request", "/demo", 100),
    ("signals", "email_open", "Tips", 1),
    ("crm_linear", "email_open", None, 5),
    ("crm_linear", "email_click", None, 10),
    ("crm_linear", "form_submit", "/contact", 15),
]


@pytest.mark.parametrize(("card", "event_type", "content", "points"), BEHAVIOURS)
def test_one_event_earns_the_points_of_the_table(
    card: str, event_type: str, content: str | None, points: int
) -> None:
    got = stands(card, world([event("L1", event_type, content=content)]))
    assert got["behaviour_points"] == points
    assert got["score"] == points


@pytest.mark.parametrize(
    ("attribute", "value", "points"),
    [
        *[("employee_count", n, 5) for n in (1, 49)],
        *[("employee_count", n, 15) for n in (50, 300)],
        *[("employee_count", n, 10) for n in (301, 20_000)],
        *[("industry", name, 10) for name in ("software", "Manufacturing", "Computer Software")],
        ("industry", "retail", 3),
        *[
            ("job_title", title, 15)
            for title in (
                "Director of IT", "VP Operations", "SVP Sales", "Vice President", "Head of Service",
                "Chief Operating Officer", "CTO", "ciso", "Founder & CEO", "Co-Founder",
                "President", "Managing Director",
            )
        ],
        *[("job_title", title, 10) for title in ("IT Manager", "Team Lead Service", "team leader")],
        *[("job_title", title, 5) for title in ("Software Engineer", "Student", "Analyst", "Cook")],
        *[(name, None, 0) for name in ("employee_count", "industry", "job_title")],
        ("job_title", " ", 0),
    ],
)  # fmt: skip
def test_one_attribute_earns_the_points_of_the_playbook(
    attribute: str, value: Any, points: int
) -> None:
    if attribute == "job_title":
        dataset = world([], leads={"L1": {"job_title": value}})
    else:
        dataset = world([], accounts={"A1": {attribute: value}})
    assert stands("playbook", dataset)["attribute_points"] == points


def test_the_files_hold_the_caps_classes_and_decay_of_their_sources() -> None:
    playbook, signals, linear = CARDS["playbook"], CARDS["signals"], CARDS["crm_linear"]
    assert (playbook.attributes_cap, playbook.behaviours_cap, playbook.total_cap) == (40, 60, None)
    assert (playbook.classes.warm, playbook.classes.hot) == (40, 70)
    assert playbook.classes.hot_needs_attributes == 20
    assert playbook.decay.model_dump() == {
        "kind": "silence",
        "steps": (
            {"days": 14, "factor": Decimal("0.8")},
            {"days": 30, "factor": Decimal("0.5")},
        ),
        "reset_days": 90,
    }
    assert (signals.classes.warm, signals.classes.hot) == (40, 80)
    assert (signals.label("warm"), signals.label("hot")) == ("consideration", "decision")
    assert (linear.classes.warm, linear.classes.hot) == (None, 60)
    for card in (signals, linear):
        assert card.decay.kind == "none"
        assert card.attributes_cap is card.behaviours_cap is card.total_cap is None
    assert [path.stem for path in builtin_scorecards()] == ["playbook", "signals", "crm_linear"]


@pytest.mark.parametrize(
    ("title", "employees", "n_pricing", "n_clicks", "tier"),
    [
        ("Analyst", None, 2, 1, "cold"),    # 5 + 33 = 38
        ("Analyst", 10, 1, 4, "cold"),      # 10 + 27 = 37
        ("Manager", 10, 1, 3, "cold"),      # 15 + 24 = 39
        ("Analyst", None, 2, 2, "warm"),    # 5 + 36 = 41
        ("Manager", 301, 3, 1, "warm"),     # 20 + 48 = 68
        ("Manager", 301, 3, 2, "hot"),      # 20 + 51 = 71
        ("CEO", None, 4, 0, "warm"),        # 15 + 60 = 75: too little fit
        ("CEO", 10, 4, 0, "hot"),           # 20 + 60 = 80
    ],
)  # fmt: skip
def test_the_playbook_classes_leads_by_total_and_fit(
    title: str, employees: int | None, n_pricing: int, n_clicks: int, tier: str
) -> None:
    events = [event("L1", "page_view", content="/pricing")] * n_pricing
    dataset = world(
        events + [event("L1", "email_click")] * n_clicks,
        leads={"L1": {"job_title": title}},
        accounts={"A1": {"employee_count": employees}},
    )
    assert stands("playbook", dataset)["tier"] == tier


@pytest.mark.parametrize(
    ("card", "points", "tier"),
    [
        ("playbook", 39, "cold"), ("playbook", 40, "warm"), ("playbook", 69.999, "warm"),
        ("playbook", 70, "hot"), ("signals", 39.999, "cold"), ("signals", 40, "warm"),
        ("signals", 79, "warm"), ("signals", 80, "hot"), ("crm_linear", 59, "cold"),
        ("crm_linear", 60, "hot"),
    ],
)  # fmt: skip
def test_a_class_begins_at_exactly_its_threshold(card: str, points: float, tier: str) -> None:
    thresholds = CARDS[card].classes.model_dump(exclude={"labels", "hot_needs_attributes"})
    rules = [{"item": "x", "event_type": "x", "points": points}]
    raw = {"name": "x", "behaviours": rules, "classes": thresholds}
    scores = score_snapshots(
        parse_scorecard(raw, source="test"), world([event("L1", "x")]), at(NOW)
    )
    assert scores["tier"].to_list() == [tier]
