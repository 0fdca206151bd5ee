"""E-mails to leads: opens that mostly mean nothing, clicks that mean something, opt-outs."""

from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.acquisition import Leads
from intentcast.simulation.buying import CLOSED
from intentcast.simulation.catalogue import CATALOGUE
from intentcast.simulation.clock import DAY, END_SECOND, N_DAYS
from intentcast.simulation.events import Events, concat_events, make_events
from intentcast.simulation.interest import draw_items, theme_codes
from intentcast.simulation.people import People

Codes = npt.NDArray[np.int64]

_EVERY_DAYS: Final = 14
_SUPPRESSED_AFTER_DAYS: Final = 60  # nobody is written to after so long without a sign of life
_P_MACHINE_OPEN: Final = 0.8
_P_OPEN: Final = 0.12
_P_OPEN_MAX: Final = 0.6
# By state of the account; opens hardly differ, clicks do.
_OPEN_LIFT: Final = (0.85, 1.0, 1.3, 1.4, 0.7, 0.7, 0.7, 0.7, 0.7)
_P_CLICK: Final = (0.12, 0.25, 0.45, 0.50, 0.04, 0.04, 0.04, 0.04, 0.04)  # given an open
_P_UNSUBSCRIBE: Final = (0.006, 0.003, 0.002, 0.001, 0.008, 0.008, 0.008, 0.008, 0.008)


def send_mail(
    leads: Leads,
    people: People,
    *,
    paths: npt.NDArray[np.int8],
    activity: Events,
    rng: np.random.Generator,
) -> Events:
    """Opens, clicks and unsubscriptions from a fortnightly mailing.

    Args:
        leads: Who is written to.
        people: Reading habits and mailboxes.
        paths: State of each account by day, shape (n_accounts, N_DAYS + 1).
        activity: What the leads did elsewhere; decides who is still written to.
        rng: Source of randomness.
    """
    lead, at, campaign = _sends(leads, paths=paths, activity=activity, rng=rng)
    person = leads.person[lead]
    state = paths[leads.account[lead], at // DAY]
    subjects = np.asarray([i for i, item in enumerate(CATALOGUE) if item.kind == "email"])
    subject = subjects[campaign % len(subjects)]

    leaves = rng.random(len(lead)) < np.asarray(_P_UNSUBSCRIBE)[state]
    left_at = np.full(len(leads.person), np.iinfo(np.int64).max)
    np.minimum.at(left_at, lead[leaves], at[leaves])
    is_sent = at <= left_at[lead]
    leaves &= is_sent

    by_machine = is_sent & people.is_proxied[person] & (rng.random(len(lead)) < _P_MACHINE_OPEN)
    p_open = _P_OPEN * people.reads_mail[person] * np.asarray(_OPEN_LIFT)[state]
    opens = is_sent & (leaves | (rng.random(len(lead)) < np.minimum(p_open, _P_OPEN_MAX)))
    clicks = opens & ~leaves & (rng.random(len(lead)) < np.asarray(_P_CLICK)[state])

    machine_at = at + rng.integers(1, 240, len(lead))
    open_at = at + (rng.exponential(5.0, len(lead)) * 3_600).astype(np.int64) + 60
    click_at = open_at + rng.integers(5, 120, len(lead))
    linked = draw_items(theme_codes()[subject], kinds=("page",), rng=rng)
    linked = np.where(linked < 0, subject, linked)  # an invitation links to itself
    human = [
        make_events(lead[rows], when[rows], event_type=name, content=about[rows])
        for name, rows, when, about in (
            ("email_open", opens, open_at, subject),
            ("email_click", clicks, click_at, linked),
            ("unsubscribe", leaves, open_at + 20, subject),
        )
    ]
    machine = make_events(
        lead[by_machine],
        machine_at[by_machine],
        event_type="email_open",
        content=subject[by_machine],
        is_machine=True,
    )
    return concat_events([machine, *human])


def _sends(
    leads: Leads, *, paths: npt.NDArray[np.int8], activity: Events, rng: np.random.Generator
) -> tuple[Codes, Codes, Codes]:
    """Lead, time and campaign number of every message; every second Tuesday, spread over hours.

    Closed accounts, and leads without a sign of life for long, are not written to.
    """
    send_day = np.arange(1, N_DAYS, _EVERY_DAYS)
    lead, campaign = np.nonzero(send_day * DAY > leads.created_at[:, None])
    at = send_day[campaign] * DAY + rng.integers(7 * 3_600, 11 * 3_600, len(lead))

    # One sorted key per (lead, time) finds each message's latest earlier sign of life at once.
    span = 2 * END_SECOND
    signs = np.sort(
        np.concatenate(
            [
                activity.lead * span + activity.at,
                np.arange(len(leads.person)) * span + leads.created_at,
            ]
        )
    )
    latest = signs[np.searchsorted(signs, lead * span + at) - 1] - lead * span
    is_written_to = at - latest < _SUPPRESSED_AFTER_DAYS * DAY
    is_written_to &= ~np.isin(paths[leads.account[lead], at // DAY], [int(s) for s in CLOSED])
    return lead[is_written_to], at[is_written_to], campaign[is_written_to]
