"""The mean of two learners' log-odds: their errors differ, so the mean has fewer."""

from dataclasses import dataclass

from intentcast.propensity.hazard import HazardAt
from intentcast.propensity.logistic import LogisticModel
from intentcast.propensity.margins import Floats

SHARE = 0.5


@dataclass(frozen=True)
class BlendModel:
    """Half the log-odds of the logistic regression, half those of the hazard model."""

    logistic: LogisticModel
    hazard: HazardAt

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return blended(self.logistic.margins(features), self.hazard.margins(features))

    def blend(self, features: Floats, hazard: Floats) -> Floats:
        """Return `margins` where the hazard model's are known already."""
        return blended(self.logistic.margins(features), hazard)

    def contributions(self, features: Floats) -> Floats:
        """Return each feature's part of the log-odds, shape (n, n_features + 1), average last."""
        return blended(self.logistic.contributions(features), self.hazard.contributions(features))


def blended(logistic: Floats, hazard: Floats) -> Floats:
    """Return the weighted sum of two learners' log-odds, shape kept."""
    out: Floats = SHARE * logistic + (1.0 - SHARE) * hazard
    return out
