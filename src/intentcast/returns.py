"""Leads that sales sent back: nurtured again until the days are over or they do something new.

Worked example (its dates are a test), with 90 days: a lead is sent back on 3 January, which
becomes known on 5 January. Until 5 April it is not handed over, unless it is active on two days
after 5 January, or does one thing that counts by itself, such as asking for a demo.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from intentcast.config import Sales
from intentcast.seen import DAY, SeenHistory, SeenOutcome, day_of, n_days, shortened

LONGEST_REASON = 80


class Renurture(BaseModel):
    """What makes a lead that was sent back eligible again; see `models/handoff.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: bool = True
    active_days: int = Field(default=2, ge=1)
    key_event_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReturnState:
    """Where a lead stands that sales sent back, or never did.

    Attributes:
        detail: In words.
        is_waiting: In re-nurture: not to be handed over.
        known: When the latest return became known, in microseconds since 1970; None: never.
    """

    detail: str
    is_waiting: bool = False
    known: int | None = None


def return_state(
    settings: Renurture, sales: Sales, seen: SeenHistory, *, passive: tuple[str, ...]
) -> ReturnState:
    """Say whether a lead is in re-nurture at its as-of time.

    The latest return counts, by when it became known. It is over once `sales.renurture_days` have
    passed since then, once sales has accepted the lead later, or once the lead has done something
    new: a human event of its own that occurred after the return became known, on at least
    `active_days` UTC days, or one of `key_event_types`.

    Args:
        settings: From `models/handoff.toml`.
        sales: From `dataset.toml`: which outcomes accept and send back, and for how long.
        seen: The lead's history.
        passive: Event types that are no engagement.
    """
    returned = _latest(seen, sales.rejected)
    if returned is None:
        return ReturnState("never sent back by sales")
    reason = shortened(returned.outcome.reason or "no reason given", LONGEST_REASON)
    told = f"sent back on {day_of(returned.occurred)}: {reason}"
    accepted = _latest(seen, sales.accepted)
    if accepted is not None and accepted.known > returned.known:
        told += f"; accepted on {day_of(accepted.occurred)}"
        return ReturnState(told, known=returned.known)
    until = returned.known + sales.renurture_days * DAY
    if seen.as_of >= until:
        told += f"; the {sales.renurture_days} days are over"
        return ReturnState(told, known=returned.known)
    new = seen.since(returned.known + 1, passive, are_left_out=True)
    active, keys = n_days(new), {event.event_type for event in new}
    key = sorted(keys.intersection(settings.key_event_types))
    days = f"{active} active day{'' if active == 1 else 's'}" if active else "none"
    told += f"; new behaviour since: {days}"
    if key:
        told += f", {key[0].replace('_', ' ')}"
    elif active < settings.active_days:
        told += f", {settings.active_days} needed before {day_of(until)}"
    is_waiting = settings.on and not key and active < settings.active_days
    return ReturnState(told, is_waiting=is_waiting, known=returned.known)


def _latest(seen: SeenHistory, kinds: tuple[str, ...]) -> SeenOutcome | None:
    """Return what became known last; of several at once, the same one in any order of rows."""
    found = [row for row in seen.outcomes if row.outcome.outcome in kinds]
    return max(
        found,
        key=lambda row: (row.known, row.occurred, row.outcome.outcome, row.outcome.reason or ""),
        default=None,
    )
