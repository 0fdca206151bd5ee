"""Requests as strict models: unknown fields, wrong types and odd values are refused, by name."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from intentcast.engagement import Engagement, EngagementEvent
from intentcast.histories import Attribute, KnownOutcome, LeadHistory
from serving.problems import FieldError
from serving.validation import OWN_PREFIX, refuse

CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LARGEST = 1e15
MOST_ATTRIBUTES = 200
MOST_HORIZONS = 20
LONGEST_HORIZON = 3650
LONGEST_ID = 256
LONGEST_TEXT = 2048
# Columns of their own in the tables that a request becomes.
_RESERVED = frozenset({"lead_id", "account_id", "created_at"})
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?P<zone>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


@dataclass(frozen=True)
class RequestContext:
    """What validation needs to know besides the request."""

    now: datetime
    max_events: int
    max_outcomes: int
    max_colleagues: int
    longest_horizon: int = LONGEST_HORIZON


def _wrong(kind: str, reason: str) -> PydanticCustomError:
    return PydanticCustomError(f"{OWN_PREFIX}{kind}", reason)


def _context(info: ValidationInfo) -> RequestContext:
    assert isinstance(info.context, RequestContext), "requests are validated with a context"
    return info.context


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise _wrong("nul", "must not hold the character NUL")
    return text


def _absent_if_blank(text: str | None) -> str | None:
    return text or None


def _instant(value: Any, info: ValidationInfo) -> datetime:
    """Read an RFC 3339 time; the zone is required, since a guess would move events."""
    if not isinstance(value, str):
        raise _wrong("time_type", "must be a time as text, such as 2026-01-31T09:00:00Z")
    match = _TIME.fullmatch(value)
    if not match:
        raise _wrong("time_format", "must be a time such as 2026-01-31T09:00:00Z")
    if not match["zone"]:
        raise _wrong("time_zone", "must state its zone, such as 2026-01-31T09:00:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong("time_value", "must be a time that exists") from None
    if moment < EARLIEST:
        raise _wrong("time_early", "must not be before 1990-01-01")
    if moment > _context(info).now + CLOCK_SKEW:
        raise _wrong("time_future", "must not be in the future")
    return moment


def _attribute(value: Any) -> Attribute:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not abs(value) <= LARGEST:  # NaN is not either
            raise _wrong("number", f"must be a finite number, at most {LARGEST:g} in size")
        return value
    if not isinstance(value, str):
        raise _wrong("attribute_type", "must be a string, a number, true, false or null")
    text = _without_nul(value.strip())
    if len(text) > LONGEST_TEXT:
        raise _wrong("attribute_length", f"must have at most {LONGEST_TEXT} characters")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _wrong("attribute_unicode", "must be valid Unicode")
    return text or None


def _attribute_name(name: str) -> str:
    if name in _RESERVED:
        raise _wrong("reserved", "is not an attribute but a field of its own")
    return _without_nul(name)


def _at_most(most_of: Callable[[RequestContext], int]) -> BeforeValidator:
    """Return a validator that counts a list before any of it is read."""

    def count(rows: Any, info: ValidationInfo) -> Any:
        most = most_of(_context(info))
        if isinstance(rows, list) and len(rows) > most:
            raise _wrong("too_many", f"must have at most {most} entries")
        return rows

    return BeforeValidator(count)


_Length = StringConstraints(min_length=1, max_length=LONGEST_ID)
Identifier = Annotated[str, _Length, AfterValidator(_without_nul)]
AttributeName = Annotated[str, _Length, AfterValidator(_attribute_name)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_ID), AfterValidator(_without_nul)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_without_nul)]
MaybeName = Annotated[Name | None, AfterValidator(_absent_if_blank)]
MaybeText = Annotated[Text | None, AfterValidator(_absent_if_blank)]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
AttributeValue = Annotated[
    Attribute, PlainValidator(_attribute, json_schema_input_type=str | float | bool | None)
]
Attributes = Annotated[
    dict[AttributeName, AttributeValue],
    Field(max_length=MOST_ATTRIBUTES),
]


Horizons = Annotated[
    list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=MOST_HORIZONS)
]


# The default of lists as the API's page says it; a factory costs less than a copy of a list.
_EMPTY: JsonDict = {"default": []}


class _RequestModel(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,  # as tables are read: " web" and "web" are one channel
        hide_input_in_errors=True,
    )


class LeadIn(_RequestModel):
    """The lead to score, as known at the as-of time."""

    lead_id: Identifier
    created_at: Instant
    account_id: MaybeName = None
    attributes: Attributes = {}


class AccountIn(_RequestModel):
    """The lead's account, as known at the as-of time."""

    attributes: Attributes = {}


class EventIn(_RequestModel):
    """One thing that the lead, or a colleague of the same account, did."""

    lead_id: Identifier
    occurred_at: Instant
    event_type: Identifier
    content: MaybeText = Field(default=None, description="Title or URL")
    channel: MaybeName = None
    value: Number | None = None
    duration_seconds: Annotated[Number, Field(ge=0)] | None = None
    is_machine: bool | None = Field(default=None, description="A bot, or a privacy proxy's open")
    event_id: MaybeName = Field(default=None, description="Repeats of it are dropped")
    recorded_at: Instant | None = Field(
        default=None, description="When it became known; else when it occurred, and the set delay"
    )


class OutcomeIn(_RequestModel):
    """How an earlier matter with the lead, or a colleague of the same account, ended."""

    lead_id: Identifier
    occurred_at: Instant
    outcome: Identifier = Field(description="As the data set of the model names outcomes")
    recorded_at: Instant | None = Field(
        default=None, description="When it became known; else when it occurred, and the set delay"
    )
    reason: MaybeName = Field(
        default=None, description="Why sales sent the lead back; told in the hand-off's evidence"
    )


class ColleagueIn(_RequestModel):
    """A colleague of the same account, as known at the as-of time."""

    lead_id: Identifier
    attributes: Attributes = {}


_EXAMPLE: Mapping[str, Any] = {
    "lead": {
        "lead_id": "L1",
        "account_id": "A9",
        "created_at": "2026-05-02T09:00:00Z",
        "attributes": {"employee_count": 120},
    },
    "account": {"attributes": {"industry": "software"}},
    "events": [
        {
            "lead_id": "L1",
            "occurred_at": "2026-11-20T10:11:00Z",
            "event_type": "page_view",
            "content": "/pricing",
            "channel": "web",
        },
        {
            "lead_id": "L2",
            "occurred_at": "2026-11-19T15:40:00Z",
            "event_type": "webinar_attend",
        },
    ],
    "outcomes": [
        {
            "lead_id": "L1",
            "occurred_at": "2026-07-03T08:00:00Z",
            "outcome": "mql_rejected",
            "reason": "too early",
        },
        {
            "lead_id": "L2",
            "occurred_at": "2026-09-30T12:00:00Z",
            "outcome": "closed_won",
            "recorded_at": "2026-10-02T07:15:00Z",
        },
    ],
    "colleagues": [{"lead_id": "L2", "attributes": {"job_title": "Head of IT"}}],
    "as_of": "2026-11-21T10:00:00Z",
    "explain": True,
    "horizons_days": [30, 90],
}


class PredictionRequest(_RequestModel):
    """One lead with its account: the events and earlier outcomes of both, and who is there."""

    model_config = ConfigDict(json_schema_extra={"examples": [dict(_EXAMPLE)]})

    lead: LeadIn
    account: AccountIn | None = None
    events: Annotated[list[EventIn], _at_most(lambda c: c.max_events)] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY,
        description="Of the lead and of colleagues, in any order",
    )
    outcomes: Annotated[list[OutcomeIn], _at_most(lambda c: c.max_outcomes)] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY,
        description="Earlier ones of the lead and of colleagues, in any order",
    )
    colleagues: Annotated[list[ColleagueIn], _at_most(lambda c: c.max_colleagues)] = Field(
        default_factory=list,
        json_schema_extra=_EMPTY,
        description="Attributes of colleagues, each listed once; one without any may be left out",
    )
    as_of: Instant | None = Field(
        default=None,
        description="Events and outcomes known at or after it are not used; now, if absent",
    )
    explain: bool = Field(default=True, description="Whether to add reasons and the points ledger")
    horizons_days: Horizons | None = Field(
        default=None,
        description="Horizons to answer, up to the model's longest; without them, those it learnt",
    )

    def history(
        self, now: datetime, events: Engagement | None = None, *, longest: int = LONGEST_HORIZON
    ) -> LeadHistory:
        """Return what is to be scored.

        Args:
            now: The as-of time where the request states none.
            longest: Horizon in days that the model can answer.
            events: Its events, where they have been read already.

        Raises:
            ProblemError: 422 if fields that are right by themselves do not fit together.
        """
        as_of = self.as_of or now
        refuse(list(self._contradictions(as_of, longest)))
        return LeadHistory(
            lead_id=self.lead.lead_id,
            created_at=self.lead.created_at,
            as_of=as_of,
            account_id=self.lead.account_id,
            attributes=self.lead.attributes,
            account_attributes=self.account.attributes if self.account else {},
            # The fields have the same names on purpose; a test keeps them so.
            events=tuple(EngagementEvent(**dict(event)) for event in self.events)
            if events is None
            else events,
            outcomes=tuple(KnownOutcome(**dict(outcome)) for outcome in self.outcomes),
            colleagues={person.lead_id: person.attributes for person in self.colleagues},
        )

    def _contradictions(self, as_of: datetime, longest: int) -> Iterator[FieldError]:
        for place, days in enumerate(self.horizons_days or ()):
            if days > longest:
                reason = f"must be at most {longest}, the model's longest"
                yield FieldError(field=f"horizons_days.{place}", reason=reason)
        if self.lead.created_at > as_of + CLOCK_SKEW:
            yield FieldError(field="lead.created_at", reason="must not be after as_of")
        seen = set()
        for place, person in enumerate(self.colleagues):
            field = f"colleagues.{place}.lead_id"
            if person.lead_id == self.lead.lead_id:
                yield FieldError(field=field, reason="is the lead itself, not a colleague")
            elif person.lead_id in seen:
                yield FieldError(field=field, reason="is listed more than once")
            seen.add(person.lead_id)
