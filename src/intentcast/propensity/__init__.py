"""From features to calibrated probabilities."""

from intentcast.propensity.booster import BoosterModel
from intentcast.propensity.calibration import Calibrator
from intentcast.propensity.ladder import STEPS, Fitted, HorizonModel, Step, TrainingRows, fit_ladder
from intentcast.propensity.logistic import LogisticModel

__all__ = [
    "STEPS",
    "BoosterModel",
    "Calibrator",
    "Fitted",
    "HorizonModel",
    "LogisticModel",
    "Step",
    "TrainingRows",
    "fit_ladder",
]
