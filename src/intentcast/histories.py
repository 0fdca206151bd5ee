"""One lead's history, as a service sends it, as a data set of one: the same path from there on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import polars as pl

from intentcast.config import DatasetConfig
from intentcast.contracts import INSTANT, ROW_NUMBER, TABLES
from intentcast.snapshots import attributes_as_of, known_as_of
from intentcast.sources import as_text
from intentcast.sources.dataset import EVENT_ORDER, Dataset, first_of_each_event, with_known_at

Attribute = str | float | int | bool | None
# Columns of leads and accounts that are not attributes, whatever a request calls its attributes.
_KEYS = frozenset({"lead_id", "account_id", "created_at"})


@dataclass(frozen=True)
class EngagementEvent:
    """One thing that the lead or a colleague did; times are UTC instants."""

    lead_id: str
    occurred_at: datetime
    event_type: str
    content: str | None = None
    channel: str | None = None
    value: float | None = None
    duration_seconds: float | None = None
    is_machine: bool | None = None
    event_id: str | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class LeadHistory:
    """A lead, its account and the events of both, as of an instant.

    Attributes:
        lead_id: The lead to score.
        created_at: When it became a lead.
        as_of: The instant; events known at or after it are not used.
        account_id: Its account, or None.
        attributes: Of the lead.
        account_attributes: Of the account.
        events: Its own, and colleagues' (theirs have another `lead_id`).
    """

    lead_id: str
    created_at: datetime
    as_of: datetime
    account_id: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    account_attributes: Mapping[str, Attribute] = field(default_factory=dict)
    events: tuple[EngagementEvent, ...] = ()


def history_from_json(raw: Mapping[str, Any]) -> LeadHistory:
    """Read a request body of `POST /v1/predictions` that has been checked already."""
    lead = raw["lead"]
    return LeadHistory(
        lead_id=lead["lead_id"],
        created_at=_instant(lead["created_at"]),
        as_of=_instant(raw["as_of"]),
        account_id=lead.get("account_id"),
        attributes=lead.get("attributes") or {},
        account_attributes=(raw.get("account") or {}).get("attributes") or {},
        events=tuple(
            EngagementEvent(
                **{
                    **event,
                    "occurred_at": _instant(event["occurred_at"]),
                    "recorded_at": _instant(event["recorded_at"])
                    if event.get("recorded_at")
                    else None,
                }
            )
            for event in raw.get("events") or ()
        ),
    )


def _instant(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def dataset_of(history: LeadHistory, config: DatasetConfig) -> Dataset:
    """Return a data set that holds this lead, its colleagues and their events alone."""
    account = history.account_id or f"lead:{history.lead_id}"
    people = sorted({event.lead_id for event in history.events} | {history.lead_id})
    wanted = [*config.attributes.numeric, *config.attributes.categorical]
    given = {n: value for n, value in history.attributes.items() if n not in _KEYS}
    of_account = [n for n in history.account_attributes if n not in given and n not in _KEYS]
    of_lead = {"source": None} | {n: None for n in wanted if n not in of_account} | given
    leads = pl.DataFrame(
        {
            "lead_id": people,
            "created_at": pl.Series([history.created_at] * len(people), dtype=INSTANT),
            "account_id": [account] * len(people),
            **{
                name: pl.Series(
                    [_text(value) if person == history.lead_id else None for person in people],
                    dtype=pl.String,
                )
                for name, value in of_lead.items()
            },
        }
    )
    accounts = pl.DataFrame(
        {
            "account_id": [account],
            **{
                name: pl.Series([_text(history.account_attributes[name])], dtype=pl.String)
                for name in of_account
            },
        }
    )
    events = with_known_at(_events(history), config.source_delay_hours.events)
    events, _ = first_of_each_event(events)
    return Dataset(
        config=config,
        leads=leads,
        accounts=accounts,
        events=events.sort(EVENT_ORDER),
        outcomes=with_known_at(_empty("outcomes"), 0.0),
        attribute_changes=_empty("attribute_changes"),
        quarantined=(),
        data_cutoff=history.as_of,
    )


def _text(value: Attribute) -> str | None:
    """Return a value spelled as `sources.as_text` spells columns."""
    if value is None:
        return None
    series = pl.Series("value", [value])
    text: str | None = series.to_frame().select(as_text("value", series.dtype)).item()
    return text


def _empty(table: str) -> pl.DataFrame:
    return TABLES[table].create_empty().drop(ROW_NUMBER)


def _events(history: LeadHistory) -> pl.DataFrame:
    schema = {
        name: INSTANT if isinstance(dtype, pl.Datetime) else dtype
        for name, dtype in TABLES["events"].create_empty().drop(ROW_NUMBER).schema.items()
    }
    columns = {name: [getattr(event, name) for event in history.events] for name in schema}
    return pl.DataFrame(columns, schema=schema)


def history_from_dataset(dataset: Dataset, snapshot: pl.DataFrame) -> LeadHistory:
    """Return what a service would send of one lead: everything known strictly before `as_of`.

    Args:
        dataset: Holds the lead, its account and their events.
        snapshot: One row of `lead_id`, `as_of`, `account_id`.
    """
    lead_id, as_of, account_id = (snapshot[c][0] for c in ("lead_id", "as_of", "account_id"))
    wanted = dataset.config.attributes
    columns = [*wanted.numeric, *wanted.categorical]
    values = attributes_as_of(dataset, snapshot, columns).row(0, named=True) if columns else {}
    people = dataset.leads.filter(pl.col("account_id") == account_id)["lead_id"]
    names = [f.name for f in fields(EngagementEvent)]
    known = known_as_of(dataset.events, as_of).filter(pl.col("lead_id").is_in(people.implode()))
    return LeadHistory(
        lead_id=lead_id,
        created_at=dataset.leads.filter(pl.col("lead_id") == lead_id)["created_at"][0],
        as_of=as_of,
        account_id=account_id,
        attributes={
            name: _number(value) if name in wanted.numeric else value
            for name, value in values.items()
            if name in dataset.leads.columns
        },
        account_attributes={
            name: _number(value) if name in wanted.numeric else value
            for name, value in values.items()
            if name not in dataset.leads.columns
        },
        events=tuple(EngagementEvent(**row) for row in known.select(names).iter_rows(named=True)),
    )


def _number(text: str | None) -> float | None:
    """Return a numeric attribute's value, read as for features; None where it is not finite."""
    number = pl.Series([text], dtype=pl.String).cast(pl.Float64, strict=False)[0]
    return number if number is not None and math.isfinite(number) else None


def history_to_json(history: LeadHistory) -> dict[str, Any]:
    """Return the body of `POST /v1/predictions` for a history; empty fields are left out."""
    return {
        "lead": {
            "lead_id": history.lead_id,
            "account_id": history.account_id,
            "created_at": history.created_at.isoformat(),
            "attributes": dict(history.attributes),
        },
        "account": {"attributes": dict(history.account_attributes)},
        "events": [
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in asdict(event).items()
                if value is not None
            }
            for event in history.events
        ],
        "as_of": history.as_of.isoformat(),
        "explain": True,
    }


def snapshot_of(history: LeadHistory) -> pl.DataFrame:
    """Return the one snapshot to score: `lead_id`, `as_of`, `account_id`."""
    return pl.DataFrame(
        {
            "lead_id": [history.lead_id],
            "as_of": pl.Series([history.as_of], dtype=INSTANT),
            "account_id": [history.account_id or f"lead:{history.lead_id}"],
        }
    )
