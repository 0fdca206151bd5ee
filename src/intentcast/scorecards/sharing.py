"""When each content had been met by enough people of an account."""

import numpy as np
from numba import njit

from intentcast.scorecards.kernel import NO_LIMIT, Codes, Flags, Ints


@njit(cache=True, nogil=True)
def walk_shared(
    counting: Flags,
    people: Ints,
    account: Ints,
    bounds: Ints,
    known: Ints,
    occurred: Ints,
    signature: Codes,
    content: Codes,
) -> tuple[Ints, Ints]:
    """Return, per rule about people, what made the people of each event's content enough.

    Args:
        counting: Whether events of a signature count, shape (n_rules, n_signatures).
        people: How many are enough, shape (n_rules,).
        account: Of each lead, shape (n_leads,).
        bounds: Where each lead's events begin, shape (n_leads + 1,).
        known: Of all events, by lead and then by when they became known.
        occurred: Likewise.
        signature: Likewise.
        content: Likewise, −1 for none.

    Returns:
        When it became known that there were enough, and when the event that made them so occurred;
        shape (n_rules, n_events), `NO_LIMIT` for never.
    """
    n_leads, n_events = len(account), len(known)
    out_known = np.full((len(people), n_events), NO_LIMIT)
    out_occurred = np.full((len(people), n_events), NO_LIMIT)
    at, lead = np.empty(n_events, dtype=np.int64), np.empty(n_events, dtype=np.int64)
    of_content = np.empty(n_events, dtype=np.int64)
    for row in range(len(people)):
        if n_leads < people[row]:
            continue  # there are not so many
        n = 0
        for i in range(n_leads):
            for e in range(bounds[i], bounds[i + 1]):
                if content[e] >= 0 and counting[row, signature[e]]:
                    at[n], lead[n] = e, i
                    of_content[n] = account[i] * 2**32 + content[e]
                    n += 1
        _mark(
            at[:n],
            lead[:n],
            of_content[:n],
            known,
            occurred,
            people[row],
            out_known[row],
            out_occurred[row],
        )
    return out_known, out_occurred


@njit(cache=True, nogil=True)
def _mark(
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
