"""Small data sets, written to real files and read as anyone's would be."""

import os
import random
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import tomli_w
from hypothesis import HealthCheck, settings

from intentcast.contracts import REQUIRED_COLUMNS
from intentcast.sources import load_dataset
from tests.shared_place import VARIABLE

settings.register_profile(
    "house",
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def pytest_configure(config):
    """Name the place that all processes of this run share."""
    if not hasattr(config, "workerinput"):
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="intentcast-tests-")


def pytest_unconfigure(config):
    """Remove it: the workers have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(VARIABLE, ""), ignore_errors=True)


DAY = timedelta(days=1)
LEADS = [
    {"lead_id": "L1", "created_at": "2024-01-01", "account_id": "A1", "job_title": "CTO"},
    {"lead_id": "L2", "created_at": "2024-01-02", "account_id": "A1", "job_title": "Engineer"},
    {"lead_id": "L3", "created_at": "2024-01-03", "account_id": None, "job_title": "CFO"},
]
EVENTS = [
    {"lead_id": "L1", "occurred_at": "2024-02-01T10:00:00", "event_type": "page_view"},
    {"lead_id": "L2", "occurred_at": "2024-02-02T10:00:00", "event_type": "page_view"},
    {"lead_id": "L3", "occurred_at": "2024-02-03T10:00:00", "event_type": "demo_request"},
]
OUTCOMES = [{"lead_id": "L1", "occurred_at": "2024-03-01T09:00:00", "outcome": "won"}]
SETTINGS = {"conversion": {"outcomes": ["won"], "closing": ["lost"], "horizons_days": [30]}}


def at(text):
    """Return an instant in UTC from a date or a time without a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event(lead, occurred_at, event_type="page_view", **more):
    """Return one row of events."""
    return {"lead_id": lead, "occurred_at": occurred_at, "event_type": event_type, **more}


def outcome(lead, occurred_at, name="won", **more):
    """Return one row of outcomes."""
    return {"lead_id": lead, "occurred_at": occurred_at, "outcome": name, **more}


def write_table(path, rows):
    """Write rows, a frame, text or bytes as the file that the suffix says."""
    if isinstance(rows, bytes):
        path.write_bytes(rows)
    elif isinstance(rows, str):
        path.write_text(rows, encoding="utf-8")
    else:
        frame = (
            rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
        )
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6f+00:00")


def write_dataset(
    folder,
    *,
    leads=LEADS,
    events=EVENTS,
    outcomes=OUTCOMES,
    accounts=None,
    attribute_changes=None,
    settings=None,
    toml=None,
    suffix=".csv",
):
    """Write a data set to `folder`, which is made, and return it.

    Args:
        folder: Where to.
        leads: A list of rows, a frame, or a file's text or bytes; None for no file; likewise the
            other tables.
        events: See `leads`.
        outcomes: See `leads`.
        accounts: See `leads`.
        attribute_changes: See `leads`.
        settings: Sections of `dataset.toml`; each is laid over the default of `SETTINGS`.
        toml: The text of `dataset.toml` instead.
        suffix: `.csv` or `.parquet`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "leads": leads,
        "events": events,
        "outcomes": outcomes,
        "accounts": accounts,
        "attribute_changes": attribute_changes,
    }
    for name, rows in tables.items():
        if rows is not None:
            write_table(folder / f"{name}{suffix}", _with_header(name, rows))
    if toml is None:
        merged = dict(SETTINGS)
        for section, value in (settings or {}).items():
            is_table = isinstance(value, dict)
            merged[section] = {**merged.get(section, {}), **value} if is_table else value
        toml = tomli_w.dumps(merged)
    (folder / "dataset.toml").write_text(toml, encoding="utf-8")
    return folder


def _with_header(name, rows):
    """An empty list of rows is a table with a header and no rows."""
    if isinstance(rows, list) and not rows:
        return pl.DataFrame(schema=dict.fromkeys(REQUIRED_COLUMNS[name], pl.String))
    return rows


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory):
    """Return a function that gives a new, empty folder each time."""
    base = tmp_path_factory.mktemp("data")

    def new() -> Path:
        return Path(tempfile.mkdtemp(dir=base))

    return new


@pytest.fixture(scope="session")
def make_dataset(new_folder):
    """Return a function that writes tables (see `write_dataset`) and loads them."""

    def make(**tables):
        return load_dataset(write_dataset(new_folder(), **tables))

    return make


START = at("2024-01-01")
TITLES = [
    "/pricing", "/pricing/plans", "Plans and prices", "/docs/rollout", "Migration guide",
    "Onboarding webinar", "/blog/warehouse-robots", "Warehouse robots in the field",
    "/events/summer-conference", "Summer conference tickets", "/careers",
]  # fmt: skip
JOB_TITLES = ["CTO", "Engineer", "Buyer", "VP Sales", "Head of IT", "Product Manager"]
WORLD_SETTINGS = {
    "conversion": {"outcomes": ["won"], "closing": ["lost"], "horizons_days": [30]},
    "cohort": {"rule": "engaged", "within_days": 60},
    "attributes": {"numeric": ["employee_count"], "categorical": ["industry", "job_title"]},
    "themes": {
        "core": ["pricing"],
        "seeds": {"pricing": "price plans", "rollout": "migration onboarding rollout"},
    },
}


def world(seed, *, n_leads, start=START, days=120):
    """Return the tables of a small, lively world: late, repeated and machine events and all.

    Leads with more visits to pricing convert more often, so that there is something to learn. Some
    events follow one another within minutes or by a day, some leave long silences.
    """
    rng = random.Random(seed)

    def moment(first, last):
        return start + timedelta(seconds=rng.randrange(int(first * 86400), int(last * 86400)))

    leads, events, outcomes, changes = [], [], [], []
    n_accounts = max(2, n_leads // 3)
    for i in range(n_leads):
        name, born = f"L{i:03d}", rng.uniform(0, days / 2)
        account = rng.choice([None, *(f"A{a:03d}" for a in range(n_accounts))])
        created = start + timedelta(seconds=int(born * 86400))
        leads.append(
            {
                "lead_id": name, "created_at": created, "account_id": account,
                "job_title": rng.choice([*JOB_TITLES, None]),
            }
        )  # fmt: skip
        interest = rng.random()
        occurred = moment(born, days)
        for _ in range(rng.randrange(1, 14)):
            step = rng.random()
            if step < 0.2:
                occurred += timedelta(seconds=rng.randrange(60 * 50))
            elif step < 0.4:
                occurred += timedelta(hours=rng.randrange(12, 36))
            else:
                occurred = moment(born, days)
            is_late = rng.random() < 0.2
            lag = timedelta(seconds=rng.randrange(86400 * 10 if is_late else 600))
            titles = TITLES[:3] if rng.random() < interest else [*TITLES, None]
            row = event(
                name,
                occurred,
                rng.choice(["page_view", "page_view", "email_open", "demo_request"]),
                event_id=rng.choice([None, f"E{len(events)}"]),
                content=rng.choice(titles),
                channel=rng.choice(["web", "email", None]),
                value=rng.choice([None, 1.5, -3.25, 20.0]),
                duration_seconds=rng.choice([None, 0.0, 30.0, 412.5]),
                is_machine=rng.choice([False, False, None, True]),
                recorded_at=occurred + lag,
            )
            events.append(row)
            if row["event_id"] and rng.random() < 0.2:
                events.append({**row, "recorded_at": row["recorded_at"] + DAY})
        if rng.random() < 0.3:
            occurred = moment(born, days)
            outcomes.append(outcome(name, occurred, "returned", recorded_at=occurred + 2 * DAY))
        if rng.random() < 0.7 * interest:
            occurred = moment(born, days)
            outcomes.append(outcome(name, occurred, recorded_at=occurred + DAY))
        elif rng.random() < 0.2:
            outcomes.append(outcome(name, moment(born, days), "lost", recorded_at=None))
        if rng.random() < 0.4:
            changes.append(
                {
                    "entity": "lead", "entity_id": name, "attribute": "job_title",
                    "value": rng.choice([*JOB_TITLES, None]), "recorded_at": moment(born, days),
                }
            )  # fmt: skip
    accounts = [
        {
            "account_id": f"A{a:03d}",
            "employee_count": rng.choice([None, 12, 250, 4000]),
            "industry": rng.choice(["software", "steel", None]),
        }
        for a in range(n_accounts)
    ]
    return {
        "leads": leads, "events": events, "outcomes": outcomes, "accounts": accounts,
        "attribute_changes": changes,
    }  # fmt: skip
