"""Running the server: is it alive, is it ready, what does it serve, and serve another."""

from typing import Any

from fastapi import APIRouter, Response

from intentcast.bundle import Bundle
from serving.access import RELOAD
from serving.answers import HorizonModelOut, ModelOut, Status, TiersOut
from serving.loading import load
from serving.metrics import CONTENT_TYPE
from serving.models import BundleRefusedError, ReloadUnderWayError
from serving.openapi import NEEDS_KEY, problems_of
from serving.problems import BUNDLE_REFUSED, RELOAD_BUSY, ProblemError
from serving.state import Loaded, State, assert_ready

router = APIRouter()


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
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems_of(401, 403),
    },
)
def metrics(state: State) -> Response:
    """Return counters as Prometheus reads them."""
    return Response(state.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


@router.get(
    "/v1/model",
    operation_id="model",
    tags=["model"],
    summary="The model being served",
    responses=problems_of(401, 403, 503),
)
async def model(bundle: Loaded) -> ModelOut:
    """Return what is being served."""
    return _described(bundle)


@router.post(
    RELOAD,
    operation_id="reload_model",
    tags=["model"],
    summary="Load the bundle folder again",
    responses=problems_of(401, 403, 409, 422),
    openapi_extra=NEEDS_KEY,
)
def reload_model(state: State) -> ModelOut:
    """Serve what is there to be served now; if it cannot be, the old model goes on."""
    try:
        bundle = load(state)
    except ReloadUnderWayError:
        raise ProblemError(RELOAD_BUSY, "another reload has not ended yet") from None
    except BundleRefusedError as error:
        raise ProblemError(BUNDLE_REFUSED, str(error)) from None
    return _described(bundle)


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
