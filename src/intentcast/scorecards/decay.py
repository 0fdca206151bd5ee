"""How points shrink: with a lead's silence, or each event's own with its age; a class per kind.

| kind | what shrinks | to what |
| --- | --- | --- |
| `none` | nothing | |
| `silence` | all behaviour points together | the factor of the last step reached |
| `lifespan` | each event's points | `points · max(0, 1 − age / days)` |
| `monthly` | each event's points | `points · max(0, 1 − share · age / 30 days)` |
| `half_life` | each event's points | `points · 2^(−age / days)` |

Worked examples (each is a test): 9 points with a lifespan of 90 days are 8.7 after 3 days and 0
from 90 days on; 10 points that lose a share of 0.5 a month are 5 after 30 days.
"""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field, model_validator

from intentcast.scorecards.conditions import Part
from intentcast.scorecards.points import THOUSANDTHS, to_thousandths

Factor = Annotated[Decimal, Field(ge=0, le=1, decimal_places=3)]
Days = Annotated[int, Field(ge=1, le=3650)]
Ints = NDArray[np.int64]

DAY_US, DAY_SECONDS, MONTH_DAYS = 86_400_000_000, 86_400, 30
# How the kernel tells the kinds of decay of single events apart.
KEEPS, LINEAR, HALVES = 0, 1, 2


class Fading(NamedTuple):
    """How one event's points fade with its age in seconds, as the kernel computes it.

    `KEEPS`: they do not. `LINEAR`: `max(0, length − speed · age) / length` of them remain.
    `HALVES`: `2^(−age / length)` of them.
    """

    kind: int
    length: int
    speed: int


KEPT = Fading(KEEPS, 1, 0)


class NoDecay(Part):
    """Points stay for ever."""

    kind: Literal["none"] = "none"

    @property
    def forgets_after_days(self) -> int | None:
        """Never."""
        return None

    @property
    def fading(self) -> Fading:
        """None."""
        return KEPT

    @property
    def falls(self) -> Ints:
        """Microseconds of silence and the factor in thousandths from then on, shape (n, 2)."""
        return np.zeros((0, 2), dtype=np.int64)

    def factor(self, silence: Ints) -> Ints:
        """Return the factor in thousandths for silences in microseconds, shape (n,)."""
        found: Ints = _factors(self.falls, silence)
        return found


class SilenceStep(Part):
    """From `days` of silence on, behaviour points are multiplied by `factor`."""

    days: Days
    factor: Factor


class SilenceDecay(NoDecay):
    """Points shrink in steps while a lead is silent, and are lost after `reset_days`.

    The factor is that of the last step reached, not a product of steps, and applies while the
    silence lasts: a lead that comes back has its points again. Points lost by a reset do not come
    back.
    """

    kind: Literal["silence"]  # type: ignore[assignment]
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

    @property
    def falls(self) -> Ints:
        """The steps, rising, and the reset."""
        rows = [(step.days * DAY_US, to_thousandths(step.factor)) for step in self.steps]
        if self.reset_days:
            rows.append((self.reset_days * DAY_US, 0))
        return np.array(rows, dtype=np.int64).reshape(len(rows), 2)


class LifespanDecay(NoDecay):
    """Each event's points fall in a straight line and are gone at the age of `days`."""

    kind: Literal["lifespan"]  # type: ignore[assignment]
    days: Days

    @property
    def fading(self) -> Fading:
        """Straight, over the lifespan."""
        return Fading(LINEAR, self.days * DAY_SECONDS, 1)


class MonthlyDecay(NoDecay):
    """Each event's points lose a share of what they were for every 30 days of age."""

    kind: Literal["monthly"]  # type: ignore[assignment]
    share: Annotated[Decimal, Field(gt=0, le=1, decimal_places=3)]

    @property
    def fading(self) -> Fading:
        """Straight, by the share in thousandths."""
        return Fading(LINEAR, MONTH_DAYS * DAY_SECONDS * THOUSANDTHS, to_thousandths(self.share))


class HalfLifeDecay(NoDecay):
    """Each event's points halve every `days` of age."""

    kind: Literal["half_life"]  # type: ignore[assignment]
    days: Days

    @property
    def fading(self) -> Fading:
        """Exponential."""
        return Fading(HALVES, self.days * DAY_SECONDS, 0)


EventDecay = Annotated[
    NoDecay | LifespanDecay | MonthlyDecay | HalfLifeDecay, Field(discriminator="kind")
]
Decay = Annotated[
    NoDecay | SilenceDecay | LifespanDecay | MonthlyDecay | HalfLifeDecay,
    Field(discriminator="kind"),
]
DECAYS: dict[str, type[NoDecay]] = {
    "none": NoDecay,
    "silence": SilenceDecay,
    "lifespan": LifespanDecay,
    "monthly": MonthlyDecay,
    "half_life": HalfLifeDecay,
}


@njit(cache=True, nogil=True)
def factor_after(falls: Ints, silence: int) -> int:
    """Return the factor in thousandths after a silence in microseconds: of the last fall reached.

    Args:
        falls: See `NoDecay.falls`.
        silence: Microseconds.
    """
    factor = THOUSANDTHS
    for i in range(len(falls)):
        if silence >= falls[i, 0]:
            factor = falls[i, 1]
    return factor


@njit(cache=True, nogil=True)
def _factors(falls: Ints, silence: Ints) -> Ints:
    out = np.empty(len(silence), dtype=np.int64)
    for i in range(len(silence)):
        out[i] = factor_after(falls, silence[i])
    return out
