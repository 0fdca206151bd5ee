"""How behaviour points shrink when a lead falls silent; one class per kind of decay."""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from intentcast.scorecards.points import THOUSANDTHS, to_thousandths

Factor = Annotated[Decimal, Field(ge=0, le=1, decimal_places=3)]
Days = Annotated[int, Field(ge=1, le=3650)]


class NoDecay(BaseModel):
    """Points stay for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none"] = "none"

    @property
    def forgets_after_days(self) -> int | None:
        """Never."""
        return None

    def factor(self, silence: pl.Expr) -> pl.Expr:  # noqa: ARG002
        """Return 1 as thousandths."""
        return pl.lit(THOUSANDTHS, dtype=pl.Int64)


class SilenceStep(BaseModel):
    """From `days` of silence on, behaviour points are multiplied by `factor`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: Days
    factor: Factor


class SilenceDecay(BaseModel):
    """Points shrink in steps while a lead is silent, and are lost after `reset_days`.

    The factor is that of the last step reached, not a product of steps, and applies while the
    silence lasts: a lead that comes back has its points again. Points lost by a reset do not come
    back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["silence"]
    steps: tuple[SilenceStep, ...] = ()
    reset_days: Days | None = None

    @model_validator(mode="after")
    def _steps_fall(self) -> "SilenceDecay":
        for earlier, later in pairwise(self.steps):
            if later.days <= earlier.days:
                raise ValueError(f"steps: {later.days} days do not come after {earlier.days}")
            if later.factor > earlier.factor:
                raise ValueError(f"steps: factor {later.factor} is above {earlier.factor}")
        if self.reset_days and self.steps and self.reset_days <= self.steps[-1].days:
            raise ValueError(f"reset_days = {self.reset_days} does not come after the last step")
        return self

    @property
    def forgets_after_days(self) -> int | None:
        """Days of silence after which earlier behaviour is forgotten for good."""
        return self.reset_days

    def factor(self, silence: pl.Expr) -> pl.Expr:
        """Return the factor in thousandths for a silence (a duration); 1 where it is null."""
        factor = pl.lit(THOUSANDTHS, dtype=pl.Int64)
        for step in self.steps:
            reached = silence >= pl.duration(days=step.days)
            factor = pl.when(reached).then(to_thousandths(step.factor)).otherwise(factor)
        if self.reset_days:
            reached = silence >= pl.duration(days=self.reset_days)
            factor = pl.when(reached).then(0).otherwise(factor)
        return factor.cast(pl.Int64)


Decay = Annotated[NoDecay | SilenceDecay, Field(discriminator="kind")]
DECAYS: dict[str, type[NoDecay] | type[SilenceDecay]] = {"none": NoDecay, "silence": SilenceDecay}
