"""What was said and what came, quarter by quarter of the as-of times."""

from typing import Any

import polars as pl

from intentcast.evaluation.arena import Arena
from intentcast.evaluation.uncertainty import AccountDraws


def realized_by_quarter(arena: Arena, name: str) -> list[dict[str, Any]]:
    """Return, per calendar quarter of UTC, the mean probability and the share that converted.

    `low` and `high` are the 95 % interval of the share, accounts drawn with replacement; null
    with under 10 converting accounts. Quarters come in order.

    Args:
        arena: Whose horizon is over.
        name: A contender that gives probabilities.
    """
    p = arena.probability(name)
    assert p is not None, "a contender with probabilities"
    as_of = arena.keys["as_of"]
    quarter = pl.select(pl.format("{} Q{}", as_of.dt.year(), as_of.dt.quarter())).to_series()
    rows = []
    for label in sorted(quarter.unique()):
        here = (quarter == label).to_numpy()
        y = arena.converted[here]
        low, high = AccountDraws(y, arena.accounts[here]).mean(y) or (None, None)
        rows.append(
            {
                "quarter": label,
                "n_snapshots": len(y),
                "n_converted": int(y.sum()),
                "mean_probability": float(p[here].mean()),
                "share_converted": float(y.mean()),
                "low": low,
                "high": high,
            }
        )
    return rows
