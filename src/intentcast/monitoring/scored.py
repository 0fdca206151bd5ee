"""What was told: scores from files, or what the bundle would have told since its data ended.

A row is told once: the same version, lead, as-of time and horizon in two files counts once. Rows of
different versions are never put together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from intentcast.bundle import Bundle
from intentcast.errors import InputError
from intentcast.scoring import predict
from intentcast.snapshots import build_snapshots
from intentcast.sources import Dataset

_KEY = ["model_version", "lead_id", "as_of", "horizon_days"]
_MOST_ROWS = 200_000
_TYPES: Mapping[str, pl.DataType] = {
    "lead_id": pl.String(),
    "as_of": pl.Datetime("us", "UTC"),
    "horizon_days": pl.Int32(),
    "probability": pl.Float64(),
    "tier": pl.String(),
    "model_version": pl.String(),
}


@dataclass(frozen=True)
class Told:
    """Scores to be judged.

    Attributes:
        rows: `model_version`, `lead_id`, `account_id`, `as_of`, `horizon_days`, `probability`,
            `tier`; sorted by all but the account.
        is_retrospective: Whether the bundle was asked afterwards, no file having been given.
        n_unknown: Rows of files whose lead the data do not have.
        n_later: Rows of files told at or after the instant of monitoring.
    """

    rows: pl.DataFrame
    is_retrospective: bool
    n_unknown: int = 0
    n_later: int = 0


def scores_from_files(
    frames: Sequence[tuple[str, pl.DataFrame]], dataset: Dataset, *, as_of: datetime
) -> Told:
    """Return what `intentcast score` wrote, checked.

    Args:
        frames: Each file's name and rows.
        dataset: Has the leads' accounts.
        as_of: The instant of monitoring: what was told at or after it is left out.

    Raises:
        InputError: If a column is missing or cannot be read, or two files tell one probability
            differently.
    """
    rows = pl.concat([_typed(name, frame) for name, frame in frames])
    odd = rows.group_by(_KEY).agg(pl.col("probability").n_unique()).sort(_KEY)
    odd = odd.filter(pl.col("probability") > 1)
    if len(odd):
        first = odd.row(0, named=True)
        raise InputError(
            f"{len(odd):,} scores told with two probabilities by one version, the first of lead "
            f"{first['lead_id'][:40]} at {first['as_of']:%Y-%m-%d %H:%M}",
            expected="one probability per version, lead, as-of time and horizon",
            next_step="leave out the files that were replaced",
        )
    # Two policies give a lead two tiers at one probability: the alphabetically first counts.
    same = rows.sort([*_KEY, "tier"]).unique(_KEY, keep="first", maintain_order=True)
    earlier = same.filter(pl.col("as_of") < as_of)
    joined = earlier.join(dataset.leads.select("lead_id", "account_id"), on="lead_id", how="inner")
    return Told(
        _ordered(joined),
        is_retrospective=False,
        n_unknown=len(earlier) - len(joined),
        n_later=len(same) - len(earlier),
    )


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    if absent := set(_TYPES) - set(frame.columns):
        raise InputError(
            f"{name} has no column {', '.join(sorted(absent))}",
            expected="a file that `intentcast score` wrote",
            next_step="check --scores",
        )
    if frame.schema["as_of"] == pl.String:
        frame = frame.with_columns(pl.col("as_of").str.to_datetime(time_zone="UTC", strict=False))
    try:
        typed = frame.select(pl.col(column).cast(dtype) for column, dtype in _TYPES.items())
    except pl.exceptions.PolarsError as error:
        typed, said = None, " ".join(str(error).split())[:120]
    else:
        said = "a value is missing, or a probability is not between 0 and 1"
    if typed is None or not _is_sound(typed):
        raise InputError(
            f"{name} cannot be used ({said})",
            expected="a file that `intentcast score` wrote",
            next_step="check --scores, or score again",
        )
    return typed


def _is_sound(rows: pl.DataFrame) -> bool:
    p = pl.col("probability")
    return not sum(rows.null_count().row(0)) and bool(
        rows.select((p.is_between(0, 1) & (pl.col("horizon_days") > 0)).all()).item()
    )


def scores_since(
    bundle: Bundle, dataset: Dataset, times: Sequence[datetime], *, as_of: datetime
) -> Told:
    """Return what the bundle would have told from the end of its data on.

    Args:
        bundle: Asked.
        dataset: Cut at `as_of`; each as-of time sees what was known before it.
        times: As-of times of the cohort.
        as_of: The instant of monitoring.
    """
    ended = datetime.fromisoformat(bundle.data_cutoff)
    since = [t for t in times if ended <= t < as_of]
    snapshots = build_snapshots(dataset, since)
    # Neighbouring as-of times tell nearly the same: of too many, every k-th counted from the last.
    every = -(-len(snapshots) // _MOST_ROWS)
    if every > 1:
        snapshots = snapshots.filter(pl.col("as_of").is_in(since[::-1][::every]))
    if snapshots.is_empty():
        empty = pl.DataFrame(schema={**_TYPES, "account_id": pl.String()})
        return Told(_ordered(empty), is_retrospective=True)
    _, predicted = predict(bundle, dataset, snapshots)
    tiers = bundle.tiers.tiers(predicted.at(bundle.primary_horizon_days))
    parts = [
        snapshots.with_columns(
            tier=pl.Series(tiers, dtype=pl.String),
            model_version=pl.lit(bundle.version),
            horizon_days=pl.lit(days, dtype=pl.Int32),
            probability=pl.Series(predicted.probabilities[:, column]),
        )
        for column, days in enumerate(predicted.horizons_days)
    ]
    return Told(_ordered(pl.concat(parts)), is_retrospective=True)


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(*_KEY, "account_id", "probability", "tier").sort(_KEY)
