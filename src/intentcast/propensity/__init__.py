"""From features to calibrated probabilities."""

from intentcast.propensity.blend import BlendModel
from intentcast.propensity.booster import BoosterModel
from intentcast.propensity.calibration import Calibrator
from intentcast.propensity.hazard import HazardAt, HazardModel
from intentcast.propensity.ladder import fit_ladder, fit_rules
from intentcast.propensity.logistic import LogisticModel
from intentcast.propensity.periods import Followed, interval_edges
from intentcast.propensity.points import PointsModel
from intentcast.propensity.rows import TrainingRows
from intentcast.propensity.steps import (
    CONTENDERS,
    LADDER,
    STEPS,
    Fitted,
    HorizonModel,
    Learner,
    Step,
)

__all__ = [
    "CONTENDERS",
    "LADDER",
    "STEPS",
    "BlendModel",
    "BoosterModel",
    "Calibrator",
    "Fitted",
    "Followed",
    "HazardAt",
    "HazardModel",
    "HorizonModel",
    "Learner",
    "LogisticModel",
    "PointsModel",
    "Step",
    "TrainingRows",
    "fit_ladder",
    "fit_rules",
    "interval_edges",
]
