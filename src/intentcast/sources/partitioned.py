"""A data set too large for memory: its events on disk, in partitions of whole accounts.

The events are read once, in bounded batches. Each batch is typed and its bad rows set aside as
`load_dataset` does it; the good ones go to the partition of their account. Each partition is then
a `Dataset` of its own: its accounts complete, and no others. The other tables are held in memory.

An account's partition follows from its identifier alone, so it is the same on any machine, in any
version, for any order of rows. Copies of an event share its lead, so they meet in one partition.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.config import DatasetConfig, read_settings
from intentcast.contracts import TABLES, Quarantined
from intentcast.sources.cleaning import SetAside, first_of_each_event
from intentcast.sources.dataset import (
    Dataset,
    cut_off_after,
    find_tables,
    load_table,
    no_records,
    ordered,
    rank_of_usual_end,
    refuse_a_stray_end,
)
from intentcast.sources.spill import IDENTITY, TEXTS, Columns, Ints, Spill, bounds_of, to_events

Hashes = NDArray[np.uint32]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
# Odd: multiplying by it permutes the 32-bit numbers, so that those of similar names lie apart.
_SPREAD = 0x9E3779B1


def account_hashes(account_ids: pl.Series) -> Hashes:
    """Return a number of each account that is spread evenly over 0 … 2³² − 1, shape (n,).

    CRC-32 of the UTF-8 bytes times a constant, modulo 2³². Never polars' own hash, which another
    version may compute differently.
    """
    distinct = account_ids.unique()
    hashes = [zlib.crc32(text.encode()) * _SPREAD & 0xFFFFFFFF for text in distinct.to_list()]
    found = account_ids.cast(pl.Enum(distinct)).to_physical().to_numpy()
    of_row: Hashes = np.array(hashes, dtype=np.uint32)[found]
    return of_row


def partition_of(hashes: Hashes, n_partitions: int) -> Ints:
    """Return the partition of each hash: equal stretches of the hashes, in order."""
    return ((hashes.astype(np.uint64) * np.uint64(n_partitions)) >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class EntityTables:
    """Every table but the events, whole: what is small enough for memory.

    Attributes:
        config: What `dataset.toml` says.
        paths: Each table's file, None for an optional one that is not there.
        leads: In order of `lead_id`; a lead's number is its place.
        hashes: Of each lead's account, shape (n_leads,).
        accounts: In order of `account_id`.
        outcomes: In canonical order.
        attribute_changes: In canonical order.
        quarantined: Rows set aside of these tables.
        folder: Where they are.
    """

    config: DatasetConfig
    paths: dict[str, Path | None]
    leads: pl.DataFrame
    hashes: Hashes
    accounts: pl.DataFrame
    outcomes: pl.DataFrame
    attribute_changes: pl.DataFrame
    quarantined: tuple[Quarantined, ...]
    folder: Path

    @property
    def events_path(self) -> Path:
        """The file of events."""
        path = self.paths["events"]
        assert path is not None, "find_tables refuses a folder without events"
        return path


def load_entities(folder: Path, *, on_table: Callable[[str], None] | None = None) -> EntityTables:
    """Read, type, check and order every table but the events; see `load_dataset`.

    Raises:
        ConfigError: If `dataset.toml` is missing or wrong.
        ContractError: If a table or column is missing, or too many rows of one break a rule.
    """
    paths = find_tables(folder)
    config = read_settings(folder / "dataset.toml", DatasetConfig)
    frames: dict[str, pl.DataFrame] = {}
    set_aside: list[Quarantined] = []
    for table in TABLES:
        if table == "events":
            continue
        if on_table:
            on_table(table)
        frames[table], bad = load_table(table, paths[table], config, leads=frames.get("leads"))
        set_aside += bad
    leads, outcomes, changes = ordered(frames, config)
    return EntityTables(
        config=config,
        paths=paths,
        leads=leads,
        hashes=account_hashes(leads["account_id"]),
        accounts=frames["accounts"].sort("account_id"),
        outcomes=outcomes,
        attribute_changes=changes,
        quarantined=tuple(set_aside),
        folder=folder,
    )


class PartitionedDataset:
    """Partitions of a data set, each a `Dataset`; several threads may ask at once.

    Attributes:
        tables: All but the events.
        n_partitions: How many.
        events_set_aside: Counts of the events that broke a rule.
        n_events: Good rows of events, copies included.
        data_cutoff: The instant up to which the extract is complete, as `load_dataset` finds it.
    """

    def __init__(self, tables: EntityTables, spill: Spill) -> None:
        """Open what `spill_events` wrote for the same tables."""
        self.tables, self._spill = tables, spill
        facts = spill.facts
        self.n_partitions = len(facts["latest"])
        self.events_set_aside = SetAside(**facts["set_aside"])
        self.n_events = int(facts["n_events"])
        part = partition_of(tables.hashes, self.n_partitions)
        leads = pl.Enum(tables.leads["lead_id"])
        self._leads = _Split(tables.leads, part, self.n_partitions)
        self._accounts = self._by_id(tables.accounts, "account_id")
        owner = tables.outcomes["lead_id"].cast(leads).to_physical().to_numpy()
        self._outcomes = _Split(tables.outcomes, part[owner], self.n_partitions)
        self._changes = self._split_changes(leads, part)
        self.data_cutoff = tables.config.data_cutoff or self._after_the_last_record()

    def _by_id(self, frame: pl.DataFrame, column: str) -> "_Split":
        part = partition_of(account_hashes(frame[column]), self.n_partitions)
        return _Split(frame, part, self.n_partitions)

    def _split_changes(self, leads: pl.Enum, part: Ints) -> "_Split":
        changes = self.tables.attribute_changes
        # Of leads that are not there, anywhere: they change nothing.
        found = partition_of(account_hashes(changes["entity_id"]), self.n_partitions)
        is_lead = changes["entity"] == "lead"
        owner = changes["entity_id"].cast(leads, strict=False).to_physical().set(~is_lead, None)
        known = owner.is_not_null().to_numpy()
        found[known] = part[owner.drop_nulls().to_numpy()]
        return _Split(changes, found, self.n_partitions)

    def partition(self, number: int) -> tuple[Dataset, int]:
        """Return one partition, its events in no particular order, and how many copies it had.

        The events have no `event_id` and no `recorded_at`: which copy counts and when each became
        known is settled. Type, content and channel are of type `Enum`.
        """
        events, n_copies = self._events(number)
        return self._dataset(
            events,
            leads=self._leads.part(number),
            accounts=self._accounts.part(number),
            outcomes=self._outcomes.part(number),
            attribute_changes=self._changes.part(number),
        ), n_copies

    def events_in(self, number: int) -> int:
        """Return how many events one partition has, copies included."""
        return self._spill.n_events(number)

    def outline(self) -> Dataset:
        """Return the data set with one event only, the earliest: enough to know its span."""
        first = self._extreme_event("occurred_at", latest=False)
        events = self._events(0)[0].clear() if first is None else first
        tables = self.tables
        return self._dataset(
            events,
            leads=tables.leads,
            accounts=tables.accounts,
            outcomes=tables.outcomes,
            attribute_changes=tables.attribute_changes,
        )

    def events_known_before(self, moment: datetime) -> int:
        """Return how many events, copies included, became known on days before that of a moment."""
        day = (moment - _EPOCH) // timedelta(days=1)
        return sum(n for known, n in self._days() if known < day)

    def sample(self, share: float, *, known_by: datetime) -> Dataset:
        """Return accounts whose hash is in the first `share` of all, and what they were known for.

        Which those are does not depend on the number of partitions. Events are those known before
        `known_by` only; the other tables are not cut.
        """
        limit = min(int(share * 2**32), 2**32 - 1)
        last = int(partition_of(np.array([limit], dtype=np.uint32), self.n_partitions)[0])
        parts = [self._sampled(number, limit, known_by) for number in range(last + 1)]
        names = ("events", "leads", "accounts", "outcomes", "attribute_changes")
        return self._dataset(**{n: pl.concat([getattr(p, n) for p in parts]) for n in names})

    def _sampled(self, number: int, limit: int, known_by: datetime) -> Dataset:
        whole, _ = self.partition(number)
        leads, accounts = (
            table.filter(account_hashes(table["account_id"]) <= limit)
            for table in (whole.leads, whole.accounts)
        )
        kept = leads.select("lead_id")
        events = whole.events.filter(pl.col("known_at") < known_by)
        return replace(
            whole,
            leads=leads,
            accounts=accounts,
            events=events.join(kept, on="lead_id", how="semi"),
            outcomes=whole.outcomes.join(kept, on="lead_id", how="semi"),
        )

    def _days(self) -> list[tuple[int, int]]:
        """Return on how many days since 1970 how many events became known."""
        return [(int(day), n) for day, n in self._spill.facts["days"].items()]

    def _dataset(self, events: pl.DataFrame, **tables: pl.DataFrame) -> Dataset:
        return Dataset(
            config=self.tables.config,
            events=events,
            quarantined=(),
            data_cutoff=self.data_cutoff,
            folder=self.tables.folder,
            **tables,
        )

    def _events(self, number: int) -> tuple[pl.DataFrame, int]:
        columns = self._spill.partition(number)
        events = to_events(columns, self.tables.leads["lead_id"], self._spill.texts)
        may_be_copy = _may_be_copies(columns)
        place = pl.Series("place", np.flatnonzero(may_be_copy))
        # As texts: which copy stays must not depend on the order in which texts were met.
        doubtful = events.filter(pl.Series(may_be_copy)).with_columns(
            place, pl.col(TEXTS).cast(pl.String)
        )
        kept, n_copies = first_of_each_event(doubtful, identity=IDENTITY)
        if n_copies:
            is_kept = ~may_be_copy
            is_kept[kept["place"].to_numpy()] = True
            events = events.filter(pl.Series(is_kept))
        return events.drop(IDENTITY), n_copies

    def _after_the_last_record(self) -> datetime:
        """Return what `load_dataset` takes as the cut-off; a stray end is judged by whole days."""
        outcomes = self.tables.outcomes["known_at"]
        event = self._extreme_event("known_at", latest=True)
        times = [*(event["known_at"] if event is not None else []), *outcomes.sort().tail(1)]
        if not times:
            raise no_records()
        days = dict(self._days())
        for day, n in (outcomes.dt.timestamp("us") // _DAY_US).value_counts().iter_rows():
            days[day] = days.get(day, 0) + n
        rank, usual = rank_of_usual_end(sum(days.values())), 0
        for usual in sorted(days):
            rank -= days[usual]
            if rank < 0:
                break
        end_of_day = _EPOCH + timedelta(days=usual + 1, microseconds=-1)
        refuse_a_stray_end(max(times), usual_end=end_of_day)
        return cut_off_after(max(times))

    def _extreme_event(self, column: str, *, latest: bool) -> pl.DataFrame | None:
        """Return the event, copies left out, whose time is the latest or earliest of all.

        Partitions are opened in the order of what they may hold, until no other can hold more.
        """
        sign = -1 if latest else 1
        times = self._spill.facts["latest" if latest else "earliest"]
        best: tuple[int, pl.DataFrame] | None = None
        for bound, number in sorted((sign * t, k) for k, t in enumerate(times) if t is not None):
            if best is not None and best[0] <= bound:
                break
            events, _ = self._events(number)
            event = events.sort(column, descending=latest).head(1)
            found = sign * int(event[column].dt.timestamp("us")[0])
            if best is None or found < best[0]:
                best = found, event
        return best[1] if best else None


class _Split:
    """A table sorted by partition, rows of each in their order."""

    def __init__(self, frame: pl.DataFrame, partition: Ints, n_partitions: int) -> None:
        self._frame = frame[np.argsort(partition, kind="stable")]
        self._bounds = bounds_of(partition, n_partitions)

    def part(self, number: int) -> pl.DataFrame:
        start, stop = self._bounds[number : number + 2].tolist()
        return self._frame.slice(start, stop - start)


def _may_be_copies(columns: Columns) -> NDArray[np.bool_]:
    """Return which events share lead and half an identity with another: few, and all copies."""
    mixed = columns[IDENTITY[0]] + columns["lead"].astype(np.uint64) * np.uint64(_SPREAD << 31)
    sorted_ = np.sort(mixed)
    doubled = pl.Series(sorted_[1:][sorted_[1:] == sorted_[:-1]])
    is_doubled: NDArray[np.bool_] = pl.Series(mixed).is_in(doubled.implode()).to_numpy()
    return is_doubled & columns["is_named"]
