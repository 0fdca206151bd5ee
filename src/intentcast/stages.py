"""The buying stage that a lead's behaviour shows: awareness, interest, evaluation, pre-deal.

One table and one lead become the same few arrays, and the same arithmetic runs over both.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from intentcast.features.vocabulary import coded, distinct
from intentcast.histories import EngagementEvent
from intentcast.seen import DAY, SeenHistory
from intentcast.sources import Dataset

Stage = Literal["awareness", "interest", "evaluation", "pre-deal"]
STAGES: tuple[Stage, ...] = ("awareness", "interest", "evaluation", "pre-deal")
MOST_SIGNALS: Final = 60  # a signal is one bit of an integer
_REMEMBERED: Final = 200_000
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


class SignalEvents(NamedTuple):
    """Events that match at least one signal, sorted by `known`.

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
    lead: Codes
    content: Codes
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

    def mask(self, event: EngagementEvent, of_content: Mapping[str | None, int]) -> int:
        """Return the signals that an event matches."""
        mask = self.of_type(event.event_type) & of_content[event.content]
        for bit, seconds in self.timed:
            if mask & bit and not (event.duration_seconds or 0) >= seconds:
                mask ^= bit
        return mask

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


@functools.lru_cache(maxsize=8)
def reader(signals: tuple[StageSignal, ...]) -> SignalReader:
    """Return the reader of these signals."""
    return SignalReader(signals)


def stage_of(signals: tuple[StageSignal, ...], seen: SeenHistory) -> Stage:
    """Return one lead's stage: the furthest with a signal, else awareness."""
    return STAGES[int(_furthest(signals, _encode(reader(signals), seen), seen.as_of)[0])]


def matching(signals: tuple[StageSignal, ...], events: Sequence[EngagementEvent]) -> list[bool]:
    """Return which events match a signal, whenever they occurred and however few they are."""
    read = reader(signals)
    of_content = read.of_contents(event.content for event in events)
    return [read.mask(event, of_content) != 0 for event in events]


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
        events = _encode_table(reader(signals), dataset, people, snapshots["as_of"])
        rows = snapshots.select("lead_id", as_of=pl.col("as_of").dt.epoch("us")).join(
            people.select("lead_id", "number"), on="lead_id", how="left", maintain_order="left"
        )
        number, as_of = rows["number"].to_numpy(), rows["as_of"].to_numpy()
        for moment in np.unique(as_of):
            here = np.flatnonzero(as_of == moment)
            levels[here] = _furthest(signals, events, int(moment))[number[here]]
    return pl.Series("stage", np.array(STAGES)[levels].tolist(), dtype=pl.String)


def _furthest(signals: tuple[StageSignal, ...], events: SignalEvents, as_of: int) -> Ints:
    """Return the place in `STAGES` of every lead at one as-of time, shape (n_leads,)."""
    n_leads = len(events.account)
    levels = np.zeros(n_leads, dtype=np.int64)
    widest = reader(signals).widest
    # What occurred in a window cannot have become known before it.
    first, last = np.searchsorted(events.known, (as_of - widest, as_of))
    occurred, lead, content, mask = (part[first:last] for part in events[1:5])
    for i, signal in enumerate(signals):
        hit = (mask >> i) & 1 != 0
        hit &= occurred >= as_of - signal.within_days * DAY
        if not hit.any():
            continue
        level = STAGES.index(signal.stage)
        if signal.people > 1:
            shown = _shared(lead[hit], content[hit], events.account, signal.people)
        else:
            shown = np.flatnonzero(np.bincount(lead[hit], minlength=n_leads) >= signal.at_least)
        levels[shown] = np.maximum(levels[shown], level)
    return levels


def _shared(lead: Codes, content: Codes, account: Codes, people: int) -> NDArray[np.intp]:
    """Return the leads that saw a content which so many people of their account saw."""
    lead, content = lead[content >= 0], content[content >= 0]
    if not len(lead):
        return np.empty(0, dtype=np.intp)
    order = np.lexsort((lead, content, account[lead]))
    lead, content = lead[order], content[order]
    group = account[lead]
    fresh_content = np.ones(len(lead), dtype=bool)
    fresh_content[1:] = (content[1:] != content[:-1]) | (group[1:] != group[:-1])
    fresh_lead = fresh_content.copy()
    fresh_lead[1:] |= lead[1:] != lead[:-1]
    # Each content of an account is one run; within it, each person is counted once.
    run = np.cumsum(fresh_content) - 1
    enough = np.bincount(run, weights=fresh_lead) >= people
    return np.unique(lead[enough[run]]).astype(np.intp)


def _encode(read: SignalReader, seen: SeenHistory) -> SignalEvents:
    """Return one lead's and its colleagues' events; the lead has number 0."""
    start = seen.as_of - read.widest
    recent = [s for s in (*seen.own, *seen.colleagues) if s.occurred >= start]
    of_content = read.of_contents(s.event.content for s in recent)
    lead_number = {seen.history.lead_id: 0}
    content_number: dict[str | None, int] = {None: -1}
    rows: list[tuple[int, int, int, int, int]] = []
    for occurred, known, event in recent:
        if mask := read.mask(event, of_content):
            lead = lead_number.setdefault(event.lead_id, len(lead_number))
            content = content_number.setdefault(event.content, len(content_number))
            rows.append((known, occurred, lead, content, mask))
    columns = np.array(sorted(rows), dtype=np.int64).reshape(len(rows), 5).T
    lead, content = columns[2].astype(np.int32), columns[3].astype(np.int32)
    everyone = np.zeros(len(lead_number), dtype=np.int32)
    return SignalEvents(columns[0], columns[1], lead, content, columns[4], everyone)


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
    lasted = events["duration_seconds"].fill_null(0.0).to_numpy()
    for bit, seconds in read.timed:
        mask &= ~np.where(lasted >= seconds, 0, bit)
    account = people["account_id"].rank("dense").to_numpy().astype(np.int32) - 1
    kept = mask != 0
    return SignalEvents(
        events["known_at"].dt.epoch("us").to_numpy()[kept],
        events["occurred_at"].dt.epoch("us").to_numpy()[kept],
        events["number"].to_numpy()[kept].astype(np.int32),
        content[kept],
        mask[kept],
        account.astype(np.int32),
    )
