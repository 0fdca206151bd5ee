"""The world: as many blocks as it takes, put together as a data set with its truth."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from intentcast.errors import InputError
from intentcast.simulation.acquisition import NEVER
from intentcast.simulation.block import Block, join_blocks, live_block
from intentcast.simulation.catalogue import content_frame
from intentcast.simulation.settings import dataset_toml
from intentcast.simulation.tables import (
    account_table,
    event_table,
    ids,
    lead_table,
    outcome_table,
    truth_table,
)

_RECORDING, _GROWTH, _PROMOTION = 1, 2, 3  # seeds of what happens to the whole world


@dataclass(frozen=True)
class World:
    """A simulated data set with its truth; ``data/README.md`` describes every column."""

    leads: pl.DataFrame
    accounts: pl.DataFrame
    events: pl.DataFrame
    outcomes: pl.DataFrame
    attribute_changes: pl.DataFrame
    truth: pl.DataFrame
    content: pl.DataFrame
    dataset_toml: str


def simulate(*, n_leads: int, seed: int, name: str = "sample") -> World:
    """A B2B world of two years with the true probability of every lead at every weekly as-of time.

    The same arguments give the same frames, whatever the hash seed or the number of threads.

    Args:
        n_leads: How many leads become known in 2024 and 2025; at least 1.
        seed: Seed of all randomness, >= 0.
        name: Name of the data set in its ``dataset.toml``.

    Raises:
        InputError: If ``n_leads`` or ``seed`` is out of range.
    """
    if n_leads < 1 or seed < 0:
        raise InputError(
            f"n_leads={n_leads}, seed={seed}",
            expected="at least 1 lead and a seed that is not negative",
            next_step="correct --leads or --seed",
        )
    blocks: list[Block] = []
    while (missing := n_leads - sum(len(b.leads.person) for b in blocks)) > 0:
        blocks.append(live_block(seed, len(blocks), max_leads=missing))
    block = join_blocks(blocks)

    leads = block.leads
    lead_ids = ids("L", leads.created_at)
    first_known = np.full(len(block.accounts.fit), NEVER)
    np.minimum.at(first_known, leads.account, leads.created_at)
    account_ids = ids("A", first_known)
    lead_rows, promotions = lead_table(
        block, lead_ids, account_ids=account_ids, rng=_rng(seed, _PROMOTION)
    )
    account_rows, growth = account_table(
        block, account_ids, first_known=first_known, rng=_rng(seed, _GROWTH)
    )
    return World(
        leads=lead_rows,
        accounts=account_rows,
        events=event_table(block.events, lead_ids, rng=_rng(seed, _RECORDING)),
        outcomes=outcome_table(block.outcomes, lead_ids),
        attribute_changes=pl.concat([growth, promotions]).sort(
            "recorded_at", "entity", "entity_id", "attribute", "value"
        ),
        truth=truth_table(block.truth, lead_ids),
        content=content_frame(),
        dataset_toml=dataset_toml(name=name, n_leads=n_leads),
    )


def _rng(seed: int, purpose: int) -> np.random.Generator:
    """A generator apart from those of the blocks, whose keys have one number."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, purpose, 0)))
