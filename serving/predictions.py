"""Predictions over HTTP. Every number comes from `intentcast.scoring`."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request

from intentcast.bundle import Bundle
from intentcast.errors import InputError
from intentcast.scoring import answer_history
from serving.answers import ItemError, PredictionAnswer
from serving.limits import JsonBody
from serving.logs import failure
from serving.openapi import json_body_of, problems_of
from serving.payloads import parse_json
from serving.problems import INVALID, TOO_LARGE, FieldError, ProblemError, unexpected
from serving.schemas import PredictionRequest, RequestContext
from serving.state import Loaded, ServerState, State
from serving.validation import validated

router = APIRouter(tags=["predictions"])
ONE = "/v1/predictions"
BATCH = "/v1/predictions:batch"


# `def`, not `async def`: scoring holds the processor, so it runs in the thread pool.
@router.post(
    ONE,
    operation_id="predict",
    summary="Score one lead",
    response_model=PredictionAnswer,
    responses=problems_of(400, 408, 413, 415, 422, 500, 503),
    openapi_extra=json_body_of(PredictionRequest),
)
def predict(state: State, bundle: Loaded, body: JsonBody) -> Any:
    """Return the probabilities of one lead, its tier and stage, and why."""
    return _answer(state, bundle, parse_json(body), now=state.now())


@router.post(
    BATCH,
    operation_id="predict_batch",
    summary="Score many leads",
    response_model=list[PredictionAnswer | ItemError],
    responses=problems_of(400, 408, 413, 415, 422, 500, 503),
    openapi_extra=json_body_of(PredictionRequest, many=True),
)
def predict_batch(state: State, bundle: Loaded, body: JsonBody, request: Request) -> Any:
    """Return one answer per item, in order; a bad item's is an error, and the others are scored."""
    items = parse_json(body)
    if not isinstance(items, list):
        wrong = FieldError(field="body", reason="must be a list")
        raise ProblemError(INVALID, "1 wrong field", errors=[wrong])
    if len(items) > state.settings.max_items:
        raise ProblemError(TOO_LARGE, f"a batch may have at most {state.settings.max_items} items")
    now = state.now()
    request_id = request.state.request_id
    return [_answer_or_error(state, bundle, item, now=now, request_id=request_id) for item in items]


def _answer(state: ServerState, bundle: Bundle, item: Any, *, now: datetime) -> dict[str, Any]:
    settings = state.settings
    context = RequestContext(
        now=now,
        max_events=settings.max_events,
        max_outcomes=settings.max_outcomes,
        max_colleagues=settings.max_colleagues,
    )
    wanted = validated(PredictionRequest, item, context=context)
    try:
        answer = answer_history(bundle, wanted.history(now), explain=wanted.explain)
    except InputError as error:
        # Its message may name values, so only its kind is told.
        raise ProblemError(INVALID, f"the lead cannot be scored ({type(error).__name__})") from None
    state.metrics.predictions.labels(answer["tier"]).inc()
    return answer


def _answer_or_error(
    state: ServerState, bundle: Bundle, item: Any, *, now: datetime, request_id: str
) -> dict[str, Any]:
    try:
        return _answer(state, bundle, item, now=now)
    except ProblemError as error:
        problem = error.problem
    except Exception as error:
        # One item's defect must not take the others' answers away.
        state.log.error("item", request_id=request_id, **failure(error))
        problem = unexpected(request_id)
    state.metrics.item_errors.inc()
    return {"error": problem}
