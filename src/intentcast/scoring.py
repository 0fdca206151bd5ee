"""Score leads with a bundle: the one path for the command line, the server and notebooks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from intentcast.bundle import Bundle, read_bundle
from intentcast.config import DatasetConfig
from intentcast.contracts import Scores, validate
from intentcast.errors import BundleError
from intentcast.explain import Reason, reasons
from intentcast.features import Featurizer
from intentcast.handoff import judge_handoff
from intentcast.histories import (
    Attribute,
    LeadHistory,
    dataset_of,
    history_from_dataset,
    history_from_json,
    snapshot_of,
    text_of,
)
from intentcast.packet import PacketRequest, make_packet, told_attributes
from intentcast.propensity import HorizonModel
from intentcast.propensity.horizons import HorizonProbabilities, predict_horizons
from intentcast.propensity.margins import Floats
from intentcast.propensity.points import learner_inputs
from intentcast.scorecards import Ledger, ledger, ledger_of_history, unknown_past
from intentcast.seen import SeenHistory, see
from intentcast.sources import Dataset
from intentcast.stages import stage_of, stage_snapshots
from intentcast.thresholds.policy import check_policy, read_policy
from intentcast.tiers import Tier

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


@dataclass(frozen=True)
class Unpackaged:
    """A model that can predict without a bundle."""

    featurizer: Featurizer
    models: Mapping[int, HorizonModel]
    config: DatasetConfig


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
    learner = next(iter(bundle.models.values())).learner
    inputs = learner_inputs(learner, features, lambda: (dataset, snapshots))
    return features, predict_horizons(bundle.models, inputs)


def predict_primary(bundle: Bundle, dataset: Dataset, snapshots: pl.DataFrame) -> Floats:
    """Return the probabilities of the primary horizon, shape (n_snapshots,)."""
    return predict(bundle, dataset, snapshots)[1].at(bundle.primary_horizon_days)


def predict_history(bundle: Predictor, history: LeadHistory) -> tuple[Floats, HorizonProbabilities]:
    """Return the features and the probabilities of one lead's history."""
    features = bundle.featurizer.transform_histories([history], bundle.config).doubles
    learner = next(iter(bundle.models.values())).learner
    inputs = learner_inputs(
        learner, features, lambda: (dataset_of(history, bundle.config), snapshot_of(history))
    )
    return features, predict_horizons(bundle.models, inputs)


def with_policy(bundle: Bundle, path: Path) -> tuple[Bundle, list[str]]:
    """Return the bundle with a policy file's thresholds, and what is odd about the two together.

    Raises:
        PolicyError: If the file is damaged, or of another horizon.
    """
    policy = read_policy(path)
    odd = check_policy(
        policy,
        name=bundle.name,
        version=bundle.version,
        horizon_days=bundle.primary_horizon_days,
    )
    return replace(bundle, tiers=policy.tiers), odd


def told_tiers(previous: pl.DataFrame | None, snapshots: pl.DataFrame) -> list[Tier | None] | None:
    """Return the tier that was told of each snapshot's lead, None where there are none."""
    if previous is None:
        return None
    told = previous.select("lead_id", was="tier").unique("lead_id", keep="first")
    return snapshots.join(told, on="lead_id", how="left", maintain_order="left")["was"].to_list()


def score(
    bundle: Bundle,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    *,
    previous: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return `contracts.Scores`: one row per snapshot and horizon, sorted by lead.

    Args:
        bundle: From `load_bundle`.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.
        previous: Scores told before: a lead keeps its tier until it is below the tier's leave
            threshold. Without them the entry thresholds alone decide.
    """
    _, predicted = predict(bundle, dataset, snapshots)
    p = predicted.at(bundle.primary_horizon_days)
    tiers = pl.Series("tier", bundle.tiers.tiers(p, told_tiers(previous, snapshots)))
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
    seen = see(history, bundle.config)
    told = predict_history(bundle, history)
    card = bundle.scorecard
    points = ledger_of_history(card, history, bundle.config) if card else None
    found = _answer(bundle, seen, told, points=points, n_late=seen.n_late, explain=explain)
    found["warnings"] += unknown_past(card) if card else []
    return found


def answer(
    bundle: Bundle, dataset: Dataset, snapshot: pl.DataFrame, *, explain: bool
) -> dict[str, Any]:
    """Return everything that is said of one lead at one as-of time, as JSON values.

    Args:
        bundle: From `load_bundle`.
        dataset: Holds the lead.
        snapshot: One row of `lead_id`, `account_id`, `as_of`.
        explain: Whether reasons, the points ledger and a ready lead's packet are added.
    """
    history = history_from_dataset(dataset, snapshot)
    card = bundle.scorecard
    people = dataset.leads.filter(pl.col("account_id") == snapshot["account_id"][0])["lead_id"]
    n_late = dataset.events.select(
        (pl.col("lead_id").is_in(people.implode()) & (pl.col("known_at") >= history.as_of)).sum()
    ).item()
    return _answer(
        bundle,
        see(history, bundle.config),
        predict(bundle, dataset, snapshot),
        points=ledger(card, dataset, history.lead_id, history.as_of) if card else None,
        n_late=n_late,
        explain=explain,
        more=told_attributes(bundle.handoff.packet, dataset, snapshot) if explain else {},
    )


def _answer(
    bundle: Bundle,
    seen: SeenHistory,
    told: tuple[Floats, HorizonProbabilities],
    *,
    points: Ledger | None,
    n_late: int,
    explain: bool,
    more: Mapping[str, Attribute] | None = None,
) -> dict[str, Any]:
    features, predicted = told
    history = seen.history
    p = predicted.at(bundle.primary_horizon_days)
    # Words and criteria speak of every family, also of those that the model leaves out.
    complete = bundle.featurizer.complete
    spec, everything = complete.spec, features
    if complete is not bundle.featurizer:
        everything = complete.transform_histories([history], bundle.config).doubles
    named = dict(zip(spec.names, everything[0].tolist(), strict=True))
    card = bundle.scorecard
    handoff = judge_handoff(
        bundle.handoff,
        seen,
        named,
        spec,
        probability=float(p[0]),
        tiers=bundle.tiers,
        sales=bundle.config.sales,
        attribute_points=float(points.attribute_points)
        if points and card and card.attributes
        else None,
    )
    model = bundle.models[bundle.primary_horizon_days]
    found: dict[str, Any] = {
        "lead_id": history.lead_id,
        "as_of": history.as_of.isoformat().replace("+00:00", "Z"),
        "probabilities": [
            {
                "horizon_days": days,
                "probability": float(predicted.probabilities[0, column]),
                "low": float(predicted.low[0, column]),
                "high": float(predicted.high[0, column]),
            }
            for column, days in enumerate(predicted.horizons_days)
        ],
        "tier": bundle.tiers.tiers(p)[0],
        "stage": stage_of(bundle.handoff.signals, seen),
        "step": model.step,
        "handoff": handoff.to_json(),
        "packet": None,
        "reasons": [],
        "rules": None,
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "warnings": _warnings(bundle, seen, n_late),
    }
    if points:
        found["rules"] = {
            "scorecard": points.scorecard,
            "score": float(points.score),
            "tier": points.tier,
            "ledger": [],
        }
    if explain:
        why: tuple[Reason, ...] = ()
        # Points have a ledger instead.
        if model.step != "rules":
            contributions = model.learner.contributions(features)[0]
            why = reasons(spec, named, bundle.featurizer.spec.names, contributions)
        found["reasons"] = [asdict(r) for r in why]
        if handoff.ready:
            found["packet"] = make_packet(
                PacketRequest(bundle.handoff, seen, handoff, named, spec, why, more or {})
            )
        if points:
            found["rules"]["ledger"] = [
                {"item": line.item, "points": float(line.points)} for line in points.lines
            ]
    return found


def _warnings(bundle: Bundle, seen: SeenHistory, n_late: int) -> list[str]:
    """Return what makes this answer weaker than it looks; counts only, never the input itself."""
    found = []
    if n_late:
        found.append(f"{n_late} events known at or after as_of were not used")
    if not seen.own and not seen.machine:
        found.append("no events of the lead before as_of")
    events = [row.event for row in (*seen.own, *seen.colleagues)]
    found += _unseen(
        bundle,
        Counter(event.event_type for event in events),
        Counter(event.channel for event in events if event.channel is not None),
        Counter(event.content for event in events if event.content is not None),
    )
    return found + _unknown_attributes(bundle, seen.history)


def unseen_vocabulary(bundle: Bundle, events: pl.DataFrame) -> list[str]:
    """Return how many human events are of a type, channel or theme that training did not learn.

    They count as `other`; many of them mean that the bundle is older than the content.
    """
    human = events.filter(~pl.col("is_machine").fill_null(value=False))
    types, channels, contents = (
        dict(human[column].drop_nulls().value_counts().iter_rows())
        for column in ("event_type", "channel", "content")
    )
    return _unseen(bundle, types, channels, contents)


def _unseen(
    bundle: Bundle,
    types: Mapping[str, int],
    channels: Mapping[str, int],
    contents: Mapping[str, int],
) -> list[str]:
    """Return what training did not learn, of how often each text occurred."""
    vocabulary = bundle.featurizer.vocabulary
    found = []
    for counts, known, what in (
        (types, vocabulary.types, "event types"),
        (channels, vocabulary.channels, "channels"),
    ):
        if n := sum(times for text, times in counts.items() if text not in known):
            found.append(f"{n} events of {what} not seen in training, counted as other")
    no_theme = len(bundle.featurizer.themes.names)
    unthemed = sum(n for text, n in contents.items() if vocabulary.theme_of(text) == no_theme)
    n_contents = sum(contents.values())
    # Some content has no theme in any data set; most of it does where the themes are out of date.
    if 2 * unthemed > n_contents:
        found.append(f"{unthemed} of {n_contents} events on content of no known theme")
    return found


def _unknown_attributes(bundle: Bundle, history: LeadHistory) -> list[str]:
    wanted = bundle.config.attributes
    missing = [
        name
        for name in (*wanted.numeric, *wanted.categorical)
        if text_of(history.attribute(name)) is None
    ]
    return [f"attributes unknown: {', '.join(missing)}"] if missing else []
