"""Predictions over HTTP. Every number comes from `intentcast.scoring`."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from intentcast.bundle import Bundle
from serving.answers import ItemError, PredictionAnswer
from serving.items import answers_of, context_of, read_item, score_items
from serving.limits import body_type, json_body
from serving.observations import observe
from serving.openapi import json_body_of, problems_of
from serving.payloads import items_of, parse_json
from serving.problems import TOO_LARGE, ProblemError
from serving.reading import read_request
from serving.schemas import PredictionRequest
from serving.state import ServerState, loaded_bundle
from serving.streaming import NDJSON, AnswerStream


class _OwnRoute(APIRoute):
    """A route whose function reads the request itself: nothing is to be solved or checked for it.

    The framework's part is then the path and the page of the API.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function as it is."""
        function: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return function


router = APIRouter(tags=["predictions"], route_class=_OwnRoute)
ONE = "/v1/predictions"
BATCH = "/v1/predictions:batch"
STREAM = "/v1/predictions:stream"
# Bytes of a body up to which one lead is scored at once: going to a thread and back costs as much,
# and nothing else waits longer than such a lead takes.
_QUICK: Final = 64 * 1024


@router.post(
    ONE,
    operation_id="predict",
    summary="Score one lead",
    response_model=PredictionAnswer,
    responses=problems_of(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
    openapi_extra=json_body_of(PredictionRequest),
)
async def predict(request: Request) -> Response:
    """Return the probabilities of one lead, its tier and stage, and why."""
    state: ServerState = request.app.state.server
    bundle = loaded_bundle(state)
    body = await json_body(request, state)
    if len(body) <= _QUICK:
        return _json(_predict(state, bundle, body))
    return _json(await run_in_threadpool(_predict, state, bundle, body))


@router.post(
    BATCH,
    operation_id="predict_batch",
    summary="Score many leads",
    response_model=list[PredictionAnswer | ItemError],
    responses=problems_of(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
    openapi_extra=json_body_of(PredictionRequest, many=True),
)
async def predict_batch(request: Request) -> Response:
    """Return one answer per item, in order; a bad item's is an error, and the others are scored."""
    state: ServerState = request.app.state.server
    bundle = loaded_bundle(state)
    body = await json_body(request, state)
    request_id = request.state.request_id
    return _json(await run_in_threadpool(_predict_batch, state, bundle, body, request_id))


@router.post(
    STREAM,
    operation_id="predict_stream",
    summary="Score any number of leads, line by line",
    response_class=Response,
    responses={
        200: {
            "description": "One answer, or an error, for each line, in order",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        },
        **problems_of(401, 403, 415, 429, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One request of `predict` a line; read answers while sending",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        }
    },
)
async def predict_stream(request: Request) -> Response:
    """Answer line by line what comes line by line; a bad line's answer is an error."""
    state: ServerState = request.app.state.server
    bundle = loaded_bundle(state)
    body_type(request, NDJSON)
    return AnswerStream(state, bundle, request.state.request_id)


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _predict(state: ServerState, bundle: Bundle, body: bytes) -> bytes:
    wanted = read_request(body, context_of(state, bundle))
    answer = answers_of(bundle, [wanted], wanted.horizons)[0]
    observe(state, bundle, wanted.history, answer, explain=wanted.explain)
    return to_json(answer)


def _predict_batch(state: ServerState, bundle: Bundle, body: bytes, request_id: str) -> bytes:
    items = items_of(body)
    if len(items) > state.settings.max_items:
        raise ProblemError(TOO_LARGE, f"a batch may have at most {state.settings.max_items} items")
    context = context_of(state, bundle)
    try:
        found = [read_item(state, item, context, request_id) for item in items]
    except ProblemError:
        parse_json(body)  # one item is not JSON, so all of it is not: says where
        raise
    score_items(state, bundle, found, request_id)
    return to_json(found)
