"""Counts and durations for Prometheus, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from intentcast.bundle import Bundle

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What the server counts. Labels are routes, statuses and tiers: never what a sender chose."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "intentcast_http_requests",
            "Requests answered",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "intentcast_http_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.predictions = Counter(
            "intentcast_predictions", "Leads scored", ["tier"], registry=self._registry
        )
        self.item_errors = Counter(
            "intentcast_item_errors",
            "Items of batches that could not be scored",
            registry=self._registry,
        )
        self.reloads = Counter(
            "intentcast_reloads", "Bundles loaded or refused", ["result"], registry=self._registry
        )
        self._model = Gauge(
            "intentcast_model",
            "1 for the model being served",
            ["name", "version", "sha256"],
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)

    def show_model(self, bundle: Bundle) -> None:
        """Show which model is being served."""
        self._model.clear()
        self._model.labels(bundle.name, bundle.version, bundle.sha256).set(1)

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self._registry)
