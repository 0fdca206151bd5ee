"""A block as tables: names for codes, ids for positions, times on the calendar."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from intentcast.simulation.accounts import COUNTRIES, INDUSTRIES
from intentcast.simulation.acquisition import SOURCES
from intentcast.simulation.block import Block
from intentcast.simulation.catalogue import CATALOGUE
from intentcast.simulation.clock import to_series
from intentcast.simulation.events import CHANNELS, EVENT_TYPES, Events, channel_codes
from intentcast.simulation.history import grow_accounts, promote_leads
from intentcast.simulation.outcomes import OUTCOMES, REASONS, Outcomes
from intentcast.simulation.people import TITLES
from intentcast.simulation.recording import record_events
from intentcast.simulation.truth import HORIZONS_DAYS, Truth

Codes = npt.NDArray[np.int64]

_P_TRUE_DECIMALS: Final = 9  # finer than any use, coarser than a compiler's last bit


def ids(letter: str, known_at: Codes) -> pl.Series:
    """An id per entry, numbered in the order in which they became known."""
    rank = np.empty(len(known_at), dtype=np.int64)
    rank[np.argsort(known_at, kind="stable")] = np.arange(1, len(known_at) + 1)
    return _numbered(letter, rank)


def _numbered(letter: str, number: Codes) -> pl.Series:
    digits = pl.Series("id", number).cast(pl.String).str.zfill(7)
    return digits.to_frame().select(pl.lit(letter) + pl.col("id"))["literal"].rename("id")


def _named(names: tuple[str, ...], codes: Codes) -> pl.Series:
    """The name of each code; null for -1."""
    table = pl.Series(names, dtype=pl.String)
    return table.gather(pl.Series(codes).replace(-1, None))


def lead_table(
    block: Block, lead_ids: pl.Series, *, account_ids: pl.Series, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leads, and the history of their job titles; a private mailbox names no account."""
    leads = block.leads
    titles, promotions = promote_leads(
        [TITLES[code] for code in block.people.role[leads.person]],
        known_at=leads.created_at,
        ids=lead_ids,
        rng=rng,
    )
    is_private = pl.Series(block.people.has_private_mail[leads.person])
    table = pl.DataFrame(
        {
            "lead_id": lead_ids,
            "account_id": account_ids.gather(leads.account),
            "created_at": to_series("created_at", leads.created_at),
            "source": _named(SOURCES, leads.source),
            "job_title": pl.Series(titles, dtype=pl.String),
        }
    ).with_columns(account_id=pl.when(~is_private).then("account_id"))
    return table.sort("lead_id"), promotions


def account_table(
    block: Block, account_ids: pl.Series, *, first_known: Codes, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accounts that at least one lead names, and the history of their head counts."""
    accounts, leads = block.accounts, block.leads
    names_account = ~block.people.has_private_mail[leads.person]
    is_named = np.zeros(len(first_known), dtype=np.bool_)
    is_named[leads.account[names_account]] = True
    employee_count, growth = grow_accounts(
        accounts.employee_count, known_at=first_known, ids=account_ids, rng=rng
    )
    table = pl.DataFrame(
        {
            "account_id": account_ids,
            "employee_count": employee_count.astype(np.int32),
            "industry": _named(INDUSTRIES, accounts.industry),
            "country": _named(COUNTRIES, accounts.country),
        }
    ).filter(pl.Series(is_named))
    is_listed = pl.col("entity_id").is_in(table["account_id"].implode())
    return table.sort("account_id"), growth.filter(is_listed)


def event_table(events: Events, lead_ids: pl.Series, *, rng: np.random.Generator) -> pl.DataFrame:
    """Events in order of occurrence; a few rows are there twice, and ids tell which."""
    recorded = record_events(events, rng)
    events = recorded.events.where(recorded.row)
    return pl.DataFrame(
        {
            "event_id": _numbered("E", recorded.row + 1),
            "lead_id": lead_ids.gather(events.lead),
            "occurred_at": to_series("occurred_at", events.at),
            "event_type": _named(EVENT_TYPES, events.type),
            "content": _named(tuple(item.content for item in CATALOGUE), events.content),
            "channel": _named(CHANNELS, channel_codes()[events.type]),
            "value": pl.Series(events.value).fill_nan(None),
            "duration_seconds": pl.Series(events.duration, dtype=pl.Int32).replace(-1, None),
            "is_machine": events.is_machine,
            "recorded_at": to_series("recorded_at", recorded.recorded_at[recorded.row]),
        }
    )


def outcome_table(outcomes: Outcomes, lead_ids: pl.Series) -> pl.DataFrame:
    """Outcomes in order of occurrence."""
    return pl.DataFrame(
        {
            "lead_id": lead_ids.gather(outcomes.lead),
            "occurred_at": to_series("occurred_at", outcomes.at),
            "outcome": _named(OUTCOMES, outcomes.outcome),
            "amount": pl.Series(outcomes.amount).fill_nan(None),
            "reason": _named(REASONS, outcomes.reason),
            "recorded_at": to_series("recorded_at", outcomes.recorded_at),
        }
    ).sort("occurred_at", "lead_id", "outcome")


def truth_table(truth: Truth, lead_ids: pl.Series) -> pl.DataFrame:
    """True probabilities, one row per lead, as-of time and horizon; exact, so without error."""
    n_horizons = len(HORIZONS_DAYS)
    row = np.repeat(np.arange(len(truth.lead)), n_horizons)
    return pl.DataFrame(
        {
            "lead_id": lead_ids.gather(truth.lead[row]),
            "as_of": to_series("as_of", truth.as_of[row]),
            "horizon_days": pl.Series(np.tile(HORIZONS_DAYS, len(truth.lead)), dtype=pl.Int32),
            "p_true": np.round(truth.p_true.reshape(-1), _P_TRUE_DECIMALS),
            "std_error": pl.Series(np.zeros(len(row)), dtype=pl.Float32),
        }
    ).sort("lead_id", "as_of", "horizon_days")
