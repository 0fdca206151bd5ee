"""From a data set to a model: features, learners per horizon, tiers; what `train` would ship."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.account_view import AccountView, account_view_of
from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.features import FeatureMatrix, Featurizer, fit_featurizer
from intentcast.labels import label_periods, label_snapshots, was_at_risk
from intentcast.propensity import (
    Fitted,
    Followed,
    HorizonModel,
    Step,
    TrainingRows,
    fit_ladder,
    fit_rules,
    interval_edges,
)
from intentcast.propensity.points import points_of
from intentcast.propensity.search import searched
from intentcast.scorecards import Scorecard
from intentcast.snapshots import account_numbers, build_snapshots
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
        accounts: How the leads of an account convert together.
        known_by: Nothing known at or after this instant was used.
        n_snapshots: Training snapshots after thinning, also those whose horizon is not over yet.
        n_converted: Of the mature ones of the primary horizon, converted.
        features: Of the training snapshots, for the drift baseline.
        snapshots: Which they were.
    """

    featurizer: Featurizer
    fitted: Mapping[int, Fitted]
    tiers: TierPolicy
    accounts: AccountView
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


@dataclass(frozen=True)
class TrainingSet:
    """What there is to learn from at one instant.

    Attributes:
        featurizer: Vocabulary and themes.
        snapshots: Those of which an interval is over, thinned to `max_rows`.
        features: Theirs.
        rows: Per horizon in days, those whose horizon is over and that were at risk.
        positions: Per horizon, where these are among the snapshots.
        followed: All of them, as far as each can be followed.
    """

    featurizer: Featurizer
    snapshots: pl.DataFrame
    features: FeatureMatrix
    rows: Mapping[int, TrainingRows]
    positions: Mapping[int, NDArray[np.int64]]
    followed: Followed


def training_set(
    dataset: Dataset,
    *,
    times: Sequence[datetime],
    known_by: datetime,
    config: LearnerConfig,
    on_progress: Callable[[str], None] | None = None,
) -> TrainingSet:
    """Return features and outcomes of the as-of times of which an interval is over by `known_by`.

    Args:
        dataset: Where it comes from; what became known at or after `known_by` is not used.
        times: Candidate as-of times.
        known_by: The instant at which training pretends to happen.
        config: `conversion.toml`.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If no horizon is over.
    """
    say = on_progress or (lambda _: None)
    horizons = dataset.config.conversion.horizons_days
    edges = interval_edges(horizons)
    is_any_over = any(t + timedelta(days=horizons[0]) <= known_by for t in times)
    known = [t for t in times if t + timedelta(days=edges[1]) <= known_by]
    snapshots = build_snapshots(dataset, known) if is_any_over else None
    if snapshots is None or snapshots.is_empty():
        raise RefusedError(
            f"no snapshot whose {horizons[0]} days are over by {known_by:%Y-%m-%d}",
            expected="a horizon shorter than the recorded data",
            next_step="shorten conversion.horizons_days, or start the cohort earlier",
        )
    is_over = (pl.col("as_of") + timedelta(days=horizons[0]) <= known_by).sum()
    n_over = int(snapshots.select(is_over).item())
    snapshots = _thinned(snapshots, every=-(-n_over // config.max_rows))
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
        for days in horizons
    }
    followed = _followed(
        label_periods(snapshots, dataset, edges_days=edges, known_by=known_by),
        at_risk,
        snapshots,
        features,
        edges,
        dataset,
    )
    rows = {
        days: _training_rows(label, snapshots, features, days, dataset)
        for days, label in labels.items()
    }
    positions = {
        days: np.flatnonzero(label.is_not_null().to_numpy()) for days, label in labels.items()
    }
    return TrainingSet(featurizer, snapshots, features, rows, positions, followed)


def fit_model(
    dataset: Dataset,
    *,
    times: Sequence[datetime],
    known_by: datetime,
    config: LearnerConfig,
    on_progress: Callable[[str], None] | None = None,
    contenders: Sequence[Step] = (),
    scorecard: Scorecard | None = None,
) -> TrainedModel:
    """Learn from the as-of times of which an interval is over by `known_by`.

    Args:
        dataset: Where it comes from; what became known at or after `known_by` is not used.
        times: Candidate as-of times.
        known_by: The instant at which training pretends to happen.
        config: `conversion.toml`.
        on_progress: Called with what is being done.
        contenders: Fitted beside the ladder's steps, of `propensity.CONTENDERS`.
        scorecard: Its points are read as probabilities where there are too few conversions to
            learn from.

    Raises:
        RefusedError: If no horizon is over, or there are too few conversions and no scorecard.
    """
    say = on_progress or (lambda _: None)
    primary = dataset.config.conversion.primary_horizon_days
    known = training_set(dataset, times=times, known_by=known_by, config=config, on_progress=say)
    rows, snapshots = known.rows, known.snapshots
    if config.search.trials:
        say(f"settings, {config.search.trials} trials")
        config = searched(rows[primary], known.followed, config)
    say(f"learners for {', '.join(map(str, rows))} days on {len(snapshots):,} snapshots")
    try:
        fitted = fit_ladder(
            rows, known.followed, primary=primary, config=config, contenders=contenders
        )
    except RefusedError as refused:
        if scorecard is None or not all(map(len, rows.values())):
            raise
        points = points_of(scorecard, dataset, snapshots)
        of_points = {
            days: replace(part, features=points[known.positions[days]], names=["points"])
            for days, part in rows.items()
        }
        fitted = fit_rules(of_points, scorecard, primary=primary, config=config, why=refused.found)
    leads = snapshots["lead_id"].to_numpy()[known.positions[primary]]
    return TrainedModel(
        featurizer=known.featurizer,
        fitted=fitted,
        tiers=_tiers(fitted[primary], rows[primary], leads, dataset),
        accounts=account_view_of(fitted, rows, primary=primary),
        known_by=known_by,
        n_snapshots=len(snapshots),
        n_converted=int(rows[primary].converted.sum()),
        features=known.features,
        snapshots=snapshots,
    )


def _where(at_risk: pl.Series, label: pl.Series) -> pl.Series:
    """Return the label, null where the lead was not at risk."""
    return pl.select(pl.when(at_risk).then(label).alias("converted"))["converted"]


def _training_rows(
    label: pl.Series,
    snapshots: pl.DataFrame,
    features: FeatureMatrix,
    days: int,
    dataset: Dataset,
) -> TrainingRows:
    known = label.is_not_null().to_numpy()
    return TrainingRows(
        features=features.doubles[known],
        names=features.names,
        converted=label.drop_nulls().cast(pl.Float64).to_numpy(),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy()[known],
        clusters=account_numbers(snapshots["account_id"])[known],
        horizon_days=days,
        delay_us=_delay_us(dataset),
    )


def _followed(
    periods: pl.DataFrame,
    at_risk: pl.Series,
    snapshots: pl.DataFrame,
    features: FeatureMatrix,
    edges: tuple[int, ...],
    dataset: Dataset,
) -> Followed:
    """Return the snapshots' follow-up; one that could not convert any more teaches nothing."""
    n_over = periods["n_over"].to_numpy() * at_risk.to_numpy()
    return Followed(
        features=features.values,
        names=features.names,
        n_over=n_over.astype(np.int64),
        converted_in=periods["converted_in"].to_numpy().astype(np.int64),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy(),
        leads=account_numbers(snapshots["lead_id"]),
        clusters=account_numbers(snapshots["account_id"]),
        edges_days=edges,
        delay_us=_delay_us(dataset),
    )


def _delay_us(dataset: Dataset) -> int:
    return round(dataset.config.source_delay_hours.outcomes * 3_600_000_000)


def _thinned(snapshots: pl.DataFrame, *, every: int) -> pl.DataFrame:
    """Keep every k-th as-of time, counted back from the latest, so that rows fit the limit.

    The limit is on the snapshots of which a whole horizon is over; the younger ones, which teach
    single intervals, come on top and are thinned alike. Neighbouring as-of times tell nearly the
    same; dropping leads instead would lose conversions.
    """
    if every <= 1:
        return snapshots
    times = snapshots["as_of"].unique().sort(descending=True)
    return snapshots.filter(pl.col("as_of").is_in(times.gather_every(every).implode()))


def _tiers(
    fit: Fitted, rows: TrainingRows, leads: NDArray[np.generic], dataset: Dataset
) -> TierPolicy:
    sample = fit.out_of_sample
    times = rows.times[sample.rows]
    gaps = np.diff(np.unique(times))
    every_days = dataset.config.cohort.every_days
    if len(gaps):
        every_days = max(every_days, round(float(gaps.min()) / 86_400_000_000))
    return policy_from_capacity(
        fit.out_of_sample_probabilities,
        leads[sample.rows],
        times,
        handoffs_per_week=dataset.config.capacity.handoffs_per_week,
        every_days=every_days,
        horizon_days=rows.horizon_days,
    )
