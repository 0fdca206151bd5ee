"""Raw tables from parquet or CSV, row by row as the file has them, nothing lost.

A CSV is read as text, so that a row that does not parse can be set aside with its own row number
instead of stopping, or silently shifting, the rest.
"""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from intentcast.contracts import ROW_NUMBER
from intentcast.errors import ContractError

RAGGED = "row_has_as_many_fields_as_the_header"
NOT_TEXT = "row_is_valid_utf8"


@dataclass(frozen=True)
class RawTable:
    """A table, or some rows of one, as its file has them; and rows that could not even be read.

    `row_number` counts the file's data rows from 1.
    """

    path: Path
    frame: pl.DataFrame
    unreadable: pl.DataFrame

    @property
    def n_rows(self) -> int:
        """How many rows of the file these are."""
        return len(self.frame) + len(self.unreadable)


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
    _refuse_an_empty_file(path)
    if path.suffix == ".csv":
        [table] = _csv_batches(path, n_rows=None)
        return table
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _not_parquet(path, error) from None
    return RawTable(path, _numbered(frame, first=1), _no_rows())


def read_batches(path: Path, *, n_rows: int) -> Iterator[RawTable]:
    """Read a parquet or CSV file a bounded number of rows at a time, in the file's order.

    There is at least one batch, so that whoever reads meets the columns of a file without rows.

    Args:
        path: A table's file.
        n_rows: At most this many rows per batch. Of a parquet file whole row groups are decoded
            at a time, so memory is bounded only as well as they are.

    Raises:
        ContractError: As `read_table`, though perhaps only after some batches.
    """
    _refuse_an_empty_file(path)
    if path.suffix == ".csv":
        yield from _csv_batches(path, n_rows=n_rows)
        return
    try:
        scan = pl.scan_parquet(path, glob=False)
        empty = pl.DataFrame(schema=scan.collect_schema())
        done = 0
        for frame in scan.collect_batches(chunk_size=n_rows, maintain_order=True):
            yield RawTable(path, _numbered(frame, first=done + 1), _no_rows())
            done += len(frame)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _not_parquet(path, error) from None
    if not done:
        yield RawTable(path, _numbered(empty, first=1), _no_rows())


def count_rows(path: Path) -> int | None:
    """Return how many rows a parquet file says it has; None for a CSV, which does not say."""
    if path.suffix == ".csv" or path.stat().st_size == 0:
        return None
    try:
        n_rows: int = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _not_parquet(path, error) from None
    return n_rows


def _refuse_an_empty_file(path: Path) -> None:
    if path.stat().st_size == 0:
        raise ContractError(
            f"{path.name} is empty",
            expected="a header and at least one row",
            next_step=f"export {path.name} again",
        )


def _not_parquet(path: Path, error: Exception) -> ContractError:
    return ContractError(
        f"{path.name} cannot be read as parquet ({str(error).splitlines()[0]})",
        expected="a parquet file",
        next_step=f"export {path.name} again",
    )


def _numbered(frame: pl.DataFrame, *, first: int) -> pl.DataFrame:
    return frame.drop(ROW_NUMBER, strict=False).with_row_index(ROW_NUMBER, offset=first)


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(
        schema={ROW_NUMBER: pl.UInt32, "broken_rules": pl.String, "text": pl.String}
    )


def _csv_batches(path: Path, *, n_rows: int | None) -> Iterator[RawTable]:
    """Yield batches of at most `n_rows` rows; all rows in one for None."""
    # surrogateescape keeps undecodable bytes apart from text, row by row.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # strict: an unclosed quote is an error, not one long field that swallows the rows after it.
        reader = csv.reader(file, strict=True)
        done = 0
        try:
            header = next(reader, [])
            _refuse_odd_header(path, header)
            while True:
                first = done + 1
                batch = _CsvRows(header)
                for done, row in enumerate(itertools.islice(reader, n_rows), start=first):
                    batch.add(done, row)
                is_last = n_rows is None or done < first + n_rows - 1
                if batch.n_rows or first == 1:
                    yield batch.table(path)
                if is_last:
                    return
        except csv.Error as error:
            raise ContractError(
                f"{path.name} is not CSV after row {done}, by line {reader.line_num} ({error})",
                expected="comma-separated text with quotes closed",
                next_step=f"export {path.name} again",
            ) from None


class _CsvRows:
    """Rows as columns of text, and those that are no rows."""

    def __init__(self, header: list[str]) -> None:
        self._header = header
        self._columns: list[list[str | None]] = [[] for _ in header]
        self._numbers: list[int] = []
        self._bad: list[tuple[int, str, str]] = []

    @property
    def n_rows(self) -> int:
        return len(self._numbers) + len(self._bad)

    def add(self, number: int, row: list[str]) -> None:
        if not row:
            return
        text = ",".join(row)
        if _has_undecodable(text):
            shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self._bad.append((number, NOT_TEXT, shown))
        elif len(row) != len(self._header):
            self._bad.append((number, RAGGED, text))
        else:
            self._numbers.append(number)
            for column, field in zip(self._columns, row, strict=True):
                column.append(field or None)

    def table(self, path: Path) -> RawTable:
        frame = pl.DataFrame(
            dict(zip(self._header, self._columns, strict=True)),
            schema=dict.fromkeys(self._header, pl.String),
        )
        frame = frame.drop(ROW_NUMBER, strict=False).insert_column(
            0, pl.Series(ROW_NUMBER, self._numbers, dtype=pl.UInt32)
        )
        bad = pl.DataFrame(self._bad, schema=_no_rows().schema, orient="row")
        return RawTable(path, frame, bad)


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
