"""Events as columns of numbers, before they become a table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

EVENT_TYPES: Final = (
    "email_open",
    "email_click",
    "page_view",
    "document_view",
    "content_download",
    "webinar_signup",
    "webinar_attend",
    "form_reached",
    "form_submit",
    "demo_request",
    "unsubscribe",
)
CHANNELS: Final = ("email", "web", "webinar", "salesroom")
TYPE_CODE: Final = {name: code for code, name in enumerate(EVENT_TYPES)}

_CHANNEL_OF: Final = {
    "email_open": "email",
    "email_click": "email",
    "unsubscribe": "email",
    "document_view": "salesroom",
    "webinar_signup": "webinar",
    "webinar_attend": "webinar",
}


@dataclass(frozen=True)
class Events:
    """One entry per event in every array, shape (n_events,).

    ``lead`` is a position in ``Leads``; ``at`` is in seconds since the start of the world; ``type``
    and ``content`` are codes; ``value`` is NaN and ``duration`` (seconds) is -1 where unknown.
    """

    lead: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    type: npt.NDArray[np.int64]
    content: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    duration: npt.NDArray[np.int64]
    is_machine: npt.NDArray[np.bool_]

    def where(self, keep: npt.NDArray[Any]) -> "Events":
        """The events that a mask or an array of positions selects, in that order."""
        return Events(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})


def make_events(
    lead: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    *,
    event_type: str | npt.NDArray[np.int64],
    content: int | npt.NDArray[np.int64],
    value: npt.NDArray[np.float64] | None = None,
    duration: npt.NDArray[np.int64] | None = None,
    is_machine: bool = False,
) -> Events:
    """Events from the columns that matter; the others get their 'unknown' value."""
    size = len(lead)
    code = TYPE_CODE[event_type] if isinstance(event_type, str) else event_type
    return Events(
        lead=lead,
        at=at,
        type=np.broadcast_to(np.asarray(code, dtype=np.int64), size),
        content=np.broadcast_to(np.asarray(content, dtype=np.int64), size),
        value=np.full(size, np.nan) if value is None else value,
        duration=np.full(size, -1) if duration is None else duration,
        is_machine=np.full(size, is_machine),
    )


def concat_events(parts: Sequence[Events]) -> Events:
    """All events of ``parts``, one after the other."""
    return Events(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Events)}
    )


def channel_codes() -> npt.NDArray[np.int64]:
    """The channel of each event type, shape (n_event_types,)."""
    return np.asarray([CHANNELS.index(_CHANNEL_OF.get(name, "web")) for name in EVENT_TYPES])
