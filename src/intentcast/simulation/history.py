"""Attributes that changed: growing companies and promoted people.

The tables of leads and accounts hold the latest value. Whatever changed has its first value in the
history too, recorded when the lead, or the account's first lead, became known.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from intentcast.simulation.clock import DAY, END_SECOND, to_series
from intentcast.simulation.people import PROMOTIONS

_P_GROWS: Final = 0.10
_P_PROMOTED: Final = 0.04


def grow_accounts(
    employee_count: npt.NDArray[np.int64],
    *,
    known_at: npt.NDArray[np.int64],
    ids: pl.Series,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    """Latest head counts, shape (n_accounts,), and the history of those that changed.

    Growth is independent of buying: it carries no news about the future.
    """
    when = _later(known_at, rng)
    factor = np.exp(rng.normal(0.18, 0.15, len(known_at)))
    latest = np.maximum((employee_count * factor).astype(np.int64), 3)
    changed = (rng.random(len(known_at)) < _P_GROWS) & (when < END_SECOND)
    changed &= latest != employee_count
    rows = np.flatnonzero(changed)
    history = _history(
        "account", "employee_count", ids=ids.gather(rows),
        before=[str(v) for v in employee_count[rows]], after=[str(v) for v in latest[rows]],
        known_at=known_at[rows], when=when[rows],
    )  # fmt: skip
    return np.where(changed, latest, employee_count), history


def promote_leads(
    titles: list[str],
    *,
    known_at: npt.NDArray[np.int64],
    ids: pl.Series,
    rng: np.random.Generator,
) -> tuple[list[str], pl.DataFrame]:
    """Latest job titles and the history of those that changed."""
    when = _later(known_at, rng)
    lot = rng.random(len(titles))
    rows = np.asarray(
        [
            i
            for i, title in enumerate(titles)
            if title in PROMOTIONS and lot[i] < _P_PROMOTED and when[i] < END_SECOND
        ],
        dtype=np.int64,
    )
    before = [titles[i] for i in rows]
    after = [PROMOTIONS[title] for title in before]
    latest = list(titles)
    for i, title in zip(rows, after, strict=True):
        latest[i] = title
    history = _history(
        "lead", "job_title", ids=ids.gather(rows), before=before, after=after,
        known_at=known_at[rows], when=when[rows],
    )  # fmt: skip
    return latest, history


def _later(known_at: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A time for a change, at least a month after the first value; may lie beyond the world."""
    return known_at + rng.integers(30 * DAY, 500 * DAY, len(known_at))


def _history(
    entity: str,
    attribute: str,
    *,
    ids: pl.Series,
    before: list[str],
    after: list[str],
    known_at: npt.NDArray[np.int64],
    when: npt.NDArray[np.int64],
) -> pl.DataFrame:
    """First and latest values as rows of ``attribute_changes``."""
    text = pl.Series("value", [*before, *after], dtype=pl.String)
    return pl.DataFrame(
        {
            "entity_id": pl.concat([ids, ids]),
            "value": text,
            "recorded_at": to_series("recorded_at", np.concatenate([known_at, when])),
        }
    ).select(
        pl.lit(entity).alias("entity"),
        "entity_id",
        pl.lit(attribute).alias("attribute"),
        "value",
        "recorded_at",
    )
