"""What one contender's scores were worth on some rows: ranking, calibration, capacity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.arena import Arena
from intentcast.evaluation.backtest import BASE_RATE
from intentcast.evaluation.capacity import Floats, precision_at_capacity
from intentcast.evaluation.metrics import (
    CalibrationLine,
    auc,
    average_precision,
    brier,
    brier_skill,
    calibration_error_by_chance,
    calibration_line,
    expected_calibration_error,
    log_loss,
)
from intentcast.evaluation.uncertainty import AccountDraws
from intentcast.propensity.calibration import platt_covariance
from intentcast.propensity.margins import SMALLEST, logit, losses

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Judge:
    """The rows that contenders are judged on: an arena's, or one fold's of it.

    Attributes:
        arena: Everyone's scores.
        where: Which of its rows, shape (n,).
        draws: For intervals; None: without them.
    """

    arena: Arena
    where: NDArray[np.bool_]
    draws: AccountDraws | None = None

    @classmethod
    def of_all(cls, arena: Arena) -> "Judge":
        """Return a judge of all rows, with intervals."""
        everyone = np.ones(len(arena.converted), dtype=np.bool_)
        return cls(arena, everyone, AccountDraws(arena.converted, arena.accounts))

    def figures(self, name: str) -> dict[str, Any]:
        """Return a contender's figures; those of probabilities where it gives some.

        `ci95` has the 95 % intervals, clustered by account: of AUC, average precision, Brier score,
        log loss and mean probability less share converted by drawing accounts, of the calibration
        slope and intercept by the sandwich variance.
        """
        arena, where = self.arena, self.where
        y, score = arena.converted[where], arena.score(name)[where]
        at_capacity = precision_at_capacity(
            score, y, arena.leads[where], arena.times[where], per_time=arena.per_time
        )
        base_rate = float(y.mean()) if len(y) else float("nan")
        found: dict[str, Any] = {
            "auc": auc(y, score),
            "average_precision": average_precision(y, score),
            "precision_at_capacity": at_capacity._asdict(),
            "lift_at_capacity": at_capacity.expected / base_rate if base_rate else float("nan"),
            "n_snapshots": len(y),
            "n_converted": int(y.sum()),
        }
        if self.draws is not None:
            of_auc, of_precision = self.draws.ranking(score)
            found["ci95"] = {"auc": of_auc, "average_precision": of_precision}
        everyones = arena.probability(name)
        if everyones is not None:
            found |= self._of_probabilities(name, y, everyones[where], found.get("ci95"))
        return found

    def _of_probabilities(
        self, name: str, y: Floats, p: Floats, ci95: dict[str, Any] | None
    ) -> dict[str, Any]:
        base = self.arena.probability(BASE_RATE)
        assert base is not None, "the base rate is a probability"
        # The base rate differs between folds only: a slope on that would say nothing.
        has_line = name != BASE_RATE
        no_line = CalibrationLine(float("nan"), float("nan"))
        line = calibration_line(y, p) if has_line else no_line
        if ci95 is not None and self.draws is not None:
            ci95 |= {
                "brier": self.draws.mean((p - y) ** 2),
                "log_loss": self.draws.mean(losses(p, y, smallest=SMALLEST)),
                "mean_gap": self.draws.mean(p - y),
            }
            if np.isfinite(line.slope):
                accounts = self.arena.accounts[self.where]
                spread = platt_covariance(logit(p), y, accounts, a=line.intercept, b=line.slope)
                for key, value, variance in (
                    ("calibration_intercept", line.intercept, spread[0, 0]),
                    ("calibration_slope", line.slope, spread[1, 1]),
                ):
                    half = _Z95 * float(np.sqrt(variance))
                    ci95[key] = [value - half, value + half]
        return {
            "brier": brier(y, p),
            "brier_skill": brier_skill(y, p, reference=base[self.where]),
            "log_loss": log_loss(y, p),
            "calibration_slope": line.slope,
            "calibration_intercept": line.intercept,
            "expected_calibration_error": expected_calibration_error(y, p),
            "calibration_error_by_chance": calibration_error_by_chance(y, p),
            "mean_probability": float(p.mean()) if len(p) else float("nan"),
        }
