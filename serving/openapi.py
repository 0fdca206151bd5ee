"""The OpenAPI page: bodies that routes read themselves, and problems with their media type."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.access import OPEN_PATHS
from serving.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{model}"
_MEANINGS = {
    400: "The body is not JSON",
    401: "No key",
    403: "The key is wrong or may not do this, or reload is off",
    408: "The body did not arrive in time",
    409: "Another reload is under way",
    413: "The body or the batch is too large",
    415: "The body is not plain JSON",
    422: "Not valid; `errors` names the fields",
    429: "The key's rate is used up; Retry-After says for how long",
    500: "A defect of the server",
    503: "No model is loaded, or the server is busy or stopping",
}
NEEDS_KEY: dict[str, Any] = {"security": [{"key": []}]}
_MAY_NEED_KEY: list[dict[str, Any]] = [{"key": []}, {}]
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "Where keys are asked for: scope `score` for predictions, `admin` for reload.",
}


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer, for its `responses`."""
    schema = {"$ref": _REFERENCE.format(model=Problem.__name__)}
    return {
        status: {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def json_body_of(model: type[BaseModel], *, many: bool = False) -> dict[str, Any]:
    """Return the body of a route that reads it itself, for its `openapi_extra`."""
    one: dict[str, Any] = {"$ref": _REFERENCE.format(model=model.__name__)}
    schema = {"type": "array", "items": one} if many else one
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install_openapi(app: FastAPI, *bodies: type[BaseModel]) -> None:
    """Make the app's page complete: the schemas of bodies and problems, and the key."""

    def page() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _, schemas = models_json_schema(
                [*((body, "validation") for body in bodies), (Problem, "serialization")],
                ref_template=_REFERENCE,
            )
            components = app.openapi_schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(schemas["$defs"])
            components["securitySchemes"] = {"key": _KEY}
            for path, operations in app.openapi_schema["paths"].items():
                if path not in OPEN_PATHS:
                    for operation in operations.values():
                        operation.setdefault("security", _MAY_NEED_KEY)
        return app.openapi_schema

    app.openapi = page  # type: ignore[method-assign]
