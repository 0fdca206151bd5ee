"""Score leads with a bundle: the one path for the command line, the server and notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from intentcast.answering import answer, answer_histories, answer_history, unseen_vocabulary
from intentcast.bundle import Bundle, read_bundle
from intentcast.contracts import Scores, validate
from intentcast.errors import BundleError
from intentcast.histories import history_from_json
from intentcast.predicting import Predictor, Unpackaged, predict, predict_history
from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset
from intentcast.stages import stage_snapshots
from intentcast.thresholds.policy import check_policy, read_policy
from intentcast.tiers import Tier

__all__ = [
    "Predictor",
    "Unpackaged",
    "answer",
    "answer_histories",
    "answer_history",
    "load_bundle",
    "predict",
    "predict_history",
    "predict_primary",
    "score",
    "told_tiers",
    "unseen_vocabulary",
    "with_policy",
]
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


def predict_primary(bundle: Bundle, dataset: Dataset, snapshots: pl.DataFrame) -> Floats:
    """Return the probabilities of the primary horizon, shape (n_snapshots,)."""
    return predict(bundle, dataset, snapshots)[1].at(bundle.primary_horizon_days)


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
    horizons: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Return `contracts.Scores`: one row per snapshot and horizon, sorted by lead.

    `too_little_known` is true where the row's interval is wider than the bundle's
    `abstain_wider_than`. The tier stays that of the probability: thresholds were set with such
    leads among the others, and whom to hand over in place of one is for the reader to say.

    Args:
        bundle: From `load_bundle`.
        dataset: Its events and attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.
        previous: Scores told before: a lead keeps its tier until it is below the tier's leave
            threshold. Without them the entry thresholds alone decide.
        horizons: Days; without them those that were learnt.
    """
    # The tier is of the primary horizon, asked for or not.
    asked = None if horizons is None else sorted({*horizons, bundle.primary_horizon_days})
    _, predicted = predict(bundle, dataset, snapshots, horizons=asked)
    p = predicted.at(bundle.primary_horizon_days)
    too_wide = predicted.wider_than(bundle.abstain_wider_than)
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
            too_little_known=pl.Series(too_wide[:, column]),
        )
        for column, days in enumerate(predicted.horizons_days)
        if horizons is None or days in horizons
    ]
    ordered = pl.concat(parts).sort("lead_id", "as_of", "horizon_days")
    return validate(ordered.select(Scores.column_names()), Scores)
