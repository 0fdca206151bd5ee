"""From a trained model to a bundle: golden rows, drift baseline, model card."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from intentcast.bundle import BundleContents, model_files, write_bundle
from intentcast.config import DatasetConfig, LearnerConfig
from intentcast.files import json_bytes
from intentcast.handoff import HandoffSettings
from intentcast.histories import history_from_json
from intentcast.scoring import Unpackaged, predict_history
from intentcast.sources import Dataset
from intentcast.training import TrainedModel

_N_GOLDEN = 5
_DECILES = np.linspace(0.1, 0.9, 9)


def package(
    model: TrainedModel,
    dataset: Dataset,
    *,
    handoff: HandoffSettings,
    scorecard: Path | None,
    metrics: Mapping[str, Any],
    created: datetime,
    out: Path,
    settings: LearnerConfig | None = None,
) -> Path:
    """Write a bundle and return its folder.

    Args:
        model: From `training.fit_model`.
        dataset: What it was trained on.
        handoff: Criteria and stage signals to ship with it.
        scorecard: The points table to answer beside the model.
        metrics: Kept as `metrics.json`.
        created: The moment of writing.
        out: Folder of bundles.
        settings: What it was trained with; the gate trains stand-ins with the same.
    """
    config = dataset.config
    primary = config.conversion.primary_horizon_days
    files, steps = model_files(model.featurizer, model.champion, primary)
    predictor = Unpackaged(model.featurizer, model.champion, config)
    files |= {
        "tiers.json": json_bytes(model.tiers.to_json()),
        "handoff.json": json_bytes(handoff.model_dump(mode="json")),
        "dataset.json": json_bytes(config.model_dump(mode="json")),
        "reference.json": json_bytes(_reference(model)),
        "golden.json": json_bytes(
            [_golden_row(predictor, r) for r in _golden_requests(model, config)]
        ),
        "metrics.json": json_bytes(dict(metrics)),
        "model_card.md": _model_card(model, dataset).encode(),
    }
    if settings is not None:
        files["settings.json"] = json_bytes(settings.model_dump(mode="json"))
    if scorecard is not None:
        files["scorecard.toml"] = scorecard.read_bytes()
    fields = {
        "data_cutoff": model.known_by.isoformat(),
        "horizons_days": list(config.conversion.horizons_days),
        "primary_horizon_days": primary,
        "feature_hash": model.featurizer.spec.hash,
        "n_features": len(model.featurizer.spec.names),
        "models": steps,
        "n_snapshots": model.n_snapshots,
        "n_converted": model.n_converted,
    }
    return write_bundle(BundleContents(config.name, files, fields), out, created=created)


def _golden_row(predictor: Unpackaged, request: dict[str, Any]) -> dict[str, Any]:
    _, predicted = predict_history(predictor, history_from_json(request))
    return {"request": request, "probabilities": predicted.probabilities[0].tolist()}


def _golden_requests(model: TrainedModel, config: DatasetConfig) -> list[dict[str, Any]]:
    """Return made-up leads over the model's own vocabulary: nobody's data leaves in a bundle."""
    spec, themes = model.featurizer.spec, model.featurizer.themes
    rng = np.random.default_rng(0)
    titles = [title for examples in themes.examples for title in examples[:2]]
    requests = []
    for number in range(_N_GOLDEN):
        events = []
        for _ in range(number * 8):
            who = "golden-lead" if rng.random() < 0.7 else "golden-colleague"
            age = timedelta(seconds=int(rng.integers(60, 120 * 86_400)))
            event: dict[str, Any] = {
                "lead_id": who,
                "occurred_at": (model.known_by - age).isoformat(),
                "event_type": _pick(spec.event_types, rng) or "visit",
            }
            for key, choices in (("content", titles), ("channel", spec.channels)):
                if value := _pick(choices, rng):
                    event[key] = value
            if spec.has_values:
                event["value"] = float(rng.integers(1, 500))
            if spec.has_durations:
                event["duration_seconds"] = float(rng.integers(1, 900))
            events.append(event)
        attributes: dict[str, Any] = {n: float(rng.integers(1, 1000)) for n in spec.numeric}
        attributes |= {n: _pick(levels, rng) for n, levels in spec.levels if levels}
        ended = model.known_by - timedelta(days=40 * (number + 1))
        outcome = {"occurred_at": ended.isoformat(), "outcome": config.conversion.outcomes[0]}
        title = {spec.seniority: "Director"} if spec.seniority else {}
        told = {
            "outcomes": [{"lead_id": "golden-colleague", **outcome}],
            "colleagues": [{"lead_id": "golden-colleague", "attributes": title}],
        }
        requests.append(
            {
                **(told if number else {}),
                "lead": {
                    "lead_id": "golden-lead",
                    "account_id": "golden-account",
                    "created_at": (model.known_by - timedelta(days=150)).isoformat(),
                    "attributes": attributes if number else {},
                },
                "events": events,
                "as_of": model.known_by.isoformat(),
            }
        )
    return requests


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str | None:
    return choices[int(rng.integers(0, len(choices)))] if choices else None


def _reference(model: TrainedModel) -> dict[str, Any]:
    """Return each feature's deciles and share of unknowns in training: the drift baseline."""
    reference = {}
    for name, column in zip(model.features.names, model.features.values.T, strict=True):
        known = column[~np.isnan(column)]
        reference[name] = {
            "deciles": np.quantile(known.astype(np.float64), _DECILES).tolist()
            if len(known)
            else [],
            "unknown": float(np.isnan(column).mean()) if len(column) else 0.0,
        }
    return {"n": model.n_snapshots, "features": reference}


def _model_card(model: TrainedModel, dataset: Dataset) -> str:
    config = dataset.config
    conversion = config.conversion
    horizons = ", ".join(str(days) for days in conversion.horizons_days)
    lines = [
        f"# Model card: {config.name}",
        "",
        f"Predicts the probability that a lead reaches {' or '.join(conversion.outcomes)} within "
        f"{horizons} days of an as-of time.",
        "",
        "| what | value |",
        "| --- | --- |",
        f"| learnt from what was known before | {model.known_by:%Y-%m-%d %H:%M} UTC |",
        f"| training snapshots | {model.n_snapshots:,} |",
        f"| of them converted within {conversion.primary_horizon_days} days "
        f"| {model.n_converted:,} |",
        f"| cohort | {config.cohort.rule} within {config.cohort.within_days} days |",
        f"| features | {len(model.featurizer.spec.names)} |",
        f"| themes | {', '.join(model.featurizer.themes.names) or 'none'} |",
        f"| hot from | {model.tiers.hot:.4f} ({model.tiers.handoffs_per_week} hand-offs a week) |",
        f"| warm from | {model.tiers.warm:.4f} |",
        "",
        "| horizon | step | calibration | out-of-sample log loss | why this step |",
        "| --- | --- | --- | --- | --- |",
    ]
    for days, fit in sorted(model.fitted.items()):
        used = model.champion[days]
        why = fit.reason if days == model.tiers.horizon_days else "as for the primary horizon"
        lines.append(
            f"| {days} d | {used.step} | {used.calibrator.kind} "
            f"| {fit.log_loss[used.step]:.4f} | {why} |"
        )
    lines += [
        "",
        "Limits: the intervals say how well the level of a probability is known, not how one lead "
        "will act; they take accounts as independent. Leads outside the cohort rule were not "
        "learnt from. The probability describes leads as sales has treated them so far.",
        "",
    ]
    return "\n".join(lines)
