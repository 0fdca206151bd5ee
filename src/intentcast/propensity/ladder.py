"""Which learner to use, judged out of time: the mean of two unless one alone is clearly better.

The steps: `rules` (a scorecard's points, where there are too few conversions to learn from),
`logistic`, `hazard`, `blend`. `lightgbm`, one model per horizon, is no step but a contender.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.propensity.blend import BlendModel
from intentcast.propensity.calibration import Calibrator, fit_calibrator, fit_rising_platt
from intentcast.propensity.choice import Choice, choose
from intentcast.propensity.judging import Fits, Judged, Known, Workers, boost, regress
from intentcast.propensity.margins import SMALLEST, Floats, losses
from intentcast.propensity.periods import Followed
from intentcast.propensity.points import fit_points
from intentcast.propensity.rows import OutOfSample, TrainingRows, Window, inner_windows
from intentcast.propensity.steps import LADDER, Fitted, HorizonModel, Learner, Step
from intentcast.scorecards import Scorecard


def fit_ladder(
    rows: Mapping[int, TrainingRows],
    followed: Followed,
    *,
    primary: int,
    config: LearnerConfig,
    contenders: Sequence[Step] = (),
) -> dict[int, Fitted]:
    """Fit each step on what was known before each inner window, judge it there, refit on all.

    An inner window is a quarter of the as-of times (`calibration.share`), the most recent first;
    what is judged on it was fitted on the labels, and for the hazard on the intervals, that were
    over when it began. The step is chosen at the primary horizon on all windows (`choice.choose`),
    by log loss with the level of each window set right (`Judged.levelled`); the calibrators are
    fitted on the most recent one. Where that leaves too little to learn from,
    five folds by account take the windows' place. The other horizons take the primary's windows
    and penalty, where there is enough in them.

    Args:
        rows: Per horizon in days, the snapshots whose horizon is over.
        followed: All training snapshots, followed as far as is known.
        primary: The horizon at which the step is chosen.
        config: `conversion.toml`.
        contenders: Of `CONTENDERS`, what is fitted beside the ladder's steps.

    Raises:
        RefusedError: If there are too few conversions, or nothing else.
    """
    for days in (primary, *rows):
        refuse_too_little(rows[days], config)
    with Workers(config.threads) as workers:
        fits = Fits(followed, config, workers)
        of_primary = Judged(rows[primary], fits, inner_windows(rows[primary], config.calibration))
        fits.prepare(of_primary)
        best = _settle(of_primary)
        choice = choose(
            {step: of_primary.levelled(best.of(step)) for step in LADDER},
            of_primary.rows.converted[of_primary.positions],
            of_primary.rows.clusters[of_primary.positions],
            n_converted=int(of_primary.rows.converted.sum()),
            usual="blend",
        )
        champion: Step = choice.step  # type: ignore[assignment]
        reason = f"{choice.reason} ({of_primary.scheme}, {len(of_primary.positions):,} snapshots)"
        out = {}
        for days, part in sorted(rows.items()):
            if days == primary:
                judged, known = of_primary, best
            else:
                judged = _judged(part, fits, of_primary.windows)
                known = best._replace(
                    logistic=judged.out_of_sample(partial(regress, penalty=best.penalty)),
                    hazard=judged.hazard(best.rounds),
                )
            out[days] = _fitted(judged, champion, known, reason, contenders, choice)
    return out


def fit_rules(
    rows: Mapping[int, TrainingRows],
    card: Scorecard,
    *,
    primary: int,
    config: LearnerConfig,
    why: str,
) -> dict[int, Fitted]:
    """Read a scorecard's points as probabilities, where there is too little to learn from.

    Platt's map of the standardised points, fitted on all rows: there are too few to hold any out,
    and two numbers that a prior holds near a rising line have little to follow an accident with.

    Args:
        rows: Per horizon in days; their only feature is the points.
        card: What gives them.
        primary: The horizon that the wording counts at.
        config: For how many conversions the next step needs.
        why: What the next step was refused for.

    Raises:
        RefusedError: If there is no row, or nothing but conversions.
    """
    n_converted = int(rows[primary].converted.sum())
    more = max(config.min_converted - n_converted, 1)
    reason = (
        f"rules: the scorecard's points as probabilities, since {why}; logistic needs about "
        f"{more:,} more conversions"
    )
    out = {}
    for days, part in sorted(rows.items()):
        if part.converted.all():
            raise RefusedError(
                f"{len(part):,} training snapshots for {days} days, all of them converted",
                expected="some that did not convert, for points to be told apart by",
                next_step="wait until a horizon is over, or widen the cohort",
            )
        learner = fit_points(part.features[:, 0], card)
        margins = learner.margins(part.features)
        calibrator = replace(
            fit_rising_platt(margins, part.converted, part.clusters),
            drift=part.drift_since(np.arange(len(part)), config.calibration),
        )
        p = calibrator.probabilities(margins)
        loss = float(losses(p, part.converted, smallest=SMALLEST).mean())
        sample = OutOfSample(np.arange(len(part)), margins, "all rows")
        model = HorizonModel("rules", days, learner, calibrator)
        out[days] = Fitted({"rules": model}, "rules", 0.0, {"rules": loss}, sample, reason)
    return out


def refuse_too_little(rows: TrainingRows, config: LearnerConfig) -> None:
    """Raise where there are too few conversions to learn from, or nothing else."""
    n_converted = int(rows.converted.sum())
    fewest = min(n_converted, len(rows) - n_converted)
    if fewest < config.min_converted:
        raise RefusedError(
            f"{n_converted:,} of {len(rows):,} training snapshots converted within "
            f"{rows.horizon_days} days",
            expected=f"at least {config.min_converted} that did and as many that did not",
            next_step="wait for more outcomes, widen the cohort, or use a scorecard",
        )


def _judged(rows: TrainingRows, fits: Fits, windows: Sequence[Window]) -> Judged:
    """Judge another horizon on the primary's windows, on its own, or by account."""
    settings = fits.config.calibration
    enough = [window for window in windows if window.has_enough(rows, settings)]
    if not enough or enough[-1] != windows[-1]:
        enough = inner_windows(rows, settings)
    return Judged(rows, fits, enough)


def _settle(judged: Judged) -> Known:
    """Return both learners with their settings of least log loss out of sample.

    The regression's penalty by its own loss; the hazard learner's rounds by that of the blend,
    which is what is usually shipped.
    """
    config = judged.fits.config
    regressed = {
        penalty: judged.out_of_sample(partial(regress, penalty=penalty))
        for penalty in config.logistic.inverse_penalties
    }
    penalty = min(regressed, key=lambda tried: (judged.log_loss(regressed[tried]), tried))
    known = [
        Known(regressed[penalty], judged.hazard(rounds), penalty, rounds)
        for rounds in config.hazard.rounds
    ]
    return min(known, key=lambda tried: (judged.log_loss(tried.of("blend")), tried.rounds))


def _fitted(
    judged: Judged,
    champion: Step,
    known: Known,
    reason: str,
    contenders: Sequence[Step],
    choice: Choice,
) -> Fitted:
    rows, fits = judged.rows, judged.fits
    logistic = regress(rows, penalty=known.penalty)
    hazard = fits.hazard("all", 0, rows.horizon_days, known.rounds)
    learners: dict[Step, Learner] = {
        "logistic": logistic,
        "hazard": hazard,
        "blend": BlendModel(logistic, hazard),
    }
    if "lightgbm" in contenders:
        learners["lightgbm"] = boost(rows, config=fits.config)
    recent = judged.positions[judged.recent]
    refitted = _Refitted(learners, rows.features[recent])
    models: dict[Step, HorizonModel] = {}
    log_loss: dict[Step, float] = {}
    for step, learner in learners.items():
        margins = judged.margins(step, known)
        log_loss[step] = judged.log_loss(margins)
        sample = OutOfSample(recent, margins[judged.recent], judged.scheme)
        if step == champion:
            of_champion = sample
        calibrator = _calibrate(rows, sample, partial(refitted.margins, step), fits.config)
        models[step] = HorizonModel(step, rows.horizon_days, learner, calibrator)
    return Fitted(
        models, champion, known.penalty, log_loss, of_champion, reason, choice, known.rounds
    )


class _Refitted:
    """What learners that were refitted on all rows say of some; the hazard learner is asked once.

    Args:
        learners: Per step.
        features: Shape (n, n_features).
    """

    def __init__(self, learners: Mapping[Step, Learner], features: Floats) -> None:
        self._learners, self._features = learners, features

    def margins(self, step: Step) -> Floats:
        """Return a step's log-odds, shape (n,)."""
        learner = self._learners[step]
        if isinstance(learner, BlendModel):
            return learner.blend(self._features, self._hazard)
        return self._hazard if step == "hazard" else learner.margins(self._features)

    @cached_property
    def _hazard(self) -> Floats:
        return self._learners["hazard"].margins(self._features)


def _calibrate(
    rows: TrainingRows,
    sample: OutOfSample,
    refitted: Callable[[], Floats],
    config: LearnerConfig,
) -> Calibrator:
    converted: NDArray[np.float64] = rows.converted[sample.rows]
    calibrator = fit_calibrator(
        sample.margins,
        converted,
        rows.clusters[sample.rows],
        rows.times[sample.rows],
        isotonic_from=config.calibration.isotonic_from,
        min_converted=config.calibration.min_converted,
        drift=rows.drift_since(sample.rows, config.calibration),
        seed=config.seed,
    )
    if sample.scheme == "account folds" or calibrator.kind == "none":
        return calibrator
    return calibrator.anchored(refitted(), converted)
