"""One probability per horizon, never falling as the horizon grows, at any horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intentcast.errors import RefusedError
from intentcast.propensity.blend import BlendModel, blended
from intentcast.propensity.hazard import HazardAt
from intentcast.propensity.logistic import LogisticModel, stacked_margins
from intentcast.propensity.margins import Floats, logit, sigmoid
from intentcast.propensity.steps import HorizonModel


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

    def at(self, days: int) -> Floats:
        """Return the probabilities of one of the horizons, shape (n,)."""
        out: Floats = self.probabilities[:, self.horizons_days.index(days)]
        return out

    def of_row(self, row: int) -> list[tuple[int, float, float, float]]:
        """Return one lead's horizons, each with its probability and the interval's ends."""
        parts = (part[row].tolist() for part in (self.probabilities, self.low, self.high))
        return list(zip(self.horizons_days, *parts, strict=True))

    def wider_than(self, width: float) -> NDArray[np.bool_]:
        """Return where the interval, high less low, is wider; shape (n, n_horizons)."""
        out: NDArray[np.bool_] = self.high - self.low > width
        return out


def abstention(
    predicted: HorizonProbabilities, days: int, wider_than: float, *, row: int = 0
) -> list[str]:
    """Return a warning where one lead's interval at a horizon is too wide to act on."""
    column = predicted.horizons_days.index(days)
    low, high = float(predicted.low[row, column]), float(predicted.high[row, column])
    if not high - low > wider_than:
        return []
    ends = f"{low:.1%} and {high:.1%}"
    return [f"too little known: the probability lies between {ends.replace('%', ' %')}"]


def predict_horizons(
    models: Mapping[int, HorizonModel], features: Floats, horizons: Sequence[int] | None = None
) -> HorizonProbabilities:
    """Return calibrated probabilities at every horizon of the models, or at those asked for.

    Who converts within 30 days converts within 60: where two models disagree, the longer horizon
    gets the larger of the two (a running maximum, for the interval's ends too).

    Between two horizons that were learnt, H_a and H_b, the cumulative hazard Λ = −log(1 − P) goes
    from the calibrated one at H_a (0 at no days) to that at H_b as the learner's own does:
    Λ(h) = Λ(H_a) + s · (Λ(H_b) − Λ(H_a)), s = (L(h) − L(H_a)) / (L(H_b) − L(H_a)). L is the hazard
    learner's cumulative hazard; for a step without one, time itself. So P never falls, and is
    exactly the calibrated one at every horizon that was learnt.

    Args:
        models: Per horizon in days.
        features: Shape (n, n_features).
        horizons: Whole days; without them, those of the models.

    Raises:
        RefusedError: For a horizon under one day, or longer than the longest that was learnt.
    """
    log_odds = _log_odds(models, features)
    known = _at_learnt(models, features, log_odds)
    if horizons is None or tuple(sorted(set(horizons))) == known.horizons_days:
        return known
    asked = tuple(sorted(set(horizons)))
    longest = known.horizons_days[-1]
    for days in asked:
        if not 1 <= days <= longest:
            raise RefusedError(
                f"a horizon of {days:g} days",
                expected=f"from 1 to {longest} days, the longest that was learnt",
                next_step="ask for another, or train with a longer conversion.horizons_days",
            )
    paces = _paces(models, log_odds, (*known.horizons_days, *asked))
    parts = (sigmoid(known.margins), known.probabilities, known.low, known.high)
    # Before calibration two learners may disagree; their log-odds must not fall between them.
    rising = [np.maximum.accumulate(part, axis=1) for part in parts]
    found = [
        np.column_stack([_between(part, known.horizons_days, paces, days) for days in asked])
        for part in rising
    ]
    return HorizonProbabilities(asked, logit(found[0]), found[1], found[2], found[3])


def _at_learnt(
    models: Mapping[int, HorizonModel], features: Floats, log_odds: Mapping[int, Floats]
) -> HorizonProbabilities:
    horizons = tuple(sorted(models))
    margins = np.empty((len(features), len(horizons)))
    bands = np.empty((3, *margins.shape))
    for column, (days, margin) in enumerate(_margins(models, features, log_odds).items()):
        margins[:, column] = margin
        bands[:, :, column] = models[days].calibrator.band(margin)
    p, low, high = np.maximum.accumulate(bands, axis=2)
    return HorizonProbabilities(horizons, margins, p, low, high)


def _hazard_of(model: HorizonModel) -> HazardAt | None:
    learner = model.learner
    if isinstance(learner, BlendModel):
        learner = learner.hazard
    return learner if isinstance(learner, HazardAt) else None


def _log_odds(models: Mapping[int, HorizonModel], features: Floats) -> dict[int, Floats]:
    """Return each hazard model's answer by its identity; one that serves several is asked once."""
    found = [at.hazard for model in models.values() if (at := _hazard_of(model))]
    hazards = {id(hazard): hazard for hazard in found}
    return {key: hazard.log_odds(features) for key, hazard in hazards.items()}


def _margins(
    models: Mapping[int, HorizonModel], features: Floats, log_odds: Mapping[int, Floats]
) -> dict[int, Floats]:
    """Return each horizon's log-odds, given those of the hazard models."""
    out = {}
    of_logistic = _of_logistic(models, features)
    for days, model in sorted(models.items()):
        at = _hazard_of(model)
        if at is None:
            found = of_logistic.get(days)
            out[days] = model.learner.margins(features) if found is None else found
            continue
        of_hazard = at.hazard.margins_at(log_odds[id(at.hazard)], at.days)
        if isinstance(model.learner, BlendModel):
            of_hazard = blended(of_logistic[days], of_hazard)
        out[days] = of_hazard
    return out


def _of_logistic(models: Mapping[int, HorizonModel], features: Floats) -> dict[int, Floats]:
    """Return each logistic regression's log-odds by horizon: all of them in one go."""
    found = {}
    for days, model in models.items():
        learner = model.learner.logistic if isinstance(model.learner, BlendModel) else model.learner
        if isinstance(learner, LogisticModel):
            found[days] = learner
    if not found:
        return {}
    margins = stacked_margins(list(found.values()), features)
    return dict(zip(found, margins.T, strict=True))


def _paces(
    models: Mapping[int, HorizonModel], log_odds: Mapping[int, Floats], days: Sequence[int]
) -> dict[int, Floats]:
    """Return L of `predict_horizons` at some days, each of shape (n,), or (1,) for time itself."""
    at = _hazard_of(models[max(models)])
    if at is None:
        return {d: np.array([float(d)]) for d in days}
    return {d: at.hazard.cumulative(log_odds[id(at.hazard)], d) for d in days}


def _between(p: Floats, horizons: Sequence[int], paces: Mapping[int, Floats], days: int) -> Floats:
    """Return one column at `days` of probabilities that rise over the learnt horizons."""
    if days in horizons:
        return np.asarray(p[:, horizons.index(days)])
    after = next(i for i, learnt in enumerate(horizons) if learnt > days)
    zero = np.zeros(1)
    before_pace = paces[horizons[after - 1]] if after else zero
    share = (paces[days] - before_pace) / (paces[horizons[after]] - before_pace)
    end = -np.log1p(-p[:, after])
    begin = -np.log1p(-p[:, after - 1]) if after else zero
    between = -np.expm1(-(begin + np.clip(share, 0.0, 1.0) * (end - begin)))
    out: Floats = np.clip(between, 1e-9, p[:, after])
    return np.maximum(out, p[:, after - 1]) if after else out
