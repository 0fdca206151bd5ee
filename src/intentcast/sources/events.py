"""Events from their file to a spill: batch by batch, typed, checked, in order of partition."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from intentcast.contracts import ROW_NUMBER, Quarantined
from intentcast.sources.cleaning import (
    SetAside,
    clean,
    refuse_too_many,
    with_known_at,
)
from intentcast.sources.numbering import LeadNumbers, Numbering
from intentcast.sources.partitioned import EntityTables, partition_of
from intentcast.sources.spill import (
    TEXTS,
    Columns,
    SpilledBatch,
    SpillWriter,
    by_partition,
    to_columns,
)
from intentcast.sources.tables import RawTable, read_batches

# What fits a core's cache while it is sorted: four times as much took twice as long.
BATCH_ROWS = 262_144
SET_ASIDE = "events.csv"
_DAY_US = 86_400_000_000

Item = TypeVar("Item")
Result = TypeVar("Result")


class Run(Protocol):
    """Applies a function to items, in any order; `map` is one."""

    def __call__(
        self, work: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterable[Result]:
        """Return the results as they come."""


@dataclass(frozen=True)
class _Read:
    """What one batch held.

    `latest` and `earliest` are microseconds per partition, None where it has no event; `days` says
    how many events became known on each day since 1970.
    """

    spilled: SpilledBatch
    n_rows: int
    n_set_aside: int
    rules: dict[str, int]
    first_row: int | None
    days: dict[int, int]
    latest: list[int | None]
    earliest: list[int | None]


def spill_events(
    tables: EntityTables,
    folder: Path,
    *,
    n_partitions: int,
    run: Run = map,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Read a data set's events into a spill in `folder`, and the bad ones into a CSV there.

    Args:
        tables: The other tables.
        folder: What is in it is removed first.
        n_partitions: Between 1 and 65,535.
        run: Applies a function to batches, perhaps several at once.
        on_rows: Called with the number of rows of each batch that is done.

    Raises:
        ContractError: If a column is missing, or too many rows break a rule.
    """
    path, config = tables.events_path, tables.config
    shutil.rmtree(folder, ignore_errors=True)
    dictionary = {name: Numbering() for name in TEXTS}
    leads = LeadNumbers(tables.leads["lead_id"])
    part = partition_of(tables.hashes, n_partitions).astype(np.uint16)
    with SpillWriter(folder) as writer:

        def read(numbered: tuple[int, RawTable]) -> _Read:
            number, raw = numbered
            good, bad = clean(raw, "events", config, leads=leads, keep_others=False)
            good = with_known_at(good, config.source_delay_hours.events)
            columns = to_columns(good, dictionary)
            columns, bounds = by_partition(columns, part[columns["lead"]], n_partitions)
            _keep(bad, folder / f"bad-{number:08}.csv")
            return _what_was_read(writer.write(number, columns, bounds), columns, bad)

        batches: list[_Read] = []
        for batch in run(read, enumerate(read_batches(path, n_rows=BATCH_ROWS))):
            batches.append(batch)
            if on_rows:
                on_rows(batch.n_rows)
        batches.sort(key=lambda batch: batch.spilled.number)
        found = _set_aside(batches)
        refuse_too_many(found, path, config.quarantine.max_share)
        _join(folder)
        writer.complete([b.spilled for b in batches], dictionary, _facts(batches, found))


def _facts(batches: list[_Read], found: SetAside) -> dict[str, Any]:
    days: Counter[int] = Counter()
    for batch in batches:
        days.update(batch.days)
    return {
        "set_aside": asdict(found),
        "n_events": found.n_rows - found.n_set_aside,
        "days": dict(sorted(days.items())),
        "latest": _per_partition(max, [batch.latest for batch in batches]),
        "earliest": _per_partition(min, [batch.earliest for batch in batches]),
    }


def _what_was_read(spilled: SpilledBatch, columns: Columns, bad: Quarantined) -> _Read:
    known, occurred = columns["known_at"], columns["occurred_at"]
    days, counts = np.unique(known // _DAY_US, return_counts=True)
    spans = list(zip(spilled.bounds[:-1].tolist(), spilled.bounds[1:].tolist(), strict=True))
    found = SetAside.of(bad)
    return _Read(
        spilled=spilled,
        n_rows=found.n_rows,
        n_set_aside=found.n_set_aside,
        rules=found.rules,
        first_row=found.first_row,
        days=dict(zip(days.tolist(), counts.tolist(), strict=True)),
        latest=[int(known[a:b].max()) if a < b else None for a, b in spans],
        earliest=[int(occurred[a:b].min()) if a < b else None for a, b in spans],
    )


def _set_aside(batches: list[_Read]) -> SetAside:
    rules: Counter[str] = Counter()
    for batch in batches:
        rules.update(batch.rules)
    return SetAside(
        table="events",
        n_rows=sum(batch.n_rows for batch in batches),
        n_set_aside=sum(batch.n_set_aside for batch in batches),
        rules=dict(sorted(rules.items(), key=lambda item: (-item[1], item[0]))),
        first_row=min((b.first_row for b in batches if b.first_row is not None), default=None),
    )


def _per_partition(
    pick: Callable[[Iterable[int]], int], batches: list[list[int | None]]
) -> list[int | None]:
    columns = ([t for t in times if t is not None] for times in zip(*batches, strict=True))
    return [pick(times) if times else None for times in columns]


def _keep(bad: Quarantined, path: Path) -> None:
    """Write a batch's bad rows beside the spill: there may be more of them than memory."""
    if len(bad.rows):
        bad.rows.sort(ROW_NUMBER).write_csv(path)


def _join(folder: Path) -> None:
    """Make one file of all batches' bad rows."""
    pieces = sorted(folder.glob("bad-*.csv"))
    if not pieces:
        return
    with (folder / SET_ASIDE).open("wb") as whole:
        for number, piece in enumerate(pieces):
            with piece.open("rb") as rows:
                header = rows.readline()
                whole.write(header if number == 0 else b"")
                shutil.copyfileobj(rows, whole)
            piece.unlink()
