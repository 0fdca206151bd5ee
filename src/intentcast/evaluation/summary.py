"""`report.json`: every figure of a backtest, with its denominators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from intentcast.evaluation.arena import Arena
from intentcast.evaluation.backtest import BASE_RATE, CHAMPION, BacktestResult
from intentcast.evaluation.capacity import Floats, gains_curve
from intentcast.evaluation.compare import PairedComparison
from intentcast.evaluation.contender_figures import Judge
from intentcast.evaluation.metrics import reliability
from intentcast.evaluation.quarters import realized_by_quarter
from intentcast.evaluation.revops import revops_figures
from intentcast.evaluation.segments import segment_rows
from intentcast.evaluation.truth import compare_with_truth
from intentcast.files import plain
from intentcast.stages import StageSignal


def summarise(result: BacktestResult, *, signals: Sequence[StageSignal] = ()) -> dict[str, Any]:
    """Return the report as JSON values.

    Metrics are of the primary horizon, pooled over folds, with intervals (`ci95`) by account;
    `horizons` has each horizon's, `folds` each fold's without intervals. `quarters` has what the
    champion said and what came, by calendar quarter. `paired` compares the champion with each
    scorecard on the same leads at the same volume; `headline` is the hardest of the team's own.
    `revops` is what sales should do; see `intentcast.evaluation.revops`. `segments` has the
    champion by segment, each tested for calibration with the number of tests accounted for; see
    `intentcast.evaluation.segments`.

    Args:
        result: From `run_backtest`.
        signals: Of the buying stages, which are segments too.
    """
    config = result.dataset.config
    primary = config.conversion.primary_horizon_days
    arena = Arena(result, primary)
    paired = [
        arena.compare(CHAMPION, name) for name in arena.names if name.startswith("scorecard:")
    ]
    headline = _headline(result, paired)
    arenas = {
        days: arena if days == primary else Arena(result, days)
        for days in config.conversion.horizons_days
        if _has_mature(result, days)
    }
    by_horizon = {
        str(days): {name: judge.figures(name) for name in arena.names}
        for days, judge in ((days, Judge.of_all(there)) for days, there in arenas.items())
    }
    report: dict[str, Any] = plain(
        {
            "dataset": _dataset(result),
            "primary_horizon_days": primary,
            "n_snapshots": len(arena.converted),
            "n_leads": len(np.unique(arena.leads)),
            "n_accounts": len(np.unique(arena.accounts)),
            "n_converted": int(arena.converted.sum()),
            "base_rate": float(arena.converted.mean()),
            "contenders": by_horizon[str(primary)],
            "horizons": by_horizon,
            "folds": _folds(result, arena),
            "paired": [pair.to_json() for pair in paired],
            "headline": headline,
            "champion": {
                "contender": CHAMPION,
                "steps": [fold.step for fold in result.folds],
                "step": result.folds[-1].step,
                "reason": result.folds[-1].reason,
                "calibration": {str(d): k for d, k in result.folds[-1].calibration.items()},
            },
            "gains": {
                name: [list(point) for point in gains_curve(arena.score(name), arena.converted)]
                for name in arena.names
                if name != BASE_RATE
            },
            "reliability": [
                b._asdict() for b in reliability(arena.converted, _champion_probability(arena))
            ],
            "quarters": realized_by_quarter(arena, CHAMPION),
            "tiers": _tiers(result, arena),
            "segments": segment_rows(result.dataset, arena, CHAMPION, signals=signals),
            "truth": _truth(result, arena, primary),
            "revops": revops_figures(result, arena, rival=headline["b"] if headline else None),
            "drivers": [list(pair) for pair in result.folds[-1].drivers[:40]],
        }
    )
    return report


def _champion_probability(arena: Arena) -> Floats:
    p = arena.probability(CHAMPION)
    assert p is not None, "the champion always gives probabilities"
    return p


def _has_mature(result: BacktestResult, days: int) -> bool:
    at = result.predictions.filter(pl.col("horizon_days") == days)
    return at["converted"].null_count() < len(at)


def _dataset(result: BacktestResult) -> dict[str, Any]:
    dataset = result.dataset
    return {
        "name": dataset.config.name,
        "data_cutoff": dataset.data_cutoff.isoformat(),
        "n_leads": len(dataset.leads),
        "n_events": len(dataset.events),
        "n_outcomes": len(dataset.outcomes),
        "quarantined": {q.table: len(q.rows) for q in dataset.quarantined},
        "handoffs_per_week": dataset.config.capacity.handoffs_per_week,
        "every_days": dataset.config.cohort.every_days,
    }


def _headline(result: BacktestResult, paired: list[PairedComparison]) -> dict[str, Any] | None:
    """Return the comparison with the scorecard that found most: the fairest to the rules.

    Among the team's own tables: repriced points are fitted to outcomes, as the model is.
    """
    own = {f"scorecard:{card.name}" for card in result.scorecards}
    candidates = [pair for pair in paired if pair.b in own]
    if not candidates:
        return None
    return max(candidates, key=lambda pair: (pair.conversions_b, pair.b)).to_json()


def _folds(result: BacktestResult, arena: Arena) -> list[dict[str, Any]]:
    folds = []
    number = arena.keys["fold"].to_numpy()
    for fold in result.folds:
        here = number == fold.split.fold
        y = arena.converted[here]
        folds.append(
            {
                "fold": fold.split.fold,
                "train_from": min(fold.split.train).isoformat(),
                "train_to": max(fold.split.train).isoformat(),
                "test_from": min(fold.split.test).isoformat(),
                "test_to": max(fold.split.test).isoformat(),
                "n_train": fold.n_train,
                "n_train_converted": fold.n_converted,
                "n_test": int(here.sum()),
                "n_test_converted": int(y.sum()),
                "step": fold.step,
                "hot_threshold": fold.tiers.hot,
                "contenders": {name: Judge(arena, here).figures(name) for name in arena.names},
            }
        )
    return folds


def _tiers(result: BacktestResult, arena: Arena) -> list[dict[str, Any]]:
    """Return what became of hot, warm and cold, as each fold's thresholds had them."""
    p, number = _champion_probability(arena), arena.keys["fold"].to_numpy()
    tier = np.empty(len(p), dtype=object)
    for fold in result.folds:
        here = number == fold.split.fold
        tier[here] = fold.tiers.tiers(p[here])
    rows = []
    for name in ("hot", "warm", "cold"):
        here = tier == name
        n = int(here.sum())
        first = arena.leads[here]
        rows.append(
            {
                "tier": name,
                "n_snapshots": n,
                "n_leads": len(np.unique(first)),
                "leads_per_week": len(np.unique(first)) / arena.n_weeks,
                "n_converted": int(arena.converted[here].sum()),
                "share_converted": float(arena.converted[here].mean()) if n else None,
                "mean_probability": float(p[here].mean()) if n else None,
                "share_of_conversions": float(
                    arena.converted[here].sum() / max(arena.converted.sum(), 1)
                ),
            }
        )
    return rows


def _truth(result: BacktestResult, arena: Arena, days: int) -> dict[str, Any] | None:
    """Return how near the champion comes to the truth, where the data set knows it."""
    file = result.dataset.folder / "truth.parquet"
    if not file.is_file():
        return None
    found = compare_with_truth(
        pl.read_parquet(file),
        arena.keys,
        probability=_champion_probability(arena),
        converted=arena.converted,
        days=days,
    )
    return found._asdict() if found else None
