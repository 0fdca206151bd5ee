"""The buying stage that a lead's behaviour shows: awareness, interest, evaluation, pre-deal.

One table and one lead become the same few arrays, and the same arithmetic runs over both.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from intentcast.engagement import Engagement
from intentcast.features.vocabulary import coded, distinct
from intentcast.kinds import Kind, KindTable
from intentcast.seen import DAY, SeenHistory
from intentcast.sources import Dataset
from intentcast.stage_walk import walk_stages

Stage = Literal["awareness", "interest", "evaluation", "pre-deal"]
STAGES: tuple[Stage, ...] = ("awareness", "interest", "evaluation", "pre-deal")
MOST_SIGNALS: Final = 60  # a signal is one bit of an integer
_REMEMBERED: Final = 200_000
_MOST_READERS: Final = 8
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
        pl.Series([""]).str.contains(pattern)
    except (re.error, pl.exceptions.ComputeError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class StageSignal(BaseModel):
    """Behaviour that shows a stage; see `models/handoff.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage
    event_types: tuple[str, ...] = ()
    content: Annotated[str, AfterValidator(_compiles)] | None = None
    seconds: float = Field(default=0, ge=0)
    at_least: int = Field(default=1, ge=1)
    people: int = Field(default=1, ge=1)
    within_days: int = Field(ge=1)


class Signals(NamedTuple):
    """Signals as arrays, the furthest stage first; shape (n_signals,).

    Attributes:
        bit: The signal's bit in masks.
        level: Place of its stage in `STAGES`.
        window: Microseconds.
        at_least: How many events.
        people: How many people of the account, of the same content.
    """

    bit: Ints
    level: Ints
    window: Ints
    at_least: Ints
    people: Ints


class SignalEvents(NamedTuple):
    """Events, sorted by `known` where they are not all known.

    Attributes:
        known: Microseconds since 1970, shape (n_events,).
        occurred: Likewise.
        lead: Number of the lead that did it.
        content: Number of the content, −1 for none.
        mask: Bit i is set where the event matches signal i.
        account: Of each lead, shape (n_leads,).
    """

    known: Ints
    occurred: Ints
    lead: Ints
    content: Ints
    mask: Ints
    account: Codes


@dataclass(frozen=True)
class SignalReader:
    """Which signals an event matches, remembered by type and by content."""

    signals: tuple[StageSignal, ...]
    _of_type: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _of_content: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    @functools.cached_property
    def widest(self) -> int:
        """The longest window, in microseconds."""
        return max((signal.within_days for signal in self.signals), default=0) * DAY

    @functools.cached_property
    def timed(self) -> tuple[tuple[int, float], ...]:
        """Bit and seconds of each signal that asks how long an event lasted."""
        return tuple((1 << i, s.seconds) for i, s in enumerate(self.signals) if s.seconds)

    @functools.cached_property
    def arrays(self) -> Signals:
        """The signals as the walk reads them."""
        rows = [
            (1 << i, STAGES.index(s.stage), s.within_days * DAY, s.at_least, s.people)
            for i, s in enumerate(self.signals)
        ]
        rows.sort(key=lambda row: -row[1])
        columns = np.array(rows, dtype=np.int64).reshape(len(rows), 5).T
        return Signals(*(np.ascontiguousarray(column) for column in columns))

    @functools.cached_property
    def _without_content(self) -> int:
        return sum(1 << i for i, signal in enumerate(self.signals) if signal.content is None)

    def of_type(self, event_type: str) -> int:
        """Return the signals whose event types include this one."""
        mask = self._of_type.get(event_type)
        if mask is None:
            mask = sum(
                1 << i
                for i, signal in enumerate(self.signals)
                if not signal.event_types or event_type in signal.event_types
            )
            _remember(self._of_type, {event_type: mask})
        return mask

    def of_contents(self, contents: Iterable[str | None]) -> dict[str | None, int]:
        """Return, for each content, the signals whose pattern matches it; any, without one."""
        found: dict[str | None, int] = {}
        new: list[str] = []
        # Asked once per text: another thread may start the memory anew at any time.
        for text in set(contents):
            mask = self._without_content if text is None else self._of_content.get(text)
            if mask is not None:
                found[text] = mask
            elif text is not None:
                new.append(text)
        if new:
            fresh = dict(zip(new, self._matches(pl.Series(new)).tolist(), strict=True))
            _remember(self._of_content, fresh)
            found.update(fresh)
        return found

    def masks(self, events: Engagement) -> Ints:
        """Return the signals that each event matches, shape (n,)."""
        return self.without_short(events.by_kind(self._of_kind), events.duration)

    @functools.cached_property
    def _of_kind(self) -> KindTable:
        return KindTable(self._masks_of)

    def _masks_of(self, kinds: Sequence[Kind]) -> Ints:
        of_content = self.of_contents(content for _, content, _ in kinds)
        masks = [self.of_type(kind) & of_content[content] for kind, content, _ in kinds]
        return np.array(masks, dtype=np.int64)

    def without_short(self, masks: Ints, lasted: NDArray[np.float64]) -> Ints:
        """Return masks without the signals that ask for longer than an event lasted."""
        for bit, seconds in self.timed:
            # An event that does not say lasted no time: NaN is not at least anything.
            masks &= np.where(lasted >= seconds, -1, ~bit)
        return masks

    def _matches(self, contents: pl.Series) -> Ints:
        masks = np.zeros(len(contents), dtype=np.int64)
        for i, signal in enumerate(self.signals):
            if signal.content is None:
                masks |= 1 << i
            else:
                hits = contents.str.contains(signal.content).fill_null(value=False)
                masks |= hits.to_numpy().astype(np.int64) << i
        return masks


def _remember(memory: dict[str, int], found: dict[str, int]) -> None:
    if len(memory) + len(found) > _REMEMBERED:
        memory.clear()
    if len(found) <= _REMEMBERED:
        memory.update(found)


_READERS: dict[int, SignalReader] = {}


def reader(signals: tuple[StageSignal, ...]) -> SignalReader:
    """Return the reader of these signals, by identity: their hash takes longer than a lead."""
    found = _READERS.get(id(signals))
    # While a reader is kept, so are its signals, and no others can have their identity.
    if found is None or found.signals is not signals:
        if len(_READERS) >= _MOST_READERS:
            _READERS.clear()
        found = _READERS[id(signals)] = SignalReader(signals)
    return found


def stage_of(signals: tuple[StageSignal, ...], seen: SeenHistory) -> Stage:
    """Return one lead's stage: the furthest with a signal, else awareness."""
    read, told = reader(signals), seen.told
    mask = np.zeros(len(told.events), dtype=np.int64)
    mask[seen.rows] = read.masks(told.events)[seen.rows]
    people, person = told.events.people, told.events.person
    place = people.get(seen.history.lead_id, len(people))
    account = np.zeros(len(people) + 1, dtype=np.int32)
    events = SignalEvents(told.known, told.occurred, person, told.content, mask, account)
    levels = np.zeros(len(account), dtype=np.int64)
    # Those that are not seen yet match nothing, so that all may be walked over as they came.
    walk_stages(read.arrays, events, 0, len(mask), seen.as_of, levels)
    return STAGES[int(levels[place])]


def matching(signals: tuple[StageSignal, ...], seen: SeenHistory) -> NDArray[np.bool_]:
    """Return which events match a signal, whenever they occurred and however few they are."""
    found: NDArray[np.bool_] = reader(signals).masks(seen.told.events) != 0
    return found


def stage_snapshots(
    signals: tuple[StageSignal, ...], dataset: Dataset, snapshots: pl.DataFrame
) -> pl.Series:
    """Return each snapshot's stage: the furthest with a signal, else awareness.

    Only human events known strictly before the as-of time count, and only those that occurred in
    the signal's window `[as_of − within_days, as_of)`.

    Args:
        signals: From `models/handoff.toml`.
        dataset: Its events.
        snapshots: `lead_id`, `account_id`, `as_of`.

    Returns:
        Strings, shape (n_snapshots,).
    """
    levels = np.zeros(len(snapshots), dtype=np.int64)
    if len(snapshots) and signals:
        people = dataset.leads.select("lead_id", "account_id").join(
            snapshots.select("account_id").unique(), on="account_id", how="semi"
        )
        people = people.sort("account_id", "lead_id").with_row_index("number")
        read = reader(signals)
        events = _encode_table(read, dataset, people, snapshots["as_of"])
        rows = snapshots.select("lead_id", as_of=pl.col("as_of").dt.epoch("us")).join(
            people.select("lead_id", "number"), on="lead_id", how="left", maintain_order="left"
        )
        number, as_of = rows["number"].to_numpy(), rows["as_of"].to_numpy()
        for moment in np.unique(as_of):
            here = np.flatnonzero(as_of == moment)
            # What occurred in a window cannot have become known before it.
            first, last = np.searchsorted(events.known, (moment - read.widest, moment))
            of_lead = np.zeros(len(people), dtype=np.int64)
            walk_stages(read.arrays, events, int(first), int(last), int(moment), of_lead)
            levels[here] = of_lead[number[here]]
    return pl.Series("stage", np.array(STAGES)[levels].tolist(), dtype=pl.String)


def _encode_table(
    read: SignalReader, dataset: Dataset, people: pl.DataFrame, as_of: pl.Series
) -> SignalEvents:
    """Return the events of people (`lead_id`, `account_id`, `number`) that any window may hold."""
    moments = as_of.dt.epoch("us").to_numpy()
    earliest, latest = int(moments.min()), int(moments.max())
    is_recent = pl.col("occurred_at").dt.epoch("us") >= earliest - read.widest
    is_known = pl.col("known_at").dt.epoch("us") < latest
    is_human = ~pl.col("is_machine").fill_null(value=False)
    wanted = ("lead_id", "known_at", "occurred_at", "event_type", "content", "duration_seconds")
    events = (
        dataset.events.filter(is_human, is_known, is_recent)
        .select(wanted)
        .join(people.select("lead_id", "number"), on="lead_id")
        .sort("known_at")
    )
    contents, types = distinct(events["content"]), distinct(events["event_type"])
    of_content = read.of_contents([None, *contents.to_list()])
    masks = np.array([*(of_content[text] for text in contents), of_content[None]], dtype=np.int64)
    type_masks = np.array([*(read.of_type(text) for text in types), 0], dtype=np.int64)
    content = coded(events["content"], range(len(contents)), contents)
    mask = type_masks[coded(events["event_type"], range(len(types)), types)] & masks[content]
    lasted = events["duration_seconds"].to_numpy()
    mask = read.without_short(mask, lasted)
    account = people["account_id"].rank("dense").to_numpy().astype(np.int32) - 1
    kept = mask != 0
    return SignalEvents(
        events["known_at"].dt.epoch("us").to_numpy()[kept],
        events["occurred_at"].dt.epoch("us").to_numpy()[kept],
        events["number"].to_numpy()[kept].astype(np.int64),
        content[kept].astype(np.int64),
        mask[kept],
        account.astype(np.int32),
    )
