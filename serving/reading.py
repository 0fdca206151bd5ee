"""Bodies to histories: what is plainly right at native speed, all else by a close look.

The close look, by the models in `schemas`, says what is valid and names what is not. The quick one
accepts a part of that and refuses nothing: whatever it is not sure of is looked at closely. A test
holds the two together.
"""

from itertools import chain
from typing import Annotated, Any, Final, NamedTuple, Required

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from intentcast.engagement import Engagement, engagement_from_rows
from intentcast.histories import LeadHistory
from intentcast.instants import UNSAID, micros
from serving.payloads import parse_json
from serving.schemas import (
    CLOCK_SKEW,
    EARLIEST,
    LONGEST_ID,
    LONGEST_TEXT,
    Number,
    PredictionRequest,
    RequestContext,
)
from serving.validation import validated

_Identifier = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID)]
_Name = Annotated[str, StringConstraints(max_length=LONGEST_ID)]
_Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
_Time = Annotated[str, StringConstraints(min_length=20, max_length=40, strip_whitespace=False)]
_NESTED: Final = (dict, list)
_NUL: Final = b"\\u0000"
_EARLIEST: Final = micros(EARLIEST)


class _PlainEvent(TypedDict, total=False):
    """`EventIn` without a call into Python per field; `_plain` looks at the rest."""

    __pydantic_config__ = PredictionRequest.model_config  # type: ignore[misc]

    lead_id: Required[_Identifier]
    occurred_at: Required[_Time]
    event_type: Required[_Identifier]
    content: _Text | None
    channel: _Name | None
    value: Number | None
    duration_seconds: Annotated[Number, Field(ge=0)] | None
    is_machine: bool | None
    event_id: _Name | None
    recorded_at: _Time | None


class _PlainRequest(PredictionRequest):
    """The same request with its events as they came."""

    model_config = ConfigDict(json_schema_extra=None)

    events: list[_PlainEvent] = Field(default=[])  # type: ignore[assignment]


class Wanted(NamedTuple):
    """What a request asks for.

    Attributes:
        history: Of the lead to score.
        explain: Whether reasons, ledger and packet are wanted.
        horizons: Days, rising; None for those that were learnt.
    """

    history: LeadHistory
    explain: bool
    horizons: tuple[int, ...] | None = None


class Body(NamedTuple):
    """A body as JSON values; `is_exact` where no key can be in an object twice."""

    value: Any
    is_exact: bool


def read_body(body: bytes) -> Body:
    """Return the JSON value of a body.

    Raises:
        ProblemError: 400 if it holds none.
    """
    try:
        value = from_json(body)
    except ValueError:
        return Body(parse_json(body), is_exact=False)
    is_exact = _NUL not in body and _n_colons(np.frombuffer(body, np.uint8)) == _n_keys(value)
    return Body(value, is_exact=True) if is_exact else Body(parse_json(body), is_exact=False)


def read_one(body: bytes, context: RequestContext) -> Wanted:
    """Return what a body that is one request asks for.

    Raises:
        ProblemError: 400 if it holds no JSON, 422 naming the wrong fields.
    """
    try:
        request = _PlainRequest.model_validate_json(body, context=context)
    except ValidationError:
        request = None
    if request is not None and _NUL not in body:
        events = _plain_events(request, context)
        n_keys = _n_colons(np.frombuffer(body, np.uint8))
        if events is not None and n_keys == _n_given(request):
            return _wanted(request, events, context)
    sent = read_body(body)
    return read_request(sent.value, context, is_exact=False)


def read_request(value: Any, context: RequestContext, *, is_exact: bool) -> Wanted:
    """Return what one request asks for.

    Args:
        value: From `read_body`, or an item of it.
        context: Limits and the present.
        is_exact: See `Body`.

    Raises:
        ProblemError: 422 naming the wrong fields.
    """
    plain = _plain(value, context) if is_exact else None
    if plain is not None:
        return _wanted(*plain, context)
    return _wanted(validated(PredictionRequest, value, context=context), None, context)


def _wanted(
    request: PredictionRequest, events: Engagement | None, context: RequestContext
) -> Wanted:
    history = request.history(context.now, events, longest=context.longest_horizon)
    horizons = tuple(sorted(set(request.horizons_days))) if request.horizons_days else None
    return Wanted(history, request.explain, horizons)


def _plain(value: Any, context: RequestContext) -> tuple[_PlainRequest, Engagement] | None:
    """Return a request and its events if all of it is plainly right, else None."""
    try:
        request = _PlainRequest.model_validate(value, context=context)
    except ValidationError:
        return None
    events = _plain_events(request, context)
    return None if events is None else (request, events)


def _plain_events(request: _PlainRequest, context: RequestContext) -> Engagement | None:
    if len(request.events) > context.max_events:
        return None
    try:
        events = engagement_from_rows(request.events, from_outside=True)
    except ValueError:
        return None
    latest = micros(context.now + CLOCK_SKEW)
    for times in (events.occurred, events.recorded[events.recorded != UNSAID]):
        if len(times) and not _EARLIEST <= times.min() <= times.max() <= latest:
            return None
    return events


def _n_given(request: _PlainRequest) -> int:
    """Return how many keys a request and the objects in it were given."""
    models: list[BaseModel] = [request, request.lead, *request.outcomes, *request.colleagues]
    attributes = [request.lead.attributes, *(one.attributes for one in request.colleagues)]
    if request.account is not None:
        models.append(request.account)
        attributes.append(request.account.attributes)
    named = sum(len(one.model_fields_set) for one in models)
    return named + sum(map(len, attributes)) + sum(map(len, request.events))


def _n_keys(value: Any) -> int:
    """Return how many keys the objects in a value have."""
    if type(value) is dict:
        return len(value) + sum(_n_keys(x) for x in value.values() if type(x) in _NESTED)
    if type(value) is not list:
        return 0
    # Rows of events, which most keys are in, are flat: their values are not looked at one by one.
    if set(map(type, value)) == {dict}:
        kinds = set(map(type, chain.from_iterable(map(dict.values, value))))
        if kinds.isdisjoint(_NESTED):
            return sum(map(len, value))
    return sum(map(_n_keys, value))


@njit(cache=True, nogil=True)
def _n_colons(body: NDArray[np.uint8]) -> int:
    """Return how many colons of a JSON text are outside of its strings: one per key."""
    n, i, is_inside = 0, 0, False
    while i < len(body):
        byte = body[i]
        if is_inside and byte == 92:  # a backslash: what follows it is part of the string
            i += 1
        elif byte == 34:
            is_inside = not is_inside
        elif byte == 58 and not is_inside:
            n += 1
        i += 1
    return n
