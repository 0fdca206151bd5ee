"""What the account does: people engaged and their rank, colleagues' activity and outcomes."""

import numpy as np
from numba import njit

from intentcast.features.columns import SENIOR_FROM, SENIOR_WINDOWS
from intentcast.features.kernel.arrays import (
    ALWAYS,
    DAY_US,
    LOST,
    THEME,
    WON,
    Histories,
    Ints,
    Plan,
    Singles,
)
from intentcast.features.kernel.decay import add_decayed

_SENIOR_US = tuple(days * DAY_US for days in SENIOR_WINDOWS)


@njit(cache=True, nogil=True)
def looks_of(x: Histories, first_lead: int, last_lead: int) -> Ints:
    """Return the account's as-of times, each once, rising."""
    return np.unique(x.as_of[x.lead_rows[first_lead] : x.lead_rows[last_lead]])


@njit(cache=True, nogil=True)
def walk_accounts(x: Histories, plan: Plan, out: Singles) -> None:
    """Write people engaged, colleagues' recency-weighted sums, ranks, and colleagues' outcomes.

    Each person's sums are kept alone. What colleagues did is summed over the others, before and
    after the lead, so that it is exactly zero where they did nothing.

    Args:
        x: Histories.
        plan: What goes where; shared content, in the midst, is written by `walk_sharing`.
        out: Shape (n_features, n_snapshots).
    """
    n_windows, n_half = len(plan.windows), len(plan.half_lives)
    n_groups = 1 + plan.first_channel - plan.first_theme
    n_people = n_windows + (len(_SENIOR_US) + 1 if plan.has_ranks else 0)
    people = np.zeros(n_people, dtype=np.int64)
    grown = np.zeros(n_half)
    for account in range(len(x.account_leads) - 1):
        first, last = x.account_leads[account], x.account_leads[account + 1]
        n = last - first
        if x.lead_rows[first] == x.lead_rows[last]:
            continue
        state = np.zeros((n, n_half, n_groups))
        reference = np.zeros((n, n_half))
        # Sums of those before each lead and, walking back, of those after it.
        before = np.zeros((n + 1, n_half, n_groups))
        after = np.zeros((n_half, n_groups))
        latest = np.full(n, ALWAYS)
        next_event = x.lead_events[first:last].copy()
        next_outcome = x.lead_outcomes[first:last].copy()
        next_row = x.lead_rows[first:last].copy()
        won = np.zeros(n, dtype=np.int64)
        lost = np.zeros(n, dtype=np.int64)
        won_at = np.full(n, ALWAYS)
        for t in looks_of(x, first, last):
            for i in range(n):
                event = next_event[i]
                start, end = x.lead_events[first + i], x.lead_events[first + i + 1]
                while event < end and x.known[event] < t:
                    occurred = x.occurred[event]
                    latest[i] = max(latest[i], occurred)
                    if n > 1:
                        if event == start:
                            reference[i, :] = x.known[event]
                        add_decayed(state[i], reference[i], plan.half_lives, occurred, grown)
                        theme = x.codes[event, THEME]
                        for h in range(n_half):
                            state[i, h, 0] += grown[h]
                            if theme >= 0:
                                state[i, h, 1 + theme] += grown[h]
                    event += 1
                next_event[i] = event
                outcome = next_outcome[i]
                while outcome < x.lead_outcomes[first + i + 1] and x.outcome_known[outcome] < t:
                    if x.outcome_kind[outcome] == WON:
                        won_at[i] = max(won_at[i], x.outcome_occurred[outcome])
                        won[i] += 1
                    elif x.outcome_kind[outcome] == LOST:
                        lost[i] += 1
                    outcome += 1
                next_outcome[i] = outcome
                if n > 1:
                    for h in range(n_half):
                        decayed = np.exp2(min((reference[i, h] - t) / plan.half_lives[h], 0.0))
                        for group in range(n_groups):
                            own = state[i, h, group] * decayed
                            before[i + 1, h, group] = before[i, h, group] + own
            _count_people(x, plan, first, latest, t, people)
            newest, second = _two_newest(won_at)
            all_won, all_lost = won.sum(), lost.sum()
            after[:] = 0.0
            for i in range(n - 1, -1, -1):
                row = next_row[i]
                while row < x.lead_rows[first + i + 1] and x.as_of[row] == t:
                    at = plan.account
                    for w in range(n_windows):
                        out[at + w, row] = people[w]
                    at += n_windows
                    for group in range(n_groups):
                        for h in range(n_half):
                            colleagues = before[i, h, group] + after[h, group]
                            out[at + group * n_half + h, row] = colleagues
                    at += n_groups * n_half + 2
                    for k in range(n_windows, n_people):
                        out[at + k - n_windows, row] = people[k]
                    at += n_people - n_windows
                    out[at, row] = all_won - won[i]
                    out[at + 1, row] = all_lost - lost[i]
                    other = second if newest == i else newest
                    out[at + 2, row] = (t - won_at[other]) / DAY_US if other >= 0 else np.nan
                    row += 1
                next_row[i] = row
                if n > 1:
                    for h in range(n_half):
                        decayed = np.exp2(min((reference[i, h] - t) / plan.half_lives[h], 0.0))
                        for group in range(n_groups):
                            after[h, group] += state[i, h, group] * decayed


@njit(cache=True, nogil=True)
def _two_newest(moments: Ints) -> tuple[int, int]:
    """Return who has the newest moment and who the second newest; −1 for none."""
    newest, second = -1, -1
    for i in range(len(moments)):
        if moments[i] == ALWAYS:
            continue
        if newest < 0 or moments[i] > moments[newest]:
            newest, second = i, newest
        elif second < 0 or moments[i] > moments[second]:
            second = i
    return newest, second


@njit(cache=True, nogil=True)
def _count_people(x: Histories, plan: Plan, first: int, latest: Ints, t: int, people: Ints) -> None:
    """Set people engaged per window, those of rank per senior window, and the highest rank."""
    n_windows = len(plan.windows)
    people[:] = 0
    for i in range(len(latest)):
        if latest[i] == ALWAYS:
            continue
        for w in range(n_windows):
            people[w] += latest[i] >= t - plan.windows[w]
        if not plan.has_ranks:
            continue
        rank = 0
        for change in range(x.lead_ranks[first + i], x.lead_ranks[first + i + 1]):
            if x.rank_known[change] < t:
                rank = x.rank[change]
        for w in range(len(_SENIOR_US)):
            people[n_windows + w] += latest[i] >= t - _SENIOR_US[w] and rank >= SENIOR_FROM
        if latest[i] >= t - _SENIOR_US[-1]:
            people[-1] = max(people[-1], rank)
