"""What people look at: the mix of themes by buying state and persona, and items within a theme."""

from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.buying import N_STATES
from intentcast.simulation.catalogue import CATALOGUE, KINDS, THEMES
from intentcast.simulation.people import Persona

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Columns as THEMES: problem, credibility, architecture, implementation, pricing, roi, product,
# industry, webinar, contact, careers.
_STALLED: Final = (0.18, 0.10, 0.06, 0.04, 0.08, 0.04, 0.12, 0.32, 0.03, 0.01, 0.02)
_BY_STATE: Final = (
    (0.17, 0.05, 0.04, 0.02, 0.06, 0.02, 0.12, 0.40, 0.06, 0.010, 0.05),
    (0.27, 0.11, 0.06, 0.04, 0.07, 0.04, 0.14, 0.20, 0.06, 0.015, 0.015),
    (0.09, 0.17, 0.14, 0.10, 0.14, 0.09, 0.18, 0.06, 0.04, 0.045, 0.005),
    (0.04, 0.11, 0.13, 0.22, 0.20, 0.15, 0.08, 0.03, 0.02, 0.080, 0.005),
    _STALLED,
    _STALLED,
    _STALLED,
    _STALLED,
    _STALLED,
)
# Multiplies the mix above; students and competitors have no use for a state, theirs is absolute.
_BY_PERSONA: Final = {
    Persona.ECONOMIC: (1.0, 1.4, 0.5, 0.8, 1.6, 1.8, 0.7, 1.0, 0.8, 1.0, 0.5),
    Persona.TECHNICAL: (0.7, 0.8, 2.2, 1.3, 0.7, 0.5, 1.1, 0.9, 1.0, 0.9, 1.0),
    Persona.CHAMPION: (1.2, 1.0, 0.7, 1.1, 1.0, 0.9, 1.2, 1.0, 1.2, 1.1, 0.8),
}
_ABSOLUTE: Final = {
    Persona.STUDENT: (0.16, 0.10, 0.04, 0.03, 0.17, 0.05, 0.08, 0.20, 0.05, 0.01, 0.11),
    Persona.COMPETITOR: (0.03, 0.14, 0.10, 0.06, 0.27, 0.06, 0.26, 0.03, 0.03, 0.01, 0.01),
}
_SESSION_FOCUS: Final = 0.45  # chance that the next item of a visit stays on the first one's theme


def theme_mix() -> Floats:
    """Cumulative theme shares, shape (N_STATES, n_personas, n_themes); the last column is 1."""
    mix = np.empty((N_STATES, len(Persona), len(THEMES)))
    for persona in Persona:
        if persona in _ABSOLUTE:
            mix[:, persona] = _ABSOLUTE[persona]
        else:
            mix[:, persona] = np.asarray(_BY_STATE) * _BY_PERSONA[persona]
    mix = np.cumsum(mix, axis=2)
    mix /= mix[:, :, -1:]
    return mix


def draw_themes(mix: Floats, *, visit: Codes, rng: np.random.Generator) -> Codes:
    """The theme of every item looked at, shape (n_items,).

    Args:
        mix: Cumulative theme shares of each *visit*, shape (n_visits, n_themes).
        visit: The visit of each item, ascending, shape (n_items,).
        rng: Source of randomness.
    """
    size = len(visit)
    fresh: Codes = (rng.random(size)[:, None] >= mix[visit][:, :-1]).sum(axis=1)
    is_first = np.concatenate(([True], visit[1:] != visit[:-1]))[:size]
    first_of_visit = fresh[np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    stays = rng.random(size) < _SESSION_FOCUS
    return np.where(stays, first_of_visit, fresh)


def draw_items(theme: Codes, *, kinds: tuple[str, ...], rng: np.random.Generator) -> Codes:
    """One item of the given kinds for every theme, popular ones more often; -1 if there is none."""
    item = np.full(len(theme), -1, dtype=np.int64)
    lot = rng.random(len(theme))
    for code, name in enumerate(THEMES):
        offered = [i for i, it in enumerate(CATALOGUE) if it.theme == name and it.kind in kinds]
        wanted = np.flatnonzero(theme == code)
        if offered and len(wanted):
            popularity = np.cumsum(1.0 / (np.arange(len(offered)) + 2.0))
            choice = np.searchsorted(popularity / popularity[-1], lot[wanted], side="right")
            item[wanted] = np.asarray(offered)[np.minimum(choice, len(offered) - 1)]
    return item


def kind_codes() -> Codes:
    """The kind of each catalogue item as a position in ``KINDS``, shape (n_items,)."""
    return np.asarray([KINDS.index(item.kind) for item in CATALOGUE])


def theme_codes() -> Codes:
    """The theme of each catalogue item as a position in ``THEMES``, shape (n_items,)."""
    return np.asarray([THEMES.index(item.theme) for item in CATALOGUE])
