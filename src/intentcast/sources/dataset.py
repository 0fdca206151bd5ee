"""A folder of tables and its `dataset.toml` as one validated, canonically ordered `Dataset`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from intentcast.config import DatasetConfig, read_settings
from intentcast.contracts import (
    INSTANT,
    REQUIRED_COLUMNS,
    ROW_NUMBER,
    TABLES,
    Quarantined,
    quarantine,
)
from intentcast.errors import ContractError
from intentcast.sources.tables import RawTable, find_table, read_table
from intentcast.sources.typing import apply_types, drop_flags

# Records that end a year before the last one do not end with it.
_STRAY = timedelta(days=365)
EVENT_ORDER = (
    "lead_id",
    "known_at",
    "occurred_at",
    "event_type",
    "content",
    "channel",
    "value",
    "duration_seconds",
    "is_machine",
    "event_id",
)


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
    paths = _find_tables(folder)
    config = read_settings(folder / "dataset.toml", DatasetConfig)
    frames: dict[str, pl.DataFrame] = {}
    set_aside: list[Quarantined] = []
    for table in TABLES:
        if on_table:
            on_table(table)
        path = paths[table]
        known = {
            name: frames[name][REQUIRED_COLUMNS[name][0]] for name in ("leads",) if name in frames
        }
        if path is None:
            frames[table] = _empty(table)
            continue
        frames[table], bad = _clean(read_table(path), table, config, known_leads=known.get("leads"))
        set_aside.append(bad)
    events = with_known_at(frames["events"], config.source_delay_hours.events)
    outcomes = with_known_at(frames["outcomes"], config.source_delay_hours.outcomes)
    events, n_doubled = first_of_each_event(events)
    set_aside = [
        Quarantined(q.table, q.n_rows, q.rows, n_doubled) if q.table == "events" else q
        for q in set_aside
    ]
    return Dataset(
        config=config,
        leads=_ordered_leads(frames["leads"]),
        accounts=frames["accounts"].sort("account_id"),
        events=events.sort(EVENT_ORDER),
        outcomes=outcomes.sort("lead_id", "known_at", "occurred_at", "outcome", "amount", "reason"),
        attribute_changes=frames["attribute_changes"].sort(
            "entity", "entity_id", "attribute", "recorded_at", "value"
        ),
        quarantined=tuple(set_aside),
        data_cutoff=config.data_cutoff or _after_the_last_record(events, outcomes),
        folder=folder,
    )


def _find_tables(folder: Path) -> dict[str, Path | None]:
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


def _empty(table: str) -> pl.DataFrame:
    return TABLES[table].create_empty().drop(ROW_NUMBER)


def _clean(
    raw: RawTable, table: str, config: DatasetConfig, *, known_leads: pl.Series | None
) -> tuple[pl.DataFrame, Quarantined]:
    typed = apply_types(raw.frame, table, renames=getattr(config.columns, table))
    broken = list(typed.broken)
    if known_leads is not None and table in ("events", "outcomes"):
        unknown = pl.col("lead_id").is_not_null() & ~pl.col("lead_id").is_in(known_leads.implode())
        broken.append(unknown.alias("lead_is_in_leads"))
    key = {"leads": "lead_id", "accounts": "account_id"}.get(table)
    frame, n_doubled = typed.frame, 0
    if key:
        frame, n_doubled = _without_repeats(frame)
        broken.append(_is_repeat(frame, key).alias(f"{key}_is_unique"))
    good, bad = quarantine(frame, table, broken=broken)
    # As the file has them: the value that did not parse is the one to look at.
    as_filed = bad.rows.select(ROW_NUMBER, "broken_rules").join(
        raw.frame, on=ROW_NUMBER, how="left", maintain_order="left"
    )
    texts = [_as_text(column) for column in as_filed.iter_columns()]
    bad_rows = pl.concat([pl.DataFrame(texts), raw.unreadable], how="diagonal").sort(ROW_NUMBER)
    n_rows = len(raw.frame) + len(raw.unreadable)
    result = Quarantined(table, n_rows, bad_rows, n_doubled)
    _refuse_too_many(result, raw.path, config.quarantine.max_share)
    return drop_flags(good), result


def _as_text(column: pl.Series) -> pl.Series:
    if column.name == ROW_NUMBER:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        texts = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column.cast(pl.String)


def _without_repeats(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keep one of rows that agree in every column."""
    unique = frame.unique(subset=pl.exclude(ROW_NUMBER), keep="first", maintain_order=True)
    return unique, len(frame) - len(unique)


def _is_repeat(frame: pl.DataFrame, key: str) -> pl.Expr:
    """Rows that share a key but disagree; which one stays does not depend on the file's order."""
    others = sorted(name for name in frame.columns if name not in (ROW_NUMBER, key))
    place = frame.sort(key, *others, nulls_last=True).select(
        ROW_NUMBER, pl.col(key).cum_count().over(key).alias("place")
    )
    repeats = place.filter(pl.col("place") > 1)[ROW_NUMBER]
    return pl.col(key).is_not_null() & pl.col(ROW_NUMBER).is_in(repeats.implode())


def _refuse_too_many(bad: Quarantined, path: Path, max_share: float) -> None:
    if bad.n_rows == 0 and bad.table == "leads":
        raise ContractError(
            f"{path.name} has a header and no rows",
            expected="at least one lead",
            next_step=f"export {path.name} again",
        )
    if bad.share > max_share:
        rules = ", ".join(f"{rule} ({n:,})" for rule, n in list(bad.rule_counts().items())[:4])
        first = bad.rows[ROW_NUMBER][0]
        raise ContractError(
            f"{len(bad.rows):,} of {bad.n_rows:,} rows of {path.name} break a rule: {rules}; "
            f"the first is row {first}",
            expected=f"at most {max_share:.0%} (quarantine.max_share)",
            next_step=f"correct {path.name}, or map its columns under [columns.{bad.table}]",
        )


def with_known_at(frame: pl.DataFrame, delay_hours: float) -> pl.DataFrame:
    """Add `known_at`: the later of `recorded_at` (or occurrence plus delay) and `occurred_at`."""
    delayed = pl.col("occurred_at") + timedelta(hours=delay_hours)
    known_at = pl.max_horizontal(pl.coalesce("recorded_at", delayed), "occurred_at")
    return frame.with_columns(known_at.alias("known_at"))


def first_of_each_event(events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keep the row of each lead's `event_id` that became known first; return how many went.

    A copy that becomes known later changes nothing.
    """
    named = events.filter(pl.col("event_id").is_not_null())
    kept = named.sort("known_at", *EVENT_ORDER).unique(
        subset=["lead_id", "event_id"], keep="first", maintain_order=True
    )
    unnamed = events.filter(pl.col("event_id").is_null())
    return pl.concat([kept, unnamed]), len(named) - len(kept)


def _ordered_leads(leads: pl.DataFrame) -> pl.DataFrame:
    own = pl.concat_str(pl.lit("lead:"), pl.col("lead_id"))
    return leads.with_columns(pl.coalesce("account_id", own).alias("account_id")).sort("lead_id")


def _after_the_last_record(events: pl.DataFrame, outcomes: pl.DataFrame) -> datetime:
    latest = [t for t in (events["known_at"].max(), outcomes["known_at"].max()) if t is not None]
    if not latest:
        raise ContractError(
            "no events and no outcomes",
            expected="at least one event",
            next_step="export the events table again",
        )
    _refuse_a_stray_end(events, outcomes)
    moment = pl.Series([max(latest)], dtype=INSTANT).item()
    assert isinstance(moment, datetime)
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def _refuse_a_stray_end(events: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """One mistyped year must not make every label look finished."""
    times = pl.concat([events["known_at"], outcomes["known_at"]]).sort()
    usual = times[max(0, len(times) - 2 - len(times) // 1000)]
    if times[-1] - usual > _STRAY:
        raise ContractError(
            f"the last record is of {times[-1]:%Y-%m-%d}, long after nearly all others, which end "
            f"by {usual:%Y-%m-%d}",
            expected="records up to one moment, at which the data were extracted",
            next_step="correct that row, or state data_cutoff in dataset.toml",
        )
