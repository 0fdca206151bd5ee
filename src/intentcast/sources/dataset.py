"""A folder of tables and its `dataset.toml` as one validated, canonically ordered `Dataset`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from intentcast.config import DatasetConfig, read_settings
from intentcast.contracts import INSTANT, ROW_NUMBER, TABLES, Quarantined
from intentcast.errors import ContractError
from intentcast.sources.cleaning import (
    EVENT_ORDER,
    LEAD_NUMBER,
    SetAside,
    clean,
    first_of_each_event,
    refuse_too_many,
    with_known_at,
)
from intentcast.sources.numbering import LeadNumbers
from intentcast.sources.tables import find_table, read_table

__all__ = [
    "EVENT_ORDER",
    "Dataset",
    "first_of_each_event",
    "load_dataset",
    "with_known_at",
]
# Records that end a year before the last one do not end with it.
_STRAY = timedelta(days=365)


@dataclass(frozen=True)
class Dataset:
    """Validated tables in canonical order, so that the order of the files' rows cannot matter.

    Attributes:
        config: What `dataset.toml` says.
        leads: `lead_id` (unique), `account_id` (never null: a lead without one is its own),
            `created_at`, attributes.
        accounts: `account_id` (unique), attributes; may be empty.
        events: Sorted by `EVENT_ORDER`; `known_at` is the later of `recorded_at` and
            `occurred_at`: the first instant after which the event may be used.
        outcomes: Sorted by lead and `known_at`.
        attribute_changes: Sorted by entity and `recorded_at`; may be empty.
        quarantined: Per table, the rows set aside.
        data_cutoff: The instant up to which the extract is complete.
    """

    config: DatasetConfig
    leads: pl.DataFrame
    accounts: pl.DataFrame
    events: pl.DataFrame
    outcomes: pl.DataFrame
    attribute_changes: pl.DataFrame
    quarantined: tuple[Quarantined, ...]
    data_cutoff: datetime
    folder: Path = field(default=Path())


def load_dataset(folder: Path, *, on_table: Callable[[str], None] | None = None) -> Dataset:
    """Read, type, check and order a data set.

    Args:
        folder: Holds `dataset.toml` and each table as `.parquet` or `.csv`.
        on_table: Called with each table's name before it is read, for progress.

    Raises:
        ConfigError: If `dataset.toml` is missing or wrong.
        ContractError: If a table or column is missing, or more than `quarantine.max_share` of a
            table's rows break a rule.
    """
    paths = find_tables(folder)
    config = read_settings(folder / "dataset.toml", DatasetConfig)
    frames: dict[str, pl.DataFrame] = {}
    set_aside: list[Quarantined] = []
    for table in TABLES:
        if on_table:
            on_table(table)
        frames[table], bad = load_table(table, paths[table], config, leads=frames.get("leads"))
        set_aside += bad
    events = with_known_at(frames["events"], config.source_delay_hours.events)
    events, n_doubled = first_of_each_event(events)
    set_aside = [
        replace(bad, n_duplicates=n_doubled) if bad.table == "events" else bad for bad in set_aside
    ]
    leads, outcomes, changes = ordered(frames, config)
    return Dataset(
        config=config,
        leads=leads,
        accounts=frames["accounts"].sort("account_id"),
        events=events.sort(EVENT_ORDER),
        outcomes=outcomes,
        attribute_changes=changes,
        quarantined=tuple(set_aside),
        data_cutoff=config.data_cutoff or _after_the_last_record(events, outcomes),
        folder=folder,
    )


def find_tables(folder: Path) -> dict[str, Path | None]:
    """Return the file of each table, None for an optional one that is not there.

    Raises:
        ContractError: If a required one is missing.
    """
    if not folder.is_dir():
        raise ContractError(
            f"no folder {folder}",
            expected="a folder with leads, events, outcomes and dataset.toml",
            next_step="check the path",
        )
    paths = {table: find_table(folder, table) for table in TABLES}
    missing = [table for table in ("leads", "events", "outcomes") if paths[table] is None]
    if missing:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "nothing"
        raise ContractError(
            f"no table {', '.join(missing)} in {folder} (it has {there})",
            expected="leads, events and outcomes, each as .parquet or .csv",
            next_step="add the missing files; an outcomes table may have no rows yet",
        )
    return paths


def load_table(
    table: str, path: Path | None, config: DatasetConfig, *, leads: pl.DataFrame | None
) -> tuple[pl.DataFrame, list[Quarantined]]:
    """Read and clean one whole table; an optional one that is not there has no rows.

    Raises:
        ContractError: If a column is missing, or too many rows break a rule.
    """
    if path is None:
        return TABLES[table].create_empty().drop(ROW_NUMBER), []
    numbers = None if leads is None else LeadNumbers(leads["lead_id"])
    frame, bad = clean(read_table(path), table, config, leads=numbers)
    refuse_too_many(SetAside.of(bad), path, config.quarantine.max_share)
    return frame.drop(LEAD_NUMBER, strict=False), [bad]


def ordered(
    frames: dict[str, pl.DataFrame], config: DatasetConfig
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return leads, outcomes and attribute changes in canonical order, with what they lack."""
    own = pl.concat_str(pl.lit("lead:"), pl.col("lead_id"))
    leads = frames["leads"].with_columns(pl.coalesce("account_id", own).alias("account_id"))
    outcomes = with_known_at(frames["outcomes"], config.source_delay_hours.outcomes)
    changes = frames["attribute_changes"]
    return (
        leads.sort("lead_id"),
        outcomes.sort("lead_id", "known_at", "occurred_at", "outcome", "amount", "reason"),
        changes.sort("entity", "entity_id", "attribute", "recorded_at", "value"),
    )


def _after_the_last_record(events: pl.DataFrame, outcomes: pl.DataFrame) -> datetime:
    times = pl.concat([events["known_at"], outcomes["known_at"]]).sort()
    if times.is_empty():
        raise no_records()
    # One mistyped year must not make every label look finished.
    refuse_a_stray_end(times[-1], usual_end=times[rank_of_usual_end(len(times))])
    return cut_off_after(times[-1])


def no_records() -> ContractError:
    """Return the error of a data set in which nothing ever happened."""
    return ContractError(
        "no events and no outcomes",
        expected="at least one event",
        next_step="export the events table again",
    )


def cut_off_after(last: datetime) -> datetime:
    """Return the next whole second after the last record."""
    moment = pl.Series([last], dtype=INSTANT).item()
    assert isinstance(moment, datetime)
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def rank_of_usual_end(n_records: int) -> int:
    """Return which of so many records, sorted by time, is the last but for a few odd ones."""
    return max(0, n_records - 2 - n_records // 1000)


def refuse_a_stray_end(last: datetime, *, usual_end: datetime) -> None:
    """Stop where the last record lies long after nearly all others.

    Raises:
        ContractError: If it is more than a year.
    """
    if last - usual_end > _STRAY:
        raise ContractError(
            f"the last record is of {last:%Y-%m-%d}, long after nearly all others, which end "
            f"by {usual_end:%Y-%m-%d}",
            expected="records up to one moment, at which the data were extracted",
            next_step="correct that row, or state data_cutoff in dataset.toml",
        )
