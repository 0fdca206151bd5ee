"""One training from data to bundle, and its record in MLflow: what `train` and `retrain` do."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from intentcast.champions import Reign, champion, crown
from intentcast.config import LearnerConfig
from intentcast.handoff import HandoffSettings
from intentcast.packaging import package
from intentcast.provenance import DataFingerprint, code_version
from intentcast.registry import RegisteredVersion, TrainingData, register
from intentcast.scorecards import Scorecard, dataset_scorecards, read_scorecard
from intentcast.scoring import load_bundle
from intentcast.snapshots import as_of_times, cohort_span
from intentcast.sources import Dataset
from intentcast.training import TrainedModel, fit_model


@dataclass(frozen=True)
class TrainingRun:
    """A training that has written its bundle.

    Attributes:
        model: What it learnt.
        bundle: The bundle's folder; it has been read back and gives its golden answers.
        figures: Its `metrics.json`.
        card: The points table that answers beside the model, if there is one.
    """

    model: TrainedModel
    bundle: Path
    figures: dict[str, Any]
    card: Scorecard | None


def train_bundle(
    dataset: Dataset,
    *,
    known_by: datetime,
    config: LearnerConfig,
    handoff: HandoffSettings,
    accepted_leaks: Sequence[str],
    created: datetime,
    out: Path,
    on_progress: Callable[[str], None] | None = None,
) -> TrainingRun:
    """Learn, write the bundle, read it back.

    Args:
        dataset: What to learn from.
        known_by: The instant at which training pretends to happen.
        config: `conversion.toml`.
        handoff: Criteria and stage signals to ship.
        accepted_leaks: Names of leaks that were accepted; kept with the metrics.
        created: The moment of writing.
        out: Folder of bundles.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If there is too little to learn from.
        BundleError: If the bundle cannot be written.
    """
    say = on_progress or (lambda _: None)
    cards = dataset_scorecards(dataset)
    card = read_scorecard(cards[0]) if cards else None
    model = fit_model(
        dataset,
        times=as_of_times(cohort_span(dataset), dataset.config.cohort.every_days),
        known_by=known_by,
        config=config,
        on_progress=say,
        scorecard=card,
    )
    say("writing the bundle")
    bundle = package(
        model,
        dataset,
        handoff=handoff,
        scorecard=cards[0] if cards else None,
        metrics={"accepted_leaks": list(accepted_leaks)},
        created=created,
        out=out,
        settings=config,
    )
    say("reading it back")
    load_bundle(bundle)
    return TrainingRun(model, bundle, json.loads((bundle / "metrics.json").read_bytes()), card)


def register_bundle(
    bundle: Path,
    *,
    data: Path,
    fingerprint: DataFingerprint,
    config: LearnerConfig,
    store: Path,
    may_lead: bool = True,
) -> RegisteredVersion:
    """Keep a bundle's making as a whole MLflow run: settings, data, code, metrics, card, model.

    A recalibration's run has `kind` recalibration, the version that its learner was taken from, and
    how true each horizon's probabilities were before and after. `metrics.json`, which is still
    that of the training, is with its files only.

    Args:
        bundle: Its folder.
        data: The data set's folder.
        fingerprint: Of the data, taken when they were read.
        config: What it was trained with.
        store: MLflow's.
        may_lead: Whether MLflow calls it champion where there is none.

    Raises:
        InputError: If the store cannot be used.
    """
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    metrics = json.loads((bundle / "metrics.json").read_bytes())
    code = code_version()
    place = str(data.resolve())
    source = manifest.get("recalibrated_from")
    kind = {"kind": "recalibration", "source": source["version"]} if source else {}
    told = {"recalibrated": manifest["recalibrated_on"]} if source else metrics
    parameters = flattened(config.model_dump(mode="json")) | {
        "kind": "training",
        **kind,
        "known_by": manifest["data_cutoff"],
        "step": metrics["step"],
        "data": place,
        "data_sha256": fingerprint.sha256,
        "n_features": manifest["n_features"],
        "n_snapshots": manifest["n_snapshots"],
        "n_converted": manifest["n_converted"],
    }
    tags = {
        "data_sha256": fingerprint.sha256,
        "data_files": json.dumps(fingerprint.files),
        "data_cutoff": manifest["data_cutoff"],
        "code_version": code.version,
        "code_sha256": code.sha256,
        "reason": metrics["reason"],
        "accepted_leaks": ", ".join(metrics.get("accepted_leaks", ())),
    }
    if code.commit:
        tags["mlflow.source.git.commit"] = code.commit
    return register(
        bundle,
        name=manifest["name"],
        store=store,
        parameters=parameters,
        metrics={k: float(v) for k, v in flattened(told).items() if isinstance(v, int | float)},
        tags=tags,
        data=TrainingData(manifest["name"], fingerprint.sha256, place),
        may_lead=may_lead,
    )


def flattened(values: Mapping[str, Any]) -> dict[str, str | float]:
    """Return nested settings or metrics as one level, `booster.rounds`; lists as JSON text."""
    out: dict[str, str | float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= {f"{key}.{inner}": leaf for inner, leaf in flattened(value).items()}
        elif isinstance(value, list | tuple | bool):
            out[key] = json.dumps(value)
        elif value is not None:
            out[key] = value
    return out


def crown_the_first(bundle: Path, name: str, *, since: datetime) -> None:
    """Make a bundle champion where its model has none: somebody must answer."""
    if champion(bundle.parent, name) is None:
        reign = Reign(bundle.name, since.isoformat(), "the first bundle of its name")
        crown(bundle.parent, name, reign)
