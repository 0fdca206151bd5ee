"""A token bucket per key: how much may come at once, and how much goes on coming."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """Buckets by name. Only names of valid keys come here, so there are as many as keys.

    A request takes one token. What a batch costs beyond that is known once it has been answered,
    so a bucket may go below zero: a thousand leads are paid for by the time that follows.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, name: str, *, rate: float, burst: float) -> float:
        """Take a token, or return the seconds until there is one.

        Args:
            name: Whose bucket.
            rate: Tokens that come back per second.
            burst: Tokens of a full bucket.
        """
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / rate
        bucket.tokens -= 1
        return 0.0

    def charge(self, name: str, cost: float) -> None:
        """Take what a request cost beyond its one token."""
        if name in self._buckets:
            self._buckets[name].tokens -= cost

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget the buckets of keys that are gone."""
        for gone in self._buckets.keys() - names:
            del self._buckets[gone]
