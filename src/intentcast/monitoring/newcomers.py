"""Are the attributes of new leads still filled in?

Features of the whole cohort hardly notice when a new form drops a question: most leads are older
than the form. So the leads that came in the newest 28 days are compared with those that came in the
past windows, each as they were known at the end of theirs.
"""

from dataclasses import dataclass

import polars as pl

from intentcast.monitoring.windows import Windows
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset

_FEWEST_LEADS = 30


@dataclass(frozen=True)
class Filling:
    """How many new leads lack one attribute.

    Attributes:
        name: Of the attribute.
        n: Leads that came in the newest window.
        unknown: Share of them without a value.
        usual: Largest such share in the past windows.
    """

    name: str
    n: int
    unknown: float
    usual: float


def fillings(dataset: Dataset, windows: Windows) -> list[Filling]:
    """Return every configured attribute whose new leads are enough to compare, by name.

    Args:
        dataset: Cut at the instant of monitoring.
        windows: Newest and past.
    """
    wanted = dataset.config.attributes
    there = {*dataset.leads.columns, *dataset.accounts.columns}
    columns = sorted({*wanted.numeric, *wanted.categorical} & there)
    new = windows.place(dataset.leads, "created_at").select(
        "lead_id", "account_id", "number", as_of="window_end"
    )
    if not columns or new.is_empty():
        return []
    known = attributes_as_of(dataset, new, columns)
    shares = (
        pl.concat([new.select("number"), known], how="horizontal")
        .group_by("number")
        .agg(pl.len(), *(pl.col(column).is_null().mean() for column in columns))
        .filter(pl.col("len") >= _FEWEST_LEADS)
    )
    now, past = shares.filter(pl.col("number") == 0), shares.filter(pl.col("number") > 0)
    if now.is_empty() or past.is_empty():
        return []
    row = now.row(0, named=True)
    worst = past.select(pl.col(columns).max()).row(0, named=True)
    return [Filling(column, row["len"], row[column], worst[column]) for column in columns]
