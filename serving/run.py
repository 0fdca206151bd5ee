"""Runs the server in this process until it is told to stop."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from intentcast.errors import InputError
from serving.app import create_app
from serving.connection import protocol_of
from serving.logs import uvicorn_logging
from serving.settings import Settings, refuse_open
from serving.state import ServerState

_LINGER_SECONDS = 0.3


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted and return.

    Raises:
        InputError: If the address cannot be listened on, or may not be without keys; or if the
            keys cannot be read.
    """
    refuse_open(settings)
    if settings.workers > 1:
        from serving.workers import run_workers

        run_workers(settings)
        return
    with listening(settings) as listener:
        serve(settings, listener)


def serve(settings: Settings, listener: socket.socket, *, parent: int | None = None) -> None:
    """Answer what comes to a socket, until told to stop.

    Args:
        settings: Of the server.
        listener: Bound to its address.
        parent: Process whose end is an order to stop.

    Raises:
        InputError: If the keys cannot be read.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_of(settings, _teller(app.state.server)),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=uvicorn_logging(),
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    DrainingServer(config, app.state.server, parent=parent).run(sockets=[listener])


def _teller(state: ServerState) -> Callable[[int], None]:
    """Return what counts and logs connections that ended before there was a request."""

    def tell(status: int) -> None:
        state.metrics.requests.labels("none", status).inc()
        state.log.info("connection", status=status)

    return tell


def listening(settings: Settings) -> socket.socket:
    """Return a socket with the settings' address.

    Raises:
        InputError: If it cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound, not listening: until a model is loaded, connections are refused, not left waiting.
        listener.bind(address)
    except OSError:
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on",
            expected="an address of this machine and a free port",
            next_step="choose another host or port",
        ) from None
    return listener


class DrainingServer(uvicorn.Server):
    """Says that it is not ready for a while before it stops accepting.

    Whoever balances load sees 503 on `/readyz` and sends requests elsewhere, while those under way,
    and those that come all the same, are still answered.

    Args:
        config: Uvicorn's.
        state: Of the app.
        parent: Process whose end is an order to stop.
    """

    def __init__(
        self, config: uvicorn.Config, state: ServerState, *, parent: int | None = None
    ) -> None:
        super().__init__(config)
        self._state, self._parent = state, parent
        self._stop_at = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where: the system may have chosen the port."""
        await super().startup(sockets)
        if sockets and self.started:
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._state.log.info("listening", address=f"http://{shown}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain; at the second signal, stop at once.

        The signal is not passed on once the server has ended, as uvicorn would: a server that was
        told to stop and did has not failed.
        """
        del sig, frame
        self._drain()

    def _drain(self) -> None:
        if self._state.is_draining or not self.started:
            self.should_exit = True
        self._state.is_draining = True
        self._stop_at = min(self._stop_at, time.monotonic() + self._state.settings.drain_seconds)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in who is at the door, close it, and let everybody finish.

        What the system has accepted is a connection to the client; closing the socket at once would
        reset those that no one here has seen yet.
        """
        doors = [door.dup() for door in sockets or []]
        for server in self.servers:
            server.close()
        waiting: list[socket.socket] = []
        for door in doors:
            with door, contextlib.suppress(OSError):
                door.settimeout(0)
                # Until there is nobody, or no room for one more; those who came are served then.
                # No more than the system lets wait. Nobody is answered in between: who is comes
                # back at once, and would keep a door open that closes when nobody is left.
                for _ in range(self.config.backlog):
                    waiting.append(door.accept()[0])
        loop = asyncio.get_running_loop()
        for found in waiting:
            found.settimeout(0)
            await loop.connect_accepted_socket(self._protocol, found)
        # Their requests are on the way; uvicorn closes whatever has not asked yet.
        await asyncio.sleep(_LINGER_SECONDS)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop: uvicorn asks ten times a second."""
        if self._parent is not None and os.getppid() != self._parent:
            self._parent = None
            self._drain()
        return await super().on_tick(counter) or time.monotonic() >= self._stop_at
