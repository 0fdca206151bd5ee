"""A small world whose true points are known: asking counts most, reading a little, opening none."""

import functools
import math
import random
from datetime import UTC, datetime, timedelta

import polars as pl

from intentcast.scorecards import parse_scorecard
from intentcast.snapshots import as_of_times, cohort_span
from tests.conftest import event, outcome

START = datetime(2024, 1, 1, tzinfo=UTC)
FIRST = datetime(2024, 3, 1, tzinfo=UTC)
LAST = datetime(2024, 6, 7, tzinfo=UTC)
END = datetime(2024, 7, 20, tzinfo=UTC)
KNOWN_BY = datetime(2024, 5, 24, tzinfo=UTC)
TRUE = {"ask": 1.2, "read": 0.4, "open": 0.0}
SETTINGS = {
    "conversion": {"outcomes": ["won"], "closing": ["lost"], "horizons_days": [30]},
    "cohort": {"rule": "open", "every_days": 7, "start": FIRST, "end": LAST},
    "capacity": {"handoffs_per_week": 10},
    "backtest": {"first_test": KNOWN_BY},
}


@functools.cache
def tables(n_leads=900, seed=1, opening=0.0):
    """Leads with events of three types before the first as-of time, and what became of them."""
    true = {**TRUE, "open": opening}
    rng = random.Random(seed)
    leads, events, outcomes = [], [], []
    for i in range(n_leads):
        name = f"L{i:04d}"
        title = rng.choice(["CTO", "Engineer", None])
        leads.append(
            {
                "lead_id": name,
                "created_at": START,
                "account_id": rng.choice([None, f"A{i // 3:03d}"]),
                "job_title": title,
            }
        )
        evidence = -6.2 + (0.7 if title == "CTO" else 0.0)
        for kind, worth in true.items():
            for _ in range(rng.choice([0, 0, 1, 1, 2])):
                occurred = START + timedelta(hours=rng.randrange(1, 24 * 59))
                events.append(event(name, occurred, kind))
                evidence += worth
        weekly = 1.0 / (1.0 + math.exp(-evidence))
        for week in range(19):
            if rng.random() < weekly:
                occurred = FIRST + timedelta(days=7 * week, hours=rng.randrange(1, 168))
                outcomes.append(outcome(name, occurred))
                break
    # The record goes on until here: every outcome above is known, and matured.
    events.append(event("L0000", END, "open"))
    return {"leads": leads, "events": events, "outcomes": outcomes}


def card(**changes):
    """The team's table: everything is worth the same."""
    raw = {
        "name": "flat",
        "classes": {"warm": 20, "hot": 40},
        "attributes": [
            {"axis": "role", "item": "CTO", "column": "job_title", "equals": "CTO", "points": 10}
        ],
        "behaviours": [
            {"item": "asked", "event_type": "ask", "points": 10},
            {"item": "read", "event_type": "read", "points": 10},
            {"item": "opened", "event_type": "open", "points": 10},
        ],
    }
    return parse_scorecard({**raw, **changes}, source="the test")


def card_with(*rules, **changes):
    """The team's table with more behaviour rules."""
    behaviours = [rule.model_dump(exclude_unset=True) for rule in card().behaviours]
    return card(behaviours=[*behaviours, *rules], **changes)


def times(dataset):
    return as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)


def shuffled(rows, seed):
    return pl.DataFrame(rows, infer_schema_length=None).sample(
        fraction=1.0, shuffle=True, seed=seed
    )


def at_day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
