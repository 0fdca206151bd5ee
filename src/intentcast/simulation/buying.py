"""The latent buying state of an account: a daily Markov chain with an exact answer.

``S[d]`` is the state at 00:00 of day ``d``; the step ``S[d] -> S[d + 1]`` happens during day ``d``.
An account that steps into ``BOUGHT`` during day ``d`` therefore closes at a time inside day ``d``,
and for an as-of time at 00:00 of day ``d``::

    P(bought in [d, d + h) | S[d] = s) = (T ** h)[s, BOUGHT]

with ``T`` the account's own transition matrix. Everything else in the world on day ``d`` depends
on ``S[d]``, never on a later state, so this is the probability given *all* there is to know.
"""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.clock import N_DAYS

Floats = npt.NDArray[np.float64]


class State(IntEnum):
    """Where an account stands. A stalled account is dormant and may restart where it stopped."""

    UNAWARE = 0
    AWARENESS = 1
    CONSIDERATION = 2
    DECISION = 3
    STALLED_AWARENESS = 4
    STALLED_CONSIDERATION = 5
    STALLED_DECISION = 6
    BOUGHT = 7
    LOST = 8


N_STATES: Final = len(State)
STALLED: Final = (State.STALLED_AWARENESS, State.STALLED_CONSIDERATION, State.STALLED_DECISION)
CLOSED: Final = (State.BOUGHT, State.LOST)

# Daily probabilities at average pace and fit. "advance" grows with pace and fit, "win" with both
# and more strongly with fit; "lose" shrinks with fit; "steady" is the same for all.
_STEPS: Final[tuple[tuple[State, State, float, str], ...]] = (
    (State.UNAWARE, State.AWARENESS, 0.0013, "advance"),
    (State.AWARENESS, State.CONSIDERATION, 0.0130, "advance"),
    (State.AWARENESS, State.STALLED_AWARENESS, 0.0120, "steady"),
    (State.AWARENESS, State.LOST, 0.0015, "lose"),
    (State.CONSIDERATION, State.DECISION, 0.0170, "advance"),
    (State.CONSIDERATION, State.STALLED_CONSIDERATION, 0.0080, "steady"),
    (State.CONSIDERATION, State.LOST, 0.0040, "lose"),
    (State.DECISION, State.BOUGHT, 0.0190, "win"),
    (State.DECISION, State.STALLED_DECISION, 0.0055, "steady"),
    (State.DECISION, State.LOST, 0.0075, "lose"),
    (State.STALLED_AWARENESS, State.AWARENESS, 0.0050, "advance"),
    (State.STALLED_AWARENESS, State.LOST, 0.0020, "lose"),
    (State.STALLED_CONSIDERATION, State.CONSIDERATION, 0.0060, "advance"),
    (State.STALLED_CONSIDERATION, State.LOST, 0.0040, "lose"),
    (State.STALLED_DECISION, State.DECISION, 0.0080, "advance"),
    (State.STALLED_DECISION, State.LOST, 0.0060, "lose"),
)

_FIRST_DAY: Final = (0.88, 0.07, 0.02, 0.00, 0.03, 0.00, 0.00, 0.00, 0.00)


def transition_matrices(pace: Floats, fit: Floats, *, is_outsider: npt.NDArray[np.bool_]) -> Floats:
    """Each account's daily transition matrix, shape (n_accounts, N_STATES, N_STATES).

    Args:
        pace: Speed multiplier, > 0, shape (n_accounts,).
        fit: How well size and industry match, about -1 .. 1, shape (n_accounts,).
        is_outsider: Universities and competitors: they never leave ``UNAWARE``.

    Returns:
        Rows sum to 1. ``BOUGHT`` and ``LOST`` are absorbing.
    """
    factor = {
        "advance": pace * np.exp(0.35 * fit),
        "win": pace * np.exp(0.55 * fit),
        "lose": np.exp(-0.45 * fit),
        "steady": np.ones_like(fit),
    }
    matrices = np.zeros((len(pace), N_STATES, N_STATES))
    for start, end, daily, kind in _STEPS:
        # The cap keeps every row a distribution however fast an account is.
        matrices[:, start, end] = np.where(is_outsider, 0.0, np.minimum(daily * factor[kind], 0.3))
    for state in State:
        matrices[:, state, state] = 1.0 - matrices[:, state, :].sum(axis=1)
    return matrices


def sample_paths(
    matrices: Floats, rng: np.random.Generator, *, is_outsider: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int8]:
    """One path per account, shape (n_accounts, N_DAYS + 1); column ``d`` is the state at 00:00."""
    n_accounts = len(matrices)
    paths = np.empty((n_accounts, N_DAYS + 1), dtype=np.int8)
    first = np.searchsorted(np.cumsum(_FIRST_DAY), rng.random(n_accounts), side="right")
    paths[:, 0] = np.where(is_outsider, State.UNAWARE, np.minimum(first, N_STATES - 1))

    cumulative = np.cumsum(matrices, axis=2)
    cumulative[:, :, -1] = 1.0  # rounding must not leave a gap at the end
    account = np.arange(n_accounts)
    for day in range(N_DAYS):
        reached = rng.random(n_accounts)[:, None] >= cumulative[account, paths[:, day]]
        paths[:, day + 1] = reached.sum(axis=1)
    return paths


def win_probability(matrices: Floats, *, horizons_days: tuple[int, ...]) -> Floats:
    """P(bought within h days | state today), shape (n_accounts, N_STATES, n_horizons).

    The backward recursion ``v[h] = T v[h - 1]``, ``v[0] = 1[s = BOUGHT]``, summed column by column
    in a fixed order: a matrix library may split sums over threads and so change the last bits.
    """
    value = np.zeros(matrices.shape[:2])
    value[:, State.BOUGHT] = 1.0
    at_horizon: dict[int, Floats] = {0: value}
    for day in range(1, max(horizons_days) + 1):
        following = np.zeros_like(value)
        for state in State:
            following += matrices[:, :, state] * value[:, state, None]
        value = following
        at_horizon[day] = value
    return np.stack([at_horizon[h] for h in horizons_days], axis=2)
