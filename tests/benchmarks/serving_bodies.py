"""Requests to measure with: a lead of 100 events, four in five its own, in a model's vocabulary."""

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from intentcast.bundle import Bundle

_PASSIVE = ("unsubscribe", "decline")


def request_of(
    bundle: Bundle, *, n_events: int = 100, seed: int = 1, explain: bool = False
) -> dict[str, Any]:
    """Return the body of one prediction."""
    rng = np.random.default_rng(seed)
    as_of = datetime.fromisoformat(bundle.data_cutoff)
    titles = [title for examples in bundle.featurizer.themes.examples for title in examples]
    titles = titles or ["/pricing", "/blog"]
    types = [t for t in bundle.featurizer.spec.event_types if t not in _PASSIVE] or ["visit"]
    channels = bundle.featurizer.spec.channels or ("web",)

    def event() -> dict[str, Any]:
        ago = timedelta(seconds=int(rng.integers(60, 120 * 86_400)))
        return {
            "lead_id": f"L{seed}" if rng.random() < 0.8 else f"C{seed}",
            "occurred_at": (as_of - ago).isoformat().replace("+00:00", "Z"),
            "event_type": str(rng.choice(types)),
            "content": str(rng.choice(titles)),
            "channel": str(rng.choice(channels)),
        }

    attributes: dict[str, Any] = dict.fromkeys(bundle.featurizer.spec.numeric, 100.0)
    attributes |= {name: levels[0] for name, levels in bundle.featurizer.spec.levels if levels}
    return {
        "lead": {
            "lead_id": f"L{seed}",
            "account_id": f"A{seed}",
            "created_at": (as_of - timedelta(days=150)).isoformat(),
            "attributes": attributes,
        },
        "events": [event() for _ in range(n_events)],
        "as_of": as_of.isoformat(),
        "explain": explain,
    }


def as_body(value: Any) -> bytes:
    """Return JSON as a client sends it."""
    return json.dumps(value, separators=(",", ":")).encode()
