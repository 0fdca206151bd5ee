"""Several leads: each is answered or refused by itself, and they are scored together."""

from collections.abc import Sequence
from typing import Any, Final

from intentcast.bundle import Bundle
from intentcast.errors import InputError
from intentcast.scoring import answer_histories
from serving.logs import failure
from serving.observations import observe
from serving.problems import INVALID, MALFORMED, ProblemError, unexpected
from serving.reading import Wanted, read_request
from serving.schemas import RequestContext
from serving.state import ServerState

# Leads that are scored in one go: bounds memory, changes no number.
_TOGETHER: Final = 250


def context_of(state: ServerState, bundle: Bundle) -> RequestContext:
    """Return what reading a request needs to know of the server."""
    settings = state.settings
    return RequestContext(
        now=state.now(),
        max_events=settings.max_events,
        max_outcomes=settings.max_outcomes,
        max_colleagues=settings.max_colleagues,
        longest_horizon=max(bundle.models),
    )


def read_item(
    state: ServerState, item: bytes, context: RequestContext, request_id: str
) -> Wanted | dict[str, Any]:
    """Return what an item asks for, or its error.

    Raises:
        ProblemError: 400 if it is not JSON.
    """
    try:
        return read_request(item, context)
    except Exception as error:
        if isinstance(error, ProblemError) and error.problem.status == MALFORMED.status:
            raise
        return error_of(state, error, request_id)


def score_items(state: ServerState, bundle: Bundle, items: list[Any], request_id: str) -> None:
    """Put an answer or an error into the place of each item that is still wanted."""
    of_horizons: dict[tuple[int, ...] | None, list[int]] = {}
    for place, item in enumerate(items):
        if isinstance(item, Wanted):
            of_horizons.setdefault(item.horizons, []).append(place)
    for horizons, places in of_horizons.items():
        for start in range(0, len(places), _TOGETHER):
            some = places[start : start + _TOGETHER]
            try:
                answers = answers_of(bundle, [items[place] for place in some], horizons)
            except Exception:
                # One item's defect must not take the others' answers away: each alone, then.
                answers = [_alone(state, bundle, items[place], request_id) for place in some]
            for place, answer in zip(some, answers, strict=True):
                if "error" not in answer:
                    wanted = items[place]
                    observe(state, bundle, wanted.history, answer, explain=wanted.explain)
                items[place] = answer


def _alone(state: ServerState, bundle: Bundle, wanted: Wanted, request_id: str) -> dict[str, Any]:
    try:
        return answers_of(bundle, [wanted], wanted.horizons)[0]
    except Exception as error:
        return error_of(state, error, request_id)


def error_of(state: ServerState, error: Exception, request_id: str) -> dict[str, Any]:
    """Return what stands in the place of an answer; a defect is logged."""
    if isinstance(error, ProblemError):
        problem = error.problem
    else:
        state.log.error("item", request_id=request_id, **failure(error))
        problem = unexpected(request_id)
    state.metrics.item_errors.inc()
    return {"error": problem}


def answers_of(
    bundle: Bundle, wanted: Sequence[Wanted], horizons: tuple[int, ...] | None
) -> list[dict[str, Any]]:
    """Return the answers to requests of the same horizons.

    Raises:
        ProblemError: 422 if one of them cannot be scored.
    """
    try:
        return answer_histories(
            bundle,
            [each.history for each in wanted],
            explain=[each.explain for each in wanted],
            horizons=horizons,
        )
    except InputError as error:
        # Its message may name values, so only its kind is told.
        raise ProblemError(INVALID, f"the lead cannot be scored ({type(error).__name__})") from None
