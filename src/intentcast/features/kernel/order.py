"""Rows of leads in the one order that sums are taken in, whatever order they came in."""

import numpy as np
from numba import njit

from intentcast.features.kernel.arrays import Floats, Ints


@njit(cache=True, nogil=True)
def bounds_of(owner: Ints, n_owners: int) -> Ints:
    """Return where each owner's rows would start if sorted by owner; shape (n_owners + 1,).

    Rows of nobody, with a negative number, are left out.
    """
    bounds = np.zeros(n_owners + 1, dtype=np.int64)
    for row in range(len(owner)):
        if owner[row] >= 0:
            bounds[owner[row] + 1] += 1
    for i in range(n_owners):
        bounds[i + 1] += bounds[i]
    return bounds


@njit(cache=True, nogil=True)
def _is_before(
    a: int, b: int, known: Ints, occurred: Ints, value: Floats, duration: Floats
) -> bool:
    """Whether event a must be walked before b; no value counts as 0, as it does in sums."""
    if known[a] != known[b]:
        return bool(known[a] < known[b])
    if occurred[a] != occurred[b]:
        return bool(occurred[a] < occurred[b])
    left = 0.0 if np.isnan(value[a]) else value[a]
    right = 0.0 if np.isnan(value[b]) else value[b]
    if left != right:
        return left < right
    left = 0.0 if np.isnan(duration[a]) else duration[a]
    right = 0.0 if np.isnan(duration[b]) else duration[b]
    return left < right


@njit(cache=True, nogil=True)
def event_order(
    lead: Ints, known: Ints, occurred: Ints, value: Floats, duration: Floats, bounds: Ints
) -> Ints:
    """Return the rows sorted by lead, `known`, `occurred`, value and duration; shape (n_kept,).

    By counting per lead, then merging inside each lead; near-sorted rows, as exports have, need
    little more than one look.

    Args:
        lead: Number of each event's lead; negative for events to be left out.
        known: Microseconds.
        occurred: Microseconds.
        value: NaN for none.
        duration: NaN for none.
        bounds: From `bounds_of`.
    """
    order = np.empty(bounds[-1], dtype=np.int64)
    at = bounds[:-1].copy()
    for row in range(len(lead)):
        if lead[row] >= 0:
            order[at[lead[row]]] = row
            at[lead[row]] += 1
    spare = np.empty(bounds[-1], dtype=np.int64)
    for i in range(len(bounds) - 1):
        first, last = bounds[i], bounds[i + 1]
        # Insertion inside runs of 16, then merges of runs of doubling length.
        width = 16
        for start in range(first, last, width):
            for j in range(start + 1, min(start + width, last)):
                row, k = order[j], j
                while k > start and _is_before(row, order[k - 1], known, occurred, value, duration):
                    order[k] = order[k - 1]
                    k -= 1
                order[k] = row
        while width < last - first:
            for start in range(first, last, 2 * width):
                middle, end = min(start + width, last), min(start + 2 * width, last)
                if middle == end or not _is_before(
                    order[middle], order[middle - 1], known, occurred, value, duration
                ):
                    continue
                spare[start:end] = order[start:end]
                left, right = start, middle
                for k in range(start, end):
                    if left == middle or (
                        right < end
                        and _is_before(spare[right], spare[left], known, occurred, value, duration)
                    ):
                        order[k] = spare[right]
                        right += 1
                    else:
                        order[k] = spare[left]
                        left += 1
            width *= 2
    return order
