"""Histories' events in the one order that points are counted in."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from intentcast.scorecards.kernel import Codes, Flags, Ints


@njit(cache=True, nogil=True)
def in_order(
    lead: Ints,
    known: Ints,
    occurred: Ints,
    signature: Codes,
    content: Ints,
    opts_out: Flags,
    rank: NDArray[np.float64],
    n_leads: int,
) -> tuple[Ints, Ints, Ints, Codes, Codes, Ints]:
    """Return bounds by lead, the columns in order, and the order.

    By lead, then by when it became known with activity before opt-outs, by when it occurred, and by
    what it means to the rules: the order that `history.read_events` puts a table's events in.

    Args:
        lead: Number of each event's.
        known: Microseconds.
        occurred: Likewise.
        signature: Its number.
        content: Its number.
        opts_out: Of each signature.
        rank: Of each signature, shape (n, 2).
        n_leads: How many there are.
    """
    n = len(lead)
    order = np.arange(n)
    for half in (1, 0):
        key = np.empty(n)
        for i in range(n):
            key[i] = rank[signature[order[i]], half]
        order = order[np.argsort(key, kind="mergesort")]
    order = order[np.argsort(occurred[order], kind="mergesort")]
    step = np.empty(n, dtype=np.int64)
    for i in range(n):
        step[i] = 2 * known[order[i]] + opts_out[signature[order[i]]]
    order = order[np.argsort(step, kind="mergesort")]
    order = order[np.argsort(lead[order], kind="mergesort")]
    bounds = np.zeros(n_leads + 1, dtype=np.int64)
    for i in range(n):
        bounds[lead[i] + 1] += 1
    for i in range(n_leads):
        bounds[i + 1] += bounds[i]
    contents = content[order].astype(np.int32)
    return bounds, known[order], occurred[order], signature[order], contents, order
