"""The server as `intentcast serve` runs it, and beside it endpoints that answer a constant.

    python -P tests/benchmarks/serving_server.py BUNDLE PORT UNTYPED_PATH TYPED_PATH STRICT_PATH

-P since a module beside this one is called as the server's package is.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request
from pydantic import BaseModel

import serving.run
from serving.schemas import PredictionRequest, RequestContext
from serving.settings import Settings

Value = str | float | bool | None


class Event(BaseModel):
    lead_id: str
    occurred_at: datetime
    event_type: str
    content: str | None = None
    channel: str | None = None
    value: float | None = None
    duration_seconds: float | None = None
    is_machine: bool | None = None
    event_id: str | None = None
    recorded_at: datetime | None = None


class Lead(BaseModel):
    lead_id: str
    created_at: datetime
    account_id: str | None = None
    attributes: dict[str, Value] = {}


class Account(BaseModel):
    attributes: dict[str, Value] = {}


class Body(BaseModel):
    lead: Lead
    account: Account | None = None
    events: list[Event] = []
    as_of: datetime | None = None
    explain: bool = True


class Constant(BaseModel):
    probability: float


async def typed(body: Body) -> Constant:  # noqa: ARG001
    return Constant(probability=0.5)


async def strict(request: Request) -> Constant:
    context = RequestContext(datetime.now(UTC), 10_000, 1000, 1000)
    PredictionRequest.model_validate_json(await request.body(), context=context)
    return Constant(probability=0.5)


async def untyped(body: dict) -> dict:  # noqa: ARG001
    return {"probability": 0.5}


def main() -> None:
    """Serve until told to stop."""
    bundle, port, untyped_path, typed_path, strict_path = sys.argv[1:]
    create = serving.run.create_app

    def with_constants(settings: Settings) -> FastAPI:
        app = create(settings)
        app.post(typed_path)(typed)
        app.post(strict_path)(strict)
        app.post(untyped_path)(untyped)
        return app

    serving.run.create_app = with_constants
    serving.run.run(Settings(bundle=Path(bundle), port=int(port), admin_key="benchmark"))


if __name__ == "__main__":
    main()
