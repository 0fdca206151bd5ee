"""A bundle's learners as files, and back: which file holds which step is in the manifest.

`model.txt` is LightGBM's text: of the hazard model, which serves every horizon; or of the primary
horizon's model, beside `model_{days}d.txt` of the others'. `hazard.json` has the hazard model's
intervals and baselines, `logistic.json` the regressions and `points.json` the points' scales, by
horizon.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from intentcast.files import json_bytes
from intentcast.propensity import (
    BlendModel,
    BoosterModel,
    HazardAt,
    HazardModel,
    HorizonModel,
    Learner,
    LogisticModel,
    PointsModel,
)
from intentcast.scorecards import Scorecard
from intentcast.trees import checked_trees

TREES = "model.txt"


def learner_files(
    models: Mapping[int, HorizonModel], primary: int
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files by name, and for each horizon its step and its main file."""
    files: dict[str, bytes] = {}
    tables: dict[str, dict[str, Any]] = {}
    steps: dict[str, Any] = {}
    for days, model in sorted(models.items()):
        learner = model.learner
        if isinstance(learner, BlendModel):
            tables.setdefault("logistic.json", {})[str(days)] = learner.logistic.to_json()
            learner = learner.hazard
        if isinstance(learner, BoosterModel):
            file = TREES if days == primary else f"model_{days}d.txt"
            files[file] = learner.text.encode()
        elif isinstance(learner, HazardAt):
            file = TREES
            files[file] = learner.hazard.text.encode()
            tables["hazard.json"] = learner.hazard.to_json()
        else:
            file = "logistic.json" if isinstance(learner, LogisticModel) else "points.json"
            tables.setdefault(file, {})[str(days)] = learner.to_json()
        steps[str(days)] = {"step": model.step, "file": file}
    return files | {name: json_bytes(table) for name, table in tables.items()}, steps


def read_learners(
    files: Mapping[str, bytes],
    parts: Mapping[str, Any],
    places: Mapping[str, Any],
    *,
    n_features: int,
    card: Scorecard | None,
) -> dict[int, Learner]:
    """Return the learner per horizon, every part of it checked before it is used.

    Args:
        files: Every file's bytes, by name.
        parts: Every JSON file's value, by name.
        places: The manifest's `models`.
        n_features: Of the bundle's feature list.
        card: The bundle's scorecard.

    Raises:
        BundleError: If trees are damaged.
        ValueError: If an array has another shape, or a step is unknown.
        LookupError: If a part is not there.
    """
    hazards: dict[str, HazardModel] = {}
    out: dict[int, Learner] = {}
    for days, place in places.items():
        step, file = place["step"], place["file"]
        if step in ("hazard", "blend"):
            if file not in hazards:
                text = checked_trees(files[file].decode(), n_features=n_features + 1, file=file)
                hazards[file] = HazardModel.from_json(parts["hazard.json"], text=text)
            at = HazardAt(hazards[file], int(days))
            if not 0 < at.days <= at.hazard.edges_days[-1]:
                raise ValueError(f"hazard.json has no interval for {days} days")
            is_blend = step == "blend"
            out[at.days] = BlendModel(_logistic(parts, days, n_features), at) if is_blend else at
        elif step == "lightgbm":
            text = checked_trees(files[file].decode(), n_features=n_features, file=file)
            out[int(days)] = BoosterModel(text)
        elif step == "logistic":
            out[int(days)] = _logistic(parts, days, n_features)
        elif step == "rules":
            out[int(days)] = _points(parts["points.json"][days], card)
        else:
            raise ValueError(f"a step {str(step)[:20]}")
    return out


def _points(raw: Mapping[str, Any], card: Scorecard | None) -> PointsModel:
    if card is None:
        raise ValueError("points.json without a scorecard.toml")
    return PointsModel.from_json(dict(raw), card=card)


def _logistic(parts: Mapping[str, Any], days: str, n_features: int) -> LogisticModel:
    learner = LogisticModel.from_json(parts["logistic.json"][days])
    for array in (learner.never, learner.mean, learner.scale, learner.weights):
        same_shapes("logistic.json", array, (n_features,))
    return learner


def same_shapes(file: str, array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
    """Refuse an array that the arithmetic would read beyond, or that is not finite."""
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{file} has an array of shape {array.shape} or an infinite number in it")
