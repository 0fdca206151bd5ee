"""Running the server: is it alive, is it ready, what does it serve, and serve another."""

import hashlib
import hmac
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from intentcast.bundle import Bundle
from serving.answers import HorizonModelOut, ModelOut, Status, TiersOut
from serving.metrics import CONTENT_TYPE
from serving.models import BundleRefusedError, ReloadUnderWayError
from serving.openapi import NEEDS_KEY, problems_of
from serving.problems import (
    BUNDLE_REFUSED,
    NO_KEY,
    RELOAD_BUSY,
    RELOAD_OFF,
    WRONG_KEY,
    ProblemError,
)
from serving.state import Loaded, ServerState, State, assert_ready

router = APIRouter()
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@router.get("/livez", operation_id="livez", tags=["operations"], summary="Is the process alive")
async def livez() -> Status:
    """Answer whenever the process can answer at all."""
    return Status(status="alive")


@router.get(
    "/readyz",
    operation_id="readyz",
    tags=["operations"],
    summary="Should requests be sent here",
    responses=problems_of(503),
)
async def readyz(state: State) -> Status:
    """Answer 503 until a model is loaded, and once the server is about to stop."""
    assert_ready(state)
    return Status(status="ready")


@router.get(
    "/metrics",
    operation_id="metrics",
    tags=["operations"],
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(state: State) -> Response:
    """Return counters as Prometheus reads them."""
    return Response(state.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


@router.get(
    "/v1/model",
    operation_id="model",
    tags=["model"],
    summary="The model being served",
    responses=problems_of(503),
)
async def model(bundle: Loaded) -> ModelOut:
    """Return what is being served."""
    return _described(bundle)


async def _with_key(request: Request, state: State) -> None:
    """Return if the request has the admin key.

    Raises:
        ProblemError: 403 if reload is off or the key is wrong, 401 if there is none.
    """
    if state.settings.admin_key is None:
        raise ProblemError(RELOAD_OFF, "no admin key is set on the server (INTENTCAST_ADMIN_KEY)")
    given = request.headers.getlist("authorization")
    scheme, _, key = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        detail = "send the admin key as 'Authorization: Bearer …'"
        raise ProblemError(NO_KEY, detail, headers=_CHALLENGE)
    expected = state.settings.admin_key.get_secret_value().encode()
    # Digests have one length, so that the time taken does not tell the key's.
    same = hmac.compare_digest(
        hashlib.sha256(key.strip().encode("latin-1")).digest(), hashlib.sha256(expected).digest()
    )
    if not same:
        raise ProblemError(WRONG_KEY, "the admin key is another")


@router.post(
    "/v1/model:reload",
    operation_id="reload_model",
    tags=["model"],
    summary="Load the bundle folder again",
    dependencies=[Depends(_with_key)],
    responses=problems_of(401, 403, 409, 422),
    openapi_extra=NEEDS_KEY,
)
def reload_model(state: State) -> ModelOut:
    """Serve what the bundle folder holds now; if it cannot be served, the old model goes on."""
    try:
        bundle = load(state)
    except ReloadUnderWayError:
        raise ProblemError(RELOAD_BUSY, "another reload has not ended yet") from None
    except BundleRefusedError as error:
        raise ProblemError(BUNDLE_REFUSED, str(error)) from None
    return _described(bundle)


def load(state: ServerState) -> Bundle:
    """Load the bundle, log it and count it.

    Raises:
        BundleRefusedError: If it cannot be served.
        ReloadUnderWayError: If another load has not ended.
    """
    try:
        bundle = state.model.reload()
    except BundleRefusedError as error:
        state.metrics.reloads.labels("refused").inc()
        state.log.error("bundle refused", reason=str(error))
        raise
    state.metrics.reloads.labels("loaded").inc()
    state.metrics.show_model(bundle)
    state.log.info("bundle loaded", name=bundle.name, version=bundle.version, sha256=bundle.sha256)
    for warning in state.model.warnings:
        state.log.warning("policy", reason=warning)
    return bundle


def _described(bundle: Bundle) -> ModelOut:
    tiers: dict[str, Any] = bundle.tiers.to_json()
    return ModelOut(
        name=bundle.name,
        version=bundle.version,
        sha256=bundle.sha256,
        created=bundle.created,
        data_cutoff=bundle.data_cutoff,
        primary_horizon_days=bundle.primary_horizon_days,
        horizons=[
            HorizonModelOut(horizon_days=days, step=served.step)
            for days, served in sorted(bundle.models.items())
        ],
        tiers=TiersOut(**{name: tiers[name] for name in TiersOut.model_fields}),
        n_features=len(bundle.featurizer.spec.names),
        scorecard=bundle.scorecard.name if bundle.scorecard else None,
    )
