"""Recency-weighted sums, and what is said by comparing them: coherence and acceleration."""

import math

import numpy as np
from numba import njit

from intentcast.features.kernel.arrays import DAY_US, LARGEST, Floats, Histories, Plan, Singles
from intentcast.features.kernel.tile import ROWS, flush_if_full

# Exponents grow with a history's length; beyond this the reference instant moves on.
_FAR = 512.0


@njit(cache=True, nogil=True)
def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else np.nan


@njit(cache=True, nogil=True)
def add_decayed(
    state: Floats, reference: Floats, half_lives: Floats, occurred: int, grown: Floats
) -> None:
    """Set `grown[h] = 2^((occurred − reference[h])/h)`; move the reference where that grows large.

    The sum Σ v·2^(−(t − o)/h) is kept as `state = Σ v·2^((o − reference)/h)`, so that one power per
    event and half-life serves every group, and one per snapshot reads them all. The state has shape
    (n_half_lives, n_groups).
    """
    for h in range(len(half_lives)):
        exponent = (occurred - reference[h]) / half_lives[h]
        if exponent > _FAR:
            shrink = np.exp2(-exponent)
            for group in range(state.shape[1]):
                state[h, group] *= shrink
            reference[h] = occurred
            exponent = 0.0
        grown[h] = np.exp2(exponent)


@njit(cache=True, nogil=True)
def walk_decay(x: Histories, plan: Plan, out: Singles) -> None:
    """Write recency, last, value (but its windows), coherence (but its breadth) and acceleration.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_half, n_groups = len(plan.half_lives), plan.n_groups
    n_windows = len(plan.windows)
    # Values and durations are summed as two more groups.
    state = np.zeros((n_half, n_groups + 2))
    sums = np.zeros((n_half, n_groups + 2))
    reference = np.zeros(n_half)
    grown = np.zeros(n_half)
    latest = np.zeros(n_groups + 2, dtype=np.int64)
    seen = np.zeros(n_groups + 2, dtype=np.bool_)
    firsts = (0, 1, plan.first_theme, plan.first_channel)
    n_extra = n_half + n_windows + 1
    n_rows = len(x.as_of)
    recency = np.empty((n_groups * n_half if plan.recency >= 0 else 0, ROWS), dtype=np.float32)
    last = np.empty((n_groups if plan.last >= 0 else 0, ROWS), dtype=np.float32)
    for lead in range(len(x.lead_rows) - 1):
        first_row, last_row = x.lead_rows[lead], x.lead_rows[lead + 1]
        if first_row == last_row:
            continue
        event, end = x.lead_events[lead], x.lead_events[lead + 1]
        state[:] = 0.0
        seen[:] = False
        reference[:] = x.known[event] if event < end else 0
        for row in range(first_row, last_row):
            t = x.as_of[row]
            while event < end and x.known[event] < t:
                occurred = x.occurred[event]
                add_decayed(state, reference, plan.half_lives, occurred, grown)
                for coding in range(6):
                    weight = 1.0
                    if coding == 0:
                        group = 0
                    elif coding <= 3:
                        group = x.codes[event, coding - 1]
                        if group < 0:
                            continue
                        group += firsts[coding]
                    else:
                        weight = x.value[event] if coding == 4 else x.duration[event]
                        if np.isnan(weight):
                            continue
                        weight = min(max(weight, -LARGEST), LARGEST)
                        group = n_groups + coding - 4
                    for h in range(n_half):
                        state[h, group] += weight * grown[h]
                    if not seen[group] or occurred > latest[group]:
                        latest[group] = occurred
                    seen[group] = True
                event += 1
            k = row % ROWS
            for h in range(n_half):
                # Where nothing is seen yet, the reference may be of a time to come.
                decayed = np.exp2(min((reference[h] - t) / plan.half_lives[h], 0.0))
                for group in range(n_groups + 2):
                    sums[h, group] = state[h, group] * decayed
            if plan.recency >= 0:
                for h in range(n_half):
                    for group in range(n_groups):
                        recency[group * n_half + h, k] = sums[h, group]
                flush_if_full(recency, out, plan.recency, row, n_rows)
            if plan.last >= 0:
                for group in range(n_groups):
                    last[group, k] = (t - latest[group]) / DAY_US if seen[group] else np.nan
                flush_if_full(last, out, plan.last, row, n_rows)
            if plan.value >= 0:
                at = plan.value
                for extra in range(2):
                    if (extra == 0 and plan.has_values) or (extra == 1 and plan.has_durations):
                        group = n_groups + extra
                        for h in range(n_half):
                            out[at + h, row] = sums[h, group]
                        days = (t - latest[group]) / DAY_US if seen[group] else np.nan
                        out[at + n_extra - 1, row] = days
                        at += n_extra
            if plan.coherence >= 0:
                _write_coherence(sums, plan, out, row)
            if plan.acceleration >= 0:
                _write_acceleration(sums, plan, out, row)


@njit(cache=True, nogil=True)
def _write_coherence(sums: Floats, plan: Plan, out: Singles, row: int) -> None:
    at = plan.coherence
    first, last = plan.first_theme, plan.first_channel
    has_core = plan.core.any()
    for h in plan.coherent:
        whole, top, core = 0.0, 0.0, 0.0
        for group in range(first, last):
            part = sums[h, group]
            whole += part
            top = max(top, part)
            if plan.core[group - first]:
                core += part
        entropy = 0.0
        for group in range(first, last):
            if sums[h, group] > 0.0:
                share = sums[h, group] / whole
                entropy -= share * math.log(share)
        out[at, row] = max(entropy, 0.0) if whole > 0.0 else np.nan
        out[at + 1, row] = _ratio(top, whole)
        at += 2
        if has_core:
            out[at, row] = _ratio(core, whole)
            at += 1
    whole = 0.0
    for group in range(first, last):
        whole += sums[plan.middle, group]
    for group in range(first, last):
        out[at, row] = _ratio(sums[plan.middle, group], whole)
        at += 1


@njit(cache=True, nogil=True)
def _write_acceleration(sums: Floats, plan: Plan, out: Singles, row: int) -> None:
    at = plan.acceleration
    longest = len(plan.half_lives) - 1
    for h in range(longest):
        out[at, row] = _ratio(sums[h, 0], sums[h + 1, 0])
        at += 1
    if plan.middle == longest:
        return
    for group in range(1, plan.first_channel):
        out[at, row] = _ratio(sums[plan.middle, group], sums[longest, group])
        at += 1
