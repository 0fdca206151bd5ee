"""Any number of leads in one request: NDJSON in, NDJSON out, while more of it arrives.

Each line is a request of `POST /v1/predictions`, its answer the line in the same place, or
`{"error": …}`. What is held is a block of lines, so memory does not grow with the stream. A sender
has to read while it sends: once answers are not taken, no more lines are. A key with a rate pays
for each block as it is answered, and the next one waits until that is paid.
"""

import asyncio
from typing import Any, Final

from fastapi import Response
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from intentcast.bundle import Bundle
from serving.items import context_of, error_of, read_item, score_items
from serving.notes import notes_of_request
from serving.problems import SLOW_BODY, TOO_LARGE, ProblemError
from serving.rates import Tab
from serving.state import ServerState

NDJSON: Final = "application/x-ndjson"
# Lines and bytes that are scored in one go.
_MOST_LINES: Final = 100
_MOST_BYTES: Final = 1024 * 1024
_TOGETHER_SECONDS: Final = 0.005


class _Lines:
    """Splits what arrives into lines; of one that is too long nothing is kept.

    Args:
        longest: Bytes of a line.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._is_skipping = False
        self.whole: list[bytes | None] = []

    def take(self, chunk: bytes) -> None:
        """Add what arrived; `whole` then holds the lines that have ended, None for too long."""
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            self._add(line)
            self._end()
        self._add(rest)

    def end(self) -> None:
        """End the last line, which needs no line break."""
        self._end()

    def _add(self, part: bytes) -> None:
        self._is_skipping = self._is_skipping or len(self._rest) + len(part) > self._longest
        if self._is_skipping:
            self._rest.clear()
        else:
            self._rest += part

    def _end(self) -> None:
        line = bytes(self._rest)
        if self._is_skipping:
            self.whole.append(None)
        elif line.strip():
            self.whole.append(line)
        self._rest.clear()
        self._is_skipping = False


class AnswerStream(Response):
    """Reads lines from the request and answers them, a block at a time.

    Args:
        state: Of the app.
        bundle: That answers all of it, whatever is loaded meanwhile.
        request_id: For the log.
    """

    media_type = NDJSON

    def __init__(self, state: ServerState, bundle: Bundle, request_id: str) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._state, self._bundle, self._request_id = state, bundle, request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the request ends, its sender is gone, or its lines stop coming."""
        tab: Tab | None = scope["state"].get("tab")
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        lines, is_over = _Lines(self._state.settings.max_body_bytes), False
        try:
            while not is_over:
                is_over = await self._read(lines, receive)
                await self._answer(lines, send, tab)
        except TimeoutError:
            await send({"type": "http.response.body", "body": self._slow(), "more_body": True})
        except ClientDisconnect:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, lines: _Lines, receive: Receive) -> bool:
        """Read some lines, as many as come at once, and return whether they were the last.

        Raises:
            TimeoutError: If no whole line comes in time, however it drips.
            ClientDisconnect: If the sender is gone.
        """
        n_bytes, now = 0, asyncio.get_running_loop().time
        deadline = now() + self._state.settings.body_seconds
        while not lines.whole or (len(lines.whole) < _MOST_LINES and n_bytes < _MOST_BYTES):
            # Whoever sends one line and waits for its answer gets it; a fast sender fills a block.
            until = min(deadline, now() + _TOGETHER_SECONDS) if lines.whole else deadline
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                if lines.whole:
                    return False
                raise
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            n_bytes += len(chunk)
            lines.take(chunk)
            if not message.get("more_body", False):
                lines.end()
                return True
        return False

    async def _answer(self, lines: _Lines, send: Send, tab: Tab | None) -> None:
        most = min(_MOST_LINES, int(tab.burst)) if tab else _MOST_LINES
        while lines.whole:
            while tab and (seconds := tab.debt()):
                await asyncio.sleep(seconds)
            some, lines.whole = lines.whole[:most], lines.whole[most:]
            body = await run_in_threadpool(self._scored, some)
            if tab:
                tab.charge(notes_of_request().n_leads)
            await send({"type": "http.response.body", "body": body, "more_body": True})

    def _scored(self, lines: list[bytes | None]) -> bytes:
        context = context_of(self._state, self._bundle)
        items: list[Any] = []
        for line in lines:
            try:
                if line is None:
                    most = self._state.settings.max_body_bytes
                    raise ProblemError(TOO_LARGE, f"a line may have at most {most:,} bytes")
                items.append(read_item(self._state, line, context, self._request_id))
            except ProblemError as error:
                items.append(error_of(self._state, error, self._request_id))
        score_items(self._state, self._bundle, items, self._request_id)
        return b"".join(to_json(item) + b"\n" for item in items)

    def _slow(self) -> bytes:
        most = self._state.settings.body_seconds
        problem = ProblemError(SLOW_BODY, f"no whole line arrived within {most:g} seconds")
        return to_json(error_of(self._state, problem, self._request_id)) + b"\n"
