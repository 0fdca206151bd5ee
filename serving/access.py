"""Who may ask what, and how often: decided before a byte of the body is read."""

import math

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.admission import PREDICTIONS
from serving.keys import Key
from serving.notes import notes_of_request
from serving.problems import (
    NO_KEY,
    OUT_OF_SCOPE,
    RELOAD_OFF,
    TOO_MANY,
    WRONG_KEY,
    ProblemError,
    respond,
)
from serving.rates import Tab
from serving.state import ServerState

RELOAD = "/v1/model:reload"
# What a load balancer and a code generator ask; it tells nothing of leads or the model.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/openapi.json"})
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_EVERYONE = "everyone"
# Seconds of its rate that a key may use at once.
_BURST_SECONDS = 10.0


class Access:
    """ASGI middleware: keys with their scopes and rates; a refusal is a 401, 403 or 429 problem.

    Args:
        app: What to call.
        state: Its keys, rates and settings.
    """

    def __init__(self, app: ASGIApp, *, state: ServerState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, if the request may be made."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_prediction = path.startswith(PREDICTIONS)
        try:
            key = self._key(scope, path, is_prediction=is_prediction)
            notes = notes_of_request()
            notes.key = key.name if key else None
            tab = self._admitted(key) if is_prediction else None
        except ProblemError as error:
            await respond(error.problem, error.headers)(scope, receive, send)
            return
        # Who answers for long charges what it has answered meanwhile.
        scope.setdefault("state", {})["tab"] = tab
        try:
            await self._app(scope, receive, send)
        finally:
            if tab:
                tab.charge(notes.n_leads)

    def _key(self, scope: Scope, path: str, *, is_prediction: bool) -> Key | None:
        keyring = self._state.keyring
        if path != RELOAD and (path in OPEN_PATHS or not keyring.is_required):
            return None
        if path == RELOAD and not keyring.has("admin"):
            detail = "no key of the server may (INTENTCAST_KEYS, INTENTCAST_ADMIN_KEY)"
            raise ProblemError(RELOAD_OFF, detail)
        key = keyring.find(_given(scope))
        if key is None:
            raise ProblemError(WRONG_KEY, "this key is not known")
        needed = "admin" if path == RELOAD else "score" if is_prediction else None
        if needed and needed not in key.scopes:
            raise ProblemError(OUT_OF_SCOPE, f"this key lacks the scope '{needed}'")
        return key

    def _admitted(self, key: Key | None) -> Tab | None:
        rate = (key.leads_per_second if key else None) or self._state.settings.leads_per_second
        if rate is None:
            return None
        burst = (key.burst if key else None) or max(1.0, rate * _BURST_SECONDS)
        tab = Tab(self._state.rates, key.name if key else _EVERYONE, rate=rate, burst=burst)
        seconds = tab.admit()
        if seconds > 0:
            headers = {"Retry-After": str(math.ceil(seconds))}
            raise ProblemError(TOO_MANY, f"at most {rate:g} leads per second", headers=headers)
        return tab


def _given(scope: Scope) -> bytes:
    """Return the key of a request.

    Raises:
        ProblemError: 401 if there is none.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, key = (given[0] if len(given) == 1 else b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        detail = "send a key as 'Authorization: Bearer …'"
        raise ProblemError(NO_KEY, detail, headers=_CHALLENGE)
    return bytes(key.strip())
