"""From a data set to a model: features, learners per horizon, tiers; what `train` would ship."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.features import FeatureMatrix, Featurizer, fit_featurizer
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity import Fitted, HorizonModel, Step, TrainingRows, fit_ladder
from intentcast.snapshots import build_snapshots
from intentcast.sources import Dataset
from intentcast.tiers import TierPolicy, policy_from_capacity


@dataclass(frozen=True)
class TrainedModel:
    """Everything that training learnt.

    One step serves every horizon: the one chosen for the primary horizon, so that a lead's
    probabilities do not jump between learners.

    Attributes:
        featurizer: Vocabulary and themes.
        fitted: Per horizon, every step and the choice between them.
        tiers: Thresholds on the primary horizon.
        known_by: Nothing known at or after this instant was used.
        n_snapshots: Training snapshots after thinning.
        n_converted: Of the mature ones of the primary horizon, converted.
        features: Of the training snapshots, for the drift baseline.
        snapshots: Which they were.
    """

    featurizer: Featurizer
    fitted: Mapping[int, Fitted]
    tiers: TierPolicy
    known_by: datetime
    n_snapshots: int
    n_converted: int
    features: FeatureMatrix
    snapshots: pl.DataFrame

    @property
    def champion(self) -> dict[int, HorizonModel]:
        """The chosen step's model per horizon."""
        return self.step(self.fitted[self.tiers.horizon_days].champion)

    def step(self, step: Step) -> dict[int, HorizonModel]:
        """Return one step's model per horizon."""
        return {days: fit.models[step] for days, fit in self.fitted.items()}


def fit_model(
    dataset: Dataset,
    *,
    times: Sequence[datetime],
    known_by: datetime,
    config: LearnerConfig,
    on_progress: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Learn from the as-of times whose horizon is over by `known_by`.

    Args:
        dataset: Where it comes from; what became known at or after `known_by` is not used.
        times: Candidate as-of times.
        known_by: The instant at which training pretends to happen.
        config: `conversion.toml`.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If no horizon is over, or there are too few conversions.
    """
    say = on_progress or (lambda _: None)
    conversion = dataset.config.conversion
    shortest = timedelta(days=conversion.horizons_days[0])
    mature = [t for t in times if t + shortest <= known_by]
    snapshots = build_snapshots(dataset, mature) if mature else None
    if snapshots is None or snapshots.is_empty():
        raise RefusedError(
            f"no snapshot whose {conversion.horizons_days[0]} days are over by {known_by:%Y-%m-%d}",
            expected="a horizon shorter than the recorded data",
            next_step="shorten conversion.horizons_days, or start the cohort earlier",
        )
    snapshots = _thinned(snapshots, config.max_rows)
    say("features")
    featurizer = fit_featurizer(
        dataset, known_by=known_by, settings=config.features, seed=config.seed
    )
    features = featurizer.transform(dataset, snapshots)
    at_risk = was_at_risk(snapshots, dataset, known_by=known_by)
    labels = {
        days: _where(
            at_risk,
            label_snapshots(snapshots, dataset, horizon_days=days, known_by=known_by),
        )
        for days in conversion.horizons_days
    }
    primary_label = labels[conversion.primary_horizon_days]
    rows = {
        days: _training_rows(label, snapshots, features, days) for days, label in labels.items()
    }
    say(f"learners for {', '.join(map(str, rows))} days on {len(snapshots):,} snapshots")
    fitted = _fit_horizons(rows, conversion.primary_horizon_days, config)
    primary = rows[conversion.primary_horizon_days]
    leads = snapshots["lead_id"].to_numpy()[primary_label.is_not_null().to_numpy()]
    tiers = _tiers(fitted[conversion.primary_horizon_days], primary, leads, dataset)
    n_converted = int(primary.converted.sum())
    return TrainedModel(
        featurizer, fitted, tiers, known_by, len(snapshots), n_converted, features, snapshots
    )


def _where(at_risk: pl.Series, label: pl.Series) -> pl.Series:
    """Return the label, null where the lead was not at risk."""
    return pl.select(pl.when(at_risk).then(label).alias("converted"))["converted"]


def _training_rows(
    label: pl.Series, snapshots: pl.DataFrame, features: FeatureMatrix, days: int
) -> TrainingRows:
    known = label.is_not_null().to_numpy()
    return TrainingRows(
        features=features.doubles[known],
        names=features.names,
        converted=label.drop_nulls().cast(pl.Float64).to_numpy(),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy()[known],
        clusters=account_numbers(snapshots["account_id"])[known],
        horizon_days=days,
    )


def _fit_horizons(
    rows: Mapping[int, TrainingRows], primary: int, config: LearnerConfig
) -> dict[int, Fitted]:
    """Fit the primary horizon, then the others side by side with the penalty it chose.

    Each fit is single-threaded, so how many run at once cannot change a number.
    """
    fitted = {
        primary: fit_ladder(rows[primary], config, penalties=config.logistic.inverse_penalties)
    }
    chosen = (fitted[primary].penalty,)
    with ThreadPoolExecutor(max_workers=config.threads) as pool:
        jobs = {
            days: pool.submit(fit_ladder, part, config, penalties=chosen)
            for days, part in rows.items()
            if days != primary
        }
        fitted |= {days: job.result() for days, job in jobs.items()}
    return dict(sorted(fitted.items()))


def account_numbers(accounts: pl.Series) -> NDArray[np.int64]:
    """Return a number per account that depends on its name alone, shape (n,)."""
    unique = accounts.unique().sort()
    numbers = {name: zlib.crc32(name.encode()) for name in unique.to_list()}
    out: NDArray[np.int64] = accounts.replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    return out


def _thinned(snapshots: pl.DataFrame, max_rows: int) -> pl.DataFrame:
    """Keep every k-th as-of time, counted back from the latest, so that rows fit the limit.

    Neighbouring as-of times tell nearly the same; dropping leads instead would lose conversions.
    """
    step = -(-len(snapshots) // max_rows)
    if step == 1:
        return snapshots
    times = snapshots["as_of"].unique().sort(descending=True)
    return snapshots.filter(pl.col("as_of").is_in(times.gather_every(step).implode()))


def _tiers(
    fit: Fitted, rows: TrainingRows, leads: NDArray[np.generic], dataset: Dataset
) -> TierPolicy:
    sample = fit.out_of_sample
    # As fitted on the slice: its margins are of the learner that had not seen it.
    calibrator = replace(fit.models[fit.champion].calibrator, shift=0.0)
    times = rows.times[sample.rows]
    gaps = np.diff(np.unique(times))
    every_days = dataset.config.cohort.every_days
    if len(gaps):
        every_days = max(every_days, round(float(gaps.min()) / 86_400_000_000))
    return policy_from_capacity(
        calibrator.probabilities(sample.margins),
        leads[sample.rows],
        times,
        handoffs_per_week=dataset.config.capacity.handoffs_per_week,
        every_days=every_days,
        horizon_days=rows.horizon_days,
    )
