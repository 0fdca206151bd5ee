"""Asks a server for predictions: typed answers, one connection kept open, time-outs, retries.

    with Client("http://127.0.0.1:8080", key="ic_…") as client:
        answer = client.predict({"lead": {"lead_id": "L1", "created_at": "2026-05-02T09:00:00Z"}})
        print(answer.tier, answer.probability(30))

Scoring a lead changes nothing, so a request that got no answer, or 429 or 503, is sent again: after
a pause that doubles, on top of what `Retry-After` says, and never beyond `patience` seconds in all.
Any other status is an error at once. It uses the standard library alone.
"""

import contextlib
import http.client
import json
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from intentcast.errors import InputError, IntentcastError

_AGAIN = frozenset({429, 503})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_KEY_NEEDED = frozenset({401, 403})


class RequestRefusedError(InputError):
    """The server says that the request is wrong.

    Attributes:
        status: HTTP status.
        kind: Of the problem, such as `invalid-request`.
        wrong_fields: Reasons by field, if fields are wrong.
        request_id: Names the request in the server's log.
    """

    def __init__(self, problem: Mapping[str, Any], status: int, request_id: str | None) -> None:
        self.status, self.request_id = status, request_id
        self.kind = str(problem.get("type", "about:blank")).rpartition(":")[2]
        self.wrong_fields = {
            str(wrong.get("field")): str(wrong.get("reason"))
            for wrong in problem.get("errors") or ()
        }
        named = ", ".join(f"{name} {reason}" for name, reason in self.wrong_fields.items())
        detail = str(problem.get("detail", "no detail"))
        super().__init__(
            f"{status} {self.kind}: {named or detail}",
            expected="a request as /openapi.json describes it",
            next_step="correct it; the server's log has it under its request id",
        )


class NotAllowedError(RequestRefusedError):
    """The key is missing, wrong or lacks the scope."""


class UnavailableError(IntentcastError):
    """No answer within the client's patience, or a defect of the server.

    Attributes:
        status: HTTP status of the last answer, or None if there was none.
        request_id: Names the request in the server's log, if there was an answer.
    """

    def __init__(self, what: str, status: int | None = None, request_id: str | None = None) -> None:
        self.status, self.request_id = status, request_id
        super().__init__(
            what,
            expected="an answer of the server",
            next_step="see whether it is up and ready (/readyz), or allow more patience",
        )


@dataclass(frozen=True)
class HorizonProbability:
    """The probability of converting within a horizon, with its 95 % interval."""

    horizon_days: int
    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Reason:
    """One reason in words, and how much it moves the log-odds."""

    text: str
    direction: str
    contribution: float


@dataclass(frozen=True)
class ModelName:
    """The model that made an answer."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Prediction:
    """What the server says of one lead.

    Attributes:
        lead_id: As it was sent.
        as_of: UTC instant.
        probabilities: One per horizon.
        tier: Of the tier policy.
        stage: Of the buying process.
        is_ready: Whether the lead is to be handed to sales.
        reasons: Strongest first; empty without `explain`.
        warnings: What makes this answer weaker than it looks.
        model: That made it.
        raw: The whole answer, with the criteria, the packet and the points ledger.
    """

    lead_id: str
    as_of: datetime
    probabilities: tuple[HorizonProbability, ...]
    tier: str
    stage: str
    is_ready: bool
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]
    model: ModelName
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    def probability(self, horizon_days: int) -> float:
        """Return the probability of a horizon.

        Raises:
            InputError: If the model does not answer it.
        """
        told = {row.horizon_days: row.probability for row in self.probabilities}
        if horizon_days not in told:
            raise InputError(
                f"no probability for {horizon_days} days",
                expected=f"one of {', '.join(map(str, told))}",
                next_step="ask for another horizon",
            )
        return told[horizon_days]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Prediction":
        """Read an answer; fields that a newer server adds are in `raw`."""
        horizons = raw["probabilities"]
        return cls(
            lead_id=raw["lead_id"],
            as_of=datetime.fromisoformat(raw["as_of"]),
            probabilities=tuple(
                HorizonProbability(h["horizon_days"], h["probability"], h["low"], h["high"])
                for h in horizons
            ),
            tier=raw["tier"],
            stage=raw["stage"],
            is_ready=raw["handoff"]["ready"],
            reasons=tuple(
                Reason(r["text"], r["direction"], r["contribution"]) for r in raw["reasons"]
            ),
            warnings=tuple(raw["warnings"]),
            model=ModelName(**{name: raw["model"][name] for name in ("name", "version", "sha256")}),
            raw=raw,
        )


class Client:
    """A connection to one server; one thread at a time.

    Args:
        address: Such as `http://127.0.0.1:8080`.
        key: Sent as a bearer token; never shown.
        timeout: Seconds to connect, and to wait for each part of an answer.
        patience: Seconds after which nothing is tried again.
        sleep: Waits; for tests.

    Raises:
        InputError: If the address is not one of HTTP.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        scheme, host, port, self._base = _parts(address)
        if scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience, self._sleep = patience, sleep

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def predict(self, request: Mapping[str, Any]) -> Prediction:
        """Return what the server says of a lead.

        Args:
            request: Body of `POST /v1/predictions`.

        Raises:
            RequestRefusedError: If the request is wrong; `NotAllowedError` if the key is.
            UnavailableError: If there is no answer within the client's patience.
        """
        return _prediction(*self._ask("POST", "/v1/predictions", request))

    def predict_batch(
        self, requests: Sequence[Mapping[str, Any]]
    ) -> list[Prediction | RequestRefusedError | UnavailableError]:
        """Return one prediction per request in their order; for a bad one the error, not raised.

        What the server failed at is an `UnavailableError` in its place.

        Raises:
            RequestRefusedError: If the batch is too large; `NotAllowedError` if the key is wrong.
            UnavailableError: If there is no answer within the client's patience.
        """
        items, request_id = self._ask("POST", "/v1/predictions:batch", list(requests))
        if not isinstance(items, list) or len(items) != len(requests):
            raise _unreadable(request_id)
        return [_item(item, request_id) for item in items]

    def model(self) -> Mapping[str, Any]:
        """Return what is being served, as `GET /v1/model` describes it."""
        return self._described("GET", "/v1/model")

    def reload(self) -> Mapping[str, Any]:
        """Have the server load its bundle again; needs a key of scope `admin`."""
        return self._described("POST", "/v1/model:reload")

    def is_ready(self) -> bool:
        """Return whether requests are welcome; asks once."""
        try:
            status, _, _ = self._once("GET", "/readyz", None)
        except (OSError, http.client.HTTPException):
            self.close()
            return False
        return status == http.HTTPStatus.OK

    def _described(self, method: str, path: str) -> Mapping[str, Any]:
        found, request_id = self._ask(method, path)
        if not isinstance(found, dict):
            raise _unreadable(request_id)
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[Any, str | None]:
        """Return an answer and the id that it has in the server's log."""
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        give_up = time.monotonic() + self._patience
        pause, last = _FIRST_PAUSE, "no answer"
        while True:
            wait, status, request_id = 0.0, None, None
            try:
                status, headers, answer = self._once(method, path, content)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                last = f"no answer ({type(error).__name__})"
            else:
                request_id = headers.get("x-request-id")
                if status < http.HTTPStatus.BAD_REQUEST:
                    return _content(answer, status, request_id), request_id
                problem = _problem(answer)
                if status not in _AGAIN:
                    raise _error(problem, status, request_id)
                wait = _seconds(headers.get("retry-after")) or 0.0
                last = f"{status}: {problem.get('detail', 'no detail')}"
            # Not in step with others that were refused at the same moment, and never at once.
            wait += pause * random.uniform(0.5, 1.0)
            if time.monotonic() + wait > give_up:
                raise UnavailableError(last, status, request_id)
            self._sleep(wait)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _once(
        self, method: str, path: str, content: bytes | None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = dict(self._headers)
        if content is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, self._base + path, content, headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


def _parts(address: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path of an address."""
    with contextlib.suppress(ValueError):  # a port or an IPv6 address that is none
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/")
    raise InputError(
        f"the address {address!r}",
        expected="one such as http://127.0.0.1:8080",
        next_step="correct it",
    )


def _content(answer: bytes, status: int, request_id: str | None) -> Any:
    if status == http.HTTPStatus.OK:
        with contextlib.suppress(ValueError):
            return json.loads(answer)
    raise _unreadable(request_id, status)


def _unreadable(request_id: str | None, status: int = http.HTTPStatus.OK) -> UnavailableError:
    """Return the error of what something in front of a server, or another one, may have sent."""
    return UnavailableError(f"{int(status)}: not what the server answers", int(status), request_id)


def _prediction(raw: Any, request_id: str | None) -> Prediction:
    try:
        return Prediction.from_json(raw)
    except (KeyError, TypeError, ValueError):
        raise _unreadable(request_id) from None


def _item(raw: Any, request_id: str | None) -> Prediction | RequestRefusedError | UnavailableError:
    problem = raw.get("error") if isinstance(raw, dict) else None
    if problem is None:
        return _prediction(raw, request_id)
    if not isinstance(problem, dict) or not isinstance(problem.get("status"), int):
        raise _unreadable(request_id)
    return _error(problem, problem["status"], problem.get("request_id") or request_id)


def _problem(answer: bytes) -> Mapping[str, Any]:
    """Return the problem that an answer holds; what stands in front of a server may send others."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(
    problem: Mapping[str, Any], status: int, request_id: str | None
) -> RequestRefusedError | UnavailableError:
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        what = f"{status}: {problem.get('detail', 'no detail')}"
        return UnavailableError(what, status, request_id)
    kind = NotAllowedError if status in _KEY_NEEDED else RequestRefusedError
    return kind(problem, status, request_id)


def _seconds(told: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number or a date; None if it is neither."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return float(told[:9])
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, IndexError, TypeError):
        return None
    return max(0.0, moment.astimezone(UTC).timestamp() - time.time())
