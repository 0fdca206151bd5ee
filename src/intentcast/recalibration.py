"""The same learner with a new calibration, fitted on what has matured since it was trained.

Drift mostly moves the level of all probabilities, not the order of leads. That takes minutes to set
right, and far fewer conversions than learning again. Written is a new bundle whose manifest has

* `recalibrated_from`: `version` and `sha256` of the bundle that the learner was taken from;
* `recalibrated_on`: as-of times, snapshots, conversions, and how it did before and after;
* `learner_cutoff`: until when the learner had learnt; `data_cutoff` is that of the calibration.

Everything else is that bundle's, but for golden rows and tiers: a threshold moves along with the
probability, so that a lead is hot by the new bundle if it was by the old one.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from intentcast import model_card
from intentcast.bundle import Bundle, BundleContents, write_bundle
from intentcast.config import CalibrationSettings, LearnerConfig
from intentcast.contracts import INSTANT
from intentcast.errors import RefusedError
from intentcast.evaluation.metrics import calibration_line, log_loss
from intentcast.files import json_bytes
from intentcast.histories import history_from_json
from intentcast.labels import label_snapshots, matured, was_at_risk
from intentcast.propensity import Calibrator, HorizonModel
from intentcast.propensity.calibration import fit_calibrator
from intentcast.propensity.margins import Floats
from intentcast.propensity.rows import DAY_US, TrainingRows
from intentcast.scoring import Unpackaged, predict, predict_history
from intentcast.snapshots import account_numbers, build_snapshots, scoring_times
from intentcast.sources import Dataset
from intentcast.tiers import TierPolicy

LEARNER_CUTOFF = "learner_cutoff"
_NEWEST_DAYS = 182
_COPIED = (
    "horizons_days",
    "primary_horizon_days",
    "feature_hash",
    "n_features",
    "models",
    "n_snapshots",
    "n_converted",
)


@dataclass(frozen=True)
class Quality:
    """How true probabilities were on some snapshots.

    Attributes:
        log_loss: Mean, in nats.
        slope: Of the outcome on the predicted log-odds; ideal 1. None where all converted, or none.
        mean_probability: What was said.
        share_converted: What came.
    """

    log_loss: float
    slope: float | None
    mean_probability: float
    share_converted: float

    @classmethod
    def of(cls, converted: Floats, probability: Floats) -> "Quality":
        """Measure; both of shape (n,)."""
        slope = calibration_line(converted, probability).slope
        return cls(
            log_loss(converted, probability),
            slope if np.isfinite(slope) else None,
            float(probability.mean()),
            float(converted.mean()),
        )


@dataclass(frozen=True)
class Recalibrated:
    """A horizon's new calibrator, and what it was fitted and judged on.

    Attributes:
        calibrator: Fitted on all that has matured.
        first: First as-of time, ISO 8601.
        last: Last one.
        n: Snapshots.
        n_converted: Of them, converted.
        before: The bundle's own probabilities on the later half of the as-of times.
        after: Those of a map fitted on earlier as-of times, there.
        is_embargoed: Whether every outcome that this map was fitted on was known when the later
            half began. Else there were too few: it was fitted on the earlier half, and the two
            share leads.
        n_judged: Snapshots of the later half.
    """

    calibrator: Calibrator
    first: str
    last: str
    n: int
    n_converted: int
    before: Quality
    after: Quality
    is_embargoed: bool
    n_judged: int

    def to_json(self) -> dict[str, Any]:
        """Return all but the calibrator as JSON values."""
        values = asdict(self)
        return values | {"calibration": values.pop("calibrator")["kind"]}


def learner_cutoff(bundle: Bundle) -> datetime:
    """Return until when a bundle's learner has learnt, whatever its calibration saw since."""
    return datetime.fromisoformat(bundle.manifest.get(LEARNER_CUTOFF) or bundle.data_cutoff)


def recalibrate(
    bundle: Bundle,
    dataset: Dataset,
    *,
    known_by: datetime,
    on_progress: Callable[[str], None] | None = None,
) -> dict[int, Recalibrated]:
    """Fit each horizon's calibrator anew, on as-of times that the learner had not seen.

    These are the cohort's from the learner's cut-off on, also after `cohort.end`, whose horizon is
    over by `known_by`, at most the newest half year of them.

    Args:
        bundle: Whose learner, and whose settings of calibration, are used.
        dataset: With outcomes up to now.
        known_by: Nothing that became known at or after this instant is used.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: Where too few have converted since, saying how many more it takes.
    """
    say = on_progress or (lambda _: None)
    since = learner_cutoff(bundle)
    ended = min(known_by, dataset.data_cutoff)
    grid = [t for t in scoring_times(dataset, until=ended) if t >= since]
    settings = bundle.settings or LearnerConfig()
    primary = bundle.primary_horizon_days
    horizons = sorted(bundle.models, key=lambda days: days != primary)
    over = {
        days: _newest(matured(grid, dataset, known_by=ended, horizon_days=days))
        for days in horizons
    }
    snapshots = build_snapshots(dataset, sorted({t for times in over.values() for t in times}))
    snapshots = snapshots.filter(was_at_risk(snapshots, dataset, known_by=known_by))
    is_over = {
        days: snapshots["as_of"].is_in(pl.Series(times, dtype=INSTANT).implode()).to_numpy()
        for days, times in over.items()
    }
    converted = {}
    for days in horizons:
        part = snapshots.filter(is_over[days])
        say(f"{days} days: {len(over[days])} as-of times since {since:%Y-%m-%d}")
        label = label_snapshots(part, dataset, horizon_days=days, known_by=known_by)
        converted[days] = label.cast(pl.Float64).to_numpy()
        _refuse_too_few(converted[days], settings.calibration, days, since)
    say(f"probabilities of {len(snapshots):,} snapshots")
    _, predicted = predict(bundle, dataset, snapshots)
    moments = snapshots["as_of"].dt.timestamp("us").to_numpy()
    clusters = account_numbers(snapshots["account_id"])
    found = {}
    for days in sorted(horizons):
        here = is_over[days]
        column = predicted.horizons_days.index(days)
        rows = TrainingRows(
            features=predicted.margins[here][:, [column]],
            names=["margin"],
            converted=converted[days],
            times=moments[here],
            clusters=clusters[here],
            horizon_days=days,
            delay_us=round(dataset.config.source_delay_hours.outcomes * 3_600_000_000),
        )
        found[days] = _refitted(rows, predicted.at(days)[here], settings.calibration, settings.seed)
    return found


def _newest(times: list[datetime]) -> list[datetime]:
    return [t for t in times if t > times[-1] - timedelta(days=_NEWEST_DAYS)]


def recalibrated_models(
    bundle: Bundle, calibrators: Mapping[int, Calibrator]
) -> dict[int, HorizonModel]:
    """Return the bundle's learners, each with the calibrator of its horizon."""
    return {
        days: HorizonModel(model.step, days, model.learner, calibrators[days])
        for days, model in bundle.models.items()
    }


def write_recalibrated(
    bundle: Bundle,
    folder: Path,
    found: Mapping[int, Recalibrated],
    *,
    known_by: datetime,
    created: datetime,
    out: Path,
) -> Path:
    """Write the bundle with its new calibration as a new bundle of `out`, and return its folder.

    Args:
        bundle: As loaded.
        folder: Where it was loaded from.
        found: From `recalibrate`, every horizon.
        known_by: As there.
        created: The moment of writing.
        out: Folder of bundles.
    """
    models = recalibrated_models(bundle, {days: part.calibrator for days, part in found.items()})
    files = {name: (folder / name).read_bytes() for name in bundle.manifest["files"]}
    predictor = Unpackaged(bundle.featurizer, models, bundle.config)
    golden = [
        {
            "request": row["request"],
            "probabilities": predict_history(predictor, history_from_json(row["request"]))[1]
            .probabilities[0]
            .tolist(),
        }
        for row in bundle.golden
    ]
    primary = bundle.primary_horizon_days
    tiers = moved_tiers(bundle.tiers, bundle.models[primary].calibrator, models[primary].calibrator)
    files |= {
        "calibration.json": json_bytes(
            {str(days): model.calibrator.to_json() for days, model in sorted(models.items())}
        ),
        "golden.json": json_bytes(golden),
        "tiers.json": json_bytes(tiers.to_json()),
    }
    fields = {key: bundle.manifest[key] for key in _COPIED if key in bundle.manifest} | {
        "data_cutoff": known_by.isoformat(),
        LEARNER_CUTOFF: learner_cutoff(bundle).isoformat(),
        "recalibrated_from": {"version": bundle.version, "sha256": bundle.sha256},
        "recalibrated_on": {str(days): part.to_json() for days, part in found.items()},
    }
    files[model_card.FILE] = model_card.model_card(fields, files).encode()
    return write_bundle(BundleContents(bundle.name, files, fields), out, created=created)


def moved_tiers(tiers: TierPolicy, old: Calibrator, new: Calibrator) -> TierPolicy:
    """Return the thresholds at the new map's probability of the margins that they were at."""
    moved: dict[str, Any] = {}
    for name in ("hot", "warm", "hot_leave", "warm_leave", "deprioritise", "deprioritise_leave"):
        threshold = getattr(tiers, name)
        if threshold is not None:
            margin = np.array([_margin_of(threshold, old)])
            moved[name] = float(new.probabilities(margin)[0])
    return replace(tiers, **moved)


def _margin_of(threshold: float, calibrator: Calibrator) -> float:
    """Return the least margin whose probability reaches a threshold, by bisection."""
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2.0
        reaches = calibrator.probabilities(np.array([middle]))[0] >= threshold
        low, high = (low, middle) if reaches else (middle, high)
    return high


def _refuse_too_few(
    converted: Floats, settings: CalibrationSettings, days: int, since: datetime
) -> None:
    n_converted = int(converted.sum())
    others = len(converted) - n_converted
    fewest = settings.min_converted
    more = max(fewest - n_converted, 0)
    if min(n_converted, others) < fewest:
        raise RefusedError(
            f"{n_converted:,} of {len(converted):,} snapshots since {since:%Y-%m-%d} converted "
            f"within {days} days",
            expected=f"at least {fewest} that did and as many that did not",
            next_step=f"wait for {more:,} more conversions, or train again"
            if more
            else "wait for more outcomes, or train again",
        )


def _refitted(
    rows: TrainingRows, said: Floats, settings: CalibrationSettings, seed: int
) -> Recalibrated:
    distinct = np.unique(rows.times)
    opens = int(distinct[len(distinct) // 2])
    later = rows.times >= opens
    earlier = rows.over_by(opens)
    is_embargoed = rows.scarcer(earlier) >= settings.min_converted
    if not is_embargoed:
        earlier = ~later if len(distinct) > 1 else rows.clusters % 2 == 0
        later = later if len(distinct) > 1 else ~earlier

    def fit(part: TrainingRows) -> Calibrator:
        everything = np.arange(len(part))
        return fit_calibrator(
            part.features[:, 0],
            part.converted,
            part.clusters,
            part.times,
            isotonic_from=settings.isotonic_from,
            min_converted=settings.min_converted,
            drift=part.drift_since(everything, settings),
            seed=seed,
        )

    judged = rows.where(later)
    trial = fit(rows.where(earlier))
    return Recalibrated(
        calibrator=fit(rows),
        first=_day(rows.times.min()),
        last=_day(rows.times.max()),
        n=len(rows),
        n_converted=int(rows.converted.sum()),
        before=Quality.of(judged.converted, said[later]),
        after=Quality.of(judged.converted, trial.probabilities(judged.features[:, 0])),
        is_embargoed=is_embargoed,
        n_judged=len(judged),
    )


def _day(micros: int | np.int64) -> str:
    moment: np.datetime64 = np.datetime64(int(micros) // DAY_US, "D")
    return str(moment)
