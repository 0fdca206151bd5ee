"""A raw table's good rows with their types, and the rest set aside with the rules it broke.

What is done to a row of events depends on that row alone, so it may be done batch by batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from intentcast.config import DatasetConfig
from intentcast.contracts import (
    REQUIRED_COLUMNS,
    ROW_NUMBER,
    TABLES,
    Quarantined,
    quarantine,
)
from intentcast.errors import ContractError
from intentcast.sources.numbering import LeadNumbers
from intentcast.sources.tables import RawTable
from intentcast.sources.typing import apply_types, drop_flags

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
# A name that no column of a file has.
LEAD_NUMBER = "__lead_number"
_KEYS = {"leads": "lead_id", "accounts": "account_id"}


@dataclass(frozen=True)
class SetAside:
    """How many rows of one table were set aside, without the rows themselves.

    Attributes:
        table: A key of `contracts.TABLES`.
        n_rows: Of the file.
        n_set_aside: Rows that broke a rule.
        rules: Rows that broke each rule, most first.
        first_row: Number of the first row that broke one.
    """

    table: str
    n_rows: int
    n_set_aside: int
    rules: dict[str, int]
    first_row: int | None

    @classmethod
    def of(cls, bad: Quarantined) -> "SetAside":
        """Count quarantined rows."""
        first = bad.rows[ROW_NUMBER].min()
        first_row = first if isinstance(first, int) else None
        return cls(bad.table, bad.n_rows, len(bad.rows), bad.rule_counts(), first_row)


def clean(
    raw: RawTable,
    table: str,
    config: DatasetConfig,
    *,
    leads: LeadNumbers | None = None,
    keep_others: bool = True,
) -> tuple[pl.DataFrame, Quarantined]:
    """Give a table's columns their types and separate the rows that keep its contract.

    Args:
        raw: All rows of leads or accounts, whose keys are unique; any rows of other tables.
        table: A key of `contracts.TABLES`.
        config: The data set's.
        leads: Of which an event's or outcome's `lead_id` must be one; the good rows then have its
            number in the column `LEAD_NUMBER`.
        keep_others: Whether the good rows keep columns that are not the contract's. Rows set
            aside always do: they are shown as the file has them.

    Raises:
        ContractError: If a column is missing or of a type that cannot be meant.
    """
    renames = getattr(config.columns, table)
    wanted = raw.frame if keep_others else _contracted(raw.frame, table, renames)
    typed = apply_types(wanted, table, renames=renames)
    broken = list(typed.broken)
    frame, n_doubled = typed.frame, 0
    if leads is not None and table in ("events", "outcomes"):
        frame = frame.with_columns(leads(pl.col("lead_id")).alias(LEAD_NUMBER))
        is_unknown = pl.col("lead_id").is_not_null() & pl.col(LEAD_NUMBER).is_null()
        broken.append(is_unknown.alias("lead_is_in_leads"))
    if (key := _KEYS.get(table)) and frame[key].is_duplicated().any():
        frame, n_doubled = _without_repeats(frame)
        broken.append(_is_repeat(frame, key).alias(f"{key}_is_unique"))
    good, bad = quarantine(frame, table, broken=broken)
    return drop_flags(good), Quarantined(table, raw.n_rows, _as_filed(bad, raw), n_doubled)


def _contracted(frame: pl.DataFrame, table: str, renames: Mapping[str, str]) -> pl.DataFrame:
    """Keep the contract's columns, under their own names or the source's."""
    needed = {renames.get(name, name) for name in REQUIRED_COLUMNS[table]} | {*renames.values()}
    if not needed <= {*frame.columns}:
        return frame  # The error to come names all that there are.
    wanted = {*TABLES[table].column_names(), *renames.values()}
    return frame.select(name for name in frame.columns if name in wanted)


def _as_filed(bad: Quarantined, raw: RawTable) -> pl.DataFrame:
    # As the file has them: the value that did not parse is the one to look at.
    filed = raw.frame.clear() if bad.rows.is_empty() else raw.frame
    as_filed = bad.rows.select(ROW_NUMBER, "broken_rules").join(
        filed, on=ROW_NUMBER, how="left", maintain_order="left"
    )
    texts = [_as_text(column) for column in as_filed.iter_columns()]
    return pl.concat([pl.DataFrame(texts), raw.unreadable], how="diagonal").sort(ROW_NUMBER)


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


def refuse_too_many(bad: SetAside, path: Path, max_share: float) -> None:
    """Stop where so much of a table is bad that the rest is not to be trusted.

    Raises:
        ContractError: If there is no lead at all, or more than `max_share` of the rows are bad.
    """
    if bad.n_rows == 0 and bad.table == "leads":
        raise ContractError(
            f"{path.name} has a header and no rows",
            expected="at least one lead",
            next_step=f"export {path.name} again",
        )
    if bad.n_rows and bad.n_set_aside / bad.n_rows > max_share:
        rules = ", ".join(f"{rule} ({n:,})" for rule, n in list(bad.rules.items())[:4])
        raise ContractError(
            f"{bad.n_set_aside:,} of {bad.n_rows:,} rows of {path.name} break a rule: {rules}; "
            f"the first is row {bad.first_row}",
            expected=f"at most {max_share:.0%} (quarantine.max_share)",
            next_step=f"correct {path.name}, or map its columns under [columns.{bad.table}]",
        )


def with_known_at(frame: pl.DataFrame, delay_hours: float) -> pl.DataFrame:
    """Add `known_at`: the later of `recorded_at` (or occurrence plus delay) and `occurred_at`."""
    delayed = pl.col("occurred_at") + timedelta(hours=delay_hours)
    known_at = pl.max_horizontal(pl.coalesce("recorded_at", delayed), "occurred_at")
    return frame.with_columns(known_at.alias("known_at"))


def first_of_each_event(
    events: pl.DataFrame, *, identity: tuple[str, ...] = ("event_id",)
) -> tuple[pl.DataFrame, int]:
    """Keep the row of each lead's event that became known first; return how many went.

    A copy that becomes known later changes nothing.

    Args:
        events: `EVENT_ORDER`'s columns but for `event_id`, and those of `identity`.
        identity: What copies of one event share; null where an event has no copies.
    """
    keys = ["lead_id", *identity]
    order = [name for name in EVENT_ORDER if name in events.columns]
    is_named = pl.col(identity[0]).is_not_null()
    # Only groups with copies are sorted: in most data they are few.
    is_doubled = events.select(is_named & pl.struct(keys).is_duplicated()).to_series()
    if not is_doubled.any():
        return events, 0
    doubled = events.filter(is_doubled)
    kept = doubled.sort("known_at", *order).unique(subset=keys, keep="first", maintain_order=True)
    return pl.concat([kept, events.filter(~is_doubled)]), len(doubled) - len(kept)
