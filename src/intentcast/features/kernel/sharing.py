"""Content that several people of an account look at."""

import numpy as np
from numba import njit

from intentcast.features.columns import SHARED_DAYS
from intentcast.features.kernel.account import looks_of
from intentcast.features.kernel.arrays import DAY_US, Histories, Plan, Singles
from intentcast.features.kernel.windows import first_after

_SHARED_US = SHARED_DAYS * DAY_US


@njit(cache=True, nogil=True)
def walk_sharing(x: Histories, plan: Plan, out: Singles) -> None:
    """Write how many contents two or more people of the account saw, and the lead among them.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_themes = plan.first_channel - plan.first_theme
    at = plan.account + len(plan.windows) + (1 + n_themes) * len(plan.half_lives)
    for account in range(len(x.account_leads) - 1):
        first, last = x.account_leads[account], x.account_leads[account + 1]
        first_row, last_row = x.lead_rows[first], x.lead_rows[last]
        for row in range(first_row, last_row):
            out[at, row] = 0.0
            out[at + 1, row] = 0.0
        start, end = x.lead_events[first], x.lead_events[last]
        if first_row == last_row or last - first < 2 or start == end:
            continue
        looks = looks_of(x, first, last)
        n_looks = len(looks)
        person = np.empty(end - start, dtype=np.int64)
        for lead in range(first, last):
            for event in range(x.lead_events[lead], x.lead_events[lead + 1]):
                person[event - start] = lead - first
        # By content, and inside each by person, then in order of knowledge.
        order = np.argsort(x.content[start:end], kind="mergesort")
        people = np.zeros(n_looks + 1, dtype=np.int64)
        shared = np.zeros(n_looks, dtype=np.int64)
        own = np.zeros((last - first, n_looks), dtype=np.int64)
        i = 0
        while i < len(order):
            content = x.content[start + order[i]]
            j = i
            while j < len(order) and x.content[start + order[j]] == content:
                j += 1
            if content >= 0 and person[order[i]] != person[order[j - 1]]:
                people[:] = 0
                for step in range(2):
                    k = i
                    while k < j:
                        who = person[order[k]]
                        covered = 0
                        while k < j and person[order[k]] == who:
                            event = start + order[k]
                            k += 1
                            enters = first_after(looks, 0, n_looks, x.known[event])
                            leaves = first_after(
                                looks, enters, n_looks, x.occurred[event] + _SHARED_US
                            )
                            for look in range(max(enters, covered), leaves):
                                if step == 0:
                                    people[look] += 1
                                elif people[look] > 1:
                                    own[who, look] += 1
                            covered = max(covered, leaves)
                for look in range(n_looks):
                    shared[look] += people[look] > 1
            i = j
        for lead in range(first, last):
            look = 0
            for row in range(x.lead_rows[lead], x.lead_rows[lead + 1]):
                while looks[look] < x.as_of[row]:
                    look += 1
                out[at, row] = shared[look]
                out[at + 1, row] = own[lead - first, look]
