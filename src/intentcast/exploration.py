"""Random hand-offs from below the threshold, with known chances, so that data are not on hot leads.

If sales works only the leads that a model calls hot, the next model learns only about those. A few
leads a week are drawn from the others, each with a known chance; a lead drawn with chance π then
stands for 1/π of them (Horvitz and Thompson 1952).

The log is a table that only grows, one row per drawn lead: `lead_id`; `as_of` of the draw;
`inclusion_probability` (π, in (0, 1]); `tier` and `probability` then; `n_eligible` leads that it
was drawn from; `n_drawn` in this draw; `uniform_share`, `seed` and `pause_days` of the draw;
`model_version` and `policy_version` (the policy's, or else the model's, which holds its policy).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.contracts import INSTANT
from intentcast.errors import InputError
from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset

WEEK = timedelta(days=7)
ABOVE = "hot"
LOG_SCHEMA = pl.Schema(
    {
        "lead_id": pl.String(),
        "as_of": INSTANT,
        "inclusion_probability": pl.Float64(),
        "tier": pl.String(),
        "probability": pl.Float64(),
        "n_eligible": pl.Int64(),
        "n_drawn": pl.Int64(),
        "uniform_share": pl.Float64(),
        "seed": pl.Int64(),
        "pause_days": pl.Int64(),
        "model_version": pl.String(),
        "policy_version": pl.String(),
    }
)


@dataclass(frozen=True)
class Weights:
    """Weights of training snapshots, and how much they cost.

    Attributes:
        values: Shape (n,): 0 or at least 1.
        part: Of each snapshot: `above` the threshold, `drawn`, `drawn before` (paused in the draw),
            `not drawn`, or `no draw` in the week before it, shape (n,).
        bound: The largest weight allowed.
        n_bounded: Snapshots whose weight was cut to it: the estimate is biased towards the
            others' by what was cut off.
        effective_n: (Σ w)² / Σ w² (Kish 1965): as many snapshots of equal weight tell as much.
    """

    values: Floats
    part: pl.Series
    bound: float
    n_bounded: int
    effective_n: float


def eligible(
    scores: pl.DataFrame,
    dataset: Dataset,
    *,
    opt_out: tuple[str, ...],
    revoked_by: tuple[str, ...] = (),
) -> pl.DataFrame:
    """Return the leads below the threshold that may be handed over, by what was known by then.

    Never a lead that opted out and did not take it back, that sales sent back less than
    `sales.renurture_days` ago, that sales accepted already, or whose matter ended.

    Args:
        scores: One row per lead: `lead_id`, `as_of` (one for all), `tier`, `probability`.
        dataset: Its events and outcomes known strictly before `as_of`.
        opt_out: Event types by which a lead opts out.
        revoked_by: Event types by which it takes that back: the later of the two stands, and of
            two at one instant the opt-out, as for hand-offs.

    Returns:
        The rows of `scores` that are left, sorted by lead.
    """
    if scores.is_empty():
        return scores
    as_of = _only(scores)
    known = pl.col("known_at") < as_of
    sales, conversion = dataset.config.sales, dataset.config.conversion
    out = (
        dataset.events.filter(known, pl.col("event_type").is_in([*opt_out, *revoked_by]))
        .with_columns(is_out=pl.col("event_type").is_in(opt_out))
        .sort("lead_id", "occurred_at", "is_out")
        .group_by("lead_id", maintain_order=True)
        .last()
        .filter("is_out")
    )
    ended = [*conversion.closing, *sales.accepted]
    ended += [] if conversion.recurring else conversion.outcomes
    returned = pl.col("outcome").is_in(sales.rejected) & (
        pl.col("known_at") > as_of - timedelta(days=sales.renurture_days)
    )
    outcomes = dataset.outcomes.filter(known, pl.col("outcome").is_in(ended) | returned)
    barred = pl.concat([out["lead_id"], outcomes["lead_id"]]).unique()
    return scores.filter(pl.col("tier") != ABOVE, ~pl.col("lead_id").is_in(barred.implode())).sort(
        "lead_id"
    )


def inclusion_probabilities(probabilities: Floats, n: int, *, uniform_share: float) -> Floats:
    """Return each lead's chance to be among the n drawn; they add up to n.

    `π_i = n · ((1 − u) · p_i / Σ p + u / N)`, so that likelier leads are drawn more often, and none
    with a chance below u · n / N. A chance that would exceed 1 is 1, and the rest of the seats is
    shared likewise among the others.

    Args:
        probabilities: Of conversion, shape (N,).
        n: Seats; all are taken where there are no more leads.
        uniform_share: u in (0, 1].
    """
    total = len(probabilities)
    if n >= total:
        return np.ones(total)
    certain = np.zeros(total, dtype=np.bool_)
    while True:
        p = np.where(certain, 0.0, probabilities)
        seats, others = n - int(certain.sum()), total - int(certain.sum())
        by_size = p / p.sum() if p.sum() > 0 else np.where(certain, 0.0, 1 / others)
        chances = seats * ((1 - uniform_share) * by_size + uniform_share / others)
        chances = np.where(certain, 1.0, chances)
        if not (over := (chances >= 1) & ~certain).any():
            return chances
        certain |= over


def draw(
    candidates: pl.DataFrame,
    log: pl.DataFrame,
    *,
    per_week: int,
    seed: int,
    uniform_share: float = 0.5,
    pause_days: int = 90,
) -> pl.DataFrame:
    """Draw this week's leads without replacement; return the rows to append to the log.

    Systematic sampling with unequal chances (Madow 1949) in a random order: each lead is drawn with
    exactly its chance, and exactly as many as there are seats. Seats given in the seven days up to
    `as_of` are taken off, so that drawing again adds nothing. The same candidates, log, seed and
    `as_of` give the same draw, in whatever order the rows come.

    Args:
        candidates: From `eligible`, with `model_version` and, if there is one, `policy_version`.
        log: What was drawn before (`LOG_SCHEMA`).
        per_week: Seats.
        seed: Of the draw; with `as_of`, it decides.
        uniform_share: See `inclusion_probabilities`.
        pause_days: A lead drawn less than so long ago is not drawn again.

    Raises:
        InputError: If the log holds a later draw: it can only grow.
    """
    if candidates.is_empty() or per_week == 0:
        return LOG_SCHEMA.to_frame()
    as_of = _only(candidates)
    latest = log["as_of"].max()
    if isinstance(latest, datetime) and latest > as_of:
        raise InputError(
            f"a draw of {latest:%Y-%m-%dT%H:%MZ} in the log, after these scores' "
            f"{as_of:%Y-%m-%dT%H:%MZ}",
            expected="draws in the order of time",
            next_step="score at a later as-of time, or start another log",
        )
    recent = log.filter(pl.col("as_of") > as_of - WEEK)
    paused = log.filter(pl.col("as_of") > as_of - timedelta(days=pause_days))["lead_id"]
    left = candidates.filter(~pl.col("lead_id").is_in(paused.implode())).sort("lead_id")
    n = min(per_week - len(recent), len(left))
    if n <= 0:
        return LOG_SCHEMA.to_frame()
    chances = inclusion_probabilities(
        left["probability"].to_numpy(), n, uniform_share=uniform_share
    )
    text = f"{seed} {as_of.isoformat()}"
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
    drawn = left[_systematic(chances, n, rng)].with_columns(
        pl.lit(n, dtype=pl.Int64).alias("n_drawn"),
        pl.lit(len(left), dtype=pl.Int64).alias("n_eligible"),
        pl.lit(uniform_share).alias("uniform_share"),
        pl.lit(seed, dtype=pl.Int64).alias("seed"),
        pl.lit(pause_days, dtype=pl.Int64).alias("pause_days"),
    )
    chance = pl.DataFrame({"lead_id": left["lead_id"], "inclusion_probability": chances})
    drawn = drawn.join(chance, on="lead_id", maintain_order="left")
    if "policy_version" not in drawn.columns:
        drawn = drawn.with_columns(policy_version="model_version")
    return drawn.select(pl.col(name).cast(kind) for name, kind in LOG_SCHEMA.items())


def _systematic(chances: Floats, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions drawn, rising: where n equidistant points hit the chances laid out."""
    order = rng.permutation(len(chances))
    ends = np.cumsum(chances[order])
    points = (rng.random() + np.arange(n)) * (ends[-1] / n)
    hit = np.searchsorted(ends, points, side="right")
    return np.sort(order[np.minimum(hit, len(chances) - 1)])


def weights(log: pl.DataFrame, snapshots: pl.DataFrame, *, bound: float = 1000.0) -> Weights:
    """Return a weight per training snapshot that undoes the choice of who was handed over.

    Above the threshold 1 (all are handed over); drawn 1/π; eligible and not drawn 0, because what
    would have become of it in sales' hands is not known: those drawn stand for it. A lead that was
    drawn before and is paused in a draw has no chance in it, so nobody stands for it; but it was
    handed over, so it stands for itself, with 1 (as in the ordered
    estimator of Des Raj 1956). So weighted sums over a draw's snapshots estimate, without bias
    whatever was drawn before, those over all that were above, eligible, or paused. A snapshot
    without a draw in the seven days up to it has weight 1: it is as selective as it ever was.

    A paused lead counts whatever became of it. Where snapshots of leads that sales accepted or that
    opted out are left out, leave them out among the paused as well.

    Args:
        log: Of all draws.
        snapshots: `lead_id`, `as_of`, and `tier` as told then.
        bound: No weight is larger, so that one lead does not decide; what is cut off is a bias, and
            counted. The draw's own bound is n_eligible / (uniform_share · n_drawn).
    """
    # Of several draws at one instant, each is from those that the ones before it left.
    draws = (
        log.group_by(draw="as_of")
        .agg(pl.col("n_eligible").min(), pl.col("pause_days").max())
        .sort("draw")
    )
    rows = (
        snapshots.select("lead_id", "as_of", "tier")
        .with_row_index("position")
        .sort("as_of")
        .join_asof(
            draws, left_on="as_of", right_on="draw", tolerance=WEEK - timedelta(microseconds=1)
        )
        .sort("position")
        .join(
            log.select("lead_id", "n_eligible", "inclusion_probability", draw="as_of"),
            on=["lead_id", "draw", "n_eligible"],
            how="left",
            maintain_order="left",
        )
    )
    rows = rows.join(_paused(log, rows), on=["lead_id", "draw"], how="left", maintain_order="left")
    chance = pl.col("inclusion_probability")
    part = (
        pl.when(pl.col("draw").is_null())
        .then(pl.lit("no draw"))
        .when(pl.col("tier") == ABOVE)
        .then(pl.lit("above"))
        .when(chance.is_not_null())
        .then(pl.lit("drawn"))
        .when(pl.col("is_paused"))
        .then(pl.lit("drawn before"))
        .otherwise(pl.lit("not drawn"))
    )
    rows = rows.with_columns(part=part)
    raw = rows.select(
        pl.when(pl.col("part") == "drawn")
        .then(1 / chance)
        .when(pl.col("part") == "not drawn")
        .then(0.0)
        .otherwise(1.0)
        .alias("weight")
    )["weight"].to_numpy()
    values: Floats = np.minimum(raw, bound)
    squares = float((values**2).sum())
    return Weights(
        values=values,
        part=rows["part"],
        bound=bound,
        n_bounded=int((raw > bound).sum()),
        effective_n=float(values.sum()) ** 2 / squares if squares else 0.0,
    )


def _paused(log: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return `lead_id` and `draw` where a draw before it keeps the lead out, and `is_paused`."""
    before = log.select("lead_id", was="as_of", n_eligible_then="n_eligible")
    ended = pl.col("draw") - pl.duration(days=pl.col("pause_days"))
    is_before = (pl.col("was") < pl.col("draw")) | (
        (pl.col("was") == pl.col("draw")) & (pl.col("n_eligible_then") > pl.col("n_eligible"))
    )
    return (
        rows.select("lead_id", "draw", "n_eligible", "pause_days")
        .drop_nulls()
        .unique()
        .join(before, on="lead_id")
        .filter(is_before, pl.col("was") > ended)
        .select("lead_id", "draw", is_paused=pl.lit(value=True))
        .unique()
    )


def _only(rows: pl.DataFrame) -> datetime:
    times = rows["as_of"].unique()
    if len(times) != 1 or rows["lead_id"].n_unique() != len(rows):
        raise InputError(
            f"{len(rows):,} rows at {len(times)} as-of times",
            expected="one row per lead, all at one as-of time",
            next_step="give the scores of one run, at one horizon",
        )
    moment = times[0]
    assert isinstance(moment, datetime)
    return moment
