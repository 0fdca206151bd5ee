"""Consistency: active days and weeks, runs of days, and the gaps between active days."""

import math

import numpy as np
from numba import njit

from intentcast.features.columns import WEEKS
from intentcast.features.kernel.arrays import DAY_US, Histories, Ints, Plan, Singles
from intentcast.features.kernel.windows import largest_gap

# The epoch's day 0 was a Thursday: four days later the first whole week began.
_MONDAY = 4


@njit(cache=True, nogil=True)
def _week(day: int) -> int:
    return (day - _MONDAY) // 7


@njit(cache=True, nogil=True)
def _place_of(days: Ints, n: int, day: int) -> int:
    """Return where `day` is, or would go, in the first n rising days; new days are mostly last."""
    at = n
    while at > 0 and days[at - 1] >= day:
        at -= 1
    return at


@njit(cache=True, nogil=True)
def walk_days(x: Histories, plan: Plan, out: Singles) -> None:
    """Write active days per window, active weeks, streaks, gaps, burstiness and lateness.

    A day is active if an event occurred on it; whole numbers carry every sum, so that days that
    become known late leave the same as if they had come in order.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_windows = len(plan.windows)
    most = largest_gap(x.lead_events)
    days = np.zeros(most + 1, dtype=np.int64)
    latest = np.zeros(most + 1, dtype=np.int64)  # latest event of each active day
    for lead in range(len(x.lead_rows) - 1):
        n_days, longest, squares = 0, 0, 0
        event, end = x.lead_events[lead], x.lead_events[lead + 1]
        for row in range(x.lead_rows[lead], x.lead_rows[lead + 1]):
            t = x.as_of[row]
            while event < end and x.known[event] < t:
                occurred = x.occurred[event]
                event += 1
                day = occurred // DAY_US
                at = _place_of(days, n_days, day)
                if at < n_days and days[at] == day:
                    latest[at] = max(latest[at], occurred)
                    continue
                for i in range(n_days, at, -1):
                    days[i] = days[i - 1]
                    latest[i] = latest[i - 1]
                days[at] = day
                latest[at] = occurred
                n_days += 1
                before = day - days[at - 1] if at > 0 else 0
                after = days[at + 1] - day if at + 1 < n_days else 0
                squares += before * before + after * after
                if before and after:
                    squares -= (before + after) * (before + after)
                low, high = at, at
                while low > 0 and days[low - 1] == days[low] - 1:
                    low -= 1
                while high + 1 < n_days and days[high + 1] == days[high] + 1:
                    high += 1
                longest = max(longest, high - low + 1)
            first = plan.consistency
            today = (t - 1) // DAY_US
            i = n_days - 1
            for w in range(n_windows):
                while i >= 0 and latest[i] >= t - plan.windows[w]:
                    i -= 1
                out[first + w, row] = n_days - 1 - i
            at = first + n_windows
            n_weeks, previous = 0, -(2**60)
            for i in range(n_days - 1, -1, -1):
                week = _week(days[i])
                if week <= _week(today) - WEEKS:
                    break
                n_weeks += week != previous
                previous = week
            out[at, row] = n_weeks
            run = 0
            if n_days and days[n_days - 1] >= today - 1:
                run = 1
                while run < n_days and days[n_days - 1 - run] == days[n_days - run] - 1:
                    run += 1
            out[at + 1, row] = run
            out[at + 2, row] = longest
            mean, variation, burst, overdue = np.nan, np.nan, np.nan, np.nan
            if n_days > 1:
                n_gaps = n_days - 1
                whole = days[n_days - 1] - days[0]
                mean = whole / n_gaps
                overdue = (today - days[n_days - 1]) / mean
                if n_gaps > 1:
                    # n² · variance, in whole numbers.
                    spread = max(squares * n_gaps - whole * whole, 0)
                    variation = math.sqrt(spread) / whole
                    burst = (variation - 1.0) / (variation + 1.0)
            out[at + 3, row] = mean
            out[at + 4, row] = variation
            out[at + 5, row] = burst
            out[at + 6, row] = overdue
