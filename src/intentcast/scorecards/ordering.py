"""Events in the one order that points are counted in."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from intentcast.features.kernel.order import bounds_of, event_order
from intentcast.scorecards.kernel import Codes, Flags, Ints


@njit(cache=True, nogil=True)
def in_order(
    lead: Ints,
    known: Ints,
    occurred: Ints,
    signature: Codes,
    opts_out: Flags,
    rank: NDArray[np.float64],
    n_leads: int,
) -> tuple[Ints, Ints]:
    """Return bounds by lead, and the order of the events.

    By lead, then by when it became known with activity before opt-outs, since it alone says whether
    a silence ended; by when it occurred, and by what it means to the rules.

    Args:
        lead: Number of each event's; negative for events to be left out.
        known: Microseconds.
        occurred: Likewise.
        signature: Its number.
        opts_out: Of each signature.
        rank: Of each signature, shape (n, 2).
        n_leads: How many there are.
    """
    n = len(lead)
    step, first, second = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
    for i in range(n):
        step[i] = 2 * known[i] + opts_out[signature[i]]
        first[i], second[i] = rank[signature[i], 0], rank[signature[i], 1]
    bounds = bounds_of(lead, n_leads)
    return bounds, event_order(lead, step, occurred, first, second, bounds)
