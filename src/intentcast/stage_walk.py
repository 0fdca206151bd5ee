"""The walk over events that finds each lead's furthest stage: one for tables and single leads."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def walk_stages(signals: Any, events: Any, first: int, last: int, as_of: int, out: Ints) -> None:
    """Write the place of the furthest stage of which a lead shows a signal, 0 for none.

    Args:
        signals: Arrays of `stages.Signals`, the furthest stage first.
        events: Arrays of `stages.SignalEvents`.
        first: The first event that any window may hold.
        last: The first that is not known yet.
        as_of: Microseconds.
        out: Shape (n_leads,), zeros.
    """
    there = 0
    for e in range(first, last):
        there |= events.mask[e]
    counts = np.zeros(len(out), dtype=np.int64)
    for i in range(len(signals.bit)):
        bit, level = signals.bit[i], signals.level[i]
        if not there & bit:
            continue
        start = as_of - signals.window[i]
        if signals.people[i] > 1:
            _mark_shared(events, first, last, bit, start, signals.people[i], level, out)
            continue
        counts[:] = 0
        for e in range(first, last):
            if events.mask[e] & bit and events.occurred[e] >= start:
                counts[events.lead[e]] += 1
        for lead in range(len(out)):
            if counts[lead] >= signals.at_least[i] and out[lead] < level:
                out[lead] = level


@njit(cache=True, nogil=True)
def _mark_shared(
    events: Any, first: int, last: int, bit: int, start: int, people: int, level: int, out: Ints
) -> None:
    """Mark the leads that saw a content which so many people of their account saw."""
    rows = np.empty(last - first, dtype=np.int64)
    n = 0
    for e in range(first, last):
        if events.mask[e] & bit and events.occurred[e] >= start and events.content[e] >= 0:
            rows[n] = e
            n += 1
    rows = rows[:n]
    lead = np.empty(n, dtype=np.int64)
    group = np.empty(n, dtype=np.int64)
    for k in range(n):
        lead[k] = events.lead[rows[k]]
        group[k] = events.account[lead[k]] * 2**32 + events.content[rows[k]]
    by_lead = np.argsort(lead, kind="mergesort")
    order = by_lead[np.argsort(group[by_lead], kind="mergesort")]
    # Each content of an account is one run; within it, each person is counted once.
    k = 0
    while k < n:
        end, n_people = k, 0
        while end < n and group[order[end]] == group[order[k]]:
            if end == k or lead[order[end]] != lead[order[end - 1]]:
                n_people += 1
            end += 1
        if n_people >= people:
            for at in range(k, end):
                if out[lead[order[at]]] < level:
                    out[lead[order[at]]] = level
        k = end
