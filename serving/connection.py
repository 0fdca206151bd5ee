"""One connection: heads that must arrive in time, answers that must be taken, and how many at once.

uvicorn's own protocol waits for ever for the rest of a request's head, and for a client that does
not read; a few thousand of either, and nobody else is served.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.logs import SECURITY_HEADERS
from serving.problems import (
    CROWDED,
    MALFORMED,
    MEDIA_TYPE,
    SLOW_HEAD,
    Kind,
    ProblemError,
)
from serving.settings import Settings


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with deadlines. Subclasses state the settings; see `protocol_of`."""

    settings: Settings
    _deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None

    @staticmethod
    def on_end(status: int, /) -> None:
        """Hear the status of an answer that no request got as far as."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; with too many connections open, refuse."""
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            headers = [(b"retry-after", b"1")]
            self._end(CROWDED, "too many connections are open", headers)
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._deadline = _cancelled(self._deadline)
        self._write_deadline = _cancelled(self._write_deadline)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the deadline of a head is not put off by them."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Start to wait for a client that does not read."""
        super().pause_writing()
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(
                self.settings.write_seconds, self.transport.abort
            )

    def resume_writing(self) -> None:
        """The client reads again."""
        self._write_deadline = _cancelled(self._write_deadline)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Say that this is not HTTP, as every other error is said."""
        self._end(MALFORMED, "this is not HTTP/1.1", [])
        del msg

    def _watch(self) -> None:
        """Set the deadline while a head, or what is left of a body nobody wants, is awaited."""
        is_between = self.cycle is None or self.cycle.response_complete
        waits = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_between and waits and not self.transport.is_closing():
            if self._deadline is None:
                self._deadline = self.loop.call_later(self.settings.head_seconds, self._too_late)
        else:
            self._deadline = _cancelled(self._deadline)

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            most = self.settings.head_seconds
            self._end(SLOW_HEAD, f"the head must arrive within {most:g} seconds", [])
        else:
            # Nothing was asked, or it has been answered.
            self.transport.close()

    def _end(self, kind: Kind, detail: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer with a problem and close; where there is an answer already, close."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = ProblemError(kind, detail).problem.model_dump_json().encode()
        headers = [
            *headers,
            *SECURITY_HEADERS,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        events: list[Any] = [
            h11.Response(status_code=kind.status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        type(self).on_end(kind.status)


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer; return what takes its place: none."""
    if timer is not None:
        timer.cancel()
    return None


def protocol_of(chosen: Settings, tell: Callable[[int], None]) -> type[asyncio.Protocol]:
    """Return the protocol with these settings, as uvicorn wants it: a class.

    Args:
        chosen: Its deadlines and limits.
        tell: Told the status of each answer that no request got as far as.
    """

    class Protocol(GuardedProtocol):
        settings = chosen
        on_end = staticmethod(tell)

    return Protocol
