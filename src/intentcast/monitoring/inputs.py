"""Does what comes in still come in as it did: volumes, vocabulary, before any feature is computed.

Events that were not a machine's, by the day they occurred on, per lead of the cohort, in windows of
28 days counted back from the newest as-of time, each with what was known at its end: what is
recorded late is late in every window. A type or channel is *silent* where it brought less than a
quarter of the least of the past six known windows, *quiet* below half of it and *loud* above 1.25
times the most and 1.5 times their median. One with fewer than 40 events in any past window is not
judged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.bundle import Bundle
from intentcast.monitoring.windows import Windows
from intentcast.propensity.margins import Floats
from intentcast.sources import Dataset

Flow = Literal["usual", "silent", "quiet", "loud"]
_FEWEST_EVENTS = 40
_SILENT, _QUIET = 0.25, 0.5
_LOUD_OF_MOST, _LOUD_OF_USUAL = 1.25, 1.5


@dataclass(frozen=True)
class Volume:
    """How much one event type or channel brings.

    Attributes:
        kind: `event type` or `channel`.
        name: Which.
        n: Events in the newest window.
        per_lead: The same per lead of the cohort.
        low: Least per lead in the past windows.
        high: Most.
        share: Of all events of the past windows.
        flow: What to make of it.
    """

    kind: str
    name: str
    n: int
    per_lead: float
    low: float
    high: float
    share: float
    flow: Flow


@dataclass(frozen=True)
class Unseen:
    """Share of events that training has no word for.

    Attributes:
        kind: `event type`, `channel` or `theme`.
        share: In the newest window.
        usual: Largest share in the past windows; None without any.
        n: Events in the newest window that have one.
    """

    kind: str
    share: float
    usual: float | None
    n: int


def _of_windows(dataset: Dataset, windows: Windows) -> pl.DataFrame:
    """Return human events that were known when the window they occurred in ended.

    What is recorded late is lacking in the newest window yet, so it is left out of the past ones.
    """
    human = ~pl.col("is_machine").fill_null(value=False)
    placed = windows.place(dataset.events.filter(human), "occurred_at")
    return placed.filter(pl.col("known_at") < pl.col("window_end"))


def volumes(dataset: Dataset, windows: Windows) -> list[Volume]:
    """Return every event type and channel that is large enough to judge, by name."""
    judged = windows.judged
    if len(judged) == 1:
        return []
    events = _of_windows(dataset, windows)
    leads = _leads_per_time(windows)
    n_past = len(events.filter(pl.col("number") > 0))
    found = []
    for kind, column in (("event type", "event_type"), ("channel", "channel")):
        counts = events.drop_nulls(column).group_by(column, "number").len()
        for (name,), part in sorted(counts.partition_by(column, as_dict=True).items()):
            table = np.zeros(windows.n)
            table[part["number"].to_numpy()] = part["len"].to_numpy()
            past = [number for number in judged[1:] if leads[number]]
            if not past or table[past].min() < _FEWEST_EVENTS or not leads[0]:
                continue
            rates = table[past] / leads[past]
            share = float(table[past].sum() / n_past)
            found.append(
                _volume(kind, str(name), int(table[0]), float(table[0] / leads[0]), rates, share)
            )
    return found


def _volume(kind: str, name: str, n: int, per_lead: float, past: Floats, share: float) -> Volume:
    low, high = float(past.min()), float(past.max())
    flow: Flow = "usual"
    if per_lead < _SILENT * low:
        flow = "silent"
    elif per_lead < _QUIET * low:
        flow = "quiet"
    elif per_lead > max(_LOUD_OF_MOST * high, _LOUD_OF_USUAL * float(np.median(past))):
        flow = "loud"
    return Volume(kind, name, n, per_lead, low, high, share, flow)


def _leads_per_time(windows: Windows) -> Floats:
    """Return the mean size of the cohort in each window, shape (n_windows,)."""
    rows = windows.snapshots.select("as_of").with_columns(number=pl.Series(windows.number))
    sizes = rows.group_by("number").agg(pl.len() / pl.col("as_of").n_unique())
    out = np.zeros(windows.n)
    out[sizes["number"].to_numpy()] = sizes["len"].to_numpy()
    return out


def unseen(bundle: Bundle, dataset: Dataset, windows: Windows) -> list[Unseen]:
    """Return how much of what comes in training has no word for.

    Rare types and channels have none in training either, and some content has no theme in any data:
    the past windows say how much is usual.
    """
    events = _of_windows(dataset, windows)
    vocabulary = bundle.featurizer.vocabulary
    no_theme = len(bundle.featurizer.themes.names)
    is_new: dict[str, tuple[str, Callable[[str], bool]]] = {
        "event type": ("event_type", lambda text: text not in vocabulary.types),
        "channel": ("channel", lambda text: text not in vocabulary.channels),
        "theme": ("content", lambda text: vocabulary.theme_of(text) == no_theme),
    }
    found = []
    for kind, (column, rule) in is_new.items():
        counts = events.drop_nulls(column).group_by(column, "number").len()
        texts = counts[column].unique().sort()
        if texts.is_empty():
            continue
        new = texts.filter(pl.Series([rule(text) for text in texts], dtype=pl.Boolean))
        totals, news = (
            _per_window(part, windows.n)
            for part in (counts, counts.filter(pl.col(column).is_in(new.implode())))
        )
        past = [number for number in windows.judged[1:] if totals[number]]
        shares = [float(news[number] / totals[number]) for number in past]
        n = int(totals[0])
        share = float(news[0] / n) if n else 0.0
        found.append(Unseen(kind, share, max(shares) if shares else None, n))
    return found


def _per_window(counts: pl.DataFrame, n_windows: int) -> NDArray[np.float64]:
    number, n = counts["number"].to_numpy(), counts["len"].to_numpy()
    return np.bincount(number, weights=n, minlength=n_windows).astype(np.float64)
