"""Cohorts, and what was known at an as-of time: the only module that cuts time.

Worked example (its dates are a test): a cohort `engaged` within 7 days, every 7 days from
2024-03-04. A page view occurred on 2024-03-01 and was recorded on 2024-03-05. On 2024-03-04 it
was not known, so the lead is not in the cohort; on 2024-03-11 it is known but older than
7 days (2024-03-04 <= occurred_at fails), so the lead is not in it either. Had it been recorded
on 2024-03-03, the lead would be in the cohort of 2024-03-04 and of no other.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import Cohort
from intentcast.contracts import INSTANT, Snapshots, validate
from intentcast.errors import ConfigError, RefusedError
from intentcast.sources import Dataset, as_text

KNOWN = "known_at"
_HELPER = "__"


class Span(NamedTuple):
    """First and last as-of time, and whether the configuration stated them."""

    start: datetime
    end: datetime
    is_stated: bool


def known_as_of(frame: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Keep rows that were known strictly before `as_of`: `max(recorded_at, occurred_at) < as_of`.

    A row at exactly `as_of` is not yet known. Row order is unchanged.
    """
    return frame.filter(pl.col(KNOWN) < as_of)


def known_dataset(dataset: Dataset, as_of: datetime) -> Dataset:
    """Return the data set with the rows that were known strictly before `as_of`.

    Leads and accounts stay: they are as the tables have them, as everywhere.
    """
    return replace(
        dataset,
        events=known_as_of(dataset.events, as_of),
        outcomes=known_as_of(dataset.outcomes, as_of),
        attribute_changes=dataset.attribute_changes.filter(pl.col("recorded_at") < as_of),
    )


def cohort_span(dataset: Dataset) -> Span:
    """Return the configured as-of span, or else the span of the recorded data.

    Without `cohort.start`, the first as-of time is the midnight after the first event plus
    `within_days`, or after a quarter of the record if that is sooner; without `cohort.end`, the
    last is the midnight before the data cut-off.

    Raises:
        RefusedError: If neither `cohort.start` nor an event says when to begin.
    """
    cohort = dataset.config.cohort
    end = cohort.end or _midnight(dataset.data_cutoff)
    if cohort.start:
        return Span(cohort.start, end, cohort.end is not None)
    first = dataset.events["occurred_at"].min()
    if not isinstance(first, datetime):
        raise RefusedError(
            "no events to take the first as-of time from",
            expected="at least one event, or cohort.start",
            next_step="set cohort.start in dataset.toml",
        )
    warm_up = min(timedelta(days=cohort.within_days), (end - first) / 4)
    return Span(_midnight(first + warm_up) + timedelta(days=1), end, is_stated=False)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), tzinfo=moment.tzinfo)


def as_of_times(span: Span, every_days: int) -> list[datetime]:
    """Return `start`, `start + every_days`, … up to and including `end`."""
    n = (span.end - span.start) // timedelta(days=every_days)
    return [span.start + i * timedelta(days=every_days) for i in range(n + 1)]


def scoring_times(dataset: Dataset, *, until: datetime) -> list[datetime]:
    """Return the cohort's as-of times up to and including `until`, also after `cohort.end`.

    `cohort.end` says where to stop learning; who is scored every week goes on after it.
    """
    span = cohort_span(dataset)
    return as_of_times(Span(span.start, until, is_stated=False), dataset.config.cohort.every_days)


def build_snapshots(
    dataset: Dataset, times: list[datetime], *, cohort: Cohort | None = None
) -> pl.DataFrame:
    """Return who is in the cohort at each as-of time.

    A lead is in the cohort at `t` if it was created before `t`, had no closing outcome and, unless
    conversions recur, no conversion known before `t`, and
    - `open`: nothing more;
    - `created`: `t - within_days <= created_at < t`;
    - `engaged`: an event that was not a machine's, `t - within_days <= occurred_at`, known
      before `t`.

    Returns:
        `contracts.Snapshots`, sorted by lead and as-of time.
    """
    cohort = cohort or dataset.config.cohort
    grid = pl.DataFrame({"as_of": times}, schema={"as_of": INSTANT}).sort("as_of")
    closed_at = _closed_at(dataset)
    leads = dataset.leads.select("lead_id", "account_id", "created_at").join(
        closed_at, on="lead_id", how="left"
    )
    within = timedelta(days=cohort.within_days)
    if cohort.rule == "engaged":
        events = dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
        spans = events.select("lead_id", opens=KNOWN, shuts=pl.col("occurred_at") + within).filter(
            pl.col("opens") <= pl.col("shuts")
        )
        pairs = _times_within(spans, grid).unique()
        snapshots = pairs.join(leads, on="lead_id")
    else:
        # A span (opens, shuts]: known strictly after it opens, until and including its end.
        if cohort.rule == "created":
            shuts = pl.col("created_at") + within
        else:
            shuts = pl.lit(max(times, default=None), dtype=INSTANT)
        spans = leads.select("lead_id", opens="created_at", shuts=shuts)
        snapshots = _times_within(spans, grid).join(leads, on="lead_id")
    is_open = pl.col("closed_at").is_null() | (pl.col("closed_at") >= pl.col("as_of"))
    snapshots = snapshots.filter(is_open & (pl.col("created_at") < pl.col("as_of")))
    return validate(
        snapshots.select("lead_id", "as_of", "account_id").sort("lead_id", "as_of"), Snapshots
    )


def _closed_at(dataset: Dataset) -> pl.DataFrame:
    """When it first became known that a lead was no longer at risk."""
    conversion = dataset.config.conversion
    ends = conversion.closing if conversion.recurring else conversion.closing + conversion.outcomes
    closing = dataset.outcomes.filter(pl.col("outcome").is_in(ends))
    return closing.group_by("lead_id").agg(pl.col(KNOWN).min().alias("closed_at"))


def _times_within(spans: pl.DataFrame, grid: pl.DataFrame) -> pl.DataFrame:
    """Pair each lead with every as-of time in its half-open spans (opens, shuts]."""
    times = grid["as_of"]
    # Strictly after `opens`, up to and including `shuts`: both are insertions to the right.
    first = times.search_sorted(spans["opens"], side="right")
    last = times.search_sorted(spans["shuts"], side="right")
    pairs = (
        spans.select("lead_id")
        .with_columns(first=first, last=last)
        .filter(pl.col("first") < pl.col("last"))
        .unique()
        .select("lead_id", index=pl.int_ranges("first", "last"))
        .explode("index")
        .unique()
    )
    return pairs.select("lead_id", as_of=times.gather(pairs["index"]))


def attributes_as_of(
    dataset: Dataset, snapshots: pl.DataFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """Return each attribute's value as it was known strictly before each as-of time.

    Where `attribute_changes` has rows of the lead or its account with `recorded_at < as_of`, the
    latest of them; else the value in leads or accounts. Whether a change is still to come decides
    nothing, so that a row recorded later cannot alter, or empty, what was known.
    A column that both leads and accounts have is the lead's.

    Args:
        dataset: Its leads and accounts.
        snapshots: `lead_id`, `as_of`, `account_id`.
        columns: Names of columns of leads or accounts.

    Returns:
        The columns as text, one row per snapshot, in their order.

    Raises:
        ConfigError: If neither table has one of the columns.
    """
    there = [*dataset.leads.columns, *dataset.accounts.columns]
    if absent := [column for column in columns if column not in there]:
        raise ConfigError(
            f"attribute {', '.join(absent)} is in neither leads nor accounts",
            expected=f"columns among {', '.join(there)}",
            next_step="correct [attributes] in dataset.toml, or add the column",
        )
    changing = set(dataset.attribute_changes["attribute"].unique()) & set(columns)
    still = [column for column in columns if column not in changing]
    found = _constant(dataset, snapshots, still)
    if changing:
        # Helper columns have names that no attribute can have.
        values = snapshots.select(
            pl.col("lead_id", "account_id", "as_of").name.prefix(_HELPER)
        ).with_row_index(f"{_HELPER}position")
        for column in sorted(changing):
            entity = "lead" if column in dataset.leads.columns else "account"
            values = _with_attribute(values, dataset, column, entity)
        found = found.hstack(values.sort(f"{_HELPER}position").select(sorted(changing)))
    return found.select(columns)


def _constant(dataset: Dataset, snapshots: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return attributes that no change is recorded of: one look-up of the row serves them all."""
    parts = []
    for key, table in (("lead_id", dataset.leads), ("account_id", dataset.accounts)):
        of_table = [c for c in columns if (c in dataset.leads.columns) == (key == "lead_id")]
        if not of_table:
            continue
        texts = table.select(as_text(c, table.schema[c]).alias(c) for c in of_table)
        row = table.select(key).with_row_index(f"{_HELPER}row")
        at = snapshots.select(key).join(row, on=key, how="left", maintain_order="left")
        parts.append(texts.select(pl.all().gather(at[f"{_HELPER}row"])))
    return pl.concat(parts, how="horizontal") if parts else pl.DataFrame(height=len(snapshots))


def _with_attribute(
    values: pl.DataFrame, dataset: Dataset, column: str, entity: str
) -> pl.DataFrame:
    key = f"{entity}_id"
    table = dataset.leads if entity == "lead" else dataset.accounts
    on = f"{_HELPER}{key}"
    constant = table.select(
        pl.col(key).alias(on), as_text(column, table.schema[column]).alias(column)
    )
    changes = dataset.attribute_changes.filter(
        (pl.col("entity") == entity) & (pl.col("attribute") == column)
    )
    values = values.join(constant, on=on, how="left", maintain_order="left")
    if changes.is_empty():
        return values
    # A change at exactly as_of is not yet known: join to the instant just before.
    at, changed, before = (f"{_HELPER}{name}" for name in ("recorded_at", "changed", "before"))
    known = changes.select(
        pl.col("entity_id").alias(on),
        pl.col("recorded_at").alias(at),
        as_text("value", pl.String()).alias(changed),
    ).sort(at, maintain_order=True)
    just_before = (pl.col(f"{_HELPER}as_of") - timedelta(microseconds=1)).alias(before)
    joined = (
        values.with_columns(just_before)
        .sort(before)
        .join_asof(known, left_on=before, right_on=at, by=on, check_sortedness=False)
    )
    value = pl.when(pl.col(at).is_not_null()).then(changed).otherwise(column).alias(column)
    return joined.with_columns(value).drop(changed, at, before, strict=False)


def snapshots_at(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return the cohort at one as-of time.

    Raises:
        RefusedError: If nobody is in it.
    """
    snapshots = build_snapshots(dataset, [as_of])
    if snapshots.is_empty():
        cohort = dataset.config.cohort
        raise RefusedError(
            f"nobody in the cohort at {as_of:%Y-%m-%dT%H:%MZ}",
            expected=f"leads that are open and {cohort.rule} within {cohort.within_days} days",
            next_step=f"choose an as-of time before {dataset.data_cutoff:%Y-%m-%d}",
        )
    return snapshots


def account_numbers(accounts: pl.Series) -> NDArray[np.int64]:
    """Return a number per account that depends on its name alone, shape (n,)."""
    unique = accounts.unique().sort()
    numbers = {name: zlib.crc32(name.encode()) for name in unique.to_list()}
    out: NDArray[np.int64] = accounts.replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    return out


def lead_numbers(leads: pl.Series) -> NDArray[np.int64]:
    """Return a number per lead, from 0 in the order of their names, shape (n,)."""
    out: NDArray[np.int64] = leads.rank("dense").to_numpy().astype(np.int64) - 1
    return out
