"""Raw tables from parquet or CSV, row by row as the file has them, nothing lost.

A CSV is read as text, so that a row that does not parse can be set aside with its own row number
instead of stopping, or silently shifting, the rest.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from intentcast.contracts import ROW_NUMBER
from intentcast.errors import ContractError

RAGGED = "row_has_as_many_fields_as_the_header"
NOT_TEXT = "row_is_valid_utf8"


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it, with `row_number`, and rows that could not even be read."""

    path: Path
    frame: pl.DataFrame
    unreadable: pl.DataFrame


def find_table(folder: Path, table: str) -> Path | None:
    """Return the table's parquet or CSV file.

    Raises:
        ContractError: If there are both.
    """
    paths = [p for p in (folder / f"{table}.parquet", folder / f"{table}.csv") if p.is_file()]
    if len(paths) == 2:
        raise ContractError(
            f"both {paths[0].name} and {paths[1].name} in {folder}",
            expected="one file per table",
            next_step="remove the one that is out of date",
        )
    return paths[0] if paths else None


def read_table(path: Path) -> RawTable:
    """Read a parquet or CSV file.

    Raises:
        ContractError: If the file is empty, is not what its name says, or is not comma-separated.
    """
    if path.stat().st_size == 0:
        raise ContractError(
            f"{path.name} is empty",
            expected="a header and at least one row",
            next_step=f"export {path.name} again",
        )
    return _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)


def _read_parquet(path: Path) -> RawTable:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ContractError(
            f"{path.name} cannot be read as parquet ({str(error).splitlines()[0]})",
            expected="a parquet file",
            next_step=f"export {path.name} again",
        ) from None
    return RawTable(path, _numbered(frame), _no_rows())


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop(ROW_NUMBER, strict=False).with_row_index(ROW_NUMBER, offset=1)


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(
        schema={ROW_NUMBER: pl.UInt32, "broken_rules": pl.String, "text": pl.String}
    )


def _read_csv(path: Path) -> RawTable:
    # surrogateescape keeps undecodable bytes apart from text, row by row.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # strict: an unclosed quote is an error, not one long field that swallows the rows after it.
        reader = csv.reader(file, strict=True)
        number = 0
        numbers: list[int] = []
        bad: list[tuple[int, str, str]] = []
        try:
            header = next(reader, [])
            _refuse_odd_header(path, header)
            columns: list[list[str | None]] = [[] for _ in header]
            for number, row in enumerate(reader, start=1):
                if not row:
                    continue
                text = ",".join(row)
                if _has_undecodable(text):
                    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                    bad.append((number, NOT_TEXT, shown))
                elif len(row) != len(header):
                    bad.append((number, RAGGED, text))
                else:
                    numbers.append(number)
                    for column, field in zip(columns, row, strict=True):
                        column.append(field or None)
        except csv.Error as error:
            raise ContractError(
                f"{path.name} is not CSV after row {number}, by line {reader.line_num} ({error})",
                expected="comma-separated text with quotes closed",
                next_step=f"export {path.name} again",
            ) from None
    frame = pl.DataFrame(
        dict(zip(header, columns, strict=True)), schema=dict.fromkeys(header, pl.String)
    )
    frame = frame.drop(ROW_NUMBER, strict=False).insert_column(
        0, pl.Series(ROW_NUMBER, numbers, dtype=pl.UInt32)
    )
    return RawTable(path, frame, pl.DataFrame(bad, schema=_no_rows().schema, orient="row"))


def _has_undecodable(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text)


def _refuse_odd_header(path: Path, header: list[str]) -> None:
    if _has_undecodable("".join(header)):
        raise ContractError(
            f"the header of {path.name} is not UTF-8",
            expected="text in UTF-8",
            next_step=f"export {path.name} as UTF-8, or as parquet",
        )
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ContractError(
            f"{path.name} has one column, '{header[0][:80]}'",
            expected="columns separated by commas",
            next_step=f"export {path.name} with commas, or as parquet",
        )
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise ContractError(
            f"{path.name} names column {', '.join(doubled)} twice",
            expected="each column once",
            next_step=f"rename or remove one in {path.name}",
        )
