"""Which learner to use: fitted out of time, compared by log loss, calibrated, refitted on all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.propensity.booster import BoosterModel, fit_booster
from intentcast.propensity.calibration import Calibrator, fit_calibrator
from intentcast.propensity.logistic import LogisticModel, fit_logistic
from intentcast.propensity.margins import Floats, sigmoid

Step = Literal["logistic", "lightgbm"]
STEPS: tuple[Step, ...] = ("logistic", "lightgbm")
_DAY_US = 86_400_000_000
_GROUPS = 5


@dataclass(frozen=True)
class TrainingRows:
    """Features and labels of training snapshots whose horizon is over.

    Attributes:
        features: Shape (n, n_features).
        names: Shape (n_features,).
        converted: 0 or 1, shape (n,).
        times: As-of times in microseconds, shape (n,).
        clusters: Account numbers, shape (n,): the same whatever else is in the data.
        horizon_days: Of the label.
    """

    features: Floats
    names: list[str]
    converted: Floats
    times: NDArray[np.int64]
    clusters: NDArray[np.int64]
    horizon_days: int

    def __len__(self) -> int:
        return len(self.converted)

    def where(self, mask: NDArray[np.bool_]) -> "TrainingRows":
        """Return the rows where `mask` is true."""
        return TrainingRows(
            self.features[mask],
            self.names,
            self.converted[mask],
            self.times[mask],
            self.clusters[mask],
            self.horizon_days,
        )


@dataclass(frozen=True)
class HorizonModel:
    """A learner and its calibrator for one horizon."""

    step: Step
    horizon_days: int
    learner: LogisticModel | BoosterModel
    calibrator: Calibrator

    def probabilities(self, features: Floats) -> Floats:
        """Return calibrated probabilities, shape (n,)."""
        return self.calibrator.probabilities(self.learner.margins(features))

    def interval(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the 95 % interval of `Calibrator.interval`."""
        return self.calibrator.interval(self.learner.margins(features))


@dataclass(frozen=True)
class OutOfSample:
    """Predictions for rows that the predicting model had not seen.

    Attributes:
        rows: Positions in the training rows.
        margins: Log-odds there.
        scheme: `later slice` or `account folds`.
    """

    rows: NDArray[np.int64]
    margins: Floats
    scheme: str


@dataclass(frozen=True)
class Fitted:
    """Every step fitted for one horizon, and which one is the champion.

    Attributes:
        models: Per step.
        champion: The step of least out-of-sample log loss.
        penalty: The logistic step's inverse penalty.
        log_loss: Out-of-sample, per step.
        out_of_sample: The champion's, from before calibration.
        reason: The choice in words.
    """

    models: Mapping[Step, HorizonModel]
    champion: Step
    penalty: float
    log_loss: Mapping[Step, float]
    out_of_sample: OutOfSample
    reason: str


def fit_ladder(
    rows: TrainingRows, config: LearnerConfig, *, penalties: Sequence[float] | None = None
) -> Fitted:
    """Fit each step on the earlier rows, judge and calibrate it on the later, refit on all.

    Of the logistic `penalties` (without them the configured ones), the one of least log loss on
    the later rows is used.

    The later slice is the last `calibration.share` of the as-of times; the earlier rows end one
    horizon before it. Where that leaves too little to learn from, five folds by account take the
    slice's place.

    Raises:
        RefusedError: If there are too few conversions, or nothing else.
    """
    _refuse_too_little(rows, config)
    candidates: dict[Step, OutOfSample] = {}
    losses: dict[Step, float] = {}
    penalty, candidates["logistic"], losses["logistic"] = _choose_penalty(
        rows, config, penalties or config.logistic.inverse_penalties
    )
    candidates["lightgbm"] = _out_of_sample(rows, config, partial(_boost, config=config))
    losses["lightgbm"] = _loss(rows, candidates["lightgbm"])
    champion: Step = min(STEPS, key=lambda step: (losses[step], STEPS.index(step)))
    learners: dict[Step, LogisticModel | BoosterModel] = {
        "logistic": _regress(rows, penalty=penalty),
        "lightgbm": _boost(rows, config=config),
    }
    models = {
        step: HorizonModel(
            step,
            rows.horizon_days,
            learners[step],
            _calibrate(rows, candidates[step], learners[step], config),
        )
        for step in STEPS
    }
    sample = candidates[champion]
    other = next(step for step in STEPS if step != champion)
    reason = (
        f"{champion} had the lower log loss out of sample ({losses[champion]:.4f} v "
        f"{losses[other]:.4f} for {other}; {sample.scheme}, {len(sample.rows):,} snapshots)"
    )
    return Fitted(models, champion, penalty, losses, sample, reason)


def _refuse_too_little(rows: TrainingRows, config: LearnerConfig) -> None:
    n_converted = int(rows.converted.sum())
    fewest = min(n_converted, len(rows) - n_converted)
    if fewest < config.min_converted:
        raise RefusedError(
            f"{n_converted:,} of {len(rows):,} training snapshots converted within "
            f"{rows.horizon_days} days",
            expected=f"at least {config.min_converted} that did and as many that did not",
            next_step="wait for more outcomes, widen the cohort, or use a scorecard",
        )


def _regress(part: TrainingRows, *, penalty: float) -> LogisticModel:
    return fit_logistic(part.features, part.converted, names=part.names, inverse_penalty=penalty)


def _boost(part: TrainingRows, *, config: LearnerConfig) -> BoosterModel:
    return fit_booster(
        part.features,
        part.converted,
        names=part.names,
        settings=config.booster,
        seed=config.seed,
    )


def _choose_penalty(
    rows: TrainingRows, config: LearnerConfig, penalties: Sequence[float]
) -> tuple[float, OutOfSample, float]:
    tried = []
    for penalty in penalties:
        sample = _out_of_sample(rows, config, partial(_regress, penalty=penalty))
        tried.append((_loss(rows, sample), penalty, sample))
    loss, penalty, sample = min(tried, key=lambda item: item[:2])
    return penalty, sample, loss


def _loss(rows: TrainingRows, sample: OutOfSample) -> float:
    y = rows.converted[sample.rows]
    p = np.clip(sigmoid(sample.margins), 1e-6, 1 - 1e-6)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def _out_of_sample(
    rows: TrainingRows,
    config: LearnerConfig,
    fit: Callable[[TrainingRows], LogisticModel | BoosterModel],
) -> OutOfSample:
    later = later_slice(rows, config)
    if later is not None:
        earlier = rows.times + rows.horizon_days * _DAY_US <= rows.times[later].min()
        margins = fit(rows.where(earlier)).margins(rows.features[later])
        return OutOfSample(np.flatnonzero(later), margins, "later slice")
    margins = np.zeros(len(rows))
    groups = rows.clusters % _GROUPS
    for group in range(_GROUPS):
        held_out = groups == group
        if not held_out.any():
            continue
        others = rows.where(~held_out)
        if len(np.unique(others.converted)) < 2:
            raise RefusedError(
                f"conversions, or their absence, in one fifth of the accounts only "
                f"({int(rows.converted.sum()):,} of {len(rows):,} training snapshots converted "
                f"within {rows.horizon_days} days)",
                expected="both outside any fifth of the accounts",
                next_step="wait for outcomes of more accounts, or use a scorecard",
            )
        margins[held_out] = fit(others).margins(rows.features[held_out])
    return OutOfSample(np.arange(len(rows)), margins, "account folds")


def later_slice(rows: TrainingRows, config: LearnerConfig) -> NDArray[np.bool_] | None:
    """Return the mask of the later slice, or None where it leaves too little on either side."""
    times = np.unique(rows.times)
    start = times[len(times) - max(1, round(config.calibration.share * len(times)))]
    later: NDArray[np.bool_] = rows.times >= start
    earlier = rows.times + rows.horizon_days * _DAY_US <= start
    for part in (later, earlier):
        n_converted = int(rows.converted[part].sum())
        if min(n_converted, int(part.sum()) - n_converted) < config.calibration.min_converted:
            return None
    return later


def _calibrate(
    rows: TrainingRows,
    sample: OutOfSample,
    refitted: LogisticModel | BoosterModel,
    config: LearnerConfig,
) -> Calibrator:
    calibrator = fit_calibrator(
        sample.margins,
        rows.converted[sample.rows],
        rows.clusters[sample.rows],
        rows.times[sample.rows],
        isotonic_from=config.calibration.isotonic_from,
        min_converted=config.calibration.min_converted,
        seed=config.seed,
    )
    if sample.scheme == "account folds":
        return calibrator
    margins = refitted.margins(rows.features[sample.rows])
    return calibrator.anchored(margins, rows.converted[sample.rows])
