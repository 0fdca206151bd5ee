"""HTTP in, HTTP out: puts the parts of the server together."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TextIO

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from serving import operations, predictions
from serving.limits import BodyCap
from serving.logs import RequestLog, json_logger
from serving.metrics import Metrics
from serving.models import BundleRefusedError, ServedModel
from serving.openapi import install_openapi
from serving.problems import install_handlers
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
    """
    state = ServerState(
        settings=settings,
        model=ServedModel(settings.bundle, policy=settings.policy),
        metrics=Metrics(),
        log=json_logger(log_to or sys.stderr),
        now=now,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # A refused bundle is logged; the process stays, not ready, so that a reload can help.
        with suppress(BundleRefusedError):
            await run_in_threadpool(operations.load, state)
        yield
        state.is_draining = True

    app = FastAPI(
        title="intentcast",
        version=version("intentcast"),
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.server = state
    app.include_router(predictions.router)
    app.include_router(operations.router)
    install_handlers(app)
    install_openapi(app, PredictionRequest)
    # The last one added is the outermost.
    app.add_middleware(
        BodyCap,
        largest=settings.max_body_bytes,
        by_path={predictions.BATCH: settings.max_batch_bytes},
    )
    app.add_middleware(RequestLog, state=state)
    return app
