"""What the server answers, typed, so that the OpenAPI page is right."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from intentcast.stages import Stage
from intentcast.tiers import Tier
from serving.problems import Problem


class HorizonProbability(BaseModel):
    """The calibrated probability of converting within a horizon, with its 95 % interval."""

    horizon_days: int
    probability: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class CriterionOut(BaseModel):
    """One hand-over criterion."""

    name: str
    met: bool
    detail: str


class HandoffOut(BaseModel):
    """Whether the lead is ready for sales: all criteria met."""

    ready: bool
    criteria: list[CriterionOut]


class ReasonOut(BaseModel):
    """One reason in words, and how much it moves the log-odds."""

    text: str
    direction: Literal["raises", "lowers"]
    contribution: float


class LedgerLineOut(BaseModel):
    """One line of the points table's account of the lead."""

    item: str
    points: float


class RulesOut(BaseModel):
    """What the points table says beside the model; the ledger adds up to the score."""

    scorecard: str
    score: float
    tier: str
    ledger: list[LedgerLineOut]


class ModelName(BaseModel):
    """The model that made an answer."""

    name: str
    version: str
    sha256: str


class PredictionAnswer(BaseModel):
    """Everything that is said of one lead at one as-of time."""

    lead_id: str
    as_of: datetime
    probabilities: list[HorizonProbability]
    tier: Tier
    stage: Stage
    step: str = Field(description="Of the learner: which was good enough at this much data")
    handoff: HandoffOut
    reasons: list[ReasonOut]
    rules: RulesOut | None
    model: ModelName
    warnings: list[str] = Field(description="What makes this answer weaker than it looks")


class ItemError(BaseModel):
    """Stands in a batch's answer where an item could not be scored."""

    error: Problem


class HorizonModelOut(BaseModel):
    """Which step of the learner answers a horizon."""

    horizon_days: int
    step: str


class TiersOut(BaseModel):
    """Where the tiers begin, on the probability of one horizon."""

    horizon_days: int
    hot: float
    warm: float
    handoffs_per_week: int
    n_leads: int
    n_weeks: float


class ModelOut(BaseModel):
    """The model that is being served."""

    name: str
    version: str
    sha256: str
    created: str
    data_cutoff: str = Field(description="Nothing known from then on was learnt from")
    primary_horizon_days: int
    horizons: list[HorizonModelOut]
    tiers: TiersOut
    n_features: int
    scorecard: str | None


class Status(BaseModel):
    """Alive, or ready."""

    status: Literal["alive", "ready"]
