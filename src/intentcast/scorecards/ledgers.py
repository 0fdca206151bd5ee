"""Why one lead has its score: a ledger whose lines add up to it exactly."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from intentcast.contracts import INSTANT
from intentcast.errors import InputError
from intentcast.scorecards.card import Scorecard, Tier
from intentcast.scorecards.decay import SilenceDecay
from intentcast.scorecards.fit import axis_column, band_column
from intentcast.scorecards.history import EPOCH
from intentcast.scorecards.points import from_thousandths, to_thousandths
from intentcast.scorecards.standing import stand
from intentcast.sources import Dataset

LineKind = Literal["attribute", "behaviour", "cap", "decay"]


@dataclass(frozen=True)
class LedgerLine:
    """One contribution.

    Attributes:
        item: A rule's item, or what a cap or the decay took.
        points: Exact; negative where points were taken away.
        n: How often a rule was met; 0 for caps and decay.
        kind: What the line comes from.
    """

    item: str
    points: Decimal
    n: int
    kind: LineKind


@dataclass(frozen=True)
class Ledger:
    """One lead's score as a sum: `sum(line.points for line in lines) == score`, exactly.

    Points are `Decimal`; `float(ledger.score)` is the number that `score_snapshots` gives.
    """

    scorecard: str
    lead_id: str
    as_of: datetime
    lines: tuple[LedgerLine, ...]
    attribute_points: Decimal
    behaviour_points: Decimal
    score: Decimal
    tier: Tier
    label: str


def ledger(card: Scorecard, dataset: Dataset, lead_id: str, as_of: datetime) -> Ledger:
    """Explain the score of one lead at one as-of time.

    Raises:
        InputError: If the lead is not in the data set, or `as_of` has no time zone.
    """
    if as_of.tzinfo is None:
        raise InputError(
            f"as_of {as_of.isoformat()} without a time zone",
            expected="an instant, such as 2026-11-21T10:00:00Z",
            next_step="state the zone",
        )
    as_of = as_of.astimezone(UTC)
    snapshot = dataset.leads.filter(pl.col("lead_id") == lead_id).select(
        "lead_id", pl.lit(as_of, dtype=INSTANT).alias("as_of"), "account_id"
    )
    if snapshot.is_empty():
        raise InputError(
            "a lead that is not in the data set",
            expected="a lead_id of the leads table",
            next_step="check the lead_id",
        )
    standing = stand(card, dataset, snapshot)
    row = standing.rows.row(0, named=True)
    # The only snapshot is at as_of, so every award here was known before it.
    own = standing.awards.filter(
        pl.col("lead_id") == lead_id,
        pl.col("epoch") == pl.lit(row["epoch"], dtype=EPOCH),  # null without any event
    )
    lines = (*_attribute_lines(card, row), *_behaviour_lines(card, row, own))
    over = row["total"] - row["total_raw"]
    total_cap = _taken(f"total capped at {card.total_cap}", over, "cap")
    return Ledger(
        scorecard=card.name,
        lead_id=lead_id,
        as_of=as_of,
        lines=(*lines, *total_cap),
        attribute_points=from_thousandths(row["attributes"]),
        behaviour_points=from_thousandths(row["behaviours"]),
        score=from_thousandths(row["total"]),
        tier=row["tier"],
        label=card.label(row["tier"]),
    )


def _taken(item: str, thousandths: int, kind: LineKind) -> tuple[LedgerLine, ...]:
    """Return a line for points taken away, or none where nothing was."""
    if thousandths == 0:
        return ()
    return (LedgerLine(item, from_thousandths(thousandths), 0, kind),)


def _attribute_lines(card: Scorecard, row: dict[str, Any]) -> list[LedgerLine]:
    lines: list[LedgerLine] = []
    for axis in card.axes:
        position, points = row[band_column(axis)], row[axis_column(axis)]
        if position is None:
            continue
        item = card.attributes[position].item
        lines.append(LedgerLine(item, from_thousandths(points), 1, "attribute"))
        cap = card.axis_caps.get(axis)
        if cap is not None:
            over = min(0, to_thousandths(cap) - points)
            lines.extend(_taken(f"{axis} capped at {cap}", over, "cap"))
    over = row["attributes"] - row["attributes_raw"]
    lines.extend(_taken(f"attributes capped at {card.attributes_cap}", over, "cap"))
    return lines


def _behaviour_lines(
    card: Scorecard, row: dict[str, Any], awards: pl.DataFrame
) -> list[LedgerLine]:
    sums = awards.group_by("rule").agg(pl.col("thousandths", "n").sum()).sort("rule")
    lines = [
        LedgerLine(card.behaviours[rule].item, from_thousandths(points), n, "behaviour")
        for rule, points, n in sums.select("rule", "thousandths", "n").iter_rows()
        if n
    ]
    over = row["behaviours_capped"] - row["behaviours_raw"]
    lines.extend(_taken(f"behaviours capped at {card.behaviours_cap}", over, "cap"))
    lost = row["behaviours"] - row["behaviours_capped"]
    lines.extend(_taken(_decay_item(card, row), lost, "decay"))
    return lines


def _decay_item(card: Scorecard, row: dict[str, Any]) -> str:
    if row["last_activity"] is None:
        return "decay"
    days = (row["as_of"] - row["last_activity"]).days
    reset_days = card.decay.reset_days if isinstance(card.decay, SilenceDecay) else None
    if reset_days is not None and days >= reset_days:
        return f"behaviours reset after {days} days without activity"
    kept = from_thousandths(row["factor"])
    return f"behaviours times {kept} after {days} days without activity"
