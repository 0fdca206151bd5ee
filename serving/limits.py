"""A cap on request bodies, counted as they arrive: what a header claims decides nothing alone."""

import asyncio
from collections.abc import Mapping

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import Load
from serving.problems import SLOW_BODY, TOO_LARGE, UNSUPPORTED, ProblemError
from serving.state import ServerState

_CLOSE = {"Connection": "close"}
_JSON = "application/json"
_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"')


class BodyCap:
    """ASGI middleware: reading a body beyond its path's cap raises a 413 problem.

    Args:
        app: What to call.
        largest: Bytes for every path that is not in `by_path`.
        by_path: Bytes for some paths.
        load: Where bytes count that are held until the answer.
        streamed: Paths whose bodies are never held whole; they cap what they hold themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        largest: int,
        by_path: Mapping[str, int],
        load: Load,
        streamed: frozenset[str] = frozenset(),
    ) -> None:
        self._streamed = streamed
        self._app, self._largest, self._by_path, self._load = app, largest, by_path, load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with a receive that counts."""
        if scope["type"] != "http" or scope["path"] in self._streamed:
            await self._app(scope, receive, send)
            return
        most = self._by_path.get(scope["path"], self._largest)
        claimed = _content_length(scope)
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            # Before the first byte: an honest header spares both sides the rest.
            if claimed > most:
                raise _too_large(most)
            message = await receive()
            if message["type"] == "http.request":
                n = len(message.get("body", b""))
                if arrived + n > most:
                    raise _too_large(most)
                try:
                    self._load.hold(n)
                except ProblemError:
                    # Let go of at once, so that one that is refused takes no other with it.
                    self._load.n_bytes -= arrived
                    arrived = 0
                    raise
                arrived += n
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._load.n_bytes -= arrived


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _too_large(most: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"the body may have at most {most:,} bytes", headers=_CLOSE)


def body_type(request: Request, expected: str) -> None:
    """Return if a request says that its body is of a type, in UTF-8 and not compressed.

    Raises:
        ProblemError: 415 if it is anything else.
    """
    kind, _, parameter = request.headers.get("content-type", "").partition(";")
    is_right = kind.strip().lower() == expected and parameter.strip().lower() in _CHARSETS
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if not is_right or encoding != "identity":
        raise ProblemError(
            UNSUPPORTED, f"send {expected} in UTF-8 without Content-Encoding", headers=_CLOSE
        )


async def json_body(request: Request, state: ServerState) -> bytes:
    """Return the body of a request that says that it is JSON.

    Raises:
        ProblemError: 415 if it is anything else or compressed, 413 if too large, 408 if too slow.
    """
    body_type(request, _JSON)
    try:
        async with asyncio.timeout(state.settings.body_seconds):
            return await request.body()
    except TimeoutError:
        most = state.settings.body_seconds
        raise ProblemError(
            SLOW_BODY, f"the body must arrive within {most:g} seconds", headers=_CLOSE
        ) from None
