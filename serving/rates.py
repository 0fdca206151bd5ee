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
        bucket = self._filled(name, rate, burst)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / rate
        bucket.tokens -= 1
        return 0.0

    def charge(self, name: str, cost: float) -> None:
        """Take what a request cost beyond its one token."""
        if name in self._buckets:
            self._buckets[name].tokens -= cost

    def debt(self, name: str, *, rate: float, burst: float) -> float:
        """Return the seconds until what was taken beyond the bucket's tokens has come back."""
        return max(0.0, -self._filled(name, rate, burst).tokens / rate)

    def _filled(self, name: str, rate: float, burst: float) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        return bucket

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget the buckets of keys that are gone."""
        for gone in self._buckets.keys() - names:
            del self._buckets[gone]


class Tab:
    """What one request costs its key: a token at the door, the other leads once they are answered.

    Args:
        rates: Of all keys.
        name: Of the key.
        rate: Leads per second.
        burst: Leads at once; to answer more in one go would make a debt that takes long to pay.
    """

    def __init__(self, rates: RateLimit, name: str, *, rate: float, burst: float) -> None:
        self._rates, self._name, self._rate, self.burst = rates, name, rate, burst
        self._n_paid = 1

    def admit(self) -> float:
        """Pay for the first lead, or return the seconds until that can be."""
        return self._rates.admit(self._name, rate=self._rate, burst=self.burst)

    def charge(self, n_leads: int) -> None:
        """Take what is not paid of the leads that were answered so far."""
        due = max(0, n_leads - self._n_paid)
        self._n_paid += due
        self._rates.charge(self._name, due)

    def debt(self) -> float:
        """Return the seconds until all that was answered for the key is paid."""
        return self._rates.debt(self._name, rate=self._rate, burst=self.burst)
