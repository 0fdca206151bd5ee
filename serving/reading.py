"""Bodies to histories: what is plainly right at native speed, all else by a close look.

The close look, by the models in `schemas`, says what is valid and names what is not. The quick one
accepts a part of that and refuses nothing: whatever it is not sure of is looked at closely. A test
holds the two together.
"""

from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from intentcast.engagement import Engagement
from intentcast.histories import LeadHistory
from intentcast.instants import micros
from serving.payloads import parse_json
from serving.rows import read_rows
from serving.schemas import CLOCK_SKEW, PredictionRequest, RequestContext
from serving.validation import validated


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


def read_request(body: bytes, context: RequestContext) -> Wanted:
    """Return what a body that is one request asks for.

    Args:
        body: As it came.
        context: Limits and the present.

    Raises:
        ProblemError: 400 if it holds no JSON, 422 naming the wrong fields.
    """
    plain = _plain(body, context)
    if plain is not None:
        return _wanted(*plain, context)
    request = validated(PredictionRequest, parse_json(body), context=context)
    return _wanted(request, None, context)


def _wanted(
    request: PredictionRequest, events: Engagement | None, context: RequestContext
) -> Wanted:
    history = request.history(context.now, events, longest=context.longest_horizon)
    horizons = tuple(sorted(set(request.horizons_days))) if request.horizons_days else None
    return Wanted(history, request.explain, horizons)


def _plain(body: bytes, context: RequestContext) -> tuple[PredictionRequest, Engagement] | None:
    """Return a request without its events, and these, if all of it is plainly right, else None."""
    latest = micros(context.now + CLOCK_SKEW)
    rows = read_rows(body, most=context.max_events, latest=latest)
    if rows is None:
        return None
    try:
        request = PredictionRequest.model_validate_json(rows.rest, context=context)
    except ValidationError:
        return None
    # Of a key that is given twice a reader keeps one.
    return (request, rows.events) if rows.n_keys == _n_given(request) else None


def _n_given(request: PredictionRequest) -> int:
    """Return how many keys a request and the objects in it were given."""
    models: list[BaseModel] = [request, request.lead, *request.outcomes, *request.colleagues]
    attributes = [request.lead.attributes, *(one.attributes for one in request.colleagues)]
    if request.account is not None:
        models.append(request.account)
        attributes.append(request.account.attributes)
    return sum(len(one.model_fields_set) for one in models) + sum(map(len, attributes))
