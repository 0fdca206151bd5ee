"""The arithmetic of features: one pass over each entity's events for all its as-of times.

An entity is a lead or an account. Events are sorted by entity and by when they became known;
snapshots by entity and as-of time. Every function is deterministic and treats each entity alone,
so the same entity gives the same bits in any batch, alone, and for any other as-of times.
Times are integer microseconds; half-lives and windows too.

An event that became known at `k` and occurred at `o` is seen by as-of times `t > k`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LN2 = math.log(2.0)
DAY_US = 86_400_000_000


@njit(cache=True)
def entity_bounds(entity: Ints, n_entities: int) -> Ints:
    """Return where each entity's rows start and end in a sorted column; shape (n_entities + 1,)."""
    bounds = np.zeros(n_entities + 1, dtype=np.int64)
    for row in range(len(entity)):
        bounds[entity[row] + 1] += 1
    for i in range(n_entities):
        bounds[i + 1] += bounds[i]
    return bounds


@njit(cache=True)
def decayed_sums(
    event_bounds: Ints,
    snapshot_bounds: Ints,
    known: Ints,
    occurred: Ints,
    codes: NDArray[np.int32],
    weights: Floats,
    as_of: Ints,
    half_lives: Floats,
    n_groups: int,
) -> tuple[Floats, Floats]:
    """Return recency-weighted sums and the age of the latest event, per group.

    The sum over seen events of `weight · 2^(−(t − o) / half-life)`, kept as a state that decays:
    at each event `state ← state · 2^(−Δ/half-life) + weight · 2^(−(k − o)/half-life)`.

    Args:
        event_bounds: From `entity_bounds`, of the events.
        snapshot_bounds: From `entity_bounds`, of the snapshots.
        known: When each event became known, shape (n_events,).
        occurred: When it occurred, never later than `known`.
        codes: Which groups each event adds to, shape (n_events, n_codings); −1 for none.
        weights: What it adds there, same shape.
        as_of: Shape (n_snapshots,).
        half_lives: Shape (n_half_lives,).
        n_groups: Number of groups.

    Returns:
        Sums of shape (n_snapshots, n_groups, n_half_lives); days since the latest occurrence of
        shape (n_snapshots, n_groups), NaN where there was none.
    """
    n_half = len(half_lives)
    rate = LN2 / half_lives
    sums = np.zeros((len(as_of), n_groups, n_half))
    days_since = np.full((len(as_of), n_groups), np.nan)
    state = np.zeros((n_groups, n_half))
    updated = np.zeros(n_groups, dtype=np.int64)
    latest = np.zeros(n_groups, dtype=np.int64)
    seen = np.zeros(n_groups, dtype=np.bool_)
    for entity in range(len(snapshot_bounds) - 1):
        first, last = snapshot_bounds[entity], snapshot_bounds[entity + 1]
        if first == last:
            continue
        state[:] = 0.0
        seen[:] = False
        event, end = event_bounds[entity], event_bounds[entity + 1]
        for row in range(first, last):
            while event < end and known[event] < as_of[row]:
                lag = known[event] - occurred[event]
                for coding in range(codes.shape[1]):
                    group = codes[event, coding]
                    if group < 0:
                        continue
                    gap = known[event] - updated[group] if seen[group] else 0
                    for h in range(n_half):
                        state[group, h] = state[group, h] * math.exp(-gap * rate[h]) + weights[
                            event, coding
                        ] * math.exp(-lag * rate[h])
                    updated[group] = known[event]
                    if not seen[group] or occurred[event] > latest[group]:
                        latest[group] = occurred[event]
                    seen[group] = True
                event += 1
            for group in range(n_groups):
                if seen[group]:
                    gap = as_of[row] - updated[group]
                    for h in range(n_half):
                        sums[row, group, h] = state[group, h] * math.exp(-gap * rate[h])
                    days_since[row, group] = (as_of[row] - latest[group]) / DAY_US
    return sums, days_since


@njit(cache=True)
def _first_after(as_of: Ints, first: int, last: int, moment: int) -> int:
    """Return the first row in [first, last) whose as-of time is after `moment`."""
    while first < last:
        middle = (first + last) // 2
        if as_of[middle] > moment:
            last = middle
        else:
            first = middle + 1
    return first


@njit(cache=True)
def windowed_counts(
    event_bounds: Ints,
    snapshot_bounds: Ints,
    known: Ints,
    occurred: Ints,
    codes: NDArray[np.int32],
    as_of: Ints,
    windows: Ints,
    n_groups: int,
) -> Floats:
    """Return how many seen events of each group occurred in `[t − window, t)`.

    Each event is counted once: it enters at the first as-of time after `known` and leaves at the
    first after `occurred + window`. Whole numbers, so exact in any order.

    Returns:
        Shape (n_snapshots, n_groups, n_windows).
    """
    n_windows = len(windows)
    counts = np.zeros((len(as_of), n_groups, n_windows))
    for entity in range(len(snapshot_bounds) - 1):
        first, last = snapshot_bounds[entity], snapshot_bounds[entity + 1]
        if first == last:
            continue
        for event in range(event_bounds[entity], event_bounds[entity + 1]):
            enters = _first_after(as_of, first, last, known[event])
            if enters == last:
                continue
            for w in range(n_windows):
                leaves = _first_after(as_of, first, last, occurred[event] + windows[w])
                if enters >= leaves:
                    continue
                for coding in range(codes.shape[1]):
                    group = codes[event, coding]
                    if group >= 0:
                        counts[enters, group, w] += 1.0
                        if leaves < last:
                            counts[leaves, group, w] -= 1.0
        for row in range(first + 1, last):
            for group in range(n_groups):
                for w in range(n_windows):
                    counts[row, group, w] += counts[row - 1, group, w]
    return counts


@njit(cache=True)
def distinct_counts(
    event_bounds: Ints,
    snapshot_bounds: Ints,
    known: Ints,
    occurred: Ints,
    key: Ints,
    as_of: Ints,
    windows: Ints,
) -> Floats:
    """Return how many distinct keys the seen events of `[t − window, t)` have.

    A key counts while at least one of its events is in the window: the union of their intervals.
    Events must be sorted by entity, key and `known`; a negative key is none.

    Returns:
        Shape (n_snapshots, n_windows).
    """
    n_windows = len(windows)
    counts = np.zeros((len(as_of), n_windows))
    covered = np.zeros(n_windows, dtype=np.int64)
    for entity in range(len(snapshot_bounds) - 1):
        first, last = snapshot_bounds[entity], snapshot_bounds[entity + 1]
        if first == last:
            continue
        previous = -1
        for event in range(event_bounds[entity], event_bounds[entity + 1]):
            if key[event] < 0:
                continue
            if key[event] != previous:
                covered[:] = first
                previous = key[event]
            enters = _first_after(as_of, first, last, known[event])
            if enters == last:
                continue
            for w in range(n_windows):
                leaves = _first_after(as_of, first, last, occurred[event] + windows[w])
                start = max(enters, covered[w])
                if start < leaves:
                    counts[start, w] += 1.0
                    if leaves < last:
                        counts[leaves, w] -= 1.0
                    covered[w] = leaves
        for row in range(first + 1, last):
            for w in range(n_windows):
                counts[row, w] += counts[row - 1, w]
    return counts
