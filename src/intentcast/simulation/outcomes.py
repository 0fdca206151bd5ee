"""What became of a lead: opportunities, deals won and lost, and hand-offs that came too early."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.accounts import Accounts
from intentcast.simulation.acquisition import NEVER, Leads
from intentcast.simulation.buying import State
from intentcast.simulation.clock import DAY, END_SECOND, N_DAYS, office_second
from intentcast.simulation.events import TYPE_CODE, Events
from intentcast.simulation.people import People, Persona

Codes = npt.NDArray[np.int64]

OUTCOMES: Final = ("opportunity_created", "mql_rejected", "closed_won", "closed_lost")
REASONS: Final = (
    "too early",
    "no budget",
    "student",
    "competitor",
    "wrong role",
    "no decision",
    "price",
    "chose a competitor",
)
_LOST_REASONS: Final = ("no decision", "price", "chose a competitor", "no budget")
_LOST_SHARE: Final = (0.40, 0.22, 0.23, 0.15)

_P_OPPORTUNITY_LOGGED: Final = 0.8
_P_HANDED_OFF: Final = 0.10  # per form, request or download
_RETURNED_WITHIN_DAYS: Final = 6
_PAUSE_DAYS: Final = 90  # a returned lead is left alone for so long
_PRICE_PER_EMPLOYEE: Final = 85.0
_TOO_EARLY_STATES: Final = (
    State.UNAWARE,
    State.AWARENESS,
    State.STALLED_AWARENESS,
    State.STALLED_CONSIDERATION,
)


@dataclass(frozen=True)
class Outcomes:
    """One entry per outcome in every array; no amount is NaN, no reason is -1."""

    lead: Codes
    at: Codes
    outcome: Codes
    amount: npt.NDArray[np.float64]
    reason: Codes
    recorded_at: Codes


def decide_outcomes(
    leads: Leads,
    people: People,
    accounts: Accounts,
    *,
    paths: npt.NDArray[np.int8],
    activity: Events,
    rng: np.random.Generator,
) -> Outcomes:
    """All outcomes of all leads, in no particular order."""
    parts = [
        _closings(leads, accounts, paths=paths, rng=rng),
        _opportunities(leads, people, paths=paths, rng=rng),
        _rejections(leads, people, accounts, paths=paths, activity=activity, rng=rng),
    ]
    lead, at, outcome, amount, reason = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    delay_days = rng.choice(4, len(lead), p=(0.45, 0.30, 0.15, 0.10))
    recorded_at = at + delay_days * DAY + rng.integers(60, 7_200, len(lead))
    # Sales closes its books at the end of the year, so nothing that happened is missing from them.
    return Outcomes(
        lead=lead, at=at, outcome=outcome, amount=amount, reason=reason,
        recorded_at=np.minimum(recorded_at, END_SECOND - 1),
    )  # fmt: skip


Columns = tuple[Codes, Codes, Codes, npt.NDArray[np.float64], Codes]


def _closings(
    leads: Leads, accounts: Accounts, *, paths: npt.NDArray[np.int8], rng: np.random.Generator
) -> Columns:
    """Won and lost, at the same instant for every committee member who is a lead then.

    The deal's amount is split equally among them, so that amounts of an account add up to its deal.
    """
    lead = np.flatnonzero(leads.closed_at < NEVER)
    account = leads.account[lead]
    is_won = paths[account, N_DAYS] == State.BOUGHT
    size = accounts.employee_count.astype(np.float64)
    deal = np.round(_PRICE_PER_EMPLOYEE * size**0.85 * np.exp(rng.normal(0, 0.4, len(size))), -2)
    n_winners = np.bincount(account[is_won], minlength=len(size))
    amount = np.where(
        is_won, np.round(deal[account] / np.maximum(n_winners[account], 1), 2), np.nan
    )
    lost_reason = np.asarray([REASONS.index(name) for name in _LOST_REASONS])
    reason = lost_reason[rng.choice(len(lost_reason), len(size), p=_LOST_SHARE)][account]
    outcome = np.where(is_won, OUTCOMES.index("closed_won"), OUTCOMES.index("closed_lost"))
    return lead, leads.closed_at[lead], outcome, amount, np.where(is_won, -1, reason)


def _opportunities(
    leads: Leads, people: People, *, paths: npt.NDArray[np.int8], rng: np.random.Generator
) -> Columns:
    """Opened when the account first enters the decision state, for committee members then known."""
    is_deciding = paths == State.DECISION
    day = np.argmax(is_deciding, axis=1) - 1
    opened = is_deciding.any(axis=1) & (day >= 0)
    opened &= rng.random(len(day)) < _P_OPPORTUNITY_LOGGED
    at = np.where(opened, day * DAY + office_second(rng, size=len(day)), NEVER)[leads.account]
    is_member = people.is_committee[leads.person]
    lead = np.flatnonzero(is_member & (leads.created_at < at) & (at < NEVER))
    code = np.full(len(lead), OUTCOMES.index("opportunity_created"))
    return lead, at[lead], code, np.full(len(lead), np.nan), np.full(len(lead), -1)


def _rejections(
    leads: Leads,
    people: People,
    accounts: Accounts,
    *,
    paths: npt.NDArray[np.int8],
    activity: Events,
    rng: np.random.Generator,
) -> Columns:
    """Hand-offs that sales returns, days after a form, a request or a download.

    Whether a hand-off is returned depends on the state at the action, so it tells of the past.
    """
    actions = np.isin(
        activity.type, [TYPE_CODE[n] for n in ("form_submit", "demo_request", "content_download")]
    )
    handed = np.flatnonzero(actions & (rng.random(len(activity.lead)) < _P_HANDED_OFF))
    handed = handed[np.lexsort((activity.at[handed], activity.lead[handed]))]
    lead, acted = activity.lead[handed], activity.at[handed]
    person, account = leads.person[lead], leads.account[lead]
    persona = people.persona[person]
    state = paths[account, np.minimum(acted // DAY, N_DAYS)]

    is_poor = (accounts.fit[account] < -0.4) & (rng.random(len(lead)) < 0.6)
    conditions = [
        persona == Persona.STUDENT,
        persona == Persona.COMPETITOR,
        ~people.is_committee[person],
        np.isin(state, [int(s) for s in _TOO_EARLY_STATES]) & is_poor,
        np.isin(state, [int(s) for s in _TOO_EARLY_STATES]),
    ]
    names = ("student", "competitor", "wrong role", "no budget", "too early")
    reason = np.select(conditions, [REASONS.index(name) for name in names], default=-1)
    at = acted + rng.integers(DAY, _RETURNED_WITHIN_DAYS * DAY, len(lead))
    returned = np.flatnonzero((reason >= 0) & (at < leads.closed_at[lead]) & (at < END_SECOND))
    kept = returned[_spaced(lead[returned], at[returned], pause=_PAUSE_DAYS * DAY)]
    code = np.full(len(kept), OUTCOMES.index("mql_rejected"))
    return lead[kept], at[kept], code, np.full(len(kept), np.nan), reason[kept]


def _spaced(lead: Codes, at: Codes, *, pause: int) -> npt.NDArray[np.bool_]:
    """True for rows at least ``pause`` seconds after the lead's previous kept row."""
    keep = np.zeros(len(lead), dtype=np.bool_)
    last: dict[int, int] = {}
    for row in np.lexsort((at, lead)):
        if at[row] - last.get(int(lead[row]), -NEVER) >= pause:
            keep[row] = True
            last[int(lead[row])] = int(at[row])
    return keep
