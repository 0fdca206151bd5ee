"""What the routes share: one object per app, no globals."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from structlog.typing import FilteringBoundLogger

from intentcast.bundle import Bundle
from serving.metrics import Metrics
from serving.models import ServedModel
from serving.problems import NOT_READY, ProblemError
from serving.settings import Settings

_RETRY = {"Retry-After": "5"}


@dataclass
class ServerState:
    """Settings and the parts that live as long as the app.

    Attributes:
        settings: As set.
        model: What is being served.
        metrics: Counters.
        log: Writes JSON lines.
        now: The clock: an instant in UTC.
        is_draining: Set when the server is about to stop.
    """

    settings: Settings
    model: ServedModel
    metrics: Metrics
    log: FilteringBoundLogger
    now: Callable[[], datetime]
    is_draining: bool = False


async def _state(request: Request) -> ServerState:
    return cast(ServerState, request.app.state.server)


State = Annotated[ServerState, Depends(_state)]


async def _loaded(state: State) -> Bundle:
    """Return the bundle; a request that has it keeps it, whatever is loaded meanwhile.

    Raises:
        ProblemError: 503 if there is none.
    """
    bundle = state.model.bundle
    if bundle is None:
        raise ProblemError(NOT_READY, "no model is loaded", headers=_RETRY)
    return bundle


Loaded = Annotated[Bundle, Depends(_loaded)]


def assert_ready(state: ServerState) -> None:
    """Return if requests are welcome.

    Raises:
        ProblemError: 503 if there is no model, or the server is about to stop.
    """
    if state.is_draining:
        raise ProblemError(NOT_READY, "the server is stopping", headers=_RETRY)
    if state.model.bundle is None:
        raise ProblemError(NOT_READY, "no model is loaded", headers=_RETRY)
