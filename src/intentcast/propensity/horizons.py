"""One probability per horizon, never falling as the horizon grows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from intentcast.propensity.ladder import HorizonModel
from intentcast.propensity.margins import Floats


@dataclass(frozen=True)
class HorizonProbabilities:
    """Probabilities per lead and horizon; every array has shape (n, n_horizons).

    Attributes:
        horizons_days: Rising.
        margins: The learners' log-odds before calibration.
        probabilities: Calibrated, rising with the horizon.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    horizons_days: tuple[int, ...]
    margins: Floats
    probabilities: Floats
    low: Floats
    high: Floats


def predict_horizons(models: Mapping[int, HorizonModel], features: Floats) -> HorizonProbabilities:
    """Return calibrated probabilities at every horizon of the models.

    Who converts within 30 days converts within 60: where two models disagree, the longer horizon
    gets the larger of the two (a running maximum, for the interval's ends too).
    """
    horizons = tuple(sorted(models))
    margins, p, low, high = [], [], [], []
    for days in horizons:
        model = models[days]
        margin = model.learner.margins(features)
        ends = model.calibrator.interval(margin)
        margins.append(margin)
        p.append(model.calibrator.probabilities(margin))
        low.append(ends[0])
        high.append(ends[1])
    columns = [np.column_stack(part) for part in (margins, p, low, high)]
    rising = [np.maximum.accumulate(part, axis=1) for part in columns[1:]]
    return HorizonProbabilities(horizons, columns[0], rising[0], rising[1], rising[2])
