"""Events on disk between reading and use: columns of numbers, by batch of the file and partition.

Texts are numbers in a dictionary that grows while the file is read, so memory is bounded by the
distinct texts and never by the events. Identifiers of events are kept as 128-bit hashes: they only
ever tell copies from one another.
"""

import errno
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.contracts import INSTANT
from intentcast.files import json_bytes, write_atomic
from intentcast.sources.cleaning import LEAD_NUMBER
from intentcast.sources.numbering import Numbering

Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]
Dictionary = Mapping[str, Numbering]

TEXTS = ("event_type", "content", "channel")
NUMBERS = ("value", "duration_seconds")
IDENTITY = ("identity", "identity_too")
# Any two seeds: by both, two identifiers would have to agree in 128 bits to be mistaken for one.
_SEEDS = (7, 1_000_003)
_TYPES: dict[str, type[np.generic]] = {
    "lead": np.uint32,
    **dict.fromkeys(TEXTS, np.uint32),
    "occurred_at": np.int64,
    "known_at": np.int64,
    **dict.fromkeys(NUMBERS, np.float64),
    **dict.fromkeys(IDENTITY, np.uint64),
    "is_machine": np.int8,
    "is_named": np.bool_,
}
_ROW_BYTES = sum(np.dtype(dtype).itemsize for dtype in _TYPES.values())
_ABSENT = 0xFFFFFFFF  # of a text
_UNSTATED = -1  # of `is_machine`
_INDEX, _EVENTS = "index.json", "events.bin"
# What one call of the operating system takes.
_MOST_PIECES = 1000


def to_columns(events: pl.DataFrame, dictionary: Dictionary) -> Columns:
    """Return events as columns of numbers.

    Args:
        events: Clean, with `known_at` and `cleaning.LEAD_NUMBER`.
        dictionary: Grows by the texts not met before.
    """
    identity = events["event_id"]
    texts = events.select(dictionary[name](pl.col(name)).fill_null(_ABSENT) for name in TEXTS)
    return {
        "lead": events[LEAD_NUMBER].to_numpy(),
        **{name: texts[name].to_numpy() for name in TEXTS},
        **{name: events[name].to_physical().to_numpy() for name in ("occurred_at", "known_at")},
        # The contract has no NaN, so it can stand for null.
        **{name: events[name].to_numpy() for name in NUMBERS},
        **{n: identity.hash(seed).to_numpy() for n, seed in zip(IDENTITY, _SEEDS, strict=True)},
        "is_machine": events["is_machine"].cast(pl.Int8).fill_null(_UNSTATED).to_numpy(),
        "is_named": identity.is_not_null().to_numpy(),
    }


def by_partition(
    columns: Columns, partition: NDArray[np.uint16], n_partitions: int
) -> tuple[Columns, Ints]:
    """Return the columns sorted by partition, and where each partition begins.

    Args:
        columns: Each of shape (n_events,).
        partition: Of each event.
        n_partitions: How many.

    Returns:
        The columns; bounds of shape (n_partitions + 1,).
    """
    order = np.argsort(partition, kind="stable")
    return {name: column[order] for name, column in columns.items()}, bounds_of(
        partition, n_partitions
    )


def bounds_of(partition: NDArray[Any], n_partitions: int) -> Ints:
    """Return where each partition's rows begin, if sorted by partition; one entry more at the end.

    Args:
        partition: Of each row.
        n_partitions: How many.
    """
    bounds = np.zeros(n_partitions + 1, dtype=np.int64)
    np.cumsum(np.bincount(partition, minlength=n_partitions), out=bounds[1:])
    return bounds


def to_events(columns: Columns, lead_ids: pl.Series, texts: Mapping[str, pl.Enum]) -> pl.DataFrame:
    """Return events without `event_id` and `recorded_at`, whose work is done.

    `identity` and `identity_too` are there instead, null for an event without identifier. Columns
    of `TEXTS` stay numbers, of the type that `texts` gives: they sort by number, not by text.
    """

    def text(name: str) -> pl.Series:
        numbers = pl.Series(name, columns[name])
        if (columns[name] == _ABSENT).any():
            numbers = numbers.set(numbers == _ABSENT, None)
        return numbers.cat.to(texts[name])

    machine = pl.col("is_machine")
    return pl.DataFrame(
        [
            lead_ids.gather(columns["lead"]).alias("lead_id"),
            *(pl.Series(n, columns[n]).cast(INSTANT) for n in ("occurred_at", "known_at")),
            *map(text, TEXTS),
            *(pl.Series(n, columns[n]).fill_nan(None) for n in NUMBERS),
            *(pl.Series(n, columns[n]) for n in (*IDENTITY, "is_machine", "is_named")),
        ]
    ).select(
        pl.exclude("is_machine", "is_named", *IDENTITY),
        pl.when(machine != _UNSTATED).then(machine == 1).alias("is_machine"),
        pl.when("is_named").then(pl.col(IDENTITY)),
    )


@dataclass(frozen=True)
class SpilledBatch:
    """Where the events of one batch of the file are.

    `bounds` counts events from the batch's first, shape (n_partitions + 1,); `checksum` is the sum
    of all numbers of all columns, as unsigned ones, modulo 2⁶⁴.
    """

    number: int
    offset: int
    bounds: Ints
    checksum: int


class SpillWriter:
    """Appends batches to one file, partition by partition; several threads may at once.

    Use it in a `with` statement.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = os.open(folder / _EVENTS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._end = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "SpillWriter":
        """Take it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._file)

    def write(self, number: int, columns: Columns, bounds: Ints) -> SpilledBatch:
        """Write one batch."""
        arrays = [np.ascontiguousarray(columns[n], dtype=dtype) for n, dtype in _TYPES.items()]
        pieces = _pieces(arrays, bounds)
        n_bytes = sum(array.nbytes for array in arrays)
        with self._lock:
            offset, self._end = self._end, self._end + n_bytes
        at = offset
        for first in range(0, len(pieces), _MOST_PIECES):
            some = pieces[first : first + _MOST_PIECES]
            wanted = sum(piece.nbytes for piece in some)
            if os.pwritev(self._file, some, at) != wanted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder / _EVENTS))
            at += wanted
        return SpilledBatch(number, offset, bounds, _checksum(arrays))

    def complete(self, batches: Sequence[SpilledBatch], dictionary: Dictionary, facts: Any) -> None:
        """Write the index last: without it there is no spill.

        Args:
            batches: In the file's order.
            dictionary: Of each of `TEXTS`.
            facts: JSON values to keep beside.
        """
        for name in TEXTS:
            dictionary[name].texts.to_frame(name).write_ipc(self._folder / f"{name}.arrow")
        index = {
            "facts": facts,
            "batches": [
                {"offset": b.offset, "bounds": b.bounds.tolist(), "checksum": b.checksum}
                for b in batches
            ],
        }
        write_atomic(self._folder / _INDEX, json_bytes(index))


def _pieces(arrays: Sequence[NDArray[Any]], bounds: Ints) -> list[memoryview]:
    """Return the bytes of each column of each partition that has any: first all columns of one."""
    views = [(array.view(np.uint8).data, array.itemsize) for array in arrays]
    spans = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return [
        view[start * size : stop * size]
        for start, stop in spans
        if start < stop
        for view, size in views
    ]


def _checksum(arrays: Sequence[NDArray[Any]]) -> int:
    as_numbers = (array.view(f"u{array.itemsize}") for array in arrays)
    return sum(int(numbers.sum(dtype=np.uint64)) for numbers in as_numbers) % 2**64


class Spill:
    """Events on disk, read by partition; several threads may at once."""

    def __init__(self, folder: Path) -> None:
        """Open what `SpillWriter` completed.

        Raises:
            OSError: If there is none.
        """
        index = json.loads((folder / _INDEX).read_bytes())
        self.facts = index["facts"]
        self.texts = {n: pl.Enum(pl.read_ipc(folder / f"{n}.arrow")[n]) for n in TEXTS}
        self._batches = [
            SpilledBatch(i, b["offset"], np.array(b["bounds"], dtype=np.int64), b["checksum"])
            for i, b in enumerate(index["batches"])
        ]
        self._path = folder / _EVENTS

    def n_events(self, number: int) -> int:
        """Return how many events one partition has."""
        return sum(int(b.bounds[number + 1] - b.bounds[number]) for b in self._batches)

    def partition(self, number: int) -> Columns:
        """Return the events of one partition as columns of numbers, in the file's order."""
        columns = {name: np.empty(self.n_events(number), dtype=t) for name, t in _TYPES.items()}
        at = 0
        with self._path.open("rb", buffering=0) as file:
            for batch in self._batches:
                start, stop = batch.bounds[number : number + 2].tolist()
                end = at + stop - start
                into = [column[at:end] for column in columns.values()]
                self._read(file, batch.offset + start * _ROW_BYTES, into)
                at = end
        return columns

    def is_whole(self) -> bool:
        """Whether the events are those written; a crash of the machine may have lost some."""
        try:
            with self._path.open("rb", buffering=0) as file:
                return all(self._sum(file, batch) == batch.checksum for batch in self._batches)
        except OSError:
            return False

    def _sum(self, file: FileIO, batch: SpilledBatch) -> int:
        total = 0
        for start, stop in itertools.pairwise(batch.bounds.tolist()):
            arrays = [np.empty(stop - start, dtype=dtype) for dtype in _TYPES.values()]
            self._read(file, batch.offset + start * _ROW_BYTES, arrays)
            total += _checksum(arrays)
        return total % 2**64

    def _read(self, file: FileIO, at: int, into: Sequence[NDArray[Any]]) -> None:
        """Fill one array per column with a partition's events of one batch."""
        views = [array.view(np.uint8).data for array in into if len(array)]
        if views and os.preadv(file.fileno(), views, at) != sum(view.nbytes for view in views):
            raise OSError(errno.EIO, "ends too soon", str(self._path))
