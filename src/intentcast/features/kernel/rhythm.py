"""What passes by in order of knowledge: visits, broken silences, usual hours, earlier outcomes."""

import math

import numpy as np
from numba import njit

from intentcast.features.columns import DORMANT_DAYS, VISIT_MINUTES
from intentcast.features.kernel.arrays import (
    DAY_US,
    RETURNED,
    WON,
    Histories,
    Ints,
    Plan,
    Singles,
)

_HOUR_US = 3_600_000_000
_VISIT_US = VISIT_MINUTES * 60_000_000
_DORMANT_US = DORMANT_DAYS * DAY_US


@njit(cache=True, nogil=True)
def _regularity(counts: Ints) -> float:
    """Return |Σ n_k e^(2πi·k/m)| / Σ n_k for counts of m equal parts of a circle."""
    across, up, n = 0.0, 0.0, 0
    for k in range(len(counts)):
        if counts[k]:
            angle = 2.0 * math.pi * k / len(counts)
            across += counts[k] * math.cos(angle)
            up += counts[k] * math.sin(angle)
            n += counts[k]
    return math.sqrt(across * across + up * up) / n if n > 1 else np.nan


@njit(cache=True, nogil=True)
def walk_rhythm(x: Histories, plan: Plan, out: Singles) -> None:
    """Write visits per group, dormancy and lifecycle.

    Visits and silences are judged when an event becomes known, against the latest occurrence known
    until then; an event that is told late, about a time before that, begins none.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_focus = plan.first_channel
    visits = np.zeros(n_focus, dtype=np.int64)
    latest = np.zeros(n_focus, dtype=np.int64)
    hours = np.zeros(24, dtype=np.int64)
    weekdays = np.zeros(7, dtype=np.int64)
    for lead in range(len(x.lead_rows) - 1):
        first_row, last_row = x.lead_rows[lead], x.lead_rows[lead + 1]
        if first_row == last_row:
            continue
        visits[:] = 0
        hours[:] = 0
        weekdays[:] = 0
        silence, restart, restarts = 0, 0, 0
        start, end = x.lead_events[lead], x.lead_events[lead + 1]
        event = start
        outcome, last_outcome = x.lead_outcomes[lead], x.lead_outcomes[lead + 1]
        won, won_at, returned, returned_at = 0, 0, 0, 0
        for row in range(first_row, last_row):
            t = x.as_of[row]
            while event < end and x.known[event] < t:
                occurred = x.occurred[event]
                for coding in range(3):
                    group = 0
                    if coding > 0:
                        code = x.codes[event, coding - 1]
                        if code < 0:
                            continue
                        group = code + (1 if coding == 1 else plan.first_theme)
                    gap = occurred - latest[group]
                    if visits[group] == 0 or gap > _VISIT_US:
                        if group == 0 and visits[0] > 0 and gap >= _DORMANT_US:
                            silence, restart = gap, occurred
                            restarts += 1
                        visits[group] += 1
                        latest[group] = occurred
                    elif gap > 0:
                        latest[group] = occurred
                hours[(occurred % DAY_US) // _HOUR_US] += 1
                weekdays[(occurred // DAY_US) % 7] += 1
                event += 1
            while outcome < last_outcome and x.outcome_known[outcome] < t:
                occurred = x.outcome_occurred[outcome]
                if x.outcome_kind[outcome] == WON:
                    won_at = max(won_at, occurred) if won else occurred
                    won += 1
                elif x.outcome_kind[outcome] == RETURNED:
                    returned_at = max(returned_at, occurred) if returned else occurred
                    returned += 1
                outcome += 1
            if plan.visits >= 0:
                for group in range(n_focus):
                    out[plan.visits + group, row] = visits[group]
            if plan.dormancy >= 0:
                at = plan.dormancy
                out[at, row] = silence / DAY_US
                out[at + 1, row] = (t - restart) / DAY_US if restarts else np.nan
                out[at + 2, row] = restarts
            if plan.lifecycle >= 0:
                at = plan.lifecycle
                out[at, row] = (t - x.created[lead]) / DAY_US
                out[at + 1, row] = (t - x.known[start]) / DAY_US if event > start else np.nan
                out[at + 2, row] = _regularity(hours)
                out[at + 3, row] = _regularity(weekdays)
                out[at + 4, row] = won
                out[at + 5, row] = (t - won_at) / DAY_US if won else np.nan
                out[at + 6, row] = returned
                out[at + 7, row] = (t - returned_at) / DAY_US if returned else np.nan
