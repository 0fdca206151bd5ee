"""From a trained model to a bundle: golden rows, drift baseline, model card."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast import model_card
from intentcast.account_view import ACCOUNT_VIEW
from intentcast.bundle import BundleContents, model_files, write_bundle
from intentcast.config import DatasetConfig, LearnerConfig
from intentcast.files import json_bytes
from intentcast.handoff import HandoffSettings
from intentcast.histories import history_from_json
from intentcast.scoring import Unpackaged, predict_history
from intentcast.sources import Dataset
from intentcast.training import TrainedModel
from intentcast.training_figures import training_figures

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
        metrics: Kept in `metrics.json` beside `training_figures`.
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
        ACCOUNT_VIEW: json_bytes(model.accounts.to_json()),
        "handoff.json": json_bytes(handoff.model_dump(mode="json")),
        "dataset.json": json_bytes(config.model_dump(mode="json")),
        "reference.json": json_bytes(_reference(model)),
        "golden.json": json_bytes(
            [_golden_row(predictor, r) for r in _golden_requests(model, config)]
        ),
        "metrics.json": json_bytes({**training_figures(model, dataset), **metrics}),
    }
    if settings is not None:
        # How many threads there were changes no number, so it is no part of the model.
        kept = settings.model_dump(mode="json", exclude={"threads"})
        files["settings.json"] = json_bytes(kept)
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
    files[model_card.FILE] = model_card.model_card(fields, files).encode()
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
    """Return what each feature looked like in training: the drift baseline.

    Per feature its deciles among the known, the share unknown, and the shares of the known in the
    bins that the distinct deciles bound. Where many values are equal, as most counts are 0, deciles
    alone do not tell them.
    """
    reference = {}
    for name, column in zip(model.features.names, model.features.values.T, strict=True):
        known = column[~np.isnan(column)].astype(np.float64)
        deciles = np.quantile(known, _DECILES).tolist() if len(known) else []
        numbers = decile_bins(known, deciles)
        counts = np.bincount(numbers, minlength=len(set(deciles)) + 1)
        reference[name] = {
            "deciles": deciles,
            "shares": (counts / len(known)).tolist() if len(known) else [],
            "unknown": float(np.isnan(column).mean()) if len(column) else 0.0,
        }
    n_accounts = model.snapshots["account_id"].n_unique()
    return {"n": model.n_snapshots, "n_accounts": n_accounts, "features": reference}


def decile_bins(known: NDArray[np.float64], deciles: Sequence[float]) -> NDArray[np.int64]:
    """Return each value's bin: 0 up to the lowest distinct decile, which it includes, and so on."""
    return np.searchsorted(np.unique(np.asarray(deciles)), known, side="left").astype(np.int64)
