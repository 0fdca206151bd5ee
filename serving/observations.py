"""What is done with every answer beside sending it: counted, noted for the log, perhaps sampled."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

from intentcast.bundle import Bundle
from intentcast.histories import LeadHistory
from serving.notes import notes_of_request
from serving.settings import Settings
from serving.state import ServerState


def observe(
    state: ServerState,
    bundle: Bundle,
    history: LeadHistory,
    answer: dict[str, Any],
    *,
    explain: bool,
) -> None:
    """Count an answer, note it for the request's log line, and offer it as a sample.

    Args:
        state: Of the app.
        bundle: That answered.
        history: What was scored.
        answer: From `intentcast.scoring`.
        explain: Whether reasons were asked for.
    """
    notes = notes_of_request()
    if state.samples:
        state.samples.offer(history, answer, explain=explain)
    notes.n_leads += 1
    # Of a batch the number is enough.
    notes.lead_id = state.log_id(history.lead_id) if notes.n_leads == 1 else None
    primary = bundle.primary_horizon_days
    told = [row["probability"] for row in answer["probabilities"] if row["horizon_days"] == primary]
    state.metrics.count_answer(answer["tier"], told, answer["warnings"])


def log_id_of(settings: Settings) -> Callable[[str], str | None]:
    """Return what a lead's id becomes in the log."""
    if settings.log_ids == "none":
        return lambda _: None
    if settings.log_ids == "plain":
        return lambda lead_id: lead_id[:64]
    salt = settings.log_salt
    key = hashlib.sha256(salt.get_secret_value().encode()).digest() if salt else None
    key = key or secrets.token_bytes(32)
    # Keyed, since ids are few enough to try all of them.
    return lambda lead_id: hashlib.blake2b(
        lead_id.encode("utf-8", "replace"), key=key, digest_size=8
    ).hexdigest()
