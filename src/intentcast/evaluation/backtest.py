"""Rolling-origin backtest: every contender, on the same leads, at the same as-of times."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from intentcast.config import LearnerConfig
from intentcast.contracts import INSTANT, Predictions, validate
from intentcast.errors import RefusedError
from intentcast.labels import label_snapshots, matured
from intentcast.propensity import CONTENDERS, STEPS, Step
from intentcast.propensity.horizons import HorizonProbabilities, predict_horizons
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.scorecards.repricing import reprice
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset
from intentcast.splits import Split, rolling_origin
from intentcast.tiers import TierPolicy
from intentcast.training import TrainedModel, fit_model

CHAMPION = "champion"
BASE_RATE = "base_rate"
REPRICED = "repriced"


@dataclass(frozen=True)
class FoldModel:
    """What one fold trained, for the report.

    Attributes:
        split: The fold's as-of times.
        reason: Why the champion's step was chosen, for the primary horizon.
        step: Which it was.
        tiers: Thresholds set on the fold's training time.
        n_train: Training snapshots.
        n_converted: Of them, converted within the primary horizon.
        calibration: The kind of map kept, per horizon.
        drivers: Mean absolute contribution to the log-odds per feature, largest first.
        repriced: The first scorecard with points refitted on the fold's training time; None where
            there was too little to refit them: the present points stood in for it.
    """

    split: Split
    reason: str
    step: str
    tiers: TierPolicy
    n_train: int
    n_converted: int
    calibration: Mapping[int, str]
    drivers: list[tuple[str, float]]
    repriced: Scorecard | None = None


@dataclass(frozen=True)
class BacktestResult:
    """Predictions of every contender for every test snapshot, and what each fold trained."""

    dataset: Dataset
    predictions: pl.DataFrame
    snapshots: pl.DataFrame
    folds: list[FoldModel]
    scorecards: list[Scorecard]


def run_backtest(
    dataset: Dataset,
    *,
    config: LearnerConfig,
    scorecards: list[Scorecard],
    contenders: Sequence[Step] = CONTENDERS,
    on_progress: Callable[[str], None] | None = None,
) -> BacktestResult:
    """Train before each test window, predict in it.

    Args:
        dataset: Its `backtest` and `cohort` settings give the windows.
        config: `conversion.toml`.
        scorecards: Rules to run as contenders; the first of them also as `scorecard:repriced`,
            its points refitted before each test window, where any window has enough to refit them.
        contenders: Learners to fit beside the ladder's steps; they change nothing of the champion.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If a fold has too little to learn from, or the horizon is longer than the
            data.
    """
    say = on_progress or (lambda _: None)
    span = cohort_span(dataset)
    times = as_of_times(span, dataset.config.cohort.every_days)
    conversion = dataset.config.conversion
    if not times:
        raise RefusedError(
            f"no as-of time from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}",
            expected="a cohort span with at least one",
            next_step="set cohort.start and cohort.end inside the recorded data",
        )
    first_test = dataset.config.backtest.first_test or _two_fifths_from_the_end(times)
    splits = _splits(times, first_test, dataset)
    parts, folds, snapshots = [], [], []
    for split in splits:
        say(f"fold {split.fold} of {len(splits)}: training on {len(split.train)} as-of times")
        model = fit_model(
            dataset,
            times=times,
            known_by=split.known_by,
            config=config,
            on_progress=lambda what, fold=split.fold: say(f"fold {fold}: {what}"),  # type: ignore[misc]
            contenders=contenders,
        )
        test = build_snapshots(dataset, list(split.test))
        say(f"fold {split.fold}: predicting {len(test):,} test snapshots")
        converted = {
            days: label_snapshots(
                test, dataset, horizon_days=days, known_by=dataset.data_cutoff
            ).alias("converted")
            for days in conversion.horizons_days
        }
        features = model.featurizer.transform(dataset, test).doubles
        parts += list(_learned(model, features, test, converted, split.fold))
        refitted = _repriced(dataset, scorecards, times, split, say)
        for card in [*scorecards, *_contending(scorecards, refitted)]:
            scored = score_snapshots(card, dataset, test)
            parts += [
                _rows(
                    f"scorecard:{card.name}",
                    test,
                    days,
                    scored["score"].cast(pl.Float64),
                    None,
                    label,
                    split.fold,
                )
                for days, label in converted.items()
            ]
        snapshots.append(test.with_columns(fold=pl.lit(split.fold, dtype=pl.Int32)))
        summary = _summary(model, split, conversion.primary_horizon_days, features)
        folds.append(replace(summary, repriced=refitted))
    _refuse_nobody(pl.concat(snapshots), splits, dataset)
    predictions = pl.concat(parts).sort("contender", "horizon_days", "as_of", "lead_id")
    if not any(fold.repriced for fold in folds) and _can_reprice(scorecards):
        # The present points in every fold: it would be the same contender twice.
        predictions = predictions.filter(pl.col("contender") != f"scorecard:{REPRICED}")
    return BacktestResult(
        dataset=dataset,
        predictions=validate(predictions, Predictions),
        snapshots=pl.concat(snapshots),
        folds=folds,
        scorecards=scorecards,
    )


def _can_reprice(scorecards: list[Scorecard]) -> bool:
    """Return whether there is a table to reprice, and none that has the contender's name."""
    return bool(scorecards) and all(card.name != REPRICED for card in scorecards)


def _repriced(
    dataset: Dataset,
    scorecards: list[Scorecard],
    times: list[datetime],
    split: Split,
    say: Callable[[str], None],
) -> Scorecard | None:
    """Refit the first table on the fold's training time; None where that is refused."""
    if not _can_reprice(scorecards):
        return None
    say(f"fold {split.fold}: repricing {scorecards[0].name}")
    try:
        found = reprice(scorecards[0], dataset, times=times, known_by=split.known_by)
    except RefusedError as refused:
        say(f"fold {split.fold}: points kept, {refused.found}")
        return None
    return found.new.model_copy(update={"name": REPRICED})


def _contending(scorecards: list[Scorecard], refitted: Scorecard | None) -> list[Scorecard]:
    """Return the repriced contender's table: the refitted one, or else the present one."""
    if not _can_reprice(scorecards):
        return []
    return [refitted or scorecards[0].model_copy(update={"name": REPRICED})]


def _two_fifths_from_the_end(times: list[datetime]) -> datetime:
    return times[len(times) * 3 // 5]


def _splits(times: list[datetime], first_test: datetime, dataset: Dataset) -> list[Split]:
    """Cut the as-of times whose primary horizon is over, and recorded, into test windows.

    Later ones have no outcome to judge by yet: they are predicted with the last window's model,
    and their `converted` is null.
    """
    days = dataset.config.conversion.primary_horizon_days
    finished = matured(times, dataset, known_by=dataset.data_cutoff)
    if not any(t >= first_test for t in finished):
        hours = dataset.config.source_delay_hours.outcomes
        left = (dataset.data_cutoff - first_test).days
        raise RefusedError(
            f"the data end on {dataset.data_cutoff:%Y-%m-%d}, {left} days after the first test on "
            f"{first_test:%Y-%m-%d}",
            expected=f"at least one test whose {days} days are over"
            + (f", and their outcomes recorded {hours:g} hours later" if hours else ""),
            next_step="set backtest.first_test earlier, or a shorter horizon",
        )
    folds = dataset.config.backtest.folds
    splits = rolling_origin(finished, first_test=first_test, folds=folds, horizon_days=days)
    unfinished = tuple(t for t in times if t > finished[-1])
    return [*splits[:-1], replace(splits[-1], test=splits[-1].test + unfinished)]


def _refuse_nobody(snapshots: pl.DataFrame, splits: list[Split], dataset: Dataset) -> None:
    days = dataset.config.conversion.primary_horizon_days
    times = [t for split in splits for t in split.test]
    over = pl.Series(matured(times, dataset, known_by=dataset.data_cutoff), dtype=INSTANT)
    if snapshots.filter(pl.col("as_of").is_in(over.implode())).is_empty():
        cohort = dataset.config.cohort
        raise RefusedError(
            f"nobody in the cohort at any test whose {days} days are over, from "
            f"{splits[0].test[0]:%Y-%m-%d} on",
            expected=f"leads that are open and {cohort.rule} within {cohort.within_days} days",
            next_step="set backtest.first_test earlier, or widen the cohort",
        )


def _learned(
    model: TrainedModel,
    features: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    test: pl.DataFrame,
    converted: Mapping[int, pl.Series],
    fold: int,
) -> Iterable[pl.DataFrame]:
    fit = model.fitted[model.tiers.horizon_days]
    told: dict[str, HorizonProbabilities] = {
        step: predict_horizons(model.step(step), features) for step in STEPS if step in fit.models
    }
    for name, predicted in {**told, CHAMPION: told[fit.champion]}.items():
        for column, days in enumerate(predicted.horizons_days):
            p = pl.Series(predicted.probabilities[:, column])
            yield _rows(name, test, days, p, p, converted[days], fold)
    for days, fit in model.fitted.items():
        calibrator = fit.models[fit.champion].calibrator
        base = calibrator.base_rate
        rate = pl.Series(np.full(len(test), base))
        yield _rows(BASE_RATE, test, days, rate, rate, converted[days], fold)


def _rows(
    contender: str,
    test: pl.DataFrame,
    days: int,
    score: pl.Series,
    probability: pl.Series | None,
    converted: pl.Series,
    fold: int,
) -> pl.DataFrame:
    return test.select(
        pl.lit(contender).alias("contender"),
        "lead_id",
        "as_of",
        pl.lit(days, dtype=pl.Int32).alias("horizon_days"),
        score.alias("score"),
        (pl.lit(None, dtype=pl.Float64) if probability is None else probability).alias(
            "probability"
        ),
        converted.alias("converted"),
        pl.lit(fold, dtype=pl.Int32).alias("fold"),
    )


def _summary(
    model: TrainedModel,
    split: Split,
    primary: int,
    features: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> FoldModel:
    fit = model.fitted[primary]
    sample = features[:: max(1, len(features) // 2000)]
    contributions = np.abs(model.champion[primary].learner.contributions(sample))[:, :-1]
    mean = contributions.mean(axis=0) if len(contributions) else np.zeros(features.shape[1])
    names = model.featurizer.spec.names
    order = np.argsort(-mean, kind="stable")[:200]
    return FoldModel(
        split=split,
        reason=fit.reason,
        step=fit.champion,
        tiers=model.tiers,
        n_train=model.n_snapshots,
        n_converted=model.n_converted,
        calibration={days: used.calibrator.kind for days, used in model.champion.items()},
        drivers=[(names[i], float(mean[i])) for i in order],
    )
