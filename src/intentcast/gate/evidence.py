"""Champion and challenger on the newest matured window, each as old as it would have been."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.bundle import Bundle
from intentcast.config import LearnerConfig
from intentcast.errors import BundleError, RefusedError
from intentcast.labels import label_snapshots, matured, was_at_risk
from intentcast.propensity.margins import Floats
from intentcast.recalibration import learner_cutoff, recalibrate, recalibrated_models
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.scoring import Unpackaged, load_bundle, predict
from intentcast.snapshots import (
    account_numbers,
    as_of_times,
    build_snapshots,
    cohort_span,
    lead_numbers,
)
from intentcast.sources import Dataset
from intentcast.training import TrainedModel, fit_model


@dataclass(frozen=True)
class Evidence:
    """What both predicted in the window, and what happened.

    Attributes:
        first: First as-of time of the window.
        last: Its last.
        horizon_days: The primary horizon.
        challenger: Probabilities, shape (n,).
        champion: Likewise; None where there is no champion.
        scorecards: Points per points table, each of shape (n,).
        converted: 0 or 1, shape (n,).
        leads: Numbers from 0, shape (n,).
        accounts: Numbers, shape (n,).
        times: As-of times in microseconds, shape (n,).
        per_time: Hand-offs that sales can take at each as-of time.
        how: In words, who was judged: bundles themselves or stand-ins.
    """

    first: datetime
    last: datetime
    horizon_days: int
    challenger: Floats
    champion: Floats | None
    scorecards: dict[str, Floats]
    converted: Floats
    leads: NDArray[np.int64]
    accounts: NDArray[np.int64]
    times: NDArray[np.int64]
    per_time: float
    how: tuple[str, ...]


def gather_evidence(
    dataset: Dataset,
    *,
    challenger: Bundle,
    champion: Bundle | None,
    scorecards: list[Scorecard],
    window_days: int,
    bundles: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Evidence:
    """Judge both on the as-of times whose primary horizon is over, the latest `window_days`.

    A bundle that had learnt from the window would be judged on its own memory. So a stand-in takes
    its place: the same settings, trained on what was known when the window opened. The champion's
    stand-in is older by as much as the champion is older than the challenger. A bundle whose data
    ended before the window is judged itself; of one that was recalibrated since, the learner is,
    with the calibration that it would have had when the window opened.

    Args:
        dataset: With outcomes up to now.
        challenger: Who wants the place.
        champion: Who has it; None if nobody.
        scorecards: Rules to compare with.
        window_days: Length of the window.
        bundles: Folder with the bundles that recalibrated ones were made from.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If no horizon is over, nobody is in the window, or nothing could have been
            learnt before it.
    """
    say = on_progress or (lambda _: None)
    config = dataset.config
    days = config.conversion.primary_horizon_days
    times = as_of_times(cohort_span(dataset), config.cohort.every_days)
    window = _window(times, dataset, window_days)
    snapshots = build_snapshots(dataset, window)
    at_risk = was_at_risk(snapshots, dataset, known_by=dataset.data_cutoff)
    snapshots = snapshots.filter(at_risk)
    label = label_snapshots(snapshots, dataset, horizon_days=days, known_by=dataset.data_cutoff)
    snapshots, label = snapshots.filter(label.is_not_null()), label.drop_nulls()
    if snapshots.is_empty() or not 0 < int(label.sum()) < len(label):
        raise RefusedError(
            f"{int(label.sum())} conversions among {len(label):,} snapshots of the window from "
            f"{window[0]:%Y-%m-%d} to {window[-1]:%Y-%m-%d}",
            expected="some that converted and some that did not",
            next_step="wait for more outcomes, or widen window_days in gate.toml",
        )
    ages = {"challenger": timedelta(0)}
    if champion is not None:
        ages["champion"] = max(timedelta(0), learner_cutoff(challenger) - learner_cutoff(champion))
    told: list[str] = []
    found: dict[str, Floats] = {}
    for role, bundle in (("challenger", challenger), ("champion", champion)):
        if bundle is None:
            continue
        say(f"judging the {role}")
        predictor, how = _predictor(role, bundle, dataset, times, window[0], ages[role], bundles)
        told.append(how)
        found[role] = predict(predictor, dataset, snapshots)[1].at(days)
    return Evidence(
        first=window[0],
        last=window[-1],
        horizon_days=days,
        challenger=found["challenger"],
        champion=found.get("champion"),
        scorecards={
            card.name: score_snapshots(card, dataset, snapshots)["score"].to_numpy()
            for card in scorecards
        },
        converted=label.cast(pl.Float64).to_numpy(),
        leads=lead_numbers(snapshots["lead_id"]),
        accounts=account_numbers(snapshots["account_id"]),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy(),
        per_time=config.handoffs_per_time,
        how=tuple(told),
    )


def _window(times: list[datetime], dataset: Dataset, window_days: int) -> list[datetime]:
    days = dataset.config.conversion.primary_horizon_days
    finished = matured(times, dataset, known_by=dataset.data_cutoff)
    if not finished:
        raise RefusedError(
            f"no as-of time whose {days} days are over by {dataset.data_cutoff:%Y-%m-%d}",
            expected="at least one, to judge by",
            next_step="wait, or use a shorter primary horizon",
        )
    opens = finished[-1] - timedelta(days=window_days)
    return [t for t in finished if t > opens]


def _cutoff(bundle: Bundle) -> datetime:
    return datetime.fromisoformat(bundle.data_cutoff)


def _predictor(
    role: str,
    bundle: Bundle,
    dataset: Dataset,
    times: list[datetime],
    opens: datetime,
    age: timedelta,
    bundles: Path | None,
) -> tuple[Bundle | Unpackaged, str]:
    """Return who predicts in the window for a bundle, and that in words."""
    if _cutoff(bundle) <= opens:
        return bundle, f"{role}: bundle {bundle.version} itself, whose data end before the window"
    if learner_cutoff(bundle) <= opens:
        found = _learner_itself(role, bundle, dataset, opens, bundles)
        if found is not None:
            return found
    known_by = opens - age
    settings = bundle.settings or LearnerConfig()
    whose = f"the settings of bundle {bundle.version}" if bundle.settings else "default settings"

    def fit(known_by: datetime) -> TrainedModel:
        return fit_model(
            dataset, times=times, known_by=known_by, config=settings, scorecard=bundle.scorecard
        )

    try:
        model = fit(known_by)
    except RefusedError:
        if not age:
            raise
        # So long before the window there was nothing to learn from: a fresher one is harder to
        # beat.
        known_by = opens
        model = fit(known_by)
    stand_in = Unpackaged(model.featurizer, model.champion, dataset.config)
    return stand_in, (
        f"{role} {bundle.version}: {whose}, trained on what was known before {known_by:%Y-%m-%d}"
    )


def _learner_itself(
    role: str, bundle: Bundle, dataset: Dataset, opens: datetime, bundles: Path | None
) -> tuple[Bundle | Unpackaged, str] | None:
    """Return a recalibrated bundle's learner with the calibration of the day the window opened.

    Where too little had matured by then to recalibrate on, that is the calibration which it had
    before; None where nobody has it any more.
    """
    whose = f"{role} {bundle.version}: its own learner, whose data end before the window"
    try:
        found = recalibrate(bundle, dataset, known_by=opens)
    except RefusedError as refused:
        source = _calibrated_before(bundle, opens, bundles)
        if source is None:
            return None
        models = recalibrated_models(
            bundle, {days: model.calibrator for days, model in source.models.items()}
        )
        how = (
            f"{whose}, with the calibration of {source.version}: before the window there was too "
            f"little to recalibrate on ({refused.found})"
        )
    else:
        models = recalibrated_models(
            bundle, {days: part.calibrator for days, part in found.items()}
        )
        how = f"{whose}, recalibrated on what was known before {opens:%Y-%m-%d}"
    return Unpackaged(bundle.featurizer, models, dataset.config), how


def _calibrated_before(bundle: Bundle, opens: datetime, bundles: Path | None) -> Bundle | None:
    """Return the latest of the bundles that one was made from which had not seen the window."""
    while _cutoff(bundle) > opens:
        told = bundle.manifest.get("recalibrated_from")
        if bundles is None or told is None:
            return None
        try:
            source = load_bundle(bundles / f"{bundle.name}-{told['version']}")
        except BundleError:
            return None
        if source.sha256 != told["sha256"] or source.models.keys() != bundle.models.keys():
            return None
        bundle = source
    return bundle
