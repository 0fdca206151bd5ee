"""Classes that stick: since when a lead has been hot.

A lead that was hot once stays hot, whatever its score does. Whether it was is asked at every
instant at which something became known of it (an event of its own, a colleague's that completed
a rule about several people, an attribute) and at the as-of time itself.
"""

import numpy as np
import polars as pl

from intentcast.contracts import INSTANT
from intentcast.scorecards.fit import Fit, fit_points, read_attributes
from intentcast.scorecards.kernel import NO_LIMIT, Events, Flags, Ints, Moments, Signatures, walk
from intentcast.scorecards.rulebook import Rulebook
from intentcast.scorecards.totals import HOT, total_up
from intentcast.sources import Dataset

# Instants of a lead that are looked at first; then eight times as many, while it is not hot yet.
_FIRST_LOOKS = 32


def looked_at(events: Events, moments: Moments) -> tuple[Ints, Ints]:
    """Return lead and instant of each time at which something became known of a lead.

    Args:
        events: Histories.
        moments: Whose.

    Returns:
        Numbers of leads and microseconds, one after the instant itself: what is known then counts.
    """
    leads = np.unique(moments.lead)
    starts, stops = events.bounds[leads], events.bounds[leads + 1]
    of_lead = np.repeat(leads, stops - starts)
    n_before = np.cumsum(stops - starts) - (stops - starts)
    at = np.arange(len(of_lead)) + np.repeat(starts - n_before, stops - starts)
    times = [events.known[at], *(row[at] for row in events.shared_known)]
    lead = np.tile(of_lead, len(times))
    instant = np.concatenate(times)
    is_time = instant < NO_LIMIT
    return lead[is_time], instant[is_time] + 1


def hot_since(
    book: Rulebook, signatures: Signatures, events: Events, moments: Moments, fit: Fit
) -> Ints:
    """Return when each lead was first hot, by number of lead; `NO_LIMIT` for never.

    Args:
        book: Of the card.
        signatures: Of the events.
        events: Histories.
        moments: Instants to look at, in any order.
        fit: Attributes at each of them.
    """
    since = np.full(len(events.bounds) - 1, NO_LIMIT, dtype=np.int64)
    left = np.lexsort((moments.now, moments.lead))
    lead, now = moments.lead[left], moments.now[left]
    is_new = np.ones(len(left), dtype=np.bool_)
    is_new[1:] = (lead[1:] != lead[:-1]) | (now[1:] != now[:-1])
    left, lead = left[is_new], lead[is_new]
    place = np.arange(len(left)) - np.searchsorted(lead, lead)
    looks = _FIRST_LOOKS
    while len(left):
        at = left[place < looks]
        some = Moments(
            moments.lead[at],
            moments.known_before[at],
            moments.now[at],
            moments.switch[at],
            moments.is_on,
        )
        walked = walk(book.rules, signatures, events, some, by_rule=False)
        totals = total_up(book, fit_points(book.card, fit.bands[at]), walked, some.now)
        is_hot = totals.tier == HOT
        np.minimum.at(since, some.lead[is_hot], some.now[is_hot])
        is_left = (place >= looks) & (since[moments.lead[left]] == NO_LIMIT)
        left, place = left[is_left], place[is_left]
        looks *= 8
    return since


def were_hot(
    book: Rulebook,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    signatures: Signatures,
    events: Events,
    moments: Moments,
) -> Flags:
    """Return which snapshots' leads had been hot by the as-of time, or before.

    Args:
        book: Of the card.
        dataset: Its attributes.
        snapshots: `lead_id`, `account_id`; row i is of `moments` i.
        signatures: Of the events.
        events: Histories.
        moments: The snapshots.
    """
    lead, instant = looked_at(events, moments)
    changed_lead, changed = _changes(book, dataset, snapshots, moments)
    lead, instant = np.concatenate([lead, changed_lead]), np.concatenate([instant, changed])
    latest = int(moments.known_before.max()) if len(moments.lead) else 0
    lead, instant = lead[instant <= latest], instant[instant <= latest]
    row = np.full(len(events.bounds) - 1, 0, dtype=np.int64)
    row[moments.lead] = np.arange(len(moments.lead))
    looks = snapshots[row[lead]].with_columns(as_of=pl.Series(instant).cast(INSTANT))
    fit = read_attributes(book, dataset, looks)
    at = Moments(lead, instant, instant, fit.switch, fit.is_on)
    since = hot_since(book, signatures, events, at, fit)
    found: Flags = since[moments.lead] <= moments.known_before
    return found


def _changes(
    book: Rulebook, dataset: Dataset, snapshots: pl.DataFrame, moments: Moments
) -> tuple[Ints, Ints]:
    """Return lead and instant of each change of an attribute that a rule looks at."""
    changes = dataset.attribute_changes.filter(
        pl.col("attribute").is_in(list(book.attribute_columns))
    ).select("entity", "entity_id", instant=pl.col("recorded_at").dt.timestamp("us") + 1)
    people = snapshots.select("lead_id", "account_id", number=pl.Series(moments.lead)).unique()
    found = [
        changes.filter(pl.col("entity") == entity)
        .join(people, left_on="entity_id", right_on=f"{entity}_id")
        .select("number", "instant")
        for entity in ("lead", "account")
    ]
    both = pl.concat(found)
    return both["number"].to_numpy().astype(np.int64), both["instant"].to_numpy().astype(np.int64)
