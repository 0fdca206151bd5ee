"""What is found out about a request while it is answered, for its log line and its price."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Notes:
    """Of one request; routes in worker threads see the same object.

    Attributes:
        request_id: Names it in the log.
        key: Name of the key that it came with.
        n_leads: Leads answered so far.
        lead_id: As it may be logged, of a request for one lead.
    """

    request_id: str = ""
    key: str | None = None
    n_leads: int = 0
    lead_id: str | None = None


_NOTES: ContextVar[Notes | None] = ContextVar("notes", default=None)


def start_notes(request_id: str) -> Notes:
    """Return new notes; they are this request's from now on."""
    notes = Notes(request_id)
    _NOTES.set(notes)
    return notes


def notes_of_request() -> Notes:
    """Return this request's notes; new ones outside of a request."""
    return _NOTES.get() or Notes()
