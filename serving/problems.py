"""Errors as RFC 9457 problems. They say what is wrong and where, and never repeat the input."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One wrong field of a request."""

    field: str = Field(description="Path of the field, such as events.0.value")
    reason: str


class Problem(BaseModel):
    """A problem as RFC 9457 has it; `errors` names the wrong fields."""

    type: str = Field(description="What kind of problem; about:blank where the status says it all")
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(default=None, exclude_if=lambda value: value is None)
    request_id: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Names the request in the server's log",
    )


class Kind(NamedTuple):
    """A kind of problem: the same status and title each time."""

    status: int
    name: str
    title: str


MALFORMED = Kind(400, "malformed-body", "The body is not JSON")
NO_KEY = Kind(401, "no-key", "A key is needed")
WRONG_KEY = Kind(403, "wrong-key", "The key is not valid")
OUT_OF_SCOPE = Kind(403, "out-of-scope", "The key may not do this")
RELOAD_OFF = Kind(403, "reload-off", "Reload is switched off")
SLOW_HEAD = Kind(408, "slow-head", "The request did not arrive in time")
SLOW_BODY = Kind(408, "slow-body", "The body did not arrive in time")
RELOAD_BUSY = Kind(409, "reload-busy", "A reload is under way")
TOO_LARGE = Kind(413, "too-large", "The request is too large")
UNSUPPORTED = Kind(415, "unsupported-media-type", "The body is of another type")
INVALID = Kind(422, "invalid-request", "The request is not valid")
BUNDLE_REFUSED = Kind(422, "bundle-refused", "The bundle cannot be served")
TOO_MANY = Kind(429, "too-many-requests", "The key's rate is used up")
UNEXPECTED = Kind(500, "unexpected", "The server failed")
NOT_READY = Kind(503, "not-ready", "The server is not ready")
CROWDED = Kind(503, "crowded", "Too many connections")
OVERLOADED = Kind(503, "overloaded", "The server is busy")


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        kind: What kind.
        detail: This time; never holds input.
        errors: The wrong fields.
        headers: Of the response.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.name)
        self.problem = Problem(
            type=f"urn:intentcast:problem:{kind.name}",
            title=kind.title,
            status=kind.status,
            detail=detail,
            errors=errors,
        )
        self.headers = headers


def unexpected(request_id: str) -> Problem:
    """Return the problem of a defect: nothing of it but where to look it up."""
    error = ProblemError(UNEXPECTED, "an unexpected error; the log has it under the request id")
    return error.problem.model_copy(update={"request_id": request_id})


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def install_handlers(app: FastAPI) -> None:
    """Make every error of the framework, and `ProblemError`, a problem."""
    app.add_exception_handler(ProblemError, _from_problem)
    app.add_exception_handler(HTTPException, _from_http)
    app.add_exception_handler(RequestValidationError, _from_framework)
    app.add_exception_handler(ClientDisconnect, _from_disconnect)


def _from_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return respond(error.problem, error.headers)


def _from_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    detail = {404: "no such path", 405: "this path has other methods"}.get(error.status_code, title)
    plain = Problem(type="about:blank", title=title, status=error.status_code, detail=detail)
    return respond(plain, error.headers)


def _from_framework(_request: Request, _error: Exception) -> Response:
    return respond(ProblemError(INVALID, "the request is not valid").problem)


def _from_disconnect(_request: Request, _error: Exception) -> Response:
    return respond(ProblemError(MALFORMED, "the body ended early").problem)
