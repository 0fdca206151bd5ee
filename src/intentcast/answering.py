"""Everything that is said of a lead at one as-of time: probabilities, stage, hand-off and why."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from intentcast.bundle import Bundle
from intentcast.config import LearnerConfig
from intentcast.explain import Reason, reasons
from intentcast.features.build import FeatureRow
from intentcast.handoff import judge_handoff
from intentcast.histories import Attribute, LeadHistory, history_from_dataset
from intentcast.packet import PacketRequest, make_packet, told_attributes
from intentcast.predicting import predict, predict_histories
from intentcast.propensity.horizons import HorizonProbabilities, abstention
from intentcast.propensity.margins import Floats
from intentcast.scorecards import Ledger, ledger, ledgers_of_histories, unknown_past
from intentcast.seen import SeenHistory, see
from intentcast.sources import Dataset
from intentcast.stages import stage_of


class _Told(NamedTuple):
    """One lead's numbers.

    Attributes:
        features: The model's, shape (n_features,).
        everything: Those of every family, also of those that the model leaves out: words and
            criteria speak of them all.
        predicted: Of it and of others beside it.
        row: Which of them it is.
        shown: The horizons that were asked for; None for all of `predicted`.
    """

    features: Floats
    everything: Floats
    predicted: HorizonProbabilities
    row: int
    shown: frozenset[int] | None = None


def _complete(bundle: Bundle, histories: Sequence[LeadHistory], features: Floats) -> Floats:
    complete = bundle.featurizer.complete
    if complete is bundle.featurizer:
        return features
    return complete.transform_histories(histories, bundle.config).doubles


def answer_history(
    bundle: Bundle, history: LeadHistory, *, explain: bool, horizons: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return the answer of `POST /v1/predictions` for one lead's history."""
    return answer_histories(bundle, [history], explain=[explain], horizons=horizons)[0]


def answer_histories(
    bundle: Bundle,
    histories: Sequence[LeadHistory],
    *,
    explain: Sequence[bool],
    horizons: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Return the answers for several leads, each the same as alone.

    Args:
        bundle: From `load_bundle`.
        histories: In any order.
        explain: Of each, whether reasons, the points ledger and a ready lead's packet are added.
        horizons: Days that probabilities are wanted for; without them those that were learnt.

    Raises:
        RefusedError: For a horizon under one day, or longer than the longest that was learnt.
    """
    if not histories:
        return []
    # The tier is of the primary horizon, asked for or not.
    asked = None if horizons is None else {*horizons, bundle.primary_horizon_days}
    shown = None if horizons is None else frozenset(horizons)
    features, predicted = predict_histories(
        bundle, histories, horizons=sorted(asked) if asked else None
    )
    everything = _complete(bundle, histories, features)
    card = bundle.scorecard
    points: Sequence[Ledger | None] = [None] * len(histories)
    if card:
        points = ledgers_of_histories(card, histories, bundle.config, with_lines=explain)
    found = []
    for row, history in enumerate(histories):
        seen = see(history, bundle.config)
        told = _Told(features[row], everything[row], predicted, row, shown)
        answer = _answer(
            bundle, seen, told, points=points[row], n_late=seen.n_late, explain=explain[row]
        )
        answer["warnings"] += unknown_past(card) if card else []
        found.append(answer)
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
    features, predicted = predict(bundle, dataset, snapshot)
    return _answer(
        bundle,
        see(history, bundle.config),
        _Told(features[0], _complete(bundle, [history], features)[0], predicted, 0),
        points=ledger(card, dataset, history.lead_id, history.as_of) if card else None,
        n_late=n_late,
        explain=explain,
        more=told_attributes(bundle.handoff.packet, dataset, snapshot) if explain else {},
    )


def _answer(
    bundle: Bundle,
    seen: SeenHistory,
    told: _Told,
    *,
    points: Ledger | None,
    n_late: int,
    explain: bool,
    more: Mapping[str, Attribute] | None = None,
) -> dict[str, Any]:
    history, predicted, row = seen.history, told.predicted, told.row
    p = predicted.at(bundle.primary_horizon_days)[row : row + 1]
    complete = bundle.featurizer.complete
    spec, named = complete.spec, FeatureRow(complete.place, told.everything)
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
            {"horizon_days": days, "probability": probability, "low": low, "high": high}
            for days, probability, low, high in predicted.of_row(row)
            if told.shown is None or days in told.shown
        ],
        "tier": bundle.tiers.tiers(p)[0],
        "stage": stage_of(bundle.handoff.signals, seen),
        "step": model.step,
        "handoff": handoff.to_json(),
        "packet": None,
        "reasons": [],
        "rules": None,
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "warnings": [
            *abstention(predicted, bundle.primary_horizon_days, bundle.abstain_wider_than, row=row),
            *_warnings(bundle, seen, n_late),
        ],
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
            contributions = model.learner.contributions(told.features[None, :])[0]
            why = reasons(spec, named, bundle.featurizer.spec.names, contributions)
        found["reasons"] = [dict(vars(reason)) for reason in why]
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
    if not seen.n_own and not len(seen.machine_rows):
        found.append("no events of the lead before as_of")
    of_each = seen.told.events.by_kind(bundle.featurizer.vocabulary.unlearnt)
    counts = of_each.take(seen.rows, axis=0).sum(axis=0)
    n_types, n_channels, n_unthemed, n_contents = counts.tolist()
    found += _unseen(
        n_types=n_types, n_channels=n_channels, n_unthemed=n_unthemed, n_contents=n_contents
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
    vocabulary, no_theme = bundle.featurizer.vocabulary, len(bundle.featurizer.themes.names)
    return _unseen(
        n_types=sum(n for text, n in types.items() if text not in vocabulary.types),
        n_channels=sum(n for text, n in channels.items() if text not in vocabulary.channels),
        n_unthemed=sum(n for text, n in contents.items() if vocabulary.theme_of(text) == no_theme),
        n_contents=sum(contents.values()),
    )


def _unseen(*, n_types: int, n_channels: int, n_unthemed: int, n_contents: int) -> list[str]:
    """Return what training did not learn, of how many events."""
    found = [
        f"{n} events of {what} not seen in training, counted as other"
        for n, what in ((n_types, "event types"), (n_channels, "channels"))
        if n
    ]
    # Some content has no theme in any data set; most of it does where the themes are out of date.
    if 2 * n_unthemed > n_contents:
        found.append(f"{n_unthemed} of {n_contents} events on content of no known theme")
    return found


def _unknown_attributes(bundle: Bundle, history: LeadHistory) -> list[str]:
    wanted = bundle.config.attributes
    missing = [
        name for name in (*wanted.numeric, *wanted.categorical) if history.text(name) is None
    ]
    found = [f"attributes unknown: {', '.join(missing)}"] if missing else []
    # Where there are more levels than are learnt, being one of the others says nothing.
    most = (bundle.settings or LearnerConfig()).features.max_levels
    other = [
        name
        for name, levels in bundle.featurizer.complete.spec.levels
        if name not in missing and len(levels) < most and history.text(name) not in levels
    ]
    if other:
        found.append(f"attributes of a value not learnt, counted as other: {', '.join(other)}")
    return found
