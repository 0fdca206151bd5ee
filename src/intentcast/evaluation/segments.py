"""Is the probability true in every segment: one test each, held to account for their number.

Segments are the levels of each categorical attribute, quarters of each numeric one, and the buying
stage, each as it was known at the as-of time. They overlap, and with twenty of them one differs "at
95 %" by chance; so p-values are adjusted by Holm's step-down (Holm 1979), which holds whatever the
dependence: the chance of any false finding in a report is at most 5 %.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from intentcast.evaluation.arena import Arena
from intentcast.evaluation.capacity import Floats, Ints, handed_over
from intentcast.evaluation.metrics import auc
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset
from intentcast.stages import StageSignal, stage_snapshots

_MOST_LEVELS = 8
_FEWEST_CONVERSIONS = 10
_FEWEST_ACCOUNTS = 30
_LEVEL = 0.05
_Z95 = 1.959963984540054
STAGE = "stage"


def segment_rows(
    dataset: Dataset,
    arena: Arena,
    contender: str,
    *,
    signals: Sequence[StageSignal] = (),
) -> list[dict[str, Any]]:
    """Return a contender by segment, largest first within each attribute.

    A row says whether what was said differs from what came, Σ (y − p) ≠ 0, by a normal
    approximation. The variance is the larger of two, which both count the snapshots of an account
    as one piece of evidence: Σ_g (Σ_{i in g} (y_i − p_i))² over accounts g (Liang and Zeger 1986),
    and Σ p (1 − p) times the design effect of all segments together (Kish 1965). Where nobody
    converted the first is far too small: one account would have brought many snapshots.

    * `difference` and `ci95`: share converted less mean probability, and its own interval;
    * `p_value`, and `p_adjusted` over all segments tested (Holm);
    * `verdict`: `too low` or `too high` (what the model said) where p_adjusted < 0.05, else
      `no difference`; `too few` with under 10 conversions both expected and seen, or under 30
      accounts, where nothing is tested.

    Args:
        dataset: Its attributes.
        arena: Mature test snapshots of one horizon.
        contender: One that gives probabilities.
        signals: Of the buying stages; without them there is no `stage`.
    """
    p, score = arena.probability(contender), arena.score(contender)
    assert p is not None, "a contender of probabilities"
    y = arena.converted
    [share] = handed_over([score], y, arena.leads, arena.times, per_time=arena.per_time)
    effect = design_effect(y, p, arena.accounts)
    rows = []
    for attribute, level, here in _segments(dataset, arena.keys, signals):
        rows.append(
            {
                "attribute": attribute,
                "level": level,
                "n_snapshots": int(here.sum()),
                "n_accounts": len(np.unique(arena.accounts[here])),
                "n_converted": int(y[here].sum()),
                "share_converted": float(y[here].mean()),
                "mean_probability": float(p[here].mean()),
                "auc": auc(y[here], score[here]),
                "handed_over": float(share[here].sum()),
                **judge_level(y[here], p[here], arena.accounts[here], effect=effect),
            }
        )
    tested = [row for row in rows if row["p_value"] is not None]
    for row, adjusted in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_adjusted"] = adjusted
        if adjusted < _LEVEL:
            row["verdict"] = "too low" if row["difference"] > 0 else "too high"
    return rows


def design_effect(converted: Floats, probability: Floats, accounts: Ints) -> float:
    """Return by how much snapshots of an account inflate the variance of Σ (y − p); at least 1.

    Args:
        converted: 0 or 1, shape (n,).
        probability: Shape (n,), none of them 0 or 1.
        accounts: Numbers, shape (n,).
    """
    sums = _sums(converted - probability, accounts)
    alone = float((probability * (1.0 - probability)).sum())
    return max(1.0, float((sums * sums).sum()) / alone)


def _sums(residual: Floats, accounts: Ints) -> Floats:
    _, group = np.unique(accounts, return_inverse=True)
    sums: Floats = np.bincount(group, weights=residual).astype(np.float64)
    return sums


def judge_level(
    converted: Floats, probability: Floats, accounts: Ints, *, effect: float = 1.0
) -> dict[str, Any]:
    """Return `difference`, `ci95`, `p_value`, `p_adjusted` (none yet) and `verdict` of one segment.

    Args:
        converted: 0 or 1, shape (n,), at least one.
        probability: Shape (n,).
        accounts: Numbers, shape (n,).
        effect: From `design_effect`, of many snapshots.
    """
    residual = converted - probability
    sums = _sums(residual, accounts)
    n, total = len(residual), float(residual.sum())
    expected_or_seen = max(float(probability.sum()), float(converted.sum()))
    found: dict[str, Any] = {
        "difference": total / n,
        "ci95": None,
        "p_value": None,
        "p_adjusted": None,
        "verdict": "too few",
    }
    if expected_or_seen < _FEWEST_CONVERSIONS or len(sums) < _FEWEST_ACCOUNTS:
        return found
    promised = float((probability * (1.0 - probability)).sum()) * effect
    error = math.sqrt(max(float((sums * sums).sum()), promised))
    half = _Z95 * error / n
    return found | {
        "ci95": [total / n - half, total / n + half],
        "p_value": math.erfc(abs(total) / error / math.sqrt(2.0)),
        "verdict": "no difference",
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in their order (Holm 1979).

    The k-th smallest of m times m − k + 1, made to rise, at most 1.
    """
    m = len(p_values)
    out, so_far = [0.0] * m, 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        so_far = max(so_far, min((m - rank) * p_values[i], 1.0))
        out[i] = so_far
    return out


def _segments(
    dataset: Dataset, keys: pl.DataFrame, signals: Sequence[StageSignal]
) -> Iterator[tuple[str, str, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    """Return attribute, level and mask of each, as it was known at the as-of time."""
    wanted = dataset.config.attributes
    known = attributes_as_of(dataset, keys, [*wanted.categorical, *wanted.numeric])
    columns = {name: known[name] for name in wanted.categorical}
    columns |= {name: _quarters(known[name]) for name in wanted.numeric}
    if signals:
        columns[STAGE] = stage_snapshots(tuple(signals), dataset, keys)
    for attribute, values in columns.items():
        named = values.alias("level").drop_nulls()
        counts = named.value_counts().sort(["count", "level"], descending=[True, False])
        for level in counts["level"].head(_MOST_LEVELS):
            yield attribute, str(level), (values == level).fill_null(value=False).to_numpy()


def _quarters(texts: pl.Series) -> pl.Series:
    """Return which quarter of the snapshots a number is in, such as `50 to 120`; null if none."""
    numbers = texts.cast(pl.Float64, strict=False)
    numbers = numbers.set(numbers.is_nan(), None)
    if numbers.null_count() == len(numbers):
        return numbers.cast(pl.String)
    cuts = sorted({float(numbers.quantile(q, "nearest") or 0.0) for q in (0.25, 0.5, 0.75)})
    edges = [f"{cut:,.6g}" for cut in cuts]
    names = [
        f"under {edges[0]}",
        *(f"{low} to under {high}" for low, high in pairwise(edges)),
        f"{edges[-1]} or more",
    ]
    bins = np.searchsorted(cuts, numbers.fill_null(0.0).to_numpy(), side="right")
    named = pl.Series(names).gather(bins)
    return pl.select(pl.when(numbers.is_not_null()).then(named)).to_series()
