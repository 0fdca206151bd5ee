"""What one lead costs, from a `LeadHistory` to all its features, as a service meets it."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engagement_data
import numpy as np
import polars as pl
from features_run import SEED, fitted


def one_lead(n_leads: int = 2000, n_events: int = 100) -> dict[str, float]:
    """Return what single leads with 100 events cost, from a `LeadHistory` to all features."""
    from intentcast.sources import load_dataset

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        total = n_leads * n_events
        engagement_data.write_engagement(folder, n_events=total, n_leads=n_leads, seed=SEED)
        dataset = load_dataset(folder)
    histories = lead_histories(dataset, n_leads, n_events)
    featurizer, config = fitted(dataset), dataset.config
    size = min(1000, n_leads)
    parts = [histories[at : at + size] for at in range(0, n_leads - size + 1, size // 2)]
    tables = [as_tables(part, config) for part in parts]
    # Once to compile and to meet the contents; and both ways must say the same.
    alone = [featurizer.transform_histories([h], config).values for h in parts[0][:50]]
    together = featurizer.transform(*tables[0]).values[:50]
    assert np.vstack(alone).tobytes() == np.ascontiguousarray(together).tobytes()
    single = [seconds(featurizer.transform_histories, [h], config) for h in histories]
    as_objects = [seconds(featurizer.transform_histories, part, config) for part in parts]
    in_tables = [seconds(featurizer.transform, *part) for part in tables for _ in range(3)]
    return {
        "leads": len(histories),
        "features": len(featurizer.spec.names),
        "median_us": statistics.median(single) * 1e6,
        "p99_us": float(np.quantile(single, 0.99)) * 1e6,
        "thousand_ms": statistics.median(in_tables) * 1e3,
        "thousand_objects_ms": statistics.median(as_objects) * 1e3,
    }


def seconds(work: Callable[..., Any], *given: Any) -> float:
    """Return the seconds of one call."""
    clock = time.perf_counter()
    work(*given)
    return time.perf_counter() - clock


def lead_histories(dataset: Any, n_leads: int, n_events: int) -> list[Any]:
    """Return different leads with exactly `n_events` events each, of themselves and a colleague."""
    from intentcast.histories import EngagementEvent, LeadHistory

    rows = dataset.events.sort("event_id").drop("known_at").to_dicts()
    fields = EngagementEvent.__dataclass_fields__
    as_of = engagement_data.as_of_times()[-1]
    companies = dataset.accounts.to_dicts()
    leads = dataset.leads.to_dicts()
    histories = []
    for i in range(n_leads):
        # Events from all over the record: as many types, themes and gaps as a history can have.
        mine = rows[i::n_leads][:n_events]
        events = tuple(
            EngagementEvent(
                **{name: row[name] for name in fields if name != "lead_id"},
                lead_id=f"L{i}" if j % 5 else f"L{i}-colleague",
            )
            for j, row in enumerate(mine)
        )
        company = companies[i % len(companies)]
        histories.append(
            LeadHistory(
                lead_id=f"L{i}",
                created_at=leads[i % len(leads)]["created_at"],
                as_of=as_of,
                account_id=f"A{i}",
                attributes={name: leads[i % len(leads)][name] for name in ("seniority", "source")},
                account_attributes={name: company[name] for name in ("employee_count", "industry")},
                events=events,
            )
        )
    return histories


def as_tables(histories: list[Any], config: Any) -> tuple[Any, Any]:
    """Return the same leads as one data set and its snapshots."""
    from intentcast.histories import dataset_of, snapshot_of

    parts = [dataset_of(history, config) for history in histories]
    names = ("leads", "accounts", "events", "outcomes")
    tables = {n: pl.concat([getattr(part, n) for part in parts], rechunk=True) for n in names}
    whole = dataclasses.replace(parts[0], **tables)
    return whole, pl.concat([snapshot_of(history) for history in histories])
