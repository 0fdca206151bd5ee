"""One run of monitoring: figures, lights and what has changed since the run before."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from intentcast.bundle import Bundle
from intentcast.errors import RefusedError
from intentcast.files import plain
from intentcast.gate import GateSettings
from intentcast.monitoring.delays import Delays, delay_figures, measure_delays
from intentcast.monitoring.drift import FeatureDrift, feature_drift
from intentcast.monitoring.early import Early, expected_so_far
from intentcast.monitoring.inputs import Unseen, Volume, unseen, volumes
from intentcast.monitoring.lights import (
    Light,
    Signal,
    delay_signal,
    drift_signal,
    early_signal,
    inputs_signal,
    newcomers_signal,
    next_steps,
    quality_signals,
    served_signal,
    worst,
)
from intentcast.monitoring.newcomers import Filling, fillings
from intentcast.monitoring.realized import Judged, Quality, judged_rows, realized_quality
from intentcast.monitoring.scored import Told, scores_from_files, scores_since
from intentcast.monitoring.served import Served, served_again
from intentcast.monitoring.state import Reopened, group_key, reopened, run_before, run_of
from intentcast.monitoring.windows import Windows, cut_windows
from intentcast.propensity.margins import Floats
from intentcast.recalibration import learner_cutoff
from intentcast.snapshots import known_dataset, scoring_times
from intentcast.sources import Dataset

_INFLUENCE_ROWS = 500


@dataclass(frozen=True)
class Monitored:
    """What one run found.

    Attributes:
        bundle: Name, version and data cut-off of the bundle.
        as_of: Nothing known at or after this instant was used.
        signals: Every check with its light.
        drift: Per feature; None where it could not be judged.
        volumes: Per event type and channel.
        unseen: Per kind of text.
        fillings: Per attribute of new leads.
        told: The scores judged.
        qualities: Per version and horizon, the bundle's own first.
        changes: Per `VERSION|DAYS`, what has changed since the run before.
        early: Conversions so far.
        delays: Of recording.
        window: First and last as-of time of the newest window; None without one.
        run: What this run is remembered by.
        served: Of a server's sampled answers; None where none were given.
    """

    bundle: dict[str, str]
    as_of: datetime
    signals: tuple[Signal, ...]
    drift: tuple[FeatureDrift, ...] | None
    volumes: tuple[Volume, ...]
    unseen: tuple[Unseen, ...]
    fillings: tuple[Filling, ...]
    told: Told
    qualities: tuple[Quality, ...]
    changes: dict[str, Reopened]
    early: Early | None
    delays: Delays
    window: tuple[datetime, datetime] | None
    run: dict[str, Any]
    served: Served | None = None

    @property
    def n_learnt(self) -> int:
        """How many scores are of as-of times whose outcomes the bundle may have learnt from."""
        own = pl.col("model_version") == self.bundle["version"]
        ended = datetime.fromisoformat(self.bundle["data_cutoff"])
        return len(self.told.rows.filter(own & (pl.col("as_of") < ended)))

    @property
    def light(self) -> Light:
        """The worst of all."""
        return worst(self.signals)

    @property
    def next_steps(self) -> list[str]:
        """What to do, in sentences."""
        return next_steps(self.signals)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values: what is not finite is null."""
        told = self.told
        found = {
            "bundle": self.bundle,
            "as_of": self.as_of.isoformat(),
            "light": self.light,
            "next_steps": self.next_steps,
            "checks": [asdict(s) for s in self.signals],
            "window": [t.isoformat() for t in self.window] if self.window else None,
            "drift": None if self.drift is None else [asdict(f) for f in self.drift],
            "volumes": [asdict(v) for v in self.volumes],
            "unseen": [asdict(u) for u in self.unseen],
            "new_leads": [asdict(f) for f in self.fillings],
            "scores": {
                "n": len(told.rows),
                "retrospective": told.is_retrospective,
                "of_unknown_leads": told.n_unknown,
                "told_later": told.n_later,
                "learnt_from": self.n_learnt,
            },
            "quality": [
                asdict(q)
                | {
                    "reliability": [b._asdict() for b in q.reliability],
                    "changed": asdict(self.changes[key]) if key in self.changes else None,
                }
                for q in self.qualities
                for key in [group_key(q.version, q.horizon_days)]
            ],
            "early": asdict(self.early) if self.early else None,
            "delay": delay_figures(self.delays),
            "served": asdict(self.served) if self.served else None,
        }
        written: dict[str, Any] = plain(found)
        return written


def monitor(
    bundle: Bundle,
    folder: Path,
    dataset: Dataset,
    *,
    as_of: datetime,
    scores: Sequence[tuple[str, pl.DataFrame]] = (),
    runs: Sequence[dict[str, Any]] = (),
    samples: pl.DataFrame | None = None,
    margins: GateSettings | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Monitored:
    """Look at what comes in, at what was told, and at what came of it.

    Args:
        bundle: In use.
        folder: Its folder, verified by `load_bundle`; the drift baseline is there.
        dataset: New data; what became known at or after `as_of` is not used.
        as_of: The instant of monitoring.
        scores: Files of scores with their names; without any, the bundle is asked what it would
            have told since its data ended.
        runs: Of `state.json`.
        samples: Answers that a server logged, from `replay.read_log`.
        margins: Of the gate, for level and slope.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If nobody was scored and nobody is in the cohort.
    """
    say = on_progress or (lambda _: None)
    # What comes later may not even say where the record ends.
    cutoff = min(dataset.data_cutoff, as_of)
    past = replace(known_dataset(dataset, as_of), data_cutoff=cutoff)
    times = scoring_times(past, until=as_of)
    # A recalibration brings no new reference: features are compared with what the learner saw.
    windows = cut_windows(past, times, learnt_until=learner_cutoff(bundle))
    if windows is None:
        raise RefusedError(
            f"nobody in the cohort in the last 28 days before {as_of:%Y-%m-%d}",
            expected="leads to look at",
            next_step="choose an earlier --as-of, or check cohort.start",
        )
    say(f"features of {len(windows.snapshots):,} snapshots")
    drift, why_not = _drift(bundle, folder, past, windows)
    say("scores that are over")
    told = (
        scores_from_files(scores, past, as_of=as_of)
        if scores
        else scores_since(bundle, past, times, as_of=as_of)
    )
    delays = measure_delays(past, as_of=as_of)
    judged = _judged(bundle, told, past, delays, as_of)
    run = run_of(judged, as_of=as_of)
    before = run_before(list(runs), run)
    changes = {key: found for key in run["groups"] if (found := reopened(before, run, key))}
    own = told.rows.filter(pl.col("model_version") == bundle.version)
    say("conversions so far")
    early = expected_so_far(bundle, past, own, delays, as_of=as_of)
    qualities = tuple(quality for _, quality in judged)
    mine = [q for q in qualities if q.version == bundle.version]
    served = None if samples is None else served_again(bundle, samples, on_progress=say)
    flows, news = volumes(past, windows), unseen(bundle, past, windows)
    filled = fillings(past, windows)
    signals = [
        inputs_signal(flows, news),
        newcomers_signal(filled),
        drift_signal(drift, why_not),
        *_quality_signals(mine, margins or GateSettings()),
        early_signal(early),
        delay_signal(delays, mine),
        *([served_signal(served)] if served else []),
    ]
    return Monitored(
        bundle={
            "name": bundle.name,
            "version": bundle.version,
            "data_cutoff": bundle.data_cutoff,
            "step": bundle.models[bundle.primary_horizon_days].step,
        },
        as_of=as_of,
        signals=tuple(signals),
        drift=None if drift is None else tuple(drift),
        volumes=tuple(flows),
        unseen=tuple(news),
        fillings=tuple(filled),
        told=told,
        qualities=qualities,
        changes=changes,
        early=early,
        delays=delays,
        window=windows.newest,
        run=run,
        served=served,
    )


def _quality_signals(mine: Sequence[Quality], margins: GateSettings) -> list[Signal]:
    if not mine:
        said = "No score of this bundle has a horizon that is over."
        return [Signal("Probabilities", "grey", said, "wait")]
    return [signal for quality in mine for signal in quality_signals(quality, margins)]


def _judged(
    bundle: Bundle, told: Told, past: Dataset, delays: Delays, as_of: datetime
) -> list[tuple[Judged, Quality]]:
    """Return what is over with its quality, the bundle's own version first."""
    found = []
    for judged in judged_rows(told.rows, past, as_of=as_of):
        quality = realized_quality(
            judged,
            delays,
            as_of=as_of,
            per_week=past.config.capacity.handoffs_per_week,
            is_primary=judged.horizon_days == bundle.primary_horizon_days,
        )
        if quality is not None:
            found.append((judged, quality))
    return sorted(found, key=lambda pair: pair[0].version != bundle.version)


def _drift(
    bundle: Bundle, folder: Path, past: Dataset, windows: Windows
) -> tuple[list[FeatureDrift] | None, str]:
    """Return each feature's drift, or why it cannot be told."""
    reference = json.loads((folder / "reference.json").read_bytes())
    if "n_accounts" not in reference:
        return None, "The bundle was made by an earlier version and has no shares to compare with."
    features = bundle.featurizer.transform(past, windows.snapshots)
    weights = _influence(bundle, features.doubles[windows.number == 0])
    return feature_drift(features, windows, reference, weights), ""


def _influence(bundle: Bundle, newest: Floats) -> Floats:
    """Return each feature's share of mean |contribution| in the newest window, of sum 1."""
    model = bundle.models[bundle.primary_horizon_days]
    n_features = newest.shape[1]
    if model.step == "rules":
        return np.full(n_features, 1 / n_features)
    every = -(-len(newest) // _INFLUENCE_ROWS)
    size = np.abs(model.learner.contributions(newest[::every]))[:, :-1].mean(axis=0)
    total = float(size.sum())
    out: Floats = size / total if total else np.full(n_features, 1 / n_features)
    return out
