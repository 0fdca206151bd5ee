"""People: job title, what they care about, and whether they sit on the buying committee."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from intentcast.simulation.accounts import Accounts


class Persona(IntEnum):
    """What kind of reader a person is; it shifts which themes they look at."""

    ECONOMIC = 0
    TECHNICAL = 1
    CHAMPION = 2
    STUDENT = 3
    COMPETITOR = 4


class Role(NamedTuple):
    """A job title with its persona, share among people, and chance to be on the committee."""

    title: str
    persona: Persona
    share: float
    p_committee: float


ROLES: Final = (
    Role("VP Operations", Persona.ECONOMIC, 0.05, 0.92),
    Role("Chief Operating Officer", Persona.ECONOMIC, 0.03, 0.92),
    Role("Chief Financial Officer", Persona.ECONOMIC, 0.03, 0.80),
    Role("Managing Director", Persona.ECONOMIC, 0.03, 0.85),
    Role("Director of Operations", Persona.ECONOMIC, 0.05, 0.92),
    Role("Director of IT", Persona.TECHNICAL, 0.05, 0.85),
    Role("Head of Customer Success", Persona.CHAMPION, 0.07, 0.92),
    Role("Procurement Manager", Persona.ECONOMIC, 0.04, 0.75),
    Role("Operations Manager", Persona.CHAMPION, 0.10, 0.80),
    Role("Customer Success Manager", Persona.CHAMPION, 0.08, 0.65),
    Role("Project Manager", Persona.CHAMPION, 0.08, 0.60),
    Role("IT Manager", Persona.TECHNICAL, 0.06, 0.70),
    Role("Engineering Manager", Persona.TECHNICAL, 0.05, 0.60),
    Role("Team Lead Service", Persona.CHAMPION, 0.05, 0.55),
    Role("Solutions Architect", Persona.TECHNICAL, 0.04, 0.55),
    Role("Software Engineer", Persona.TECHNICAL, 0.05, 0.12),
    Role("Systems Administrator", Persona.TECHNICAL, 0.03, 0.20),
    Role("Business Analyst", Persona.CHAMPION, 0.04, 0.30),
    Role("Analyst", Persona.CHAMPION, 0.03, 0.15),
    Role("Marketing Manager", Persona.CHAMPION, 0.02, 0.08),
    Role("Consultant", Persona.CHAMPION, 0.02, 0.10),
)
OUTSIDE_ROLES: Final = (
    Role("Student", Persona.STUDENT, 0.80, 0.0),
    Role("Research Assistant", Persona.STUDENT, 0.20, 0.0),
    Role("Product Manager", Persona.COMPETITOR, 0.45, 0.0),
    Role("Product Marketing Manager", Persona.COMPETITOR, 0.30, 0.0),
    Role("Market Analyst", Persona.COMPETITOR, 0.25, 0.0),
)
ALL_ROLES: Final = (*ROLES, *OUTSIDE_ROLES)
TITLES: Final = tuple(role.title for role in ALL_ROLES)

# A change of title never moves a person on or off the committee.
PROMOTIONS: Final = {
    "Analyst": "Business Analyst",
    "Business Analyst": "Project Manager",
    "Project Manager": "Operations Manager",
    "Operations Manager": "Director of Operations",
    "Director of Operations": "VP Operations",
    "Team Lead Service": "Customer Success Manager",
    "Customer Success Manager": "Head of Customer Success",
    "Software Engineer": "Engineering Manager",
    "Systems Administrator": "IT Manager",
    "IT Manager": "Director of IT",
}

_ACTIVITY_SPREAD: Final = 0.75
_EXECUTIVE_ACTIVITY: Final = 0.7  # people with budgets read less and decide more
_INTERN_SHARE: Final = 0.03


@dataclass(frozen=True)
class People:
    """One entry per person in every array, shape (n_people,); grouped by account.

    ``account`` is a position in ``Accounts``, ``role`` one in ``ALL_ROLES``; ``activity``
    multiplies how often the person reads; ``reads_mail`` how often they open; ``is_proxied`` marks
    a mailbox whose provider opens messages by machine; ``has_private_mail`` hides the account.
    """

    account: npt.NDArray[np.int64]
    role: npt.NDArray[np.int64]
    persona: npt.NDArray[np.int64]
    is_committee: npt.NDArray[np.bool_]
    activity: npt.NDArray[np.float64]
    reads_mail: npt.NDArray[np.float64]
    is_proxied: npt.NDArray[np.bool_]
    has_private_mail: npt.NDArray[np.bool_]


def draw_people(accounts: Accounts, rng: np.random.Generator) -> People:
    """Draw the people of every account; each ordinary account has at least one decider."""
    account = np.repeat(np.arange(len(accounts.group_size)), accounts.group_size)
    n_people = len(account)
    role = _draw(rng, ROLES, n_people)
    students = accounts.is_university[account] | (rng.random(n_people) < _INTERN_SHARE)
    competitors = accounts.is_competitor[account]
    role = np.where(students, len(ROLES) + _draw(rng, OUTSIDE_ROLES[:2], n_people), role)
    role = np.where(competitors, len(ROLES) + 2 + _draw(rng, OUTSIDE_ROLES[2:], n_people), role)

    p_committee = np.asarray([r.p_committee for r in ALL_ROLES])[role]
    is_first = np.concatenate(([True], account[1:] != account[:-1]))
    is_committee = (rng.random(n_people) < p_committee) | (is_first & (p_committee > 0))

    persona = np.asarray([int(r.persona) for r in ALL_ROLES])[role]
    activity = np.exp(rng.normal(0.0, _ACTIVITY_SPREAD, n_people))
    activity[persona == Persona.ECONOMIC] *= _EXECUTIVE_ACTIVITY
    is_student = persona == Persona.STUDENT
    return People(
        account=account,
        role=role,
        persona=persona,
        is_committee=is_committee,
        activity=activity,
        reads_mail=np.exp(rng.normal(0.0, 0.8, n_people)),
        is_proxied=rng.random(n_people) < 0.35,
        has_private_mail=rng.random(n_people) < np.where(is_student, 0.5, 0.02),
    )


def _draw(rng: np.random.Generator, roles: tuple[Role, ...], size: int) -> npt.NDArray[np.int64]:
    """Positions in ``roles`` drawn by share, shape (size,)."""
    share = np.asarray([role.share for role in roles])
    return rng.choice(len(roles), size, p=share / share.sum())
