"""Counts and durations for Prometheus, in a registry of their own.

With several workers each process keeps its numbers in files of `PROMETHEUS_MULTIPROC_DIR`, and
whichever of them is asked adds all up; gauges then count workers.
"""

import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from intentcast.bundle import Bundle

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PROBABILITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
# How `scoring` words what training did not learn; a test holds the two together.
_UNSEEN = re.compile(r"(\d+) (?:of \d+ )?events o[fn] (event types|channels|content) ")


class Metrics:
    """What the server counts. Labels are routes, statuses and tiers: never what a sender chose."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "intentcast_http_requests",
            "Requests answered",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "intentcast_http_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.predictions = Counter(
            "intentcast_predictions", "Leads scored", ["tier"], registry=registry
        )
        self.probability = Histogram(
            "intentcast_probability",
            "Probabilities of the primary horizon that were answered",
            buckets=_PROBABILITIES,
            registry=registry,
        )
        self.unseen = Counter(
            "intentcast_unseen_events",
            "Events of leads scored whose type, channel or content training did not learn",
            ["what"],
            registry=registry,
        )
        self.item_errors = Counter(
            "intentcast_item_errors",
            "Items of batches that could not be scored",
            registry=registry,
        )
        self.reloads = Counter(
            "intentcast_reloads", "Bundles loaded or refused", ["result"], registry=registry
        )
        self.watch_failures = Counter(
            "intentcast_watch_failures",
            "Times that the champion or the keys could not be read",
            ["what"],
            registry=registry,
        )
        self.samples_dropped = Counter(
            "intentcast_samples_dropped",
            "Sampled answers that could not be kept",
            registry=registry,
        )
        self._model = Gauge(
            "intentcast_model",
            "Processes that serve a model",
            ["name", "version", "sha256"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._created = Gauge(
            "intentcast_model_created_timestamp_seconds",
            "When the oldest bundle being served was written, in Unix seconds",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._cutoff = Gauge(
            "intentcast_model_data_cutoff_timestamp_seconds",
            "When the oldest data being served from ended, in Unix seconds",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._age = Gauge(
            "intentcast_model_age_seconds",
            "Age of the oldest bundle being served, when last loaded or asked",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._is_shared = SHARED in os.environ
        self._shown: tuple[str, ...] | None = None
        self._aged: Callable[[], float] | None = None
        if not self._is_shared:
            ProcessCollector(registry=registry)

    def show_model(self, bundle: Bundle, now: Callable[[], datetime]) -> None:
        """Show which model is being served, and how old it is."""
        if self._shown and self._is_shared:
            # Labels cannot be taken out of shared files.
            self._model.labels(*self._shown).set(0)
        elif self._shown:
            self._model.clear()
        self._shown = (bundle.name, bundle.version, bundle.sha256)
        self._model.labels(*self._shown).set(1)
        created = datetime.fromisoformat(bundle.created)
        self._created.set(created.timestamp())
        self._cutoff.set(datetime.fromisoformat(bundle.data_cutoff).timestamp())
        self._aged = lambda: (now() - created).total_seconds()
        self._age.set(self._aged())

    def count_answer(
        self, tier: str, probabilities: Sequence[float], warnings: Sequence[str]
    ) -> None:
        """Count a lead that was scored; the probability of the primary horizon if it was asked."""
        self.predictions.labels(tier).inc()
        for probability in probabilities:
            self.probability.observe(probability)
        for warning in warnings:
            if found := _UNSEEN.match(warning):
                self.unseen.labels(found[2]).inc(int(found[1]))

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        if self._aged:
            self._age.set(self._aged())
        if not self._is_shared:
            return generate_latest(self._registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)  # type: ignore[no-untyped-call]
        return generate_latest(every)
