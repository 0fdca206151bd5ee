"""Contents: how many different ones, revisits of the same one, and the one seen most."""

import numpy as np
from numba import njit

from intentcast.features.columns import REVISIT_DAYS
from intentcast.features.kernel.arrays import ALWAYS, DAY_US, Histories, Ints, Plan, Singles
from intentcast.features.kernel.windows import first_after, largest_gap


@njit(cache=True, nogil=True)
def _latest_before(x: Histories, start: int, events: Ints, moment: int) -> int:
    """Return when the latest of some events before `moment` occurred; `moment` if there is none."""
    latest = ALWAYS
    for event in events:
        occurred = x.occurred[start + event]
        if latest < occurred < moment:
            latest = occurred
    return latest if latest > ALWAYS else moment


@njit(cache=True, nogil=True)
def walk_contents(x: Histories, plan: Plan, out: Singles) -> None:
    """Write distinct contents, revisits and the most repeated content, per window.

    A content counts while at least one of its events is in the window: the union of their spans.
    An event is a revisit if, when it became known, an earlier event on the same content, of the
    `REVISIT_DAYS` before it, was known already.

    Args:
        x: Histories.
        plan: What goes where.
        out: Shape (n_features, n_snapshots).
    """
    n_windows = len(plan.windows)
    most = largest_gap(x.lead_rows)
    distinct = np.zeros((most + 1, n_windows), dtype=np.int64)
    revisits = np.zeros((most + 1, n_windows), dtype=np.int64)
    repeats = np.zeros((most + 1, n_windows), dtype=np.int64)
    on_this = np.zeros((most + 1, n_windows), dtype=np.int64)
    covered = np.zeros(n_windows, dtype=np.int64)
    near = REVISIT_DAYS * DAY_US
    for lead in range(len(x.lead_rows) - 1):
        first, last = x.lead_rows[lead], x.lead_rows[lead + 1]
        n_rows = last - first
        if n_rows == 0:
            continue
        distinct[: n_rows + 1] = 0
        revisits[: n_rows + 1] = 0
        repeats[: n_rows + 1] = 0
        start, end = x.lead_events[lead], x.lead_events[lead + 1]
        # Stable, so that each content's events stay in order of knowledge.
        order = np.argsort(x.content[start:end], kind="mergesort")
        i = 0
        while i < end - start:
            content = x.content[start + order[i]]
            j = i
            while j < end - start and x.content[start + order[j]] == content:
                j += 1
            if content >= 0:
                covered[:] = first
                low, high, latest = last, first, 0
                for k in range(i, j):
                    event = start + order[k]
                    enters = first_after(x.as_of, first, last, x.known[event])
                    if enters == last:
                        break
                    occurred = x.occurred[event]
                    nearest = latest
                    if k > i and latest >= occurred:
                        nearest = _latest_before(x, start, order[i:k], occurred)
                    is_revisit = k > i and 0 < occurred - nearest <= near
                    latest = occurred if k == i else max(latest, occurred)
                    low = min(low, enters)
                    for w in range(n_windows):
                        leaves = first_after(x.as_of, enters, last, occurred + plan.windows[w])
                        if leaves == enters:
                            continue
                        high = max(high, leaves)
                        opens = max(enters, covered[w])
                        if opens < leaves:
                            distinct[opens - first, w] += 1
                            distinct[leaves - first, w] -= 1
                            covered[w] = leaves
                        if is_revisit:
                            revisits[enters - first, w] += 1
                            revisits[leaves - first, w] -= 1
                        on_this[enters - first, w] += 1
                        on_this[leaves - first, w] -= 1
                for w in range(n_windows):
                    running = 0
                    for row in range(low - first, high - first + 1):
                        running += on_this[row, w]
                        on_this[row, w] = 0
                        if running > repeats[row, w]:
                            repeats[row, w] = running
            i = j
        for row in range(n_rows):
            place = first + row
            for w in range(n_windows):
                if row:
                    distinct[row, w] += distinct[row - 1, w]
                    revisits[row, w] += revisits[row - 1, w]
                out[plan.contents + w, place] = distinct[row, w]
                out[plan.contents + n_windows + w, place] = revisits[row, w]
                out[plan.contents + 2 * n_windows + w, place] = repeats[row, w]
