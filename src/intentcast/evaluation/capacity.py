"""What sales gets: leads handed over week by week, each once, as many as sales can take."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ties = Literal["expected", "worst", "best"]


class PrecisionAtCapacity(NamedTuple):
    """Share of converters among the leads handed over, with the room that ties leave.

    `worst` and `best` break every tie against and for the contender; `expected` is the mean over
    random orders, taken week by week. A lead that is kept back in one week can convert in a later
    one, so that week by week is not always the worst or the best of all ways: the three are put in
    order.
    """

    expected: float
    worst: float
    best: float
    n_handoffs: float
    n_converted: float
    lift: float


class GainsPoint(NamedTuple):
    """One point of the gains curve."""

    share_of_leads: float
    share_of_conversions: float


def handed_over(
    scores: Sequence[Floats],
    converted: Floats,
    leads: Ints,
    times: Ints,
    *,
    per_time: float,
    ties: Ties = "expected",
) -> list[Floats]:
    """Return, for each contender, how much of each snapshot is handed over, in [0, 1].

    At each as-of time, in order, the highest scores among leads not handed over before go to
    sales. Every contender gets the same number of seats there: `per_time`, or as many leads as
    the contender with fewest left still has. Leads that tie at the edge share the remaining seats
    equally (`expected`), or the seats go to those that will not convert (`worst`) or will
    (`best`). The result does not depend on the order of rows.

    Args:
        scores: Of each contender, higher is sooner; each of shape (n,).
        converted: 0 or 1 within the horizon of the as-of time, shape (n,).
        leads: Numbers from 0, shape (n,).
        times: As-of times, shape (n,).
        per_time: Seats at each as-of time; a part of a seat is a part of a lead.
        ties: How ties at the edge are broken.

    Returns:
        One array of shape (n,) per contender; all sum to the same volume.
    """
    n_leads = int(leads.max()) + 1 if len(leads) else 0
    shares = [np.zeros(len(converted)) for _ in scores]
    left = [np.ones(n_leads) for _ in scores]
    tie_break = {"expected": 0.0, "worst": -1.0, "best": 1.0}[ties] * converted
    orders = [np.lexsort((-tie_break, -score, times)) for score in scores]
    in_time = np.sort(times)
    starts = np.flatnonzero(np.diff(in_time, prepend=np.int64(-(2**62))))
    ends = np.append(starts, len(in_time))[1:]
    for start, end in zip(starts, ends, strict=True):
        rows = [order[start:end] for order in orders]
        available = [mass[leads[r]] for mass, r in zip(left, rows, strict=True)]
        seats = min(float(per_time), *(float(mass.sum()) for mass in available))
        for i, score in enumerate(scores):
            given = _seat(score[rows[i]], tie_break[rows[i]], available[i], seats)
            shares[i][rows[i]] = given
            left[i][leads[rows[i]]] -= given
    return shares


def _seat(score: Floats, tie_break: Floats, available: Floats, seats: float) -> Floats:
    """Fill seats from the front; the group that straddles the edge shares what is left."""
    is_new = (np.diff(score, prepend=np.inf) != 0) | (np.diff(tie_break, prepend=np.inf) != 0)
    group = np.cumsum(is_new) - 1
    wanted = np.bincount(group, weights=available)
    before = np.cumsum(wanted) - wanted
    given = np.clip(seats - before, 0.0, wanted)
    ratio = np.divide(given, wanted, out=np.zeros_like(given), where=wanted > 0)
    out: Floats = available * ratio[group]
    return out


def precision_at_capacity(
    score: Floats, converted: Floats, leads: Ints, times: Ints, *, per_time: float
) -> PrecisionAtCapacity:
    """Return the share of handed-over leads that convert within the horizon; see `handed_over`."""
    if len(score) == 0:
        nothing = float("nan")
        return PrecisionAtCapacity(nothing, nothing, nothing, 0.0, 0.0, nothing)
    [share] = handed_over([score], converted, leads, times, per_time=per_time)
    expected = float((share * converted).sum() / share.sum())
    ends = [expected]
    ways: tuple[Ties, ...] = ("worst", "best")
    for ties in ways:
        [way] = handed_over([score], converted, leads, times, per_time=per_time, ties=ties)
        ends.append(float((way * converted).sum() / way.sum()))
    base = float(converted.mean())
    return PrecisionAtCapacity(
        expected=expected,
        worst=min(ends),
        best=max(ends),
        n_handoffs=float(share.sum()),
        n_converted=float((share * converted).sum()),
        lift=expected / base if base else float("nan"),
    )


def gains_curve(score: Floats, converted: Floats, *, n_points: int = 50) -> list[GainsPoint]:
    """Return the share of conversions found in the top share of snapshots; ties are averaged."""
    order = np.argsort(-score, kind="stable")
    _, group = np.unique(-score[order], return_inverse=True)
    mean = np.bincount(group, weights=converted[order]) / np.bincount(group)
    found = np.append(0.0, np.cumsum(mean[group]))
    total = max(found[-1], 1e-12)
    at = np.linspace(0, len(score), n_points + 1).round().astype(int)
    return [GainsPoint(i / max(len(score), 1), float(found[i] / total)) for i in at]
