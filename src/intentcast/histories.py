"""One lead's history, as a service sends it, as a data set of one: the same path from there on."""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

import polars as pl

from intentcast.config import DatasetConfig
from intentcast.contracts import INSTANT, ROW_NUMBER, TABLES
from intentcast.engagement import (
    Engagement,
    EngagementEvent,
    engagement_from_rows,
    engagement_of,
)
from intentcast.snapshots import attributes_as_of, known_as_of
from intentcast.sources import as_text
from intentcast.sources.dataset import EVENT_ORDER, Dataset, first_of_each_event, with_known_at

Attribute = str | float | int | bool | None
Row = TypeVar("Row", "EngagementEvent", "KnownOutcome")
# Columns of leads and accounts that are not attributes, whatever a request calls its attributes.
_KEYS = frozenset({"lead_id", "account_id", "created_at"})


@dataclass(frozen=True)
class KnownOutcome:
    """How an earlier matter with the lead or a colleague ended."""

    lead_id: str
    occurred_at: datetime
    outcome: str
    recorded_at: datetime | None = None
    reason: str | None = None


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
        events: Its own, and colleagues' (theirs have another `lead_id`); kept as columns.
        outcomes: Likewise; those known at or after `as_of` are not used.
        colleagues: Attributes of colleagues, by `lead_id`.
    """

    lead_id: str
    created_at: datetime
    as_of: datetime
    account_id: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    account_attributes: Mapping[str, Attribute] = field(default_factory=dict)
    events: Sequence[EngagementEvent] = ()
    outcomes: tuple[KnownOutcome, ...] = ()
    colleagues: Mapping[str, Mapping[str, Attribute]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", engagement_of(self.events))

    @property
    def engagement(self) -> Engagement:
        """The events as columns."""
        assert isinstance(self.events, Engagement), "made so at the start"
        return self.events

    @property
    def account(self) -> str:
        """The account; a lead without one is its own."""
        return self.account_id or f"lead:{self.lead_id}"

    @functools.cached_property
    def people(self) -> list[str]:
        """Everyone of the account that is told of, sorted."""
        told = {*self.engagement.people, *(o.lead_id for o in self.outcomes)}
        return sorted(told | set(self.colleagues) | {self.lead_id})

    def attribute(self, name: str) -> Attribute:
        """Return the lead's attribute, else the account's; `source` is the lead's alone."""
        if name in self.attributes or name == "source":
            return self.attributes.get(name)
        return self.account_attributes.get(name)

    def text(self, name: str) -> str | None:
        """Return an attribute as columns spell it; None where it is unknown."""
        if name not in self._texts:
            self._texts[name] = text_of(self.attribute(name))
        return self._texts[name]

    @functools.cached_property
    def _texts(self) -> dict[str, str | None]:
        return {}


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
        events=engagement_from_rows(raw.get("events") or ()),
        outcomes=tuple(
            KnownOutcome(
                lead_id=outcome["lead_id"],
                occurred_at=_instant(outcome["occurred_at"]),
                outcome=outcome["outcome"],
                recorded_at=_instant(outcome["recorded_at"])
                if outcome.get("recorded_at")
                else None,
                reason=outcome.get("reason"),
            )
            for outcome in raw.get("outcomes") or ()
        ),
        colleagues={
            person["lead_id"]: person.get("attributes") or {}
            for person in raw.get("colleagues") or ()
        },
    )


def _instant(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def dataset_of(history: LeadHistory, config: DatasetConfig) -> Dataset:
    """Return a data set that holds this lead, its colleagues and their events alone."""
    account, people = history.account, history.people
    wanted = [*config.attributes.numeric, *config.attributes.categorical]
    given = {n: value for n, value in history.attributes.items() if n not in _KEYS}
    of_account = [n for n in history.account_attributes if n not in given and n not in _KEYS]
    of_lead = {"source": None} | {n: None for n in wanted if n not in of_account} | given
    if config.attributes.rank_column:
        of_lead = {config.attributes.rank_column: None} | of_lead
    told = {**history.colleagues, history.lead_id: of_lead}
    leads = pl.DataFrame(
        {
            "lead_id": people,
            "created_at": pl.Series([history.created_at] * len(people), dtype=INSTANT),
            "account_id": [account] * len(people),
            **{
                name: pl.Series(
                    [text_of(told.get(person, {}).get(name)) for person in people],
                    dtype=pl.String,
                )
                for name in of_lead
            },
        }
    )
    accounts = pl.DataFrame(
        {
            "account_id": [account],
            **{
                name: pl.Series([text_of(history.account_attributes[name])], dtype=pl.String)
                for name in of_account
            },
        }
    )
    events = with_known_at(_table("events", history.events), config.source_delay_hours.events)
    events, _ = first_of_each_event(events)
    delay = config.source_delay_hours.outcomes
    outcomes = with_known_at(_table("outcomes", history.outcomes), delay)
    return Dataset(
        config=config,
        leads=leads,
        accounts=accounts,
        events=events.sort(EVENT_ORDER),
        outcomes=outcomes.sort("lead_id", "known_at", "occurred_at", "outcome"),
        attribute_changes=_empty("attribute_changes"),
        quarantined=(),
        data_cutoff=history.as_of,
    )


def text_of(value: Attribute) -> str | None:
    """Return a value spelled as `sources.as_text` spells columns."""
    # 1, 1.0 and True are equal keys but not the same text.
    return None if value is None else _spelled(type(value).__name__, value)


@functools.lru_cache(maxsize=65_536)
def _spelled(_kind: str, value: Attribute) -> str | None:
    series = pl.Series("value", [value])
    text: str | None = series.to_frame().select(as_text("value", series.dtype)).item()
    return text


def _empty(table: str) -> pl.DataFrame:
    return TABLES[table].create_empty().drop(ROW_NUMBER)


def _table(table: str, rows: Iterable[object]) -> pl.DataFrame:
    schema = {
        name: INSTANT if isinstance(dtype, pl.Datetime) else dtype
        for name, dtype in _empty(table).schema.items()
    }
    told = list(rows)
    columns = {name: [getattr(row, name, None) for row in told] for name in schema}
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
    rank = wanted.rank_column
    if rank in dataset.leads.columns and rank not in columns:
        columns.append(rank)
    values = attributes_as_of(dataset, snapshot, columns).row(0, named=True) if columns else {}
    leads = dataset.leads.filter(pl.col("account_id") == account_id)
    of_account = pl.col("lead_id").is_in(leads["lead_id"].implode())
    events = known_as_of(dataset.events, as_of).filter(of_account)
    outcomes = known_as_of(dataset.outcomes, as_of).filter(of_account)

    def rows(table: pl.DataFrame, kind: type[Row]) -> tuple[Row, ...]:
        names = [f.name for f in fields(kind)]
        return tuple(kind(**row) for row in table.select(names).iter_rows(named=True))

    return LeadHistory(
        lead_id=lead_id,
        created_at=leads.filter(pl.col("lead_id") == lead_id)["created_at"][0],
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
        events=rows(events, EngagementEvent),
        outcomes=rows(outcomes, KnownOutcome),
        colleagues=_colleagues(dataset, leads, events, lead_id, as_of),
    )


def _colleagues(
    dataset: Dataset, leads: pl.DataFrame, events: pl.DataFrame, lead_id: str, as_of: datetime
) -> dict[str, dict[str, Attribute]]:
    """Return the title of each colleague who did anything, as known then."""
    column = dataset.config.attributes.rank_column
    if column not in dataset.leads.columns:
        return {}
    assert column is not None
    active = leads.filter(
        pl.col("lead_id").is_in(events["lead_id"].unique().implode())
        & (pl.col("lead_id") != lead_id)
    ).select("lead_id", "account_id", pl.lit(as_of, dtype=INSTANT).alias("as_of"))
    titles = attributes_as_of(dataset, active, [column])[column]
    return {
        person: {column: title}
        for person, title in zip(active["lead_id"], titles, strict=True)
        if title is not None
    }


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
        "colleagues": [
            {"lead_id": person, "attributes": dict(attributes)}
            for person, attributes in sorted(history.colleagues.items())
        ],
        "events": [_row_to_json(event) for event in history.events],
        "outcomes": [_row_to_json(outcome) for outcome in history.outcomes],
        "as_of": history.as_of.isoformat(),
        "explain": True,
    }


def _row_to_json(row: EngagementEvent | KnownOutcome) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
        if value is not None
    }


def snapshot_of(history: LeadHistory) -> pl.DataFrame:
    """Return the one snapshot to score: `lead_id`, `as_of`, `account_id`."""
    return pl.DataFrame(
        {
            "lead_id": [history.lead_id],
            "as_of": pl.Series([history.as_of], dtype=INSTANT),
            "account_id": [history.account],
        }
    )
