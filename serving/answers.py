"""What the server answers, typed, so that the OpenAPI page is right."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from intentcast.handoff import Route
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
    needed: bool = Field(description="Whether the lead's way to sales asks for it")
    detail: str


class HandoffOut(BaseModel):
    """Whether the lead is ready for sales: all criteria met that are needed."""

    ready: bool
    route: Route | None = Field(description="Which way it goes to sales, if it is ready")
    criteria: list[CriterionOut]


class KeyEventOut(BaseModel):
    """Something that the lead or a colleague did: the latest time, and how often."""

    occurred_at: datetime
    by: Literal["lead", "colleague"]
    lead_id: str
    event_type: str
    content: str | None
    times: int


class ThemeShareOut(BaseModel):
    """A theme and its share of the lead's recent attention."""

    theme: str
    share: float


class ProblemOut(BaseModel):
    """What the lead seems to be after, inferred from the themes of what it read."""

    text: str
    themes: list[ThemeShareOut]


class PacketOut(BaseModel):
    """What sales is told of a lead that is ready; nothing in it was not in the request."""

    company: str | None
    account_id: str | None
    about: dict[str, str]
    role: str | None
    source: str | None
    problem: ProblemOut
    last_key_action: KeyEventOut | None = Field(description="The lead's own")
    why_now: list[str]
    history: list[KeyEventOut] = Field(description="Key events of the account, latest first")
    contact_within_hours: int
    contact_by: datetime


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
    packet: PacketOut | None = Field(description="Of a lead that is ready, if explained")
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
