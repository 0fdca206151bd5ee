"""Score leads with a bundle: the one path for the command line, the server and notebooks."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from intentcast.bundle import Bundle, read_bundle
from intentcast.config import DatasetConfig
from intentcast.contracts import Scores, validate
from intentcast.errors import BundleError
from intentcast.explain import reasons
from intentcast.features import Featurizer
from intentcast.handoff import judge_handoff
from intentcast.histories import LeadHistory, dataset_of, history_from_json, snapshot_of
from intentcast.propensity import HorizonModel
from intentcast.propensity.horizons import HorizonProbabilities, predict_horizons
from intentcast.propensity.margins import Floats
from intentcast.scorecards import ledger, score_snapshots
from intentcast.sources import Dataset
from intentcast.stages import stage_snapshots

GOLDEN_TOLERANCE = 1e-9


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check that it still gives its golden answers.

    Raises:
        BundleError: If a file is damaged, or a golden probability is off by more than 1e-9.
    """
    bundle = read_bundle(folder)
    if not bundle.golden:
        raise BundleError(
            f"{folder.name} has no golden rows",
            expected="golden.json with requests and their probabilities",
            next_step="train again with this version",
        )
    for row in bundle.golden:
        off = _golden_gap(bundle, row)
        if not off <= GOLDEN_TOLERANCE:
            raise BundleError(
                f"{folder.name} gives a golden row's probability off by {off:.2g}",
                expected=f"at most {GOLDEN_TOLERANCE:g}",
                next_step="train again with the libraries installed here",
            )
    return bundle


def _golden_gap(bundle: Bundle, row: Mapping[str, Any]) -> float:
    """Return the largest distance from a golden row's probabilities."""
    try:
        _, predicted = predict_history(bundle, history_from_json(row["request"]))
        expected = np.array([row["probabilities"]], dtype=np.float64)
    # Whatever a part that cannot be right raises where it is used, the bundle is what is wrong.
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise BundleError(
            f"{bundle.name} {bundle.version} cannot answer a golden row "
            f"({type(error).__name__}: {said})",
            expected="the answers in golden.json",
            next_step="train again with this version",
        ) from None
    if expected.shape != predicted.probabilities.shape:
        return float("inf")
    return float(np.abs(predicted.probabilities - expected).max())


class Predictor(Protocol):
    """What a prediction needs of a bundle."""

    @property
    def featurizer(self) -> Featurizer:
        """Vocabulary and themes."""

    @property
    def models(self) -> Mapping[int, HorizonModel]:
        """Per horizon in days."""

    @property
    def config(self) -> DatasetConfig:
        """The data set's settings."""


def predict(
    bundle: Predictor, dataset: Dataset, snapshots: pl.DataFrame
) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of snapshots, in their order."""
    features = bundle.featurizer.transform(dataset, snapshots).doubles
    return features, predict_horizons(bundle.models, features)


def predict_history(bundle: Predictor, history: LeadHistory) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of one lead's history."""
    features = bundle.featurizer.transform_histories([history], bundle.config).doubles
    return features, predict_horizons(bundle.models, features)


def score(bundle: Bundle, dataset: Dataset, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return `contracts.Scores`: one row per snapshot and horizon, sorted by lead.

    Args:
        bundle: From `load_bundle`.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.
    """
    _, predicted = predict(bundle, dataset, snapshots)
    primary = predicted.horizons_days.index(bundle.primary_horizon_days)
    tiers = pl.Series("tier", bundle.tiers.tiers(predicted.probabilities[:, primary]))
    base = snapshots.select("lead_id", "as_of").with_columns(
        tiers.cast(pl.String),
        stage_snapshots(bundle.handoff.signals, dataset, snapshots),
        model_version=pl.lit(bundle.version),
    )
    parts = [
        base.with_columns(
            horizon_days=pl.lit(days, dtype=pl.Int32),
            probability=pl.Series(predicted.probabilities[:, column]),
            low=pl.Series(predicted.low[:, column]),
            high=pl.Series(predicted.high[:, column]),
        )
        for column, days in enumerate(predicted.horizons_days)
    ]
    ordered = pl.concat(parts).sort("lead_id", "as_of", "horizon_days")
    return validate(ordered.select(Scores.column_names()), Scores)


def answer_history(bundle: Bundle, history: LeadHistory, *, explain: bool) -> dict[str, Any]:
    """Return the answer of `POST /v1/predictions` for one lead's history."""
    return answer(
        bundle,
        dataset_of(history, bundle.config),
        snapshot_of(history),
        explain=explain,
        told=predict_history(bundle, history),
    )


def answer(
    bundle: Bundle,
    dataset: Dataset,
    snapshot: pl.DataFrame,
    *,
    explain: bool,
    told: tuple[Floats, HorizonProbabilities] | None = None,
) -> dict[str, Any]:
    """Return everything that is said of one lead at one as-of time, as JSON values.

    Args:
        bundle: From `load_bundle`.
        dataset: Holds the lead.
        snapshot: One row of `lead_id`, `account_id`, `as_of`.
        explain: Whether reasons and the points ledger are added.
        told: Features and probabilities, where they are known already.
    """
    features, predicted = told or predict(bundle, dataset, snapshot)
    lead_id, as_of = snapshot["lead_id"][0], snapshot["as_of"][0]
    primary = predicted.horizons_days.index(bundle.primary_horizon_days)
    probability = float(predicted.probabilities[0, primary])
    # Words and criteria speak of every family, also of those that the model leaves out.
    complete = bundle.featurizer.complete
    spec, everything = complete.spec, features
    if complete is not bundle.featurizer:
        everything = complete.transform(dataset, snapshot).doubles
    named = dict(zip(spec.names, everything[0].tolist(), strict=True))
    card = bundle.scorecard
    rules = score_snapshots(card, dataset, snapshot).row(0, named=True) if card else None
    handoff = judge_handoff(
        bundle.handoff.criteria,
        named,
        spec,
        probability=probability,
        tiers=bundle.tiers,
        attribute_points=rules["attribute_points"] if rules and card and card.attributes else None,
    )
    model = bundle.models[bundle.primary_horizon_days]
    found: dict[str, Any] = {
        "lead_id": lead_id,
        "as_of": as_of.isoformat().replace("+00:00", "Z"),
        "probabilities": [
            {
                "horizon_days": days,
                "probability": float(predicted.probabilities[0, column]),
                "low": float(predicted.low[0, column]),
                "high": float(predicted.high[0, column]),
            }
            for column, days in enumerate(predicted.horizons_days)
        ],
        "tier": bundle.tiers.tiers(predicted.probabilities[:, primary])[0],
        "stage": stage_snapshots(bundle.handoff.signals, dataset, snapshot)[0],
        "step": model.step,
        "handoff": asdict(handoff),
        "reasons": [],
        "rules": None,
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "warnings": warnings_of(bundle, dataset, snapshot),
    }
    if rules and card:
        found["rules"] = {
            "scorecard": card.name,
            "score": rules["score"],
            "tier": rules["tier"],
            "ledger": [],
        }
    if explain:
        contributions = model.learner.contributions(features)[0]
        names = bundle.featurizer.spec.names
        found["reasons"] = [asdict(r) for r in reasons(spec, named, names, contributions)]
        if found["rules"] and card:
            lines = ledger(card, dataset, lead_id, as_of).lines
            found["rules"]["ledger"] = [
                {"item": line.item, "points": float(line.points)} for line in lines
            ]
    return found


def warnings_of(bundle: Bundle, dataset: Dataset, snapshot: pl.DataFrame) -> list[str]:
    """Return what makes this answer weaker than it looks; counts only, never the input itself."""
    as_of, account = snapshot["as_of"][0], snapshot["account_id"][0]
    people = dataset.leads.filter(pl.col("account_id") == account)["lead_id"]
    of_account = dataset.events.filter(pl.col("lead_id").is_in(people.implode()))
    events = of_account.filter(pl.col("known_at") < as_of)
    found = []
    if late := len(of_account) - len(events):
        found.append(f"{late} events known at or after as_of were not used")
    if not (events["lead_id"] == snapshot["lead_id"][0]).any():
        found.append("no events of the lead before as_of")
    found += unseen_vocabulary(bundle, events)
    found += _unknown_attributes(bundle, dataset, snapshot)
    return found


def unseen_vocabulary(bundle: Bundle, events: pl.DataFrame) -> list[str]:
    """Return how many human events are of a type, channel or theme that training did not learn.

    They count as `other`; many of them mean that the bundle is older than the content.
    """
    spec, themes = bundle.featurizer.spec, bundle.featurizer.themes
    human = events.filter(~pl.col("is_machine").fill_null(value=False))
    found = []
    for column, known, what in (
        ("event_type", spec.event_types, "event types"),
        ("channel", spec.channels, "channels"),
    ):
        n = int((human[column].is_not_null() & ~human[column].is_in(list(known))).sum())
        if n:
            found.append(f"{n} events of {what} not seen in training, counted as other")
    counts = human["content"].drop_nulls().value_counts()
    vocabulary = bundle.featurizer.vocabulary
    unthemed = sum(
        n for content, n in counts.iter_rows() if vocabulary.theme_of(content) == len(themes.names)
    )
    n_contents = int(counts["count"].sum())
    # Some content has no theme in any data set; most of it does where the themes are out of date.
    if 2 * unthemed > n_contents:
        found.append(f"{unthemed} of {n_contents} events on content of no known theme")
    return found


def _unknown_attributes(bundle: Bundle, dataset: Dataset, snapshot: pl.DataFrame) -> list[str]:
    tables: Mapping[str, pl.DataFrame] = {
        "lead_id": dataset.leads.filter(pl.col("lead_id") == snapshot["lead_id"][0]),
        "account_id": dataset.accounts.filter(pl.col("account_id") == snapshot["account_id"][0]),
    }
    attributes = bundle.config.attributes
    missing = []
    for name in (*attributes.numeric, *attributes.categorical):
        table = tables["lead_id"] if name in dataset.leads.columns else tables["account_id"]
        if name not in table.columns or table[name].drop_nulls().is_empty():
            missing.append(name)
    return [f"attributes unknown: {', '.join(missing)}"] if missing else []
