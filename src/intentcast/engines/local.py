"""Where work runs: the seam between a job and machines, and the engine of one machine."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Applies a function to items, several at once.

    An engine on other machines sends the function and the item to them: both must stand for
    themselves, large data going by files that all machines see.
    """

    def run(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Return the results as they are done, in any order.

        The first error ends the run: what has begun is finished, what has not is left out.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this process: polars and the feature kernel let one another run.

    Attributes:
        threads: How many items are worked on at once.
    """

    threads: int = 2

    def run(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Return results as they are done.

        An item is taken only when a thread is free or about to be, so that items may be large.
        """
        if self.threads == 1:
            yield from map(work, items)
            return
        pool = ThreadPoolExecutor(self.threads)
        running: set[Future[Result]] = set()
        try:
            for item in items:
                running.add(pool.submit(work, item))
                if len(running) > self.threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)
