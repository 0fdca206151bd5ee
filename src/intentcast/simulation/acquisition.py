"""How people become leads: when, from which source, and when their case closes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.accounts import Accounts
from intentcast.simulation.buying import CLOSED
from intentcast.simulation.clock import DAY, END_SECOND, N_DAYS, office_second
from intentcast.simulation.people import People, Persona

NEVER: Final = 2 * END_SECOND  # a closing time after every event

SOURCES: Final = (
    "badge_scan",
    "newsletter",
    "webinar",
    "whitepaper",
    "pricing_download",
    "inquiry",
    "referral",
)

# Daily chance to become a lead, by state of the account.
_ARRIVAL: Final = (0.0003, 0.0080, 0.0120, 0.0120, 0.0010, 0.0010, 0.0010, 0.0001, 0.0001)
_OUTSIDER_ARRIVAL: Final = 0.0010

# Share of each source (columns as SOURCES), by state of the account.
_SOURCE_SHARE: Final = (
    (0.34, 0.30, 0.18, 0.13, 0.02, 0.01, 0.02),
    (0.16, 0.22, 0.25, 0.26, 0.04, 0.04, 0.03),
    (0.08, 0.10, 0.20, 0.24, 0.17, 0.15, 0.06),
    (0.05, 0.06, 0.14, 0.15, 0.24, 0.27, 0.09),
    (0.28, 0.28, 0.20, 0.16, 0.03, 0.02, 0.03),
    (0.24, 0.24, 0.22, 0.16, 0.06, 0.04, 0.04),
    (0.22, 0.22, 0.20, 0.16, 0.08, 0.08, 0.04),
    (0.34, 0.34, 0.18, 0.10, 0.01, 0.01, 0.02),
    (0.34, 0.34, 0.18, 0.10, 0.01, 0.01, 0.02),
)
_OUTSIDER_SOURCE_SHARE: Final = (0.08, 0.20, 0.18, 0.34, 0.14, 0.05, 0.01)


@dataclass(frozen=True)
class Leads:
    """One entry per lead in every array, shape (n_leads,); grouped by account.

    ``person`` is a position in ``People``, ``account`` one in ``Accounts``. Times are seconds since
    the start of the world. ``closed_at`` is the lead's own won or lost, or ``NEVER``.
    """

    person: npt.NDArray[np.int64]
    account: npt.NDArray[np.int64]
    created_at: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    closed_at: npt.NDArray[np.int64]

    def first(self, n_leads: int) -> "Leads":
        """The leads at the first ``n_leads`` positions."""
        return Leads(
            person=self.person[:n_leads],
            account=self.account[:n_leads],
            created_at=self.created_at[:n_leads],
            source=self.source[:n_leads],
            closed_at=self.closed_at[:n_leads],
        )


def acquire_leads(
    people: People,
    accounts: Accounts,
    *,
    paths: npt.NDArray[np.int8],
    rng: np.random.Generator,
) -> Leads:
    """People who become leads within the world.

    A person arrives on the first day when the summed daily chance passes an exponential draw, so
    arrival on day ``d`` depends on states up to ``S[d]`` only.
    """
    is_outsider = (accounts.is_outsider[people.account]) | (people.persona >= Persona.STUDENT)
    hazard = np.cumsum(np.asarray(_ARRIVAL)[paths[:, :N_DAYS]], axis=1)
    outside_hazard = np.cumsum(np.full(N_DAYS, _OUTSIDER_ARRIVAL))
    patience = rng.exponential(1.0, len(people.account))
    day = np.empty(len(people.account), dtype=np.int64)
    for person, account in enumerate(people.account):
        row = outside_hazard if is_outsider[person] else hazard[account]
        day[person] = np.searchsorted(row, patience[person])

    second = office_second(rng, size=len(day))
    lot = rng.random(len(day))
    arrived = np.flatnonzero(day < N_DAYS)
    account = people.account[arrived]
    state = paths[account, day[arrived]]
    share = np.where(
        is_outsider[arrived, None], _OUTSIDER_SOURCE_SHARE, np.asarray(_SOURCE_SHARE)[state]
    )
    source = (lot[arrived, None] >= np.cumsum(share, axis=1)[:, :-1]).sum(axis=1)
    created_at = day[arrived] * DAY + second[arrived]

    account_closed_at = closing_second(paths, rng)
    closes = people.is_committee[arrived] & (created_at < account_closed_at[account])
    return Leads(
        person=arrived,
        account=account,
        created_at=created_at,
        source=source,
        closed_at=np.where(closes, account_closed_at[account], NEVER),
    )


def closing_second(paths: npt.NDArray[np.int8], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """When each account is bought or lost, or ``NEVER``; shape (n_accounts,).

    The step ``S[d] -> S[d + 1]`` into a closed state becomes a time inside day ``d``.
    """
    is_closed = np.isin(paths, [int(state) for state in CLOSED])
    day = np.argmax(is_closed, axis=1) - 1
    return np.where(is_closed.any(axis=1), day * DAY + office_second(rng, size=len(paths)), NEVER)
