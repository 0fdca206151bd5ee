"""The steps of the ladder, and what is kept of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from intentcast.propensity.blend import BlendModel
from intentcast.propensity.booster import BoosterModel
from intentcast.propensity.calibration import Calibrator
from intentcast.propensity.choice import Choice
from intentcast.propensity.hazard import HazardAt
from intentcast.propensity.logistic import LogisticModel
from intentcast.propensity.margins import Floats
from intentcast.propensity.points import PointsModel
from intentcast.propensity.rows import OutOfSample

Step = Literal["rules", "logistic", "lightgbm", "hazard", "blend"]
LADDER: tuple[Step, ...] = ("logistic", "hazard", "blend")
CONTENDERS: tuple[Step, ...] = ("lightgbm",)
STEPS: tuple[Step, ...] = ("logistic", "lightgbm", "hazard", "blend")
Learner = LogisticModel | BoosterModel | HazardAt | BlendModel | PointsModel


@dataclass(frozen=True)
class HorizonModel:
    """A learner and its calibrator for one horizon."""

    step: Step
    horizon_days: int
    learner: Learner
    calibrator: Calibrator

    def probabilities(self, features: Floats) -> Floats:
        """Return calibrated probabilities, shape (n,)."""
        return self.calibrator.probabilities(self.learner.margins(features))

    def interval(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the 95 % interval of `Calibrator.interval`."""
        return self.calibrator.interval(self.learner.margins(features))


@dataclass(frozen=True)
class Fitted:
    """Every step fitted for one horizon, and which one is the champion.

    Attributes:
        models: Per step.
        champion: The step chosen at the primary horizon, the same for every horizon.
        penalty: The logistic step's inverse penalty.
        log_loss: Out of sample, per step, on all inner windows, each window's level set right.
        out_of_sample: The champion's on the most recent window, from before calibration.
        reason: The choice in words.
        choice: The same in numbers; None where there was nothing to choose.
        rounds: Of the hazard learner that were judged best; the refit takes more, see `Fits`.
    """

    models: Mapping[Step, HorizonModel]
    champion: Step
    penalty: float
    log_loss: Mapping[Step, float]
    out_of_sample: OutOfSample
    reason: str
    choice: Choice | None = None
    rounds: int = 0

    @property
    def out_of_sample_probabilities(self) -> Floats:
        """The champion's probabilities of rows that it had not seen, as `out_of_sample` has them.

        Calibrated as fitted on them: their margins are of the learner from before the refit.
        """
        calibrator = replace(self.models[self.champion].calibrator, shift=0.0)
        return calibrator.probabilities(self.out_of_sample.margins)
