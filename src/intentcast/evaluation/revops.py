"""What sales should do, from a backtest's own predictions: `revops` of `report.json`.

- `curve`: at each weekly volume, what the model and the team's best points table would have found.
- `thresholds`: what `intentcast calibrate --per-week` with the data set's capacity would set on the
  same predictions: tiers, bands, rates, the list of leads to leave alone. Or why it refuses.
- `repriced`: the team's first points table with points refitted before each test window, against
  the same table as it is, at equal volume. None where no window had enough to refit them.

Nothing is trained and nothing predicted here.
"""

from typing import Any

import numpy as np

from intentcast.errors import RefusedError
from intentcast.evaluation.arena import Arena
from intentcast.evaluation.backtest import CHAMPION, REPRICED, BacktestResult
from intentcast.evaluation.capacity import handed_over
from intentcast.evaluation.out_of_time import matured
from intentcast.evaluation.repriced import old_or_new
from intentcast.propensity.margins import Floats
from intentcast.thresholds.calibration import calibrate
from intentcast.thresholds.choose import Ask
from intentcast.thresholds.hysteresis import noise_near, quiet_steps

# The defaults of `intentcast calibrate`.
WEEKS = 13
MOST_LOST = 0.05
# From a quarter of the capacity to eight times it; 1 is the capacity itself.
_MULTIPLES = tuple(2.0 ** (step / 2) for step in range(-4, 7))
_FEWEST_FILLED = 0.8


def revops_figures(result: BacktestResult, arena: Arena, *, rival: str | None) -> dict[str, Any]:
    """Return the figures as JSON values; see the module.

    Args:
        result: The backtest.
        arena: Its matured snapshots of the primary horizon.
        rival: The contender that is the team's best points table; None without any.
    """
    return {
        "curve": volume_curve(arena, rival),
        "thresholds": thresholds(result),
        "repriced": repriced(result, arena),
    }


def volume_curve(arena: Arena, rival: str | None) -> dict[str, Any]:
    """Return what each weekly volume would have found, rising.

    At every volume both hand over the same number of leads, no lead twice in the test; ties at the
    edge are averaged. Volumes above capacity for which leads are wanting, a fifth or more of the
    seats, are left out.
    """
    contenders = {"model": CHAMPION, **({"rules": rival} if rival else {})}
    scores = [arena.score(name) for name in contenders.values()]
    points: list[dict[str, Any]] = []
    for multiple in _MULTIPLES:
        shares = handed_over(
            scores,
            arena.converted,
            arena.leads,
            arena.times,
            per_time=arena.per_time * multiple,
        )
        n = float(shares[0].sum())
        if multiple > 1 and n < _FEWEST_FILLED * arena.per_week * multiple * arena.n_weeks:
            break
        points.append(
            {
                "multiple": multiple,
                "n_handoffs": n,
                "handoffs_per_week": n / arena.n_weeks,
                **{
                    kind: _found(share, arena)
                    for kind, share in zip(contenders, shares, strict=True)
                },
            }
        )
    return {"rival": rival, "per_week": arena.per_week, "points": points}


def _found(share: Floats, arena: Arena) -> dict[str, float]:
    won = float((share * arena.converted).sum())
    return {
        "n_converted": won,
        "conversions_per_week": won / arena.n_weeks,
        "precision": won / float(share.sum()) if share.any() else float("nan"),
    }


def thresholds(result: BacktestResult) -> dict[str, Any]:
    """Return what `calibrate` says of the backtest's predictions at the data set's capacity.

    `refused` is None, or what was found, what was expected, and the next step.
    """
    per_week = result.dataset.config.capacity.handoffs_per_week
    try:
        seen = matured(result)
        steps = quiet_steps(seen.dataset, seen.predictions)
        found = calibrate(
            seen.evidence,
            Ask(per_week=per_week),
            weeks=WEEKS,
            most_lost=MOST_LOST,
            noise_at=lambda threshold: noise_near(threshold, steps),
        )
    except RefusedError as refused:
        return {
            "refused": {
                "found": refused.found,
                "expected": refused.expected,
                "next_step": refused.next_step,
            }
        }
    return {
        "refused": None,
        "most_lost": MOST_LOST,
        "tiers": found.tiers.to_json(),
        **found.to_json(),
    }


def repriced(result: BacktestResult, arena: Arena) -> dict[str, Any] | None:
    """Return refitted points against the present ones, on the same leads at the same volume."""
    refitted = [fold for fold in result.folds if fold.repriced is not None]
    new = f"scorecard:{REPRICED}"
    if not refitted or new not in arena.names:
        return None
    pair = arena.compare(new, f"scorecard:{result.scorecards[0].name}")
    tested = set(np.unique(arena.keys["fold"].to_numpy()).tolist())
    return {
        **pair.to_json(),
        "verdict": old_or_new(pair),
        "n_windows": len(tested),
        "n_refitted": sum(fold.split.fold in tested for fold in refitted),
    }
