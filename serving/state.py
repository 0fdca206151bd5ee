"""What the routes share: one object per app, no globals."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from structlog.typing import FilteringBoundLogger

from intentcast.bundle import Bundle
from serving.admission import Load
from serving.kept import KeptBundles
from serving.keys import Keyring
from serving.metrics import Metrics
from serving.models import ServedModel
from serving.problems import NOT_READY, ProblemError
from serving.rates import RateLimit
from serving.samples import Samples
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
        keyring: The keys that are valid now.
        rates: How much each key has left.
        load: What is under way.
        log_id: What a lead's id becomes in the log.
        kept: Copies of the last good bundles, if they are to be kept.
        samples: Takes a sample of answers, if there is to be one.
        is_draining: Set when the server is about to stop.
    """

    settings: Settings
    model: ServedModel
    metrics: Metrics
    log: FilteringBoundLogger
    now: Callable[[], datetime]
    keyring: Keyring
    rates: RateLimit
    load: Load
    log_id: Callable[[str], str | None]
    kept: KeptBundles | None = None
    samples: Samples | None = None
    is_draining: bool = False


async def _state(request: Request) -> ServerState:
    return cast(ServerState, request.app.state.server)


State = Annotated[ServerState, Depends(_state)]


def loaded_bundle(state: ServerState) -> Bundle:
    """Return the bundle; a request that has it keeps it, whatever is loaded meanwhile.

    Raises:
        ProblemError: 503 if there is none.
    """
    bundle = state.model.bundle
    if bundle is None:
        raise ProblemError(NOT_READY, "no model is loaded", headers=_RETRY)
    return bundle


async def _loaded(state: State) -> Bundle:
    return loaded_bundle(state)


Loaded = Annotated[Bundle, Depends(_loaded)]


def assert_ready(state: ServerState) -> None:
    """Return if requests are welcome.

    Raises:
        ProblemError: 503 if there is no model, or the server is about to stop.
    """
    if state.is_draining:
        raise ProblemError(NOT_READY, "the server is stopping", headers=_RETRY)
    loaded_bundle(state)
