"""Text and foreign types to the contract's types; what does not parse breaks a named rule."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from intentcast.contracts import INSTANT, REQUIRED_COLUMNS, ROW_NUMBER, TABLES
from intentcast.errors import ContractError

# Up to here, a double holds every whole number.
_EXACT = 2.0**53
_SPELLINGS = {
    word: ["".join(letters) for letters in itertools.product(*zip(word, word.upper(), strict=True))]
    for word in ("true", "false")
}
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_INSTANT_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
)
_ZONED_FORMATS = tuple(f"{pattern}%#z" for pattern in _INSTANT_FORMATS)


@dataclass(frozen=True)
class TypedTable:
    """A table with its contract's types, and one expression per rule that parsing broke."""

    frame: pl.DataFrame
    broken: tuple[pl.Expr, ...]


def apply_types(frame: pl.DataFrame, table: str, *, renames: Mapping[str, str]) -> TypedTable:
    """Rename source columns, give each the contract's type, add absent optional ones as null.

    Args:
        frame: A raw table with `row_number`.
        table: A key of `contracts.TABLES`.
        renames: Canonical column = source column.

    Raises:
        ContractError: If required columns are missing (all are named), a rename has no source, or
            a whole column is of a type that cannot be meant.
    """
    frame = _rename(frame, table, renames)
    missing = [name for name in REQUIRED_COLUMNS[table] if name not in frame.columns]
    if missing:
        has = ", ".join(name for name in frame.columns if name != ROW_NUMBER)
        raise ContractError(
            f"{table} has no column {', '.join(missing)} (it has {has})",
            expected=f"at least {', '.join(REQUIRED_COLUMNS[table])}",
            next_step=f"add the column, or name its source under [columns.{table}] in dataset.toml",
        )
    frame = _stripped(frame, table)
    parsed: list[pl.Expr] = []
    broken: list[pl.Expr] = []
    for name, column in TABLES[table].columns().items():
        if name == ROW_NUMBER:
            continue
        target = INSTANT if isinstance(column.dtype, pl.Datetime) else column.dtype
        if name not in frame.columns:
            parsed.append(pl.lit(None, dtype=target).alias(name))
            continue
        expression = _parse(name, frame.schema[name], target, table)
        parsed.append(expression.alias(name))
        kind = {pl.Float64: "a_number", pl.Boolean: "a_boolean"}.get(type(target), "a_time")
        may_not_parse = frame.schema[name] == pl.String or target == pl.Boolean
        if may_not_parse and target != pl.String:
            unparsed = pl.col(name).is_not_null() & expression.is_null()
            broken.append(unparsed.alias(f"{name}_is_{kind}"))
    parsed += [
        _spelled(pl.col(name)).alias(name)
        for name, dtype in frame.schema.items()
        if dtype == pl.String and name not in TABLES[table].columns()
    ]
    flags = frame.select(ROW_NUMBER, *broken)
    typed = frame.with_columns(parsed)
    rules = [name for name in flags.columns if name != ROW_NUMBER]
    # Flags become columns of the typed frame for `quarantine` and leave it again there.
    hidden = {rule: f"__broken_{rule}" for rule in rules}
    typed = typed.hstack(flags.select(pl.col(rule).alias(hidden[rule]) for rule in rules))
    return TypedTable(typed, tuple(pl.col(hidden[rule]).alias(rule) for rule in rules))


def drop_flags(frame: pl.DataFrame) -> pl.DataFrame:
    """Remove the helper columns that `apply_types` added."""
    return frame.select(pl.exclude("^__broken_.*$"))


def _rename(frame: pl.DataFrame, table: str, renames: Mapping[str, str]) -> pl.DataFrame:
    absent = sorted(source for source in renames.values() if source not in frame.columns)
    if absent:
        raise ContractError(
            f"{table} has no column {', '.join(absent)}, which [columns.{table}] names",
            expected=f"one of {', '.join(name for name in frame.columns if name != ROW_NUMBER)}",
            next_step="correct [columns] in dataset.toml",
        )
    sources = set(renames.values())
    taken = [name for name in renames if name in frame.columns and name not in sources]
    return frame.drop(taken).rename({source: name for name, source in renames.items()})


def _stripped(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Remove blanks around texts once, and not wherever an expression mentions them."""
    columns = TABLES[table].columns()
    texts = [
        name
        for name, dtype in frame.schema.items()
        if dtype == pl.String and (name not in columns or columns[name].dtype == pl.String)
    ]
    return frame.with_columns(pl.col(texts).str.strip_chars())


def _parse(name: str, source: pl.DataType, target: pl.DataType, table: str) -> pl.Expr:
    column = pl.col(name)
    if target == pl.String:
        return _spelled(column) if source == pl.String else as_text(name, source)
    if isinstance(target, pl.Datetime):
        if source == pl.String:
            return _instant_from_text(column.str.strip_chars())
        if isinstance(source, pl.Datetime):
            zoned = column if source.time_zone else column.dt.replace_time_zone("UTC")
            return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        if source == pl.Date:
            return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif target == pl.Float64:
        if source == pl.String:
            return column.str.strip_chars().cast(pl.Float64, strict=False)
        if source.is_numeric():
            return column.cast(pl.Float64)
    elif target == pl.Boolean:
        if source == pl.Boolean:
            return column
        if source == pl.String or source.is_integer():
            text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
            is_true = pl.when(text.is_in(_TRUE)).then(statement=True)
            return is_true.when(text.is_in(_FALSE)).then(statement=False)
    if source == pl.Null:
        return column.cast(target)
    wanted = {pl.Float64: "a number", pl.Boolean: "true or false"}.get(
        type(target), "a time in UTC"
    )
    raise ContractError(
        f"{table}.{name} is of type {source}",
        expected=wanted,
        next_step=f"convert the column, or correct [columns.{table}] in dataset.toml",
    )


def as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as text, spelled the same whatever type or file it came from.

    No blanks around it, and nothing but blanks is an absent value; whole numbers without a
    decimal point (17.0 of one table is 17 of another); true and false in lower case.

    Raises:
        ContractError: If the column holds lists or structures.
    """
    if dtype.is_nested():
        raise ContractError(
            f"column {name} is of type {dtype}",
            expected="text, numbers, times or true and false",
            next_step="export one value per row, or leave the column out",
        )
    column = pl.col(name)
    text = column.cast(pl.String).str.strip_chars()
    if dtype.is_float():
        is_whole = column.is_finite() & (column == column.floor()) & (column.abs() < _EXACT)
        text = (
            pl.when(is_whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(text)
        )
    return _spelled(text)


def _spelled(text: pl.Expr) -> pl.Expr:
    """Return a text without blanks around it with true and false in lower case, null if empty."""
    # Looking a few spellings up is quicker than putting every text in lower case.
    is_true, is_false = text.is_in(_SPELLINGS["true"]), text.is_in(_SPELLINGS["false"])
    spelled = pl.when(is_true).then(pl.lit("true")).when(is_false).then(pl.lit("false"))
    return spelled.when(text != "").then(text)


def _instant_from_text(text: pl.Expr) -> pl.Expr:
    zoneless = [
        text.str.to_datetime(pattern, time_unit="us", time_zone="UTC", strict=False, exact=True)
        for pattern in _INSTANT_FORMATS
    ]
    as_offset = text.str.replace(r"[Zz]$", "+00:00").str.replace(r" UTC$", "+00:00")
    zoned = [
        as_offset.str.to_datetime(
            pattern, time_unit="us", strict=False, exact=True
        ).dt.convert_time_zone("UTC")
        for pattern in _ZONED_FORMATS
    ]
    dates = text.str.to_date("%Y-%m-%d", strict=False, exact=True)
    return pl.coalesce(*zoneless, *zoned, dates.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
