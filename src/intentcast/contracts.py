"""Table contracts: which columns each table has, and which rules each row keeps.

`quarantine` is for data from outside, where failure is life: bad rows are set aside with their
row number and every rule they broke. `validate` is for our own tables, where failure is a bug.
A null never passes a rule by accident: nullability is decided for each column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dataframely as dy
import polars as pl

from intentcast.errors import ContractError

INSTANT = pl.Datetime("us", "UTC")
EARLIEST = pl.datetime(1990, 1, 1, time_zone="UTC")
LATEST = pl.datetime(2100, 1, 1, time_zone="UTC")
ROW_NUMBER = "row_number"


def _plausible(column: str) -> pl.Expr:
    """Null or within 1990–2099; a null passes here and is judged by nullability alone."""
    return pl.col(column).is_null() | pl.col(column).is_between(EARLIEST, LATEST, closed="left")


class Numbered(dy.Schema):
    """A row of a file: numbered, the first data row being 1."""

    row_number = dy.UInt32(nullable=False)


class Leads(Numbered):
    """One row per lead: a person, at most one account."""

    lead_id = dy.String(nullable=False, min_length=1)
    created_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")
    account_id = dy.String(nullable=True)
    source = dy.String(nullable=True)

    @dy.rule()
    def created_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("created_at")


class Accounts(Numbered):
    """One row per account: the company."""

    account_id = dy.String(nullable=False, min_length=1)


class Events(Numbered):
    """One row per thing a lead did."""

    lead_id = dy.String(nullable=False, min_length=1)
    occurred_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")
    event_type = dy.String(nullable=False, min_length=1)
    event_id = dy.String(nullable=True)
    content = dy.String(nullable=True)
    channel = dy.String(nullable=True)
    value = dy.Float64(nullable=True)
    duration_seconds = dy.Float64(nullable=True)
    is_machine = dy.Bool(nullable=True)
    recorded_at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us")

    @dy.rule()
    def occurred_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("occurred_at")

    @dy.rule()
    def recorded_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("recorded_at")

    @dy.rule()
    def duration_is_not_negative(cls) -> pl.Expr:
        """A session cannot end before it starts."""
        return pl.col("duration_seconds").is_null() | (pl.col("duration_seconds") >= 0)


class Outcomes(Numbered):
    """One row per thing that became of a lead: won, lost, rejected with a reason, …."""

    lead_id = dy.String(nullable=False, min_length=1)
    occurred_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")
    outcome = dy.String(nullable=False, min_length=1)
    amount = dy.Float64(nullable=True)
    reason = dy.String(nullable=True)
    recorded_at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us")

    @dy.rule()
    def occurred_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("occurred_at")

    @dy.rule()
    def recorded_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("recorded_at")


class AttributeChanges(Numbered):
    """One row per attribute value that became known at a time."""

    entity = dy.String(nullable=False)
    entity_id = dy.String(nullable=False, min_length=1)
    attribute = dy.String(nullable=False, min_length=1)
    value = dy.String(nullable=True)
    recorded_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")

    @dy.rule()
    def entity_is_lead_or_account(cls) -> pl.Expr:
        """Nothing else has attributes."""
        return pl.col("entity").is_in(["lead", "account"])

    @dy.rule()
    def recorded_at_is_between_1990_and_2099(cls) -> pl.Expr:
        """A time outside is a typing mistake or a default value."""
        return _plausible("recorded_at")


class Snapshots(dy.Schema):
    """Who is scored, and when: one row per (lead, as-of time)."""

    lead_id = dy.String(primary_key=True)
    as_of = dy.Datetime(primary_key=True, time_zone="UTC", time_unit="us")
    account_id = dy.String(nullable=False)


class Scores(dy.Schema):
    """What `score` writes: one row per (lead, horizon)."""

    lead_id = dy.String(primary_key=True)
    as_of = dy.Datetime(primary_key=True, time_zone="UTC", time_unit="us")
    horizon_days = dy.Int32(primary_key=True)
    probability = dy.Float64(nullable=False, min=0.0, max=1.0)
    low = dy.Float64(nullable=False, min=0.0, max=1.0)
    high = dy.Float64(nullable=False, min=0.0, max=1.0)
    too_little_known = dy.Bool(nullable=False)
    tier = dy.String(nullable=False)
    stage = dy.String(nullable=False)
    model_version = dy.String(nullable=False)


class AccountScores(dy.Schema):
    """What `accounts` writes: one row per (account, horizon)."""

    account_id = dy.String(primary_key=True)
    as_of = dy.Datetime(primary_key=True, time_zone="UTC", time_unit="us")
    horizon_days = dy.Int32(primary_key=True)
    probability = dy.Float64(nullable=False, min=0.0, max=1.0)
    n_leads = dy.Int32(nullable=False, min=1)
    top_lead_id = dy.String(nullable=False)
    top_probability = dy.Float64(nullable=False, min=0.0, max=1.0)
    model_version = dy.String(nullable=False)


class Predictions(dy.Schema):
    """What `backtest` writes: one row per (contender, lead, as-of time, horizon)."""

    contender = dy.String(primary_key=True)
    lead_id = dy.String(primary_key=True)
    as_of = dy.Datetime(primary_key=True, time_zone="UTC", time_unit="us")
    horizon_days = dy.Int32(primary_key=True)
    score = dy.Float64(nullable=False)
    probability = dy.Float64(nullable=True, min=0.0, max=1.0)
    converted = dy.Bool(nullable=True)
    fold = dy.Int32(nullable=False)


TABLES: dict[str, type[dy.Schema]] = {
    "leads": Leads,
    "accounts": Accounts,
    "events": Events,
    "outcomes": Outcomes,
    "attribute_changes": AttributeChanges,
}
REQUIRED_COLUMNS: dict[str, tuple[str, ...]] = {
    "leads": ("lead_id", "created_at"),
    "accounts": ("account_id",),
    "events": ("lead_id", "occurred_at", "event_type"),
    "outcomes": ("lead_id", "occurred_at", "outcome"),
    "attribute_changes": ("entity", "entity_id", "attribute", "value", "recorded_at"),
}


@dataclass(frozen=True)
class Quarantined:
    """Rows of one table that broke a rule, and how many rows there were.

    `rows` has `row_number` (of the row in its file, the first data row being 1) and
    `broken_rules` (names, joined by "; "), then the row's own columns.
    """

    table: str
    n_rows: int
    rows: pl.DataFrame
    n_duplicates: int = 0

    @property
    def share(self) -> float:
        """Share of the table's rows that were set aside."""
        return len(self.rows) / self.n_rows if self.n_rows else 0.0

    def rule_counts(self) -> dict[str, int]:
        """Return how many rows broke each rule, most first."""
        if self.rows.is_empty():
            return {}
        counts = (
            self.rows.select(pl.col("broken_rules").str.split("; ").explode().alias("rule"))
            .group_by("rule")
            .len()
            .sort("len", "rule", descending=[True, False])
        )
        return dict(counts.iter_rows())


def quarantine(
    frame: pl.DataFrame, table: str, *, broken: Sequence[pl.Expr] = ()
) -> tuple[pl.DataFrame, Quarantined]:
    """Separate the rows that keep the table's contract from those that do not.

    Args:
        frame: Columns of the table's schema with their types, `row_number`, and any others.
        table: A key of `TABLES`.
        broken: Further named boolean expressions, true where a rule is broken.

    Returns:
        The good rows without `row_number`, in their order; and the bad rows with their rules.
    """
    schema = TABLES[table]
    _, failures = schema.filter(frame.select(schema.column_names()))
    counts = failures.counts()
    details = failures.details().select(
        ROW_NUMBER, *[(pl.col(rule) == "invalid").alias(rule) for rule in sorted(counts)]
    )
    flagged = frame.select(ROW_NUMBER, *broken).join(
        details, on=ROW_NUMBER, how="left", maintain_order="left"
    )
    rules = [name for name in flagged.columns if name != ROW_NUMBER]
    names = [pl.when(pl.col(rule)).then(pl.lit(rule)) for rule in rules]
    if names:
        listed = pl.concat_str(names, separator="; ", ignore_nulls=True)
        broken_rules = flagged.select(listed.alias("broken_rules"))["broken_rules"]
    else:
        broken_rules = pl.Series("broken_rules", [""] * len(frame), dtype=pl.String)
    is_bad = broken_rules != ""
    good = frame.filter(~is_bad)
    bad_rows = frame.with_columns(broken_rules).filter(is_bad)
    order = [ROW_NUMBER, "broken_rules"]
    bad_rows = bad_rows.select(*order, pl.exclude(order))
    return good.drop(ROW_NUMBER), Quarantined(table, len(frame), bad_rows)


def validate(frame: pl.DataFrame, schema: type[dy.Schema]) -> pl.DataFrame:
    """Return the frame, cut to the schema's columns, or raise.

    Raises:
        ContractError: If a row breaks a rule; this means a defect in the code that made it.
    """
    try:
        return schema.validate(frame)
    except (dy.exc.ValidationError, dy.exc.SchemaError) as error:
        raise ContractError(
            f"a {schema.__name__} table that breaks its contract: {' '.join(str(error).split())}",
            expected="every row to keep every rule",
            next_step="report this as a defect",
        ) from None
