"""Training and serving skew: sampled answers of a server, computed again by both paths."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from intentcast.bundle import Bundle
from intentcast.replay import Difference, replay

# The newest of a long log: some ten milliseconds each.
MOST = 1000


@dataclass(frozen=True)
class Served:
    """What came of the sampled answers.

    Attributes:
        n_answers: In the log.
        n_other: Of other bundles, left out.
        n_replayed: Computed again, the newest `MOST` at most.
        n_different: Of them, with any other bit.
        differences: Their fields, with the request's id.
    """

    n_answers: int
    n_other: int
    n_replayed: int
    n_different: int
    differences: tuple[Difference, ...]


def served_again(
    bundle: Bundle,
    log: pl.DataFrame,
    *,
    most: int = MOST,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Served:
    """Compute the newest sampled answers of a bundle again, as the server and as the batch do.

    Args:
        bundle: In use.
        log: From `replay.read_log`.
        most: How many are computed again.
        on_progress: Called with what is being done.

    Raises:
        InputError: If a row does not hold a request and an answer.
    """
    mine = log.filter(pl.col("model_sha256") == bundle.sha256)

    def done(n: int) -> None:
        if n % 100 == 0:
            on_progress(f"{n:,} sampled answers computed again")

    found = replay(bundle, mine.tail(most), on_progress=done)
    return Served(
        n_answers=len(log),
        n_other=len(log) - len(mine),
        n_replayed=found.n_answers,
        n_different=found.n_different,
        differences=found.differences,
    )
