"""JSON log lines: which request, whose key, how it ended; no bodies, and a lead's id as a hash."""

import logging
import re
import time
import traceback
import uuid
from pathlib import Path
from typing import Any, TextIO

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger, Processor

from serving.notes import Notes, start_notes
from serving.problems import respond, unexpected
from serving.state import ServerState

_LONGEST_PATH = 100
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_HEADER = "x-request-id"
# Answers are data for programs: nothing in them is to be run, framed, guessed at or stored.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_CLOSE = (b"connection", b"close")


def _processors() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def json_logger(stream: TextIO) -> FilteringBoundLogger:
    """Return a logger that writes one JSON object per line."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[*_processors(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    ).bind()  # once: the proxy would be bound anew for each line
    return logger


def uvicorn_logging() -> dict[str, Any]:
    """Return a logging configuration under which uvicorn writes such lines too."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
                "foreign_pre_chain": _processors(),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {"uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
    }


def failure(error: BaseException) -> dict[str, Any]:
    """Return what may be logged of an exception: its message could repeat input, so not that."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "where": where}


class RequestLog:
    """ASGI middleware: names, counts, times and logs each request; a defect becomes a bare 500.

    Args:
        app: What to call.
        state: Its metrics and log.
    """

    def __init__(self, app: ASGIApp, *, state: ServerState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app and log how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        notes = start_notes(request_id)
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                name = (_HEADER.encode(), request_id.encode())
                headers = [*message["headers"], *SECURITY_HEADERS, name]
                if self._state.is_draining and _CLOSE not in headers:
                    # The next request then goes to a server that stays.
                    headers.append(_CLOSE)
                message = {**message, "headers": headers}
            await send(message)

        about: dict[str, Any] = {}
        try:
            await self._app(scope, receive, named)
        except Exception as error:
            about = failure(error)
            if status == 0:
                await respond(unexpected(request_id))(scope, receive, named)
        finally:
            self._record(scope, notes, status, time.perf_counter() - started, about)

    def _record(
        self, scope: Scope, notes: Notes, status: int, seconds: float, about: dict[str, Any]
    ) -> None:
        route = getattr(scope.get("route"), "path", None)
        self._state.metrics.requests.labels(route or "none", status).inc()
        self._state.metrics.seconds.labels(route or "none").observe(seconds)
        told = {
            name: value
            for name, value in (
                ("key", notes.key),
                ("leads", notes.n_leads),
                ("lead", notes.lead_id),
            )
            if value
        }
        write = self._state.log.error if about or status == 0 else self._state.log.info
        write(
            "request",
            request_id=notes.request_id,
            method=scope["method"][:16],
            path=route or scope["path"][:_LONGEST_PATH],
            status=status,
            milliseconds=round(seconds * 1000, 2),
            **told,
            **about,
        )


def _request_id(scope: Scope) -> str:
    """Return the sender's id if it is a plain one, so that logs can be joined; else a new one."""
    for name, value in scope["headers"]:
        if name == _HEADER.encode():
            given = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                return str(given)
    return uuid.uuid4().hex
