"""HTTP in, HTTP out: puts the parts of the server together."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TextIO

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from serving import operations, predictions
from serving.access import Access
from serving.admission import Admission, Load
from serving.kept import KeptBundles
from serving.keys import read_keys
from serving.limits import BodyCap
from serving.loading import Watcher, load_first
from serving.logs import RequestLog, json_logger
from serving.metrics import Metrics
from serving.models import ServedModel
from serving.observations import log_id_of
from serving.openapi import install_openapi
from serving.places import Place
from serving.problems import install_handlers
from serving.rates import RateLimit
from serving.samples import Samples, SampleSettings
from serving.schemas import PredictionRequest
from serving.settings import Settings
from serving.state import ServerState

_ABOUT = "The calibrated probability that a B2B lead converts within a horizon, with reasons."


def _now() -> datetime:
    return datetime.now(UTC)


def create_app(
    settings: Settings, *, now: Callable[[], datetime] = _now, log_to: TextIO | None = None
) -> FastAPI:
    """Build the app; its lifespan loads the bundle.

    Args:
        settings: Which bundle, and the limits.
        now: The clock.
        log_to: Where log lines go; standard error if None.

    Raises:
        InputError: If the keys cannot be read.
    """
    state = ServerState(
        settings=settings,
        model=ServedModel(Place.of(settings), policy=settings.policy),
        metrics=Metrics(),
        log=json_logger(log_to or sys.stderr),
        now=now,
        keyring=read_keys(settings),
        rates=RateLimit(time.monotonic),
        load=Load(settings.max_waiting, settings.max_waiting_bytes),
        log_id=log_id_of(settings),
        kept=KeptBundles(settings.keep) if settings.keep else None,
    )
    state.samples = _samples(state)
    watcher = Watcher(state)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(load_first, state)
        watcher.start()
        if state.samples:
            state.samples.start()
        yield
        state.is_draining = True
        watcher.stop()
        if state.samples:
            await run_in_threadpool(state.samples.stop)

    app = FastAPI(
        title="intentcast",
        version=version("intentcast"),
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        # As they are: a router that is included is one more look for each request.
        routes=[*predictions.router.routes, *operations.router.routes],
    )
    app.state.server = state
    install_handlers(app)
    install_openapi(app, PredictionRequest)
    # The last one added is the outermost.
    app.add_middleware(
        BodyCap,
        largest=settings.max_body_bytes,
        by_path={predictions.BATCH: settings.max_batch_bytes},
        streamed=frozenset({predictions.STREAM}),
        load=state.load,
    )
    app.add_middleware(Admission, load=state.load, streamed=frozenset({predictions.STREAM}))
    app.add_middleware(Access, state=state)
    app.add_middleware(RequestLog, state=state)
    return app


def _samples(state: ServerState) -> Samples | None:
    chosen = state.settings
    if chosen.sample_to is None:
        return None
    return Samples(
        SampleSettings(
            chosen.sample_to, chosen.sample_share, chosen.sample_days, chosen.sample_max_bytes
        ),
        now=state.now,
        on_drop=state.metrics.samples_dropped.inc,
        on_error=lambda kind: state.log.error("sample", error=kind),
    )
