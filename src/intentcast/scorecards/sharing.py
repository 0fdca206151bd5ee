"""When each content had been met by enough people of an account."""

import numpy as np
from numba import njit

from intentcast.scorecards.kernel import Ints


@njit(cache=True, nogil=True)
def walk_shared(
    at: Ints,
    lead: Ints,
    content: Ints,
    known: Ints,
    occurred: Ints,
    people: int,
    out_known: Ints,
    out_occurred: Ints,
) -> None:
    """Write, for each event of a content that enough people met, what made them enough.

    A person counts with the first event that became known; of several at one instant, the person
    of the lowest number first.

    Args:
        at: Events that count, by lead and then by when they became known, shape (n,).
        lead: Of each of them.
        content: Of each, told apart by account.
        known: Of all events, microseconds.
        occurred: Likewise.
        people: How many are enough.
        out_known: When it became known that there were, of all events.
        out_occurred: When the event that made them enough occurred.
    """
    order = np.argsort(content, kind="mergesort")
    n, start = len(order), 0
    firsts = np.empty(n, dtype=np.int64)
    while start < n:
        end, n_people = start, 0
        while end < n and content[order[end]] == content[order[start]]:
            if end == start or lead[order[end]] != lead[order[end - 1]]:
                firsts[n_people] = at[order[end]]
                n_people += 1
            end += 1
        if n_people >= people:
            by_known = np.argsort(known[firsts[:n_people]], kind="mergesort")
            enough = firsts[by_known[people - 1]]
            for k in range(start, end):
                out_known[at[order[k]]] = known[enough]
                out_occurred[at[order[k]]] = occurred[enough]
        start = end
