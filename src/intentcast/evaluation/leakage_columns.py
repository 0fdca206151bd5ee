"""Columns of the leakage audit: attributes, event types and channels as bins at any as-of time.

Bins let one method serve numbers, texts and counts. Bin 0 is "unknown" of an attribute and "none
so far" of events. Edges and levels are taken from the audited snapshots; every other view (a day
ahead, the present cohort) is put into the same bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.features.fit import as_numbers
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int64]
Kind = Literal["attribute", "event type", "channel", "table"]

_MAX_LEVELS = 20
_MAX_GROUPS = 60
# Fewer occurrences tell nothing, of a leak or of a lead.
MIN_EVENTS = 20
_QUANTILES = 10


@dataclass(frozen=True)
class Column:
    """One audited column.

    Attributes:
        kind: What it is of.
        name: Of the attribute, event type or channel.
        is_dated: Whether its history is recorded: always of events; of an attribute where
            attribute_changes has rows of it.
    """

    kind: Kind
    name: str
    is_dated: bool


class GroupCounts:
    """How often each lead had an event of a group that was known before an instant.

    Args:
        events: `group`, `lead_id`, `at`.
        leads: Every lead that will be asked of, sorted.
    """

    def __init__(self, events: pl.DataFrame, leads: pl.Series) -> None:
        self._leads = leads
        self._times = events["at"].unique().sort()
        # One number per (lead, moment): counting before an instant is a binary search.
        self._n_times = len(self._times) + 1
        keys = leads.search_sorted(events["lead_id"]).cast(pl.Int64) * self._n_times
        keyed = events.select(
            "group", key=keys + self._times.search_sorted(events["at"]).cast(pl.Int64)
        )
        parts = keyed.partition_by("group", as_dict=True)
        self._keys = {str(name): part["key"].sort().to_numpy() for (name,), part in parts.items()}

    def before(self, group: str, leads: pl.Series, at: pl.Series) -> Ints:
        """Return how many events of the group each lead had with time < `at`, shape (n,)."""
        first = self._leads.search_sorted(leads).cast(pl.Int64).to_numpy() * self._n_times
        until = first + self._times.search_sorted(at, side="left").cast(pl.Int64).to_numpy()
        keys = self._keys.get(group, np.empty(0, dtype=np.int64))
        out: Ints = np.searchsorted(keys, until) - np.searchsorted(keys, first)
        return out


class ColumnReader:
    """Reads every column as bins, at whatever leads and as-of times.

    Args:
        dataset: Its attributes, events and channels are what is audited.
        snapshots: `lead_id`, `account_id`, `as_of`: what bins are made of.
        events: `people_events` of the leads.
        leads: Every lead that will be asked of, sorted.
    """

    def __init__(
        self, dataset: Dataset, snapshots: pl.DataFrame, events: pl.DataFrame, leads: pl.Series
    ) -> None:
        self._dataset = dataset
        attributes = dataset.config.attributes
        self._names = (*attributes.numeric, *attributes.categorical)
        dated = set(dataset.attribute_changes["attribute"].unique().to_list())
        self.counts: dict[Kind, GroupCounts] = {}
        self.columns = [Column("attribute", name, name in dated) for name in self._names]
        kinds: tuple[tuple[Kind, str], ...] = (("event type", "event_type"), ("channel", "channel"))
        for kind, name in kinds:
            part = events.select(pl.col(name).alias("group"), "lead_id", at="known_at").drop_nulls()
            groups = _frequent(part["group"])
            self.counts[kind] = GroupCounts(part.filter(pl.col("group").is_in(groups)), leads)
            self.columns += [Column(kind, group, is_dated=True) for group in groups]
        values = self._attributes(snapshots)
        self._edges = {name: _edges(as_numbers(values[name])) for name in attributes.numeric}
        self._levels = {name: _levels(values[name]) for name in attributes.categorical}

    def bins(self, snapshots: pl.DataFrame) -> Codes:
        """Return the bin of each column at each snapshot, shape (n_columns, n)."""
        out = np.zeros((len(self.columns), len(snapshots)), dtype=np.int64)
        values = self._attributes(snapshots)
        for row, column in zip(out, self.columns, strict=True):
            if column.kind != "attribute":
                counts = self.counts[column.kind].before(
                    column.name, snapshots["lead_id"], snapshots["as_of"]
                )
                # 0, 1, 2–3, 4–7, …: what doubles is one bin further.
                row[:] = np.frexp(counts.astype(np.float64))[1]
            elif column.name in self._edges:
                numbers = as_numbers(values[column.name])
                bins = 1 + np.searchsorted(self._edges[column.name], numbers, side="right")
                row[:] = np.where(np.isnan(numbers), 0, bins)
            else:
                levels = self._levels[column.name]
                other = len(levels) + 1
                places = {level: place for place, level in enumerate(levels, 1)}
                found = values[column.name].replace_strict(
                    places, default=other, return_dtype=pl.Int64
                )
                is_known = values[column.name].is_not_null().to_numpy()
                row[:] = np.where(is_known, found.fill_null(0).to_numpy(), 0)
        return out

    def _attributes(self, snapshots: pl.DataFrame) -> pl.DataFrame:
        if not self._names:
            return pl.DataFrame(height=len(snapshots))
        return attributes_as_of(self._dataset, snapshots, self._names)


def people_events(dataset: Dataset, leads: pl.Series) -> pl.DataFrame:
    """Return the events of some leads that no machine made."""
    is_machine = pl.col("is_machine").fill_null(value=False)
    return dataset.events.filter(~is_machine & pl.col("lead_id").is_in(leads.implode()))


def _frequent(groups: pl.Series) -> list[str]:
    counted = groups.value_counts().filter(pl.col("count") >= MIN_EVENTS)
    ranked = counted.sort(["count", groups.name], descending=[True, False])
    names: list[str] = ranked[groups.name].head(_MAX_GROUPS).to_list()
    return names


def _edges(numbers: Floats) -> Floats:
    """Return inner deciles; a value that fills several of them is one bin."""
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.empty(0)
    cuts = np.arange(1, _QUANTILES) / _QUANTILES
    return np.unique(np.quantile(known, cuts, method="lower"))


def _levels(values: pl.Series) -> Sequence[str]:
    counted = values.drop_nulls().value_counts()
    ranked = counted.sort(["count", values.name], descending=[True, False])
    levels: list[str] = ranked[values.name].head(_MAX_LEVELS).to_list()
    return levels
