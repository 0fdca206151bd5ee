"""Documents passed round: in earnest buying, several people of an account read the same one."""

from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.acquisition import Leads
from intentcast.simulation.buying import CLOSED, STALLED
from intentcast.simulation.clock import DAY, N_DAYS, office_second
from intentcast.simulation.events import Events, make_events
from intentcast.simulation.interest import draw_items, draw_themes, theme_mix
from intentcast.simulation.people import People, Persona

# Shares per day by state of the account.
_SHARES: Final = (0.0, 0.0025, 0.035, 0.055, 0.0, 0.0, 0.0, 0.0, 0.0)
_P_READS_COMMITTEE: Final = 0.55
_P_READS_OTHER: Final = 0.20
_MEAN_DELAY_DAYS: Final = 1.3
_MAX_DELAY_DAYS: Final = 6


def share_documents(
    leads: Leads, people: People, *, paths: npt.NDArray[np.int8], rng: np.random.Generator
) -> Events:
    """Views of shared documents in the sales room, within days of each other.

    Nobody reads once the account has stalled or closed: silence is silence.
    """
    n_shares = rng.poisson(np.asarray(_SHARES)[paths[:, :N_DAYS]])
    account, day = np.nonzero(n_shares)
    mix = theme_mix()[paths[account, day], Persona.CHAMPION]
    theme = draw_themes(mix, visit=np.arange(len(account)), rng=rng)
    document = draw_items(theme, kinds=("document",), rng=rng)
    is_document = document >= 0  # a theme without documents shares nothing
    account, day, document = account[is_document], day[is_document], document[is_document]

    first = np.searchsorted(leads.account, account, side="left")
    n_colleagues = np.searchsorted(leads.account, account, side="right") - first
    share = np.repeat(np.arange(len(account)), n_colleagues)
    position = np.arange(len(share)) - np.repeat(
        np.cumsum(n_colleagues) - n_colleagues, n_colleagues
    )
    lead = first[share] + position

    delay = np.minimum(rng.exponential(_MEAN_DELAY_DAYS, len(lead)), _MAX_DELAY_DAYS)
    read_day = day[share] + delay.astype(np.int64)  # beyond the last day: never recorded
    at = read_day * DAY + office_second(rng, size=len(lead))
    is_committee = people.is_committee[leads.person[lead]]
    p_reads = np.where(is_committee, _P_READS_COMMITTEE, _P_READS_OTHER)
    state = paths[leads.account[lead], np.minimum(read_day, N_DAYS)]
    is_silent = np.isin(state, [int(s) for s in (*STALLED, *CLOSED)])
    reads = np.flatnonzero((rng.random(len(lead)) < p_reads) & ~is_silent)
    return make_events(
        lead[reads],
        at[reads],
        event_type="document_view",
        content=document[share[reads]],
        value=np.round(rng.beta(2.5, 1.5, len(reads)), 2),
        duration=np.clip(np.exp(rng.normal(5.0, 0.7, len(reads))), 10, 3_600).astype(np.int64),
    )
