"""How much is done at once: beyond that, an answer now that it is too much, not a late one."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import OVERLOADED, ProblemError, respond

# How the paths of predictions begin.
PREDICTIONS = "/v1/predictions"
# Of the places, how many streams may take: they last as long as their senders like.
_SHARE_OF_STREAMS = 4
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
        n_streams: Of the predictions now, those that are streams.
    """

    most: int
    most_bytes: int
    n: int = 0
    n_bytes: int = 0
    n_streams: int = 0

    @property
    def most_streams(self) -> int:
        """Streams at once: a part of the predictions."""
        return max(1, self.most // _SHARE_OF_STREAMS)

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
        streamed: Paths whose requests last as long as their senders like.
    """

    def __init__(self, app: ASGIApp, *, load: Load, streamed: frozenset[str] = frozenset()) -> None:
        self._app, self._load, self._streamed = app, load, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, if there is room."""
        if scope["type"] != "http" or not scope["path"].startswith(PREDICTIONS):
            await self._app(scope, receive, send)
            return
        load, is_stream = self._load, scope["path"] in self._streamed
        is_crowded = is_stream and load.n_streams >= load.most_streams
        if is_crowded or load.n >= load.most:
            what = f"{load.most_streams} streams" if is_crowded else f"{load.most} predictions"
            detail = f"{what} are under way"
            error = ProblemError(OVERLOADED, detail, headers=_RETRY)
            await respond(error.problem, error.headers)(scope, receive, send)
            return
        load.n += 1
        load.n_streams += is_stream
        try:
            await self._app(scope, receive, send)
        finally:
            load.n -= 1
            load.n_streams -= is_stream
