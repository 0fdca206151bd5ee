"""How much is done at once: beyond that, an answer now that it is too much, not a late one."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import OVERLOADED, ProblemError, respond

_PREDICTIONS = "/v1/predictions"
# Short: what is being done takes milliseconds, a batch seconds.
_RETRY = {"Retry-After": "1"}


@dataclass
class Load:
    """What is under way; only the event loop's thread touches it.

    Attributes:
        most: Predictions at once.
        most_bytes: Of bodies held at once.
        n: Predictions now.
        n_bytes: Of bodies now.
    """

    most: int
    most_bytes: int
    n: int = 0
    n_bytes: int = 0

    def hold(self, n: int) -> None:
        """Count bytes of a body that has arrived.

        Raises:
            ProblemError: 503 if they are more than may be held.
        """
        if self.n_bytes + n > self.most_bytes:
            detail = "the requests under way are too large together"
            raise ProblemError(OVERLOADED, detail, headers={**_RETRY, "Connection": "close"})
        self.n_bytes += n


class Admission:
    """ASGI middleware: a prediction beyond what may be under way at once is a 503 problem.

    Args:
        app: What to call.
        load: What is under way.
    """

    def __init__(self, app: ASGIApp, *, load: Load) -> None:
        self._app, self._load = app, load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, if there is room."""
        if scope["type"] != "http" or not scope["path"].startswith(_PREDICTIONS):
            await self._app(scope, receive, send)
            return
        load = self._load
        if load.n >= load.most:
            detail = f"{load.most} predictions are under way"
            error = ProblemError(OVERLOADED, detail, headers=_RETRY)
            await respond(error.problem, error.headers)(scope, receive, send)
            return
        load.n += 1
        try:
            await self._app(scope, receive, send)
        finally:
            load.n -= 1
