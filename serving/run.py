"""Runs the server in this process until it is told to stop."""

import time
from types import FrameType

import uvicorn

from intentcast.errors import InputError
from serving.app import create_app
from serving.logs import uvicorn_logging
from serving.settings import Settings
from serving.state import ServerState


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted and return.

    Raises:
        InputError: If the address cannot be listened on.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=uvicorn_logging(),
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    try:
        DrainingServer(config, app.state.server).run()
    except SystemExit:
        # uvicorn has logged why and wants to end the process; here the caller decides.
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on",
            expected="an address of this machine and a free port",
            next_step="choose another host or port",
        ) from None


class DrainingServer(uvicorn.Server):
    """Says that it is not ready for a while before it stops accepting.

    Whoever balances load sees 503 on `/readyz` and sends requests elsewhere, while those under way,
    and those that come all the same, are still answered.

    Args:
        config: Uvicorn's.
        state: Of the app.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self._state = state
        self._stop_at = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain; at the second signal, stop at once.

        The signal is not passed on once the server has ended, as uvicorn would: a server that was
        told to stop and did has not failed.
        """
        del sig, frame
        if self._state.is_draining or not self.started:
            self.should_exit = True
        self._state.is_draining = True
        self._stop_at = min(self._stop_at, time.monotonic() + self._state.settings.drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop: uvicorn asks ten times a second."""
        return await super().on_tick(counter) or time.monotonic() >= self._stop_at
