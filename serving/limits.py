"""A cap on request bodies, counted as they arrive: what a header claims decides nothing alone."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import SLOW_BODY, TOO_LARGE, UNSUPPORTED, ProblemError
from serving.state import State

_CLOSE = {"Connection": "close"}
_JSON = "application/json"
_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"')


class BodyCap:
    """ASGI middleware: reading a body beyond its path's cap raises a 413 problem.

    Args:
        app: What to call.
        largest: Bytes for every path that is not in `by_path`.
        by_path: Bytes for some paths.
    """

    def __init__(self, app: ASGIApp, *, largest: int, by_path: Mapping[str, int]) -> None:
        self._app, self._largest, self._by_path = app, largest, by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with a receive that counts."""
        if scope["type"] != "http":
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
                arrived += len(message.get("body", b""))
                if arrived > most:
                    raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _too_large(most: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"the body may have at most {most:,} bytes", headers=_CLOSE)


async def _json_body(request: Request, state: State) -> bytes:
    """Return the body of a request that says that it is JSON.

    Raises:
        ProblemError: 415 if it is anything else or compressed, 413 if too large, 408 if too slow.
    """
    kind, _, parameter = request.headers.get("content-type", "").partition(";")
    is_json = kind.strip().lower() == _JSON and parameter.strip().lower() in _CHARSETS
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if not is_json or encoding != "identity":
        raise ProblemError(
            UNSUPPORTED, f"send {_JSON} in UTF-8 without Content-Encoding", headers=_CLOSE
        )
    try:
        async with asyncio.timeout(state.settings.body_seconds):
            return await request.body()
    except TimeoutError:
        most = state.settings.body_seconds
        raise ProblemError(
            SLOW_BODY, f"the body must arrive within {most:g} seconds", headers=_CLOSE
        ) from None


JsonBody = Annotated[bytes, Depends(_json_body)]
