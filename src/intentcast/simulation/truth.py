"""The true probability of every open lead at every weekly as-of time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.acquisition import Leads
from intentcast.simulation.buying import CLOSED, win_probability
from intentcast.simulation.clock import DAY, MONDAYS
from intentcast.simulation.people import People

HORIZONS_DAYS: Final = (30, 60, 90)


@dataclass(frozen=True)
class Truth:
    """One entry per (lead, as-of time); ``p_true`` has one column per horizon.

    ``lead`` is a position in ``Leads``, ``as_of`` is in seconds since the start of the world.
    """

    lead: npt.NDArray[np.int64]
    as_of: npt.NDArray[np.int64]
    p_true: npt.NDArray[np.float64]


def true_probabilities(
    leads: Leads,
    people: People,
    *,
    matrices: npt.NDArray[np.float64],
    paths: npt.NDArray[np.int8],
) -> Truth:
    """P(closed_won in [as_of, as_of + h) | the world at as_of), exact, for leads then open.

    Worked example (its dates are a test): as of Monday 2024-03-04, day 63, and 30 days, the window
    is [2024-03-04, 2024-04-03). It holds the steps of days 63 .. 92, hence ``T ** 30``; a deal won
    at any time of 2024-04-03, day 93, is outside.

    A lead has a row at each Monday 00:00 with ``created_at < as_of <= closed_at``. Off the
    committee, and for whoever arrives after the account closed, the probability is 0.

    Args:
        leads: Who, since when, until when.
        people: Who is on the committee.
        matrices: Daily transition matrices, shape (n_accounts, N_STATES, N_STATES).
        paths: State of each account by day, shape (n_accounts, N_DAYS + 1).

    Returns:
        Rows by lead, then by as-of time.
    """
    mondays = np.asarray(MONDAYS)
    as_of = mondays * DAY
    is_open = (leads.created_at[:, None] < as_of) & (as_of <= leads.closed_at[:, None])
    lead, week = np.nonzero(is_open)
    account = leads.account[lead]
    state = paths[account, mondays[week]]
    can_win = people.is_committee[leads.person[lead]]
    can_win &= ~np.isin(state, [int(s) for s in CLOSED])
    by_state = win_probability(matrices, horizons_days=HORIZONS_DAYS)
    return Truth(
        lead=lead,
        as_of=as_of[week],
        p_true=np.where(can_win[:, None], by_state[account, state], 0.0),
    )
