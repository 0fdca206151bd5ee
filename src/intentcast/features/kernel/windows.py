"""Counts and sums over windows: each event enters at one as-of time and leaves at a later one."""

import numpy as np
from numba import njit

from intentcast.features.kernel.arrays import LARGEST, Histories, Ints, Plan, Singles
from intentcast.features.kernel.tile import ROWS, flush_if_full

# Values are summed as whole multiples of 1/1024, since only whole numbers can leave a sum again
# without a trace.
_STEPS = 1024.0


@njit(cache=True, nogil=True)
def first_after(as_of: Ints, first: int, last: int, moment: int) -> int:
    """Return the first row in [first, last) whose as-of time is after `moment`, or `last`."""
    # As-of times per lead are few: most are settled by the first or the last.
    if first < last and as_of[last - 1] <= moment:
        return last
    while first < last:
        middle = (first + last) // 2
        if as_of[middle] > moment:
            last = middle
        else:
            first = middle + 1
    return first


@njit(cache=True, nogil=True)
def largest_gap(bounds: Ints) -> int:
    """Return the greatest number of rows of one owner."""
    most = 0
    for i in range(len(bounds) - 1):
        most = max(most, bounds[i + 1] - bounds[i])
    return most


@njit(cache=True, nogil=True)
def walk_windows(x: Histories, plan: Plan, out: Singles) -> None:
    """Write counts per group and window, windowed sums of values, and the breadth of themes.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_windows, n_half = len(plan.windows), len(plan.half_lives)
    most = largest_gap(x.lead_rows)
    # One more row, where what never leaves goes.
    n_counts = plan.n_groups * n_windows
    counts = np.zeros((most + 1, n_counts), dtype=np.int32)
    totals = np.zeros((most + 1, 2, n_windows), dtype=np.int64)
    firsts = (0, 1, plan.first_theme, plan.first_channel)
    groups = np.zeros(4, dtype=np.int64)
    steps = np.zeros(2, dtype=np.int64)
    tile = np.empty((n_counts if plan.counts >= 0 else 0, ROWS), dtype=np.float32)
    sums_values = plan.value >= 0 and (plan.has_values or plan.has_durations)
    for lead in range(len(x.lead_rows) - 1):
        first, last = x.lead_rows[lead], x.lead_rows[lead + 1]
        n_rows = last - first
        if n_rows == 0:
            continue
        counts[: n_rows + 1] = 0
        if sums_values:
            totals[: n_rows + 1] = 0
        for event in range(x.lead_events[lead], x.lead_events[lead + 1]):
            enters = first_after(x.as_of, first, last, x.known[event])
            if enters == last:
                break  # sorted by `known`: nor is any later one ever seen
            n_codes = 1
            groups[0] = 0
            for coding in range(3):
                code = x.codes[event, coding]
                if code >= 0:
                    groups[n_codes] = firsts[coding + 1] + code
                    n_codes += 1
            if sums_values:
                for extra in range(2):
                    value = x.value[event] if extra == 0 else x.duration[event]
                    value = 0.0 if np.isnan(value) else min(max(value, -LARGEST), LARGEST)
                    steps[extra] = np.int64(np.rint(value * _STEPS))
            for w in range(n_windows):
                leaves = first_after(x.as_of, enters, last, x.occurred[event] + plan.windows[w])
                if leaves == enters:
                    continue
                for i in range(n_codes):
                    column = groups[i] * n_windows + w
                    counts[enters - first, column] += 1
                    counts[leaves - first, column] -= 1
                if sums_values:
                    for extra in range(2):
                        totals[enters - first, extra, w] += steps[extra]
                        totals[leaves - first, extra, w] -= steps[extra]
        for row in range(n_rows):
            place = first + row
            k = place % ROWS
            if row:
                for column in range(n_counts):
                    counts[row, column] += counts[row - 1, column]
                if sums_values:
                    for extra in range(2):
                        for w in range(n_windows):
                            totals[row, extra, w] += totals[row - 1, extra, w]
            if plan.counts >= 0:
                for column in range(n_counts):
                    tile[column, k] = counts[row, column]
                flush_if_full(tile, out, plan.counts, place, len(x.as_of))
            if plan.breadth >= 0:
                for w in range(n_windows):
                    n_themes = 0
                    # The last group of themes is what has no name.
                    for group in range(plan.first_theme, plan.first_channel - 1):
                        n_themes += counts[row, group * n_windows + w] > 0
                    out[plan.breadth + w, place] = n_themes
            if sums_values:
                at = plan.value
                for extra in range(2):
                    if (extra == 0 and plan.has_values) or (extra == 1 and plan.has_durations):
                        for w in range(n_windows):
                            out[at + n_half + w, place] = totals[row, extra, w] / _STEPS
                        at += n_half + n_windows + 1
