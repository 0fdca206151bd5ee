"""One block of accounts, lived from the first day to the last.

Blocks are independent of each other and small, so that memory does not grow with the world, and
each has its own seeds, so that no part of a block can disturb the randomness of another.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.accounts import Accounts, draw_accounts
from intentcast.simulation.acquisition import Leads, acquire_leads
from intentcast.simulation.behaviour import visit_site
from intentcast.simulation.buying import sample_paths, transition_matrices
from intentcast.simulation.events import Events, concat_events
from intentcast.simulation.mailing import send_mail
from intentcast.simulation.outcomes import Outcomes, decide_outcomes
from intentcast.simulation.people import People, draw_people
from intentcast.simulation.sharing import share_documents
from intentcast.simulation.truth import Truth, true_probabilities

BLOCK_ACCOUNTS: Final = 1_000


@dataclass(frozen=True)
class Block:
    """Accounts, people, leads, and all that happened; positions are the block's own.

    ``paths`` is the state of each account by day, shape (n_accounts, N_DAYS + 1).
    """

    accounts: Accounts
    people: People
    leads: Leads
    paths: npt.NDArray[np.int8]
    events: Events
    outcomes: Outcomes
    truth: Truth


def live_block(seed: int, number: int, *, max_leads: int) -> Block:
    """Live block ``number`` of the world ``seed``, with its first ``max_leads`` leads at most.

    Keeping the first leads looks at nobody's future: who is kept depends on arrivals alone.
    """
    seeds = np.random.SeedSequence(seed, spawn_key=(number,)).spawn(8)
    rngs = [np.random.default_rng(s) for s in seeds]

    accounts = draw_accounts(BLOCK_ACCOUNTS, rngs[0])
    people = draw_people(accounts, rngs[1])
    is_outsider = accounts.is_outsider
    matrices = transition_matrices(accounts.pace, accounts.fit, is_outsider=is_outsider)
    paths = sample_paths(matrices, rngs[2], is_outsider=is_outsider)
    leads = acquire_leads(people, accounts, paths=paths, rng=rngs[3]).first(max_leads)

    activity = _while_open(
        concat_events(
            [
                visit_site(leads, people, paths=paths, rng=rngs[4]),
                share_documents(leads, people, paths=paths, rng=rngs[5]),
            ]
        ),
        leads,
    )
    mail = send_mail(leads, people, paths=paths, activity=activity, rng=rngs[6])
    return Block(
        accounts=accounts,
        people=people,
        leads=leads,
        paths=paths,
        events=concat_events([activity, _while_open(mail, leads)]),
        outcomes=decide_outcomes(
            leads, people, accounts, paths=paths, activity=activity, rng=rngs[7]
        ),
        truth=true_probabilities(leads, people, matrices=matrices, paths=paths),
    )


def _while_open(events: Events, leads: Leads) -> Events:
    """What leads did from their creation on and before their own closing."""
    is_after = events.at >= leads.created_at[events.lead]
    is_before = events.at < leads.closed_at[events.lead]
    return events.where(is_after & is_before)


def join_blocks(blocks: list[Block]) -> Block:
    """One block of all accounts, with positions moved to match."""
    n_accounts = np.cumsum([0, *(len(b.accounts.fit) for b in blocks)])
    n_people = np.cumsum([0, *(len(b.people.account) for b in blocks)])
    n_leads = np.cumsum([0, *(len(b.leads.person) for b in blocks)])
    moved = [
        Block(
            accounts=b.accounts,
            people=replace(b.people, account=b.people.account + a),
            leads=replace(b.leads, account=b.leads.account + a, person=b.leads.person + p),
            paths=b.paths,
            events=replace(b.events, lead=b.events.lead + n),
            outcomes=replace(b.outcomes, lead=b.outcomes.lead + n),
            truth=replace(b.truth, lead=b.truth.lead + n),
        )
        for b, a, p, n in zip(blocks, n_accounts, n_people, n_leads, strict=False)
    ]
    return Block(**{f.name: _joined([getattr(b, f.name) for b in moved]) for f in fields(Block)})


def _joined(parts: list[Any]) -> Any:
    """Arrays, or dataclasses of arrays, one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    kind = type(parts[0])
    return kind(**{f.name: _joined([getattr(p, f.name) for p in parts]) for f in fields(kind)})
