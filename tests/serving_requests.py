"""A server inside the test, and requests for it."""

from datetime import UTC, datetime

from fastapi.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
KEY = "a key for tests"


def serve(bundle, *, now=NOW, log_to=None, **settings):
    """Return a client of a server of a bundle; a context manager, inside which it has started."""
    chosen = Settings(bundle=bundle, **settings)
    return TestClient(create_app(chosen, now=lambda: now, log_to=log_to))


def event(lead="L1", **more):
    """Return one event of a request."""
    row = {"lead_id": lead, "occurred_at": "2026-11-20T10:11:00Z", "event_type": "page_view"}
    return {**row, "content": "/pricing", "channel": "web", **more}


def outcome(lead="L2", **more):
    """Return one earlier outcome of a request."""
    row = {"lead_id": lead, "occurred_at": "2026-09-30T12:00:00Z", "outcome": "closed_won"}
    return {**row, **more}


def request(**more):
    """Return a request for one lead with a colleague."""
    return {
        "lead": {
            "lead_id": "L1",
            "account_id": "A9",
            "created_at": "2026-05-02T09:00:00Z",
            "attributes": {"employee_count": 120, "job_title": "CTO", "source": "webinar"},
        },
        "account": {"attributes": {"industry": "software", "country": "DE"}},
        "events": [event(), event("L2", content=None)],
        "outcomes": [outcome(), outcome("L1", outcome="returned")],
        "colleagues": [{"lead_id": "L2", "attributes": {"job_title": "Head of IT"}}],
        "as_of": "2026-11-21T10:00:00Z",
        **more,
    }


def changed(path, value):
    """Return a request with the value at a dotted path replaced, or added."""
    body = request()
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    place = body
    for step in steps:
        place = place[step]
    place[last] = value
    return body
